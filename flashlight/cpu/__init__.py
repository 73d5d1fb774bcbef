"""The CPU as a device, for programs that treat all devices alike."""

from __future__ import annotations

from typing import Any

from flashlight._ops import memory as _memory
from flashlight.accelerator import streams as _streams
from flashlight.cpu import amp as amp

__all__ = [
    "is_available",
    "is_initialized",
    "synchronize",
    "current_device",
    "current_stream",
    "stream",
    "set_device",
    "device_count",
    "Stream",
    "StreamContext",
    "Event",
]


class Stream(_streams.Stream):
    """The CPU's queue of work."""

    def __init__(self, priority: int = -1) -> None:
        super().__init__("cpu", priority=priority)


class Event(_streams.Event):
    """A point in the CPU's work."""


def is_available() -> bool:
    """Return True."""
    return True


def is_initialized() -> bool:
    """Return True."""
    return True


def synchronize(device: Any = None) -> None:
    """Wait until all work is done."""
    _memory.synchronize()


def current_device() -> str:
    """Return "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Do nothing: there is one CPU."""


def device_count() -> int:
    """Return 1."""
    return 1


def current_stream(device: Any = None) -> Stream:
    """Return the CPU's stream."""
    return Stream()


class StreamContext:
    """A context in which work goes to a stream; all of them are one queue."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass


def stream(stream: Stream) -> StreamContext:
    """Return a context in which work goes to a stream."""
    return StreamContext(stream)


def _flags() -> list[str]:
    """The processor's features, as Linux names them; none elsewhere."""
    try:
        with open("/proc/cpuinfo") as lines:
            found = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return []
    return found.partition(":")[2].split()


def _is_avx2_supported() -> bool:
    """Tell whether the processor has AVX2 and fused multiply-adds."""
    return {"avx2", "fma"} <= set(_flags())


def _is_avx512_supported() -> bool:
    """Tell whether the processor has the parts of AVX-512 that PyTorch's kernels use."""
    return {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"} <= set(_flags())
