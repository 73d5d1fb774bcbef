"""CUDA, as far as MLX lets one see and steer it; every function answers without CUDA, too.

https://docs.pytorch.org/docs/2.13/cuda.html
"""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

from flashlight import device as _device
from flashlight._ops import memory as _memory
from flashlight._ops.legacy import legacy_classes
from flashlight.accelerator import streams as _streams
from flashlight.cuda import amp as amp
from flashlight.cuda import memory as memory
from flashlight.cuda import nvtx as nvtx
from flashlight.cuda import random as random
from flashlight.cuda.memory import (
    empty_cache,
    get_allocator_backend,
    get_per_process_memory_fraction,
    host_memory_stats,
    list_gpu_processes,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_stats_as_nested_dict,
    memory_summary,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from flashlight.cuda.random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)

__all__ = [
    "CudaError",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "amp",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "is_tf32_supported",
    "memory",
    "nvtx",
    "random",
    "set_device",
    "set_stream",
    "stream",
    "synchronize",
    "empty_cache",
    "get_allocator_backend",
    "get_per_process_memory_fraction",
    "host_memory_stats",
    "list_gpu_processes",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
]

has_half = True
has_magma = False
default_generators: tuple = ()


class CudaError(RuntimeError):
    """An error of CUDA's own."""


class OutOfMemoryError(RuntimeError):
    """There is not as much memory as was asked for."""


class Stream(_streams.Stream):
    """A queue of work on the CUDA device."""

    def __new__(cls, device: Any = None, priority: int = 0, **kwargs: Any) -> Stream:
        _check()
        return super().__new__(cls)

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        super().__init__("cuda", priority=priority)


class Event(_streams.Event):
    """A point in the work on the CUDA device, for timing."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
        external: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(enable_timing=enable_timing)


def is_available() -> bool:
    """Tell whether this build of MLX runs on CUDA."""
    return _memory.accelerator == "cuda"


def _check() -> None:
    if not is_available():
        raise AssertionError(
            "Torch not compiled with CUDA enabled: this build of MLX has no CUDA; install "
            "flashlight-mlx[cuda12] or [cuda13] on a machine with an NVIDIA GPU"
        )


def is_initialized() -> bool:
    """Tell whether CUDA can be used; MLX starts it by itself."""
    return is_available()


def init() -> None:
    """Raise AssertionError without CUDA; MLX starts it by itself."""
    _check()


def device_count() -> int:
    """Return 1 with CUDA, else 0: MLX drives one GPU a process."""
    return int(is_available())


def current_device() -> int:
    """Return 0. Raises AssertionError without CUDA."""
    _check()
    return 0


def _index(device: Any) -> int:
    if device is None:
        return 0
    return device if isinstance(device, int) else (_device(device).index or 0)


def set_device(device: Any) -> None:
    """Accept device 0. Raises AssertionError without CUDA, RuntimeError for another device."""
    _check()
    if _index(device) > 0:
        raise RuntimeError("CUDA error: invalid device ordinal; MLX drives one GPU a process")


class device:
    """A context in which a device is the current one; there is but one."""

    def __init__(self, device: Any) -> None:
        self.idx = _index(device)

    def __enter__(self) -> None:
        if self.idx > 0:
            set_device(self.idx)

    def __exit__(self, *exc_info: object) -> bool:
        return False


class device_of(device):
    """A context in which a tensor's device is the current one."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def _info() -> dict[str, Any]:
    _check()
    return _memory.device_info()


def get_device_name(device: Any = None) -> str:
    """Return the GPU's name. Raises AssertionError without CUDA."""
    info = _info()
    return str(info.get("device_name", "CUDA device"))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the GPU's compute capability. Raises AssertionError without CUDA."""
    info = _info()
    major, minor = info.get("compute_capability_major"), info.get("compute_capability_minor")
    if major is None:
        digits = "".join(c for c in str(info.get("architecture", "")) if c.isdigit()) or "0"
        major, minor = int(digits[:-1] or 0), int(digits[-1])
    return int(major), int(minor)


_Properties = namedtuple("_CudaDeviceProperties", "name major minor total_memory")


def get_device_properties(device: Any = None) -> _Properties:
    """Return name, capability and memory of the GPU. Raises AssertionError without CUDA."""
    return _Properties(get_device_name(), *get_device_capability(), memory.mem_get_info()[1])


def get_arch_list() -> list[str]:
    """Return the architecture of the GPU, for which MLX compiles its kernels; none without CUDA."""
    return ["sm_{}{}".format(*get_device_capability())] if is_available() else []


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Return False: there is one device."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Tell whether there is CUDA: MLX has bfloat16 everywhere."""
    return is_available()


def is_tf32_supported() -> bool:
    """Tell whether the GPU multiplies in TF32."""
    return is_available() and get_device_capability()[0] >= 8


def is_current_stream_capturing() -> bool:
    """Return False: MLX captures no graphs for the user."""
    return False


def synchronize(device: Any = None) -> None:
    """Wait until all work is done. Raises AssertionError without CUDA."""
    _check()
    _memory.synchronize()


def current_stream(device: Any = None) -> Stream:
    """Return the stream on which work is queued: there is one."""
    return Stream()


def default_stream(device: Any = None) -> Stream:
    """Return the stream on which work is queued: there is one."""
    return Stream()


def set_stream(stream: Stream) -> None:
    """Accept a stream; all of them are one queue."""


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Return a context in which work goes to a stream; all of them are one queue."""
    yield


StreamContext = stream


def ipc_collect() -> None:
    """Do nothing: memory is not shared between processes."""


globals().update(legacy_classes("cuda"))
