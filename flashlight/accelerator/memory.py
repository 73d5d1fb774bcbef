"""Memory of the process as MLX counts it: one allocator serves the CPU and the accelerator."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from flashlight._ops import memory as _memory

__all__ = [
    "empty_cache",
    "empty_host_cache",
    "get_memory_info",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
]

#: The largest sum of used and cached bytes that has been asked about since the last reset.
_peak_reserved = [0]


def empty_cache() -> None:
    """Give the memory that MLX keeps for reuse back to the system."""
    _memory.clear_cache()


def empty_host_cache() -> None:
    """Do the same: host and device share their memory."""
    _memory.clear_cache()


def memory_allocated(device: Any = None, /) -> int:
    """Return the bytes in use by tensors."""
    return _memory.active_memory()


def max_memory_allocated(device: Any = None, /) -> int:
    """Return the most bytes in use since the start, or since the peak was reset."""
    return max(_memory.peak_memory(), _memory.active_memory())


def memory_reserved(device: Any = None, /) -> int:
    """Return the bytes in use, and those kept for reuse."""
    reserved = _memory.active_memory() + _memory.cache_memory()
    _peak_reserved[0] = max(_peak_reserved[0], reserved)
    return reserved


def max_memory_reserved(device: Any = None, /) -> int:
    """Return the most bytes in use or kept for reuse, as far as that was seen."""
    return max(memory_reserved(), _peak_reserved[0], max_memory_allocated())


def reset_peak_memory_stats(device: Any = None, /) -> None:
    """Let the peaks begin at what is in use now."""
    _memory.reset_peak_memory()
    _peak_reserved[0] = 0


def reset_accumulated_memory_stats(device: Any = None, /) -> None:
    """Do nothing: MLX keeps no totals over time."""


def memory_stats(device: Any = None, /) -> OrderedDict[str, Any]:
    """Return the counters under PyTorch's names; those that MLX does not keep are absent."""
    return OrderedDict(
        {
            "allocated_bytes.all.current": memory_allocated(),
            "allocated_bytes.all.peak": max_memory_allocated(),
            "reserved_bytes.all.current": memory_reserved(),
            "reserved_bytes.all.peak": max_memory_reserved(),
        }
    )


def total_memory() -> int:
    """Return the bytes of memory there are."""
    info = _memory.device_info()
    for key in ("memory_size", "total_memory"):
        if key in info:
            return int(info[key])
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def get_memory_info(device: Any = None, /) -> tuple[int, int]:
    """Return the free and all bytes of memory."""
    free = _memory.device_info().get("free_memory")
    if free is None:
        free = _memory.available_memory()
    return int(free), total_memory()


#: The fraction that was set, by which a program may ask for it.
_fraction = [1.0]


def set_fraction(fraction: float, highest: float) -> None:
    """Limit MLX to a fraction of all memory. Raises TypeError and ValueError for bad fractions."""
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if fraction < 0 or fraction > highest:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~{highest:g}")
    _fraction[0] = fraction
    limit = int(total_memory() * fraction)
    _memory.set_memory_limit(limit)
    _memory.set_cache_limit(limit)


#: While MLX may not keep freed memory: how much it may keep otherwise.
_cache_limit: list[int | None] = [None]


def keep_freed_memory(keep: bool) -> bool:
    """Say whether MLX may keep freed memory for reuse; return what was said before."""
    kept = _cache_limit[0] is None
    if kept and not keep:
        _cache_limit[0] = _memory.set_cache_limit(0)
        _memory.clear_cache()
    elif keep and not kept:
        _memory.set_cache_limit(_cache_limit[0])
        _cache_limit[0] = None
    return kept


def get_fraction() -> float:
    """Return the fraction that was set, 1 at first."""
    return _fraction[0]
