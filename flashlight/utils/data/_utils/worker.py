"""The worker processes of a DataLoader."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import flashlight as torch
from flashlight._ops import transfer
from flashlight.utils.data._utils.exceptions import ExceptionWrapper
from flashlight.utils.data._utils.fetch import _DatasetKind

STATUS_CHECK_INTERVAL = 5.0

_worker_info: WorkerInfo | None = None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker is told: its number, how many there are, its seed, its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


def get_worker_info() -> WorkerInfo | None:
    """Return this worker's information; None in the program itself."""
    return _worker_info


@dataclass(frozen=True)
class _IterableDatasetStopIteration:
    """A worker's message that its dataset has ended."""

    worker_id: int


@dataclass(frozen=True)
class _ResumeIteration:
    """The order to start a new epoch, sent back as the receipt."""

    seed: int | None = None


@dataclass
class Task:
    """What a worker needs to fetch batches."""

    dataset_kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Callable
    drop_last: bool
    base_seed: int
    init_fn: Callable | None
    worker_id: int
    num_workers: int
    shared_seed: int | None = None

    def create_fetcher(self) -> Any:
        """Return a fetcher at the beginning of the dataset."""
        return _DatasetKind.create_fetcher(
            self.dataset_kind, self.dataset, self.auto_collation, self.collate_fn, self.drop_last
        )

    def seed_dataset(self, seed: int | None) -> None:
        """Give a data pipe the epoch's random numbers, which all workers share."""
        from flashlight.utils.data.datapipes.settings import apply_random_seed

        if seed is not None:
            generator = torch.Generator()
            generator.manual_seed(seed)
            self.dataset = apply_random_seed(self.dataset, generator)


def _worker_loop(task: Task, index_queue: Any, results: Any, done_event: Any) -> None:
    """Fetch what `index_queue` asks for and send it to `results`, until a None arrives."""
    try:
        _exit_with_parent()
        torch.set_num_threads(1)
        # Only the CPU: a device that the program has opened cannot be used after a fork.
        transfer.stay_on_cpu()
        _seed(task.base_seed, task.worker_id)
        task.seed_dataset(task.shared_seed)
        _work(task, index_queue, results, done_event)
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        pass  # the program ends, or has ended, and reports for itself
    finally:
        results.close()


def _work(task: Task, index_queue: Any, results: Any, done_event: Any) -> None:
    global _worker_info
    _worker_info = WorkerInfo(
        id=task.worker_id,
        num_workers=task.num_workers,
        seed=task.base_seed + task.worker_id,
        dataset=task.dataset,
    )
    where = f"in DataLoader worker process {task.worker_id}"
    failed_start = fetcher = None
    try:
        if task.init_fn is not None:
            task.init_fn(task.worker_id)
        fetcher = task.create_fetcher()
    except Exception:
        failed_start = ExceptionWrapper(where=where)
    ended = False
    while (order := index_queue.get()) is not None:
        if isinstance(order, _ResumeIteration):
            task.seed_dataset(order.seed)
            results.send((order, None))
            ended = False
            fetcher = task.create_fetcher()
            continue
        if done_event.is_set() or ended:
            continue
        number, index = order
        if failed_start is not None:
            data, failed_start = failed_start, None
        else:
            try:
                data = fetcher.fetch(index)
            except Exception as error:
                ended = (
                    isinstance(error, StopIteration) and task.dataset_kind == _DatasetKind.Iterable
                )
                if ended:
                    data = _IterableDatasetStopIteration(task.worker_id)
                else:
                    data = ExceptionWrapper(where=where)
        _send(results, number, data, where)
        del data, order, index  # a batch need not live until the next is made


def _send(results: Any, number: int, data: Any, where: str) -> None:
    try:
        results.send((number, data))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        # The batch, or the type of the exception, cannot be pickled.
        failure = data if isinstance(data, ExceptionWrapper) else ExceptionWrapper(where=where)
        try:
            results.send((number, failure))
        except Exception:
            failure.exc_type = RuntimeError
            results.send((number, failure))


def _seed(base_seed: int, worker_id: int) -> None:
    """Seed the generators of Python, NumPy and flashlight, as PyTorch seeds its worker's."""
    random.seed(base_seed + worker_id)
    torch.manual_seed(base_seed + worker_id)
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))


def _exit_with_parent() -> None:
    """Let this process end when the program that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(STATUS_CHECK_INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watchdog").start()
