"""One epoch of a DataLoader: in the program itself, or with worker processes."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import flashlight as torch
from flashlight._ops import transfer
from flashlight.utils.data._utils import channel
from flashlight.utils.data._utils.exceptions import ExceptionWrapper
from flashlight.utils.data._utils.fetch import _DatasetKind
from flashlight.utils.data._utils.pin_memory import pin_memory
from flashlight.utils.data._utils.worker import (
    STATUS_CHECK_INTERVAL,
    Task,
    _IterableDatasetStopIteration,
    _ResumeIteration,
    _worker_loop,
)

if TYPE_CHECKING:
    from flashlight.utils.data.dataloader import DataLoader


class _BaseDataLoaderIter:
    """The order of the samples of an epoch, and the count of what was given out."""

    def __init__(self, loader: DataLoader) -> None:
        from flashlight.utils.data.datapipes import settings

        self._dataset = loader.dataset
        self._shared_seed = settings.draw_seed(loader.dataset, loader.generator)
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._pin_memory = _pins(loader)
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._sampler_iter = iter(self._index_sampler)
        # Drawn in any case, as PyTorch does: what is drawn afterwards depends on it.
        draw = torch.empty((), dtype=torch.int64).random_(generator=loader.generator)
        self._base_seed = draw.item()
        self._persistent_workers = loader.persistent_workers
        self._num_yielded = 0
        self._profile_name = f"enumerate(DataLoader)#{type(self).__name__}.__next__"

    def __iter__(self) -> Iterator:
        return self

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        """Start a new epoch."""
        from flashlight.utils.data.datapipes import settings

        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        if not first_iter:
            self._shared_seed = settings.draw_seed(loader.dataset, loader.generator)

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        with torch.profiler.record_function(self._profile_name):
            data = self._next_data()
        self._num_yielded += 1
        expected = self._IterableDataset_len_called
        if (
            self._dataset_kind == _DatasetKind.Iterable
            and expected is not None
            and self._num_yielded > expected
        ):
            self._warn_of_length(expected)
        return data

    def _warn_of_length(self, expected: int) -> None:
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {expected}"
            f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
        )
        if self._num_workers > 0:
            message += (
                "With several workers, each iterates over a copy of the dataset unless that "
                "divides the work by get_worker_info()."
            )
        warnings.warn(message, stacklevel=3)

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


def _pins(loader: DataLoader) -> bool:
    if loader.pin_memory and loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as the device,"
            f"ignore pin_memory_device='{loader.pin_memory_device}'.",
            stacklevel=4,
        )
    if loader.pin_memory and not torch.accelerator.is_available():
        warnings.warn(
            "'pin_memory' argument is set as true but no accelerator is found, then device pinned "
            "memory won't be used.",
            stacklevel=4,
        )
        return False
    return loader.pin_memory


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._dataset_fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind,
            self._dataset,
            self._auto_collation,
            self._collate_fn,
            self._drop_last,
        )

    def _next_data(self) -> Any:
        data = self._dataset_fetcher.fetch(self._next_index())
        return pin_memory(data) if self._pin_memory else data


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Lets worker processes fetch batches ahead of time.

    Every batch has a number; `_tasks` maps the numbers of those under way, and of those that
    arrived before their turn, to the worker and the arrived data. Workers take turns, so that
    which of them fetches a batch does not depend on their speed.
    """

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        self._in_order = loader.in_order
        self._most_tasks = loader.prefetch_factor * self._num_workers
        if self._most_tasks <= 0:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self._workers_done_event = context.Event()
        self._shutdown = False
        self._owner = os.getpid()
        self._index_queues: list[Any] = []
        self._receivers: list[channel.Receiver | None] = []
        self._workers: list[Any] = []
        # Also for spawned workers: the dataset is pickled, which reads it.
        transfer.settle()
        try:
            for worker_id in range(self._num_workers):
                self._start_worker(context, loader, worker_id)
        except BaseException:
            self._shutdown_workers()
            raise
        self._reset(loader, first_iter=True)

    def _start_worker(self, context: Any, loader: DataLoader, worker_id: int) -> None:
        index_queue = context.Queue()
        # The program must be able to end with orders that nobody will read.
        index_queue.cancel_join_thread()
        receiver, sender = channel.pair()
        task = Task(
            dataset_kind=self._dataset_kind,
            dataset=self._dataset,
            auto_collation=self._auto_collation,
            collate_fn=self._collate_fn,
            drop_last=self._drop_last,
            base_seed=self._base_seed,
            init_fn=loader._worker_init_fn_for(self._dataset),
            worker_id=worker_id,
            num_workers=self._num_workers,
            shared_seed=self._shared_seed,
        )
        arguments = (task, index_queue, sender, self._workers_done_event)
        process = context.Process(target=_worker_loop, args=arguments, daemon=True)
        try:
            process.start()
        finally:
            # The worker's copy must be the last one, or its death would go unnoticed.
            sender.close()
        self._index_queues.append(index_queue)
        self._receivers.append(receiver)
        self._workers.append(process)

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        super()._reset(loader, first_iter)
        self._next_to_send = 0
        self._next_to_give = 0
        self._tasks: dict[int, tuple] = {}
        self._arrived: deque = deque()
        self._tasks_outstanding = 0
        self._active = [True] * self._num_workers
        self._load = [0] * self._num_workers
        self._turns = itertools.cycle(range(self._num_workers))
        if not first_iter:
            for index_queue in self._index_queues:
                index_queue.put(_ResumeIteration(self._shared_seed))
            remaining = self._num_workers
            while remaining:
                # Batches of an epoch that was left early may come first.
                remaining -= isinstance(self._receive()[0], _ResumeIteration)
        for _ in range(self._most_tasks):
            self._order_next()

    def _order_next(self) -> None:
        """Give the next indices to the next worker, unless all are taken or all have ended."""
        if not any(self._active):
            return
        try:
            index = self._next_index()
        except StopIteration:
            return
        share = self._most_tasks // sum(self._active)
        for _ in range(self._num_workers):
            worker_id = next(self._turns)
            if self._active[worker_id] and (self._in_order or self._load[worker_id] < share):
                break
        else:
            return
        self._index_queues[worker_id].put((self._next_to_send, index))
        self._tasks[self._next_to_send] = (worker_id,)
        self._load[worker_id] += 1
        self._tasks_outstanding += 1
        self._next_to_send += 1

    def _receive(self) -> tuple[Any, Any]:
        """Return the next message of any worker.

        Raises RuntimeError if one has died, or when the loader's timeout has passed.
        """
        if self._arrived:
            return self._arrived.popleft()
        sources = [receiver for receiver in self._receivers if receiver is not None]
        ready = wait(sources, self._timeout or None) if sources else []
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        for worker_id, receiver in enumerate(self._receivers):
            if receiver not in ready:
                continue
            try:
                self._arrived.append(receiver.recv())
                closed = False
            except (EOFError, OSError):
                closed = True
            if closed:
                self._note_end(worker_id)
        return self._receive()

    def _note_end(self, worker_id: int) -> None:
        """Take note that a worker's channel has closed. Raises RuntimeError if it was at work."""
        self._receivers[worker_id].close()
        self._receivers[worker_id] = None
        if not self._active[worker_id] and not self._persistent_workers:
            return
        process = self._workers[worker_id]
        process.join(STATUS_CHECK_INTERVAL)
        self._active[worker_id] = False
        code = process.exitcode
        if code is not None and code < 0:
            reason = f"is killed by signal: {signal.strsignal(-code)}. "
        else:
            reason = f"exited unexpectedly with exit code {code}"
        self._shutdown_workers()
        raise RuntimeError(f"DataLoader worker (pid(s) {process.pid}) {reason}")

    def _next_data(self) -> Any:
        while True:
            number = self._skip_to_next()
            if number is None:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            if len(self._tasks[number]) == 2:
                self._next_to_give += 1
                return self._give(number, self._tasks[number][1])
            if self._shutdown:
                raise RuntimeError("DataLoader's workers have been stopped; iterate anew")
            number, data = self._receive()
            if isinstance(number, _ResumeIteration):
                continue
            self._tasks_outstanding -= 1
            if isinstance(data, _IterableDatasetStopIteration):
                self._end_worker(data.worker_id)
                self._order_next()
            elif number == self._next_to_give:
                self._next_to_give += 1
                return self._give(number, data)
            elif not self._in_order:
                return self._give(number, data)
            else:
                self._tasks[number] += (data,)

    def _skip_to_next(self) -> int | None:
        """Return the number of the next batch; what ended workers still had is passed over."""
        while self._next_to_give < self._next_to_send:
            task = self._tasks.get(self._next_to_give)
            if task is not None:
                if len(task) == 2 or self._active[task[0]]:
                    return self._next_to_give
                del self._tasks[self._next_to_give]
            self._next_to_give += 1
        return None

    def _give(self, number: int, data: Any) -> Any:
        worker_id = self._tasks.pop(number)[0]
        self._load[worker_id] -= 1
        self._order_next()
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return pin_memory(data) if self._pin_memory else data

    def _end_worker(self, worker_id: int) -> None:
        self._active[worker_id] = False
        if not self._persistent_workers:
            self._index_queues[worker_id].put(None)

    def _shutdown_workers(self) -> None:
        """Stop all workers: with a word, and after a while by force."""
        if self._shutdown or self._owner != os.getpid():
            # A forked process has copies of its parent's iterators, and no say in them.
            return
        self._shutdown = True
        self._workers_done_event.set()
        for index_queue in self._index_queues:
            index_queue.put(None)
        deadline = time.monotonic() + STATUS_CHECK_INTERVAL
        open_channels = {receiver for receiver in self._receivers if receiver is not None}
        while open_channels and (left := deadline - time.monotonic()) > 0:
            # A worker may be waiting for somebody to read its last batch.
            for receiver in wait(open_channels, left):
                try:
                    receiver.recv()
                except Exception:
                    open_channels.discard(receiver)
        for process in self._workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join(STATUS_CHECK_INTERVAL)
        for receiver in self._receivers:
            if receiver is not None:
                receiver.close()
        self._receivers = [None] * len(self._receivers)
        for index_queue in self._index_queues:
            index_queue.close()

    def __del__(self) -> None:
        # At the interpreter's end modules may be gone; daemons are stopped by multiprocessing.
        if not self.__dict__.get("_shutdown", True) and wait is not None:
            self._shutdown_workers()
