"""Memory as `torch.cuda` reports it, from MLX's counters (also where there is no CUDA)."""

from __future__ import annotations

import contextlib
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from flashlight.accelerator import memory as _counters
from flashlight.cuda._readings import list_gpu_processes

__all__ = [
    "caching_allocator_disabled", "caching_allocator_enable", "empty_cache",
    "get_allocator_backend", "get_per_process_memory_fraction", "host_memory_stats",
    "host_memory_stats_as_nested_dict", "list_gpu_processes", "max_memory_allocated",
    "max_memory_cached", "max_memory_reserved", "mem_get_info", "memory_allocated",
    "memory_cached", "memory_reserved", "memory_stats", "memory_stats_as_nested_dict",
    "memory_summary", "reset_accumulated_host_memory_stats", "reset_accumulated_memory_stats",
    "reset_max_memory_allocated", "reset_max_memory_cached", "reset_peak_host_memory_stats",
    "reset_peak_memory_stats", "set_per_process_memory_fraction",
]  # fmt: skip


def empty_cache() -> None:
    """Give the memory that MLX keeps for reuse back to the system."""
    _counters.empty_cache()


def memory_allocated(device: Any = None) -> int:
    """Return the bytes in use by tensors."""
    return _counters.memory_allocated()


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes in use since the start, or since the peak was reset."""
    return _counters.max_memory_allocated()


def memory_reserved(device: Any = None) -> int:
    """Return the bytes in use, and those kept for reuse."""
    return _counters.memory_reserved()


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes in use or kept for reuse, as far as that was seen."""
    return _counters.max_memory_reserved()


def _renamed(old: str, new: str) -> None:
    warnings.warn(
        f"`torch.cuda.{old}` has been renamed to `torch.cuda.{new}`", FutureWarning, stacklevel=3
    )


def memory_cached(device: Any = None) -> int:
    """Return `memory_reserved`, whose old name this is."""
    _renamed("memory_cached", "memory_reserved")
    return memory_reserved(device)


def max_memory_cached(device: Any = None) -> int:
    """Return `max_memory_reserved`, whose old name this is."""
    _renamed("max_memory_cached", "max_memory_reserved")
    return max_memory_reserved(device)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let the peaks begin at what is in use now."""
    _counters.reset_peak_memory_stats()


def reset_max_memory_allocated(device: Any = None) -> None:
    """Do what `reset_peak_memory_stats` does, which replaces it."""
    _renamed("reset_max_memory_allocated", "reset_peak_memory_stats")
    reset_peak_memory_stats(device)


def reset_max_memory_cached(device: Any = None) -> None:
    """Do what `reset_peak_memory_stats` does, which replaces it."""
    _renamed("reset_max_memory_cached", "reset_peak_memory_stats")
    reset_peak_memory_stats(device)


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Do nothing: MLX keeps no totals over time."""


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Return the counters under PyTorch's names; those that MLX does not keep are absent."""
    return _counters.memory_stats()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """Return the same counters, a dict within a dict for each dot."""
    nested: dict[str, Any] = {}
    for name, value in memory_stats().items():
        *path, last = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return nested


def host_memory_stats() -> dict[str, Any]:
    """Return nothing: there is no memory of the host's own."""
    return OrderedDict()


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """Return nothing: there is no memory of the host's own."""
    return {}


def reset_peak_host_memory_stats() -> None:
    """Do nothing: there is no memory of the host's own."""


reset_accumulated_host_memory_stats = reset_peak_host_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return the counters as a table."""
    stats = memory_stats()
    rule = "|" + "=" * 50 + "|"
    lines = [rule, "|" + "memory as MLX counts it".center(50) + "|", rule]
    lines.append("| metric    |      current usage |         peak usage |")
    lines.append("|" + "-" * 50 + "|")
    for label in ("allocated", "reserved"):
        current = stats[f"{label}_bytes.all.current"] / 2**20
        peak = stats[f"{label}_bytes.all.peak"] / 2**20
        lines.append(f"| {label:<9} | {current:>14.2f} MiB | {peak:>14.2f} MiB |")
    return "\n".join([*lines, rule]) + "\n"


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return the free and all bytes of memory."""
    return _counters.get_memory_info()


def get_allocator_backend() -> str:
    """Return "mlx"."""
    return "mlx"


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit MLX to a fraction of all memory. Raises TypeError and ValueError for bad fractions."""
    _counters.set_fraction(fraction, 1.0)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """Return the fraction that was set, 1 at first."""
    return _counters.get_fraction()


def caching_allocator_enable(value: bool = True) -> None:
    """Say whether MLX may keep freed memory for reuse."""
    _counters.keep_freed_memory(value)


@contextlib.contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """Let MLX give memory back as soon as it is freed, inside of the `with`."""
    kept = _counters.keep_freed_memory(False)
    try:
        yield
    finally:
        _counters.keep_freed_memory(kept)
