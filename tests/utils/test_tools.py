"""The benchmark timer, weak dictionaries, several processes, the environment's report."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time

import pytest

import flashlight
from flashlight import multiprocessing as processes
from flashlight.utils import benchmark, collect_env
from flashlight.utils.weak import TensorWeakRef, WeakIdKeyDictionary, WeakTensorKeyDictionary


def test_a_timer_measures_what_it_is_given():
    measured = benchmark.Timer("sleep(0.002)", globals={"sleep": time.sleep}).timeit(5)
    assert 0.002 <= measured.median < 0.05
    assert measured.number_per_run == 5


def test_a_timer_waits_for_the_result():
    """Work that was only put into a graph must be counted."""
    x = flashlight.ones(256, 256)
    timer = benchmark.Timer("y = x\nfor _ in range(20): y = y @ x", globals={"x": x})
    lazy = time.perf_counter()
    timer.timeit(1)
    assert time.perf_counter() - lazy >= timer.timeit(1).median * 0.5
    assert timer.timeit(1).median > 1e-4


def test_setup_and_autorange():
    timer = benchmark.Timer("x + 1", setup="x = torch.ones(3)", label="add", description="small")
    measured = timer.blocked_autorange(min_run_time=0.02)
    assert len(measured.raw_times) >= 1
    assert measured.number_per_run > 1
    assert "add" in repr(measured)
    assert timer.adaptive_autorange(min_run_time=0.01, max_run_time=0.05).median > 0


def test_comparisons_have_a_row_and_a_column_each():
    def table(module, timer_module):
        results = []
        for text, duration in (("fast", 1e-3), ("slow", 2e-3)):
            task = timer_module.TaskSpec(
                stmt="f", setup="", label="work", sub_label="n=1", description=text
            )
            results.append(timer_module.Measurement(1, [duration] * 5, task))
        comparison = timer_module.Compare(results)
        comparison.trim_significant_figures()
        return str(comparison)

    import torch.utils.benchmark

    assert table(flashlight, benchmark) == table(torch, torch.utils.benchmark)


def test_medians_merge():
    task = benchmark.TaskSpec(stmt="f", setup="")
    merged = benchmark.Measurement.merge(
        [benchmark.Measurement(1, [1.0], task), benchmark.Measurement(1, [3.0], task)]
    )
    assert [m.median for m in merged] == [2.0]


def test_keys_by_identity_go_with_their_tensor():
    first, second = flashlight.ones(2), flashlight.ones(2)
    for kind in (WeakTensorKeyDictionary, WeakIdKeyDictionary):
        known = kind({first: 1, second: 2})
        assert (known[first], known[second], len(known)) == (1, 2, 2)
        gone = flashlight.ones(3)
        known[gone] = 3
        del gone
        gc.collect()
        assert len(known) == 2


def test_a_weak_reference_to_a_tensor():
    tensor = flashlight.ones(2)
    reference = TensorWeakRef(tensor)
    assert reference() is tensor
    del tensor
    gc.collect()
    assert reference() is None


def square(rank, queue):
    queue.put((rank, flashlight.full((2,), rank + 1.0) ** 2))


def fail(rank):
    if rank == 1:
        raise ValueError("this one")


def test_tensors_travel_between_processes():
    queue = processes.get_context("fork").Queue()
    context = processes.start_processes(square, args=(queue,), nprocs=2, start_method="fork")
    found = dict(queue.get(timeout=30) for _ in range(2)) if context is None else {}
    assert {rank: tensor.tolist() for rank, tensor in found.items()} == {0: [1, 1], 1: [4, 4]}


def test_a_failed_process_is_an_error_with_its_traceback():
    with pytest.raises(processes.ProcessRaisedException, match="this one") as caught:
        processes.start_processes(fail, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(processes.ProcessExitedException) as exited:
        processes.start_processes(leave, nprocs=1, start_method="fork")
    assert exited.value.exit_code == 3


def leave(rank):
    os._exit(rank + 3)


def test_python_names_are_there():
    assert processes.Process is multiprocessing.Process
    assert processes.get_sharing_strategy() in processes.get_all_sharing_strategies()


def test_the_report_names_what_matters():
    report = collect_env.get_pretty_env_info()
    assert "mlx==" in report
    assert "Python" in report
