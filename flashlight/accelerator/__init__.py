"""Whichever accelerator this build of MLX drives: Metal, CUDA, or none.

https://docs.pytorch.org/docs/2.13/accelerator.html
"""

from __future__ import annotations

from typing import Any

from flashlight import device as _device
from flashlight._ops import memory as _memory
from flashlight.accelerator import streams
from flashlight.accelerator.memory import (
    empty_cache,
    empty_host_cache,
    get_memory_info,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_accumulated_memory_stats,
    reset_peak_memory_stats,
)

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "get_device_capability",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "empty_host_cache",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def is_available() -> bool:
    """Tell whether there is an accelerator."""
    return _memory.accelerator is not None


def device_count() -> int:
    """Return 1 if there is an accelerator, else 0: MLX drives one a process."""
    return int(is_available())


def current_accelerator(check_available: bool = False) -> _device | None:
    """Return the accelerator as a device without index, or None."""
    return _device(_memory.accelerator) if is_available() else None


def _check() -> None:
    if not is_available():
        raise RuntimeError(
            "Cannot access accelerator device when none is available: this build of MLX runs on "
            "the CPU only"
        )


def current_device_index() -> int:
    """Return 0. Raises RuntimeError without an accelerator."""
    _check()
    return 0


current_device_idx = current_device_index


def set_device_index(device: Any, /) -> None:
    """Accept device 0. Raises RuntimeError for any other."""
    _check()
    index = _device(device).index or 0 if not isinstance(device, int) else device
    if index > 0:
        raise RuntimeError(f"there is no device {index}: MLX drives one accelerator a process")


set_device_idx = set_device_index


class device_index:
    """A context in which a device is the current one; there is but one."""

    def __init__(self, device: int | None, /) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            set_device_index(self.idx)

    def __exit__(self, *exc_info: object) -> None:
        pass


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """Return the dtypes that the accelerator computes with."""
    import flashlight as torch

    _check()
    return {
        "supported_dtypes": {
            torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8,
            torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
            torch.complex64,
        }
    }  # fmt: skip


def current_stream(device: Any = None, /) -> streams.Stream:
    """Return the stream on which work is queued: there is one."""
    _check()
    return streams.Stream(current_accelerator())


def set_stream(stream: streams.Stream) -> None:
    """Accept a stream; all of them are one queue."""
    _check()


def synchronize(device: Any = None, /) -> None:
    """Wait until all work is done. Raises RuntimeError without an accelerator."""
    _check()
    _memory.synchronize()
