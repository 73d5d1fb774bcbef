"""Workers: orders, seeds, errors, and what happens when one dies."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

import flashlight
from flashlight.utils import data
from tests.data.both import Numbers, in_both, plain

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


class Drawing:
    """Samples that tell their worker, its seed, and random numbers drawn there."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 8

    def __getitem__(self, index):
        worker = self.module.utils.data.get_worker_info()
        numbers = self.module.rand(2), np.random.rand(), random.random()
        return index, numbers, worker.id, worker.seed, worker.num_workers


@pytest.mark.parametrize("options", [{"shuffle": True, "batch_size": 3}, {"batch_size": None}])
def test_orders_and_random_numbers(options):
    def run(module):
        loader = module.utils.data.DataLoader(Drawing(module), num_workers=2, **options)
        return [list(loader) for _ in range(2)]

    expected, actual = in_both(run)
    assert actual == expected


def test_streams_are_shared_out():
    def run(module):
        class Stream(module.utils.data.IterableDataset):
            def __iter__(self):
                worker = module.utils.data.get_worker_info()
                return iter(range(worker.id, 7, worker.num_workers))

        return list(module.utils.data.DataLoader(Stream(), num_workers=2, batch_size=2))

    expected, actual = in_both(run)
    assert actual == expected


def note_process(worker_id):
    data.get_worker_info().dataset.note = worker_id * 100


class Noted(Numbers):
    note = None

    def __getitem__(self, index):
        return index, self.note, os.getpid()


def test_persistent_workers_and_their_start():
    loader = data.DataLoader(
        Noted(4), num_workers=2, persistent_workers=True, worker_init_fn=note_process
    )
    epochs = [plain(list(loader)) for _ in range(2)]
    assert [(i, n) for [i], [n], _ in epochs[0]] == [(0, 0), (1, 100), (2, 0), (3, 100)]
    assert epochs[0] == epochs[1]
    assert os.getpid() not in [process for _, _, [process] in epochs[0]]
    fresh = data.DataLoader(Noted(2), num_workers=1, worker_init_fn=note_process)
    assert len({plain(next(iter(fresh)))[2][0] for _ in range(2)}) == 2


class Tensors(Numbers):
    def __getitem__(self, index):
        big = flashlight.full((64, 64), float(index))
        return {
            "big": big,
            "half": big[:2, :2].bfloat16(),
            "turned": big[:3].t(),
            "array": np.full(3, index),
            "text": str(index),
        }


def test_tensors_arrive_whole():
    batches = list(data.DataLoader(Tensors(4), num_workers=2, batch_size=2))
    for first, batch in zip((0.0, 2.0), batches, strict=True):
        assert batch["big"].shape == (2, 64, 64)
        assert batch["big"].mean((1, 2)).tolist() == [first, first + 1]
        assert batch["half"].dtype is flashlight.bfloat16
        assert batch["turned"].shape == (2, 64, 3)
        assert batch["array"].dtype is flashlight.int64
        assert batch["text"] == [str(int(first)), str(int(first) + 1)]


def test_samples_keep_their_layout():
    sample = next(iter(data.DataLoader(Tensors(1), num_workers=1, batch_size=None)))
    assert sample["turned"].stride() == (1, 64)
    sample["turned"].add_(1)  # nobody else's memory
    assert sample["turned"][0, 0].item() == 1


def test_tensors_of_the_parent_that_were_not_computed_yet():
    pending = flashlight.rand(20, 3) * 2 + 1
    loader = data.DataLoader(data.TensorDataset(pending), num_workers=2, batch_size=5)
    total = sum(batch.sum().item() for (batch,) in loader)
    assert total == pytest.approx(pending.sum().item(), rel=1e-5)


class Faulty(Numbers):
    def __init__(self, count, fault):
        super().__init__(count)
        self.fault = fault

    def __getitem__(self, index):
        if index == 3:
            self.fault()
        return flashlight.zeros(1000)


def look_up():
    return {}["not here"]


class Peculiar(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def peculiar():
    raise Peculiar(1, 2)


def test_an_error_carries_the_traceback_of_its_worker():
    loader = data.DataLoader(Faulty(8, look_up), num_workers=2)
    with pytest.raises(KeyError) as caught:
        list(loader)
    text = str(caught.value)
    assert "Caught KeyError in DataLoader worker process 1" in text
    assert "return {}" in text
    with pytest.raises(RuntimeError, match="Caught Peculiar in DataLoader worker process 0"):
        list(data.DataLoader(Faulty(8, peculiar), num_workers=1))


def test_an_error_at_the_start_of_a_worker():
    def fail(worker_id):
        raise ValueError("cannot start")

    with pytest.raises(ValueError, match="cannot start"):
        next(iter(data.DataLoader(Numbers(3), num_workers=1, worker_init_fn=fail)))


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_an_error_soon():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) is killed by signal"):
        list(data.DataLoader(Faulty(8, kill_me), num_workers=2))
    assert time.monotonic() - start < 20


def sleep_long():
    time.sleep(1)


def test_a_worker_that_takes_too_long():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.3 seconds"):
        list(data.DataLoader(Faulty(8, sleep_long), num_workers=1, timeout=0.3))
    assert time.monotonic() - start < 20


def test_workers_end_with_their_iterator():
    iterator = iter(data.DataLoader(Tensors(64), num_workers=2))
    next(iterator)
    processes = [worker.pid for worker in iterator._workers]
    del iterator
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_results_out_of_order():
    class Uneven(Numbers):
        def __getitem__(self, index):
            if index == 0:
                others.wait(30)
            elif index > 3:
                others.set()
            return index

    others = multiprocessing.get_context("fork").Event()
    loader = data.DataLoader(Uneven(6), num_workers=2, batch_size=None, in_order=False)
    found = list(loader)
    assert sorted(found) == list(range(6))
    assert found[0] != 0
    others.set()
    assert list(data.DataLoader(Uneven(6), num_workers=2, batch_size=None)) == list(range(6))


def test_the_main_process_has_no_worker():
    assert data.get_worker_info() is None
