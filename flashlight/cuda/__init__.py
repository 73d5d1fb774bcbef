"""CUDA, as far as MLX lets one see and steer it; every function answers without CUDA, too.

https://docs.pytorch.org/docs/2.13/cuda.html
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from flashlight._core import generator as _generators
from flashlight._ops import memory as _memory
from flashlight._ops.legacy import legacy_classes
from flashlight.cuda import amp as amp
from flashlight.cuda import graphs as graphs
from flashlight.cuda import memory as memory
from flashlight.cuda import nvtx as nvtx
from flashlight.cuda import profiler as profiler
from flashlight.cuda import random as random
from flashlight.cuda import sparse as sparse
from flashlight.cuda import streams as streams
from flashlight.cuda._readings import (
    clock_rate,
    device_memory_used,
    memory_usage,
    power_draw,
    temperature,
    utilization,
)  # fmt: skip
from flashlight.cuda._runtime import CudaError, check_error, cudart, cudaStatus
from flashlight.cuda._utils import check, check_index, device_index, is_available
from flashlight.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
    make_graphed_callables,
)  # fmt: skip
from flashlight.cuda.memory import (
    caching_allocator_disabled,
    caching_allocator_enable,
    empty_cache,
    get_allocator_backend,
    get_per_process_memory_fraction,
    host_memory_stats,
    host_memory_stats_as_nested_dict,
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
    reset_accumulated_host_memory_stats,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_host_memory_stats,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)  # fmt: skip
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
)  # fmt: skip
from flashlight.cuda.streams import Event, Stream
from flashlight.storage import legacy_storages

__all__ = [
    "CUDAGraph", "CudaError", "DeferredCudaCallError", "Event", "OutOfMemoryError", "Stream",
    "StreamContext", "amp", "can_device_access_peer", "check_error", "clock_rate", "cudaStatus",
    "cudart", "current_device", "current_stream", "default_generators", "default_stream",
    "device", "device_count", "device_memory_used", "device_of", "get_arch_list",
    "get_device_capability", "get_device_name", "get_device_properties", "get_gencode_flags",
    "get_sync_debug_mode", "graph", "graph_pool_handle", "graphs", "has_half", "has_magma",
    "init", "ipc_collect", "is_available", "is_bf16_supported", "is_current_stream_capturing",
    "is_initialized", "is_tf32_supported", "make_graphed_callables", "memory", "memory_usage",
    "nvtx", "power_draw", "profiler", "random", "set_device", "set_stream",
    "set_sync_debug_mode", "sparse", "stream", "streams", "synchronize", "temperature",
    "utilization",
]  # fmt: skip
__all__ += memory.__all__
__all__ += random.__all__

has_half = True
has_magma = False


class OutOfMemoryError(RuntimeError):
    """There is not as much memory as was asked for."""


class DeferredCudaCallError(Exception):
    """A call that waited for CUDA to start has failed."""


def is_initialized() -> bool:
    """Tell whether CUDA can be used; MLX starts it by itself."""
    return is_available()


def init() -> None:
    """Raise AssertionError without CUDA; MLX starts it by itself."""
    check()


_lazy_init = init
_initialized = is_available()


def _is_compiled() -> bool:
    """Tell whether this build of MLX runs on CUDA."""
    return is_available()


def _is_in_bad_fork() -> bool:
    """Return False: a forked child makes queues of its own."""
    return False


# ----- devices: MLX drives one GPU a process -----


def device_count() -> int:
    """Return 1 with CUDA, else 0."""
    return int(is_available())


def current_device() -> int:
    """Return 0. Raises AssertionError without CUDA."""
    check()
    return 0


def set_device(device: Any) -> None:
    """Accept device 0, and negative numbers, which mean none.

    Raises AssertionError without CUDA, RuntimeError for another device.
    """
    index = device_index(device, optional=False)
    if index >= 0:
        check()
    if index > 0:
        raise RuntimeError("CUDA error: invalid device ordinal; MLX drives one GPU a process")


class device:
    """A context in which a device is the current one; there is but one.

    Raises ValueError for devices of other types, RuntimeError on entering without CUDA.
    """

    def __init__(self, device: Any) -> None:
        self.idx = device_index(device)

    def __enter__(self) -> None:
        if self.idx >= 0 and not is_available():
            raise RuntimeError("PyTorch was compiled without CUDA support: MLX has none here")
        set_device(self.idx)

    def __exit__(self, *exc_info: object) -> bool:
        return False


class device_of(device):
    """A context in which a tensor's device is the current one."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def _info(device: Any) -> dict[str, Any]:
    check_index(device)
    return _memory.device_info()


