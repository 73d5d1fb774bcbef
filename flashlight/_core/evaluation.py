"""When lazy arrays are evaluated, and what a thread needs before it may use MLX.

MLX is lazy. What an operation makes goes on a list of the thread; once the list is long,
whatever of it somebody still holds is handed to `mx.async_eval`. So graphs stay short, and
what nobody holds costs nothing: a dead result was never computed.
"""

from __future__ import annotations

import os
import threading
from sys import getrefcount

import mlx.core as mx

from .batch import Batch
from .device import STREAMS

LIMIT = 192  # operations; beyond some 100 the cost per operation no longer falls
LARGE = 1 << 28  # bytes; smaller requests are not checked against the free memory


class Local(threading.local):
    """What each thread has for itself; made when a thread first runs an operation."""

    def __init__(self):
        mx.set_default_stream(STREAMS.native)
        self.pending = []
        self.grad_enabled = True
        self.inference = False
        self.birth = 0  # the version of new storages: `UNTRACKED` in inference mode
        self.levels = ()  # the calls of vmap that the thread is in
        #: grad_enabled, and nothing (anomaly mode, saved tensor hooks) that needs the slow path
        self.recording = True


local = Local()


def ready() -> None:
    """Make sure that this thread queues its work on the shared stream; cheap, once it does."""
    _ = local.pending


def _after_fork():
    mx.set_default_stream(STREAMS.native)
    local.pending = []


os.register_at_fork(after_in_child=_after_fork)


def track(storage) -> None:
    """Note that `storage` holds a lazy array."""
    pending = local.pending
    pending.append(storage)
    if len(pending) > LIMIT:
        flush(pending)


def flush(pending: list | None = None) -> None:
    """Start the evaluation of every pending array that is still held by a tensor."""
    if pending is None:
        pending = local.pending
    # Three references are ours: the list, the loop variable, getrefcount's argument.
    live = [storage.array for storage in pending if getrefcount(storage) > 3]
    pending.clear()
    if live:
        try:
            mx.async_eval(live)
        except (ValueError, RuntimeError):
            _evaluate_one_by_one(live)


def _evaluate_one_by_one(arrays):
    # Some of them belong to a trace (mx.compile, mx.vmap, mx.grad), which MLX cannot evaluate.
    for array in arrays:
        try:
            mx.async_eval(array)
        except ValueError:
            pass
        except RuntimeError as error:
            if "without a primitive" not in str(error):
                raise


def evaluate(array: mx.array, reader: str = "reading a value") -> mx.array:
    """Evaluate `array`, and start on everything pending. Raises RuntimeError inside a trace."""
    if local.pending:
        flush(local.pending)
    if type(array) is Batch:
        raise RuntimeError(
            f"vmap: {reader} needs one value, and a tensor that is mapped over has one for each "
            "lane. .item(), data-dependent control flow (if, while, bool()) and shapes that depend "
            "on data do not go inside vmap; torch.where may do"
        )
    try:
        mx.eval(array)
    except ValueError as error:
        if "transformation" not in str(error):
            raise
        raise RuntimeError(
            f"{reader} needs a value, and inside mx.compile or mx.vmap there are no values yet; "
            "move it outside, or use operations whose shapes do not depend on data") from None
    return array


def is_traced(*arrays: mx.array) -> bool:
    """Tell whether any array belongs to a trace; those that do not are evaluated on the way."""
    if any(type(array) is Batch for array in arrays):
        return True
    try:
        mx.eval(arrays)
    except ValueError as error:
        if "transformation" not in str(error):
            raise
        return True
    return False


def available_memory() -> int:
    """Return how many bytes can still be allocated, as far as the system tells."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, total - mx.get_active_memory())


def ensure_memory(nbytes: int) -> None:
    """Raise RuntimeError if `nbytes` cannot be had: MLX would end the process instead."""
    if nbytes > LARGE and nbytes > available_memory() + mx.get_cache_memory():
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate "
            f"{nbytes} bytes. Free some tensors, or use smaller ones.")
