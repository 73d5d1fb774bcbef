"""MLX's memory counters, and what a profiler needs to see an operation as it runs."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from flashlight._core import evaluation
from flashlight._core.device import ACCELERATOR, STREAMS
from flashlight._core.evaluation import flush, is_traced, local
from flashlight._core.tensor import Tensor, read

#: A device type's name, if this build of MLX has such a device.
accelerator = ACCELERATOR

active_memory = mx.get_active_memory
peak_memory = mx.get_peak_memory
cache_memory = mx.get_cache_memory
reset_peak_memory = mx.reset_peak_memory
set_memory_limit = mx.set_memory_limit
set_cache_limit = mx.set_cache_limit


def clear_cache() -> None:
    """Give memory that is not in use back to the system."""
    mx.clear_cache()


def synchronize() -> None:
    """Wait until everything that has been issued is computed."""
    flush()
    mx.synchronize(STREAMS.native)
    if STREAMS.cpu is not STREAMS.native:
        mx.synchronize(STREAMS.cpu)


def device_info() -> dict[str, Any]:
    """Return what MLX tells about the accelerator, or else about the CPU."""
    return dict(mx.device_info(mx.gpu if ACCELERATOR else mx.cpu))


def evaluate_all(value: Any) -> None:
    """Compute the tensors in a result, now; those of a trace stay as they are."""
    arrays = [read(tensor) for tensor in tensors_in(value) if not tensor.is_meta]
    if arrays:
        is_traced(*arrays)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def set_wired_limit(limit: int) -> int:
    """Set how many bytes Metal keeps resident; return the limit before."""
    return mx.set_wired_limit(limit)


def available_memory() -> int:
    """Return how many bytes can still be allocated, as far as the system tells."""
    return evaluation.available_memory()


def evaluate_pending() -> None:
    """Compute everything that was issued, also what nobody holds any more, and wait for it."""
    pending = local.pending
    arrays = [storage.array for storage in pending]
    pending.clear()
    mx.eval(arrays)