def get_device_name(device: Any = None) -> str:
    """Return the GPU's name. Raises AssertionError without CUDA."""
    return str(_info(device).get("device_name", "CUDA device"))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the GPU's compute capability. Raises AssertionError without CUDA."""
    info = _info(device)
    major, minor = info.get("compute_capability_major"), info.get("compute_capability_minor")
    if major is None:
        digits = "".join(c for c in str(info.get("architecture", "")) if c.isdigit()) or "0"
        major, minor = int(digits[:-1] or 0), int(digits[-1])
    return int(major), int(minor)


_Properties = namedtuple("_CudaDeviceProperties", "name major minor total_memory")


def get_device_properties(device: Any = None) -> _Properties:
    """Return name, capability and memory of the GPU. Raises AssertionError without CUDA."""
    name = get_device_name(device)
    return _Properties(name, *get_device_capability(device), memory.mem_get_info(device)[1])


def get_arch_list() -> list[str]:
    """Return the architecture of the GPU, for which MLX compiles its kernels; none without CUDA."""
    return ["sm_{}{}".format(*get_device_capability())] if is_available() else []


def get_gencode_flags() -> str:
    """Return the compiler's flags for the GPU's architecture; none without CUDA."""
    numbers = [architecture.removeprefix("sm_") for architecture in get_arch_list()]
    return " ".join(f"-gencode compute=compute_{n},code=sm_{n}" for n in numbers)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Return False: there is one device. Raises AssertionError without CUDA, and for others."""
    check_index(device)
    check_index(peer_device, "peer device")
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Tell whether there is CUDA: MLX has bfloat16 everywhere."""
    return is_available()


def is_tf32_supported() -> bool:
    """Tell whether the GPU multiplies in TF32."""
    return is_available() and get_device_capability()[0] >= 8


# ----- streams: all of them are one queue -----


def synchronize(device: Any = None) -> None:
    """Wait until all work is done. Raises AssertionError without CUDA."""
    check()
    _memory.synchronize()


def current_stream(device: Any = None) -> Stream:
    """Return the stream on which work is queued. Raises AssertionError without CUDA."""
    check()
    return Stream()


default_stream = current_stream


def set_stream(stream: Stream) -> None:
    """Accept a stream."""


class StreamContext:
    """A context in which work goes to a stream."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass


def stream(stream: Stream | None) -> StreamContext:
    """Return a context in which work goes to a stream."""
    return StreamContext(stream)


def ipc_collect() -> None:
    """Do nothing: memory is not shared between processes. Raises AssertionError without CUDA."""
    check()


def get_sync_debug_mode() -> int:
    """Return 0: nothing is said of synchronisation. Raises AssertionError without CUDA."""
    check()
    return 0


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Accept 0 and "default". Raises AssertionError without CUDA, RuntimeError for other modes."""
    check()
    if debug_mode not in (0, "default"):
        raise RuntimeError(
            "invalid value of debug_mode: MLX does not tell when it waits for the GPU, so only "
            "`default` can be set"
        )


default_generators: tuple = (_generators.accelerator_generator,) if is_available() else ()

_LEGACY = legacy_classes("cuda") | {
    name: kind for name, kind in legacy_storages("cuda").items() if name[0] != "Q"
}
globals().update(_LEGACY)
__all__.extend(_LEGACY)
