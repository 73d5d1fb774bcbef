"""Intel GPUs, which MLX does not drive: what a PyTorch built without XPU answers.

Questions are answered, seeds wait for a device that never comes, and what needs one raises.
https://docs.pytorch.org/docs/2.13/xpu.html
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NoReturn

from flashlight import Tensor

__all__ = [
    "StreamContext", "can_device_access_peer", "current_device", "current_stream",
    "default_generators", "device", "device_count", "device_of", "empty_cache", "get_arch_list",
    "get_device_capability", "get_device_name", "get_device_properties", "get_gencode_flags",
    "get_per_process_memory_fraction", "get_rng_state", "get_rng_state_all",
    "get_stream_from_external", "init", "initial_seed", "is_available", "is_bf16_supported",
    "is_initialized", "is_tf32_supported", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "max_memory_reserved", "mem_get_info", "memory_allocated",
    "memory_reserved", "memory_snapshot", "memory_stats", "memory_stats_as_nested_dict", "seed",
    "seed_all", "set_device", "set_per_process_memory_fraction", "set_rng_state",
    "set_rng_state_all", "set_stream", "stream", "synchronize",
]  # fmt: skip

default_generators: tuple = ()


# ----- questions -----


def is_available() -> bool:
    """Return False."""
    return False


def is_initialized() -> bool:
    """Return False."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return False: there is no device."""
    return False


def is_tf32_supported() -> bool:
    """Return False: there is no device."""
    return False


def get_arch_list() -> list[str]:
    """Return no architectures."""
    return []


def get_gencode_flags() -> str:
    """Return no flags."""
    return ""


def memory_allocated(device: Any = None) -> int:
    """Return 0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Return no counters."""
    return OrderedDict()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """Return no counters."""
    return {}


def memory_snapshot(mempool_id: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    """Return no blocks."""
    return []


def empty_cache() -> None:
    """Do nothing: there is no cache."""


# ----- seeds, which a device would take over as it starts -----


def manual_seed(seed: int) -> None:
    """Do nothing: there is no generator."""
    int(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Do nothing: there is no generator."""


seed_all = seed


def get_rng_state_all() -> list[Tensor]:
    """Return no states."""
    return []


def set_rng_state(new_state: Tensor, device: Any = "xpu") -> None:
    """Do nothing: there is no generator."""
    new_state.clone()


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Do nothing: there is no generator."""
    for state in new_states:
        set_rng_state(state)


# ----- what needs a device -----


def _needs_device(name: str, parameters: Any = lambda device=None: ...) -> Any:
    import inspect

    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("Torch not compiled with XPU enabled: MLX does not drive Intel's GPUs")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Raise AssertionError: there is no device."
    call.__signature__ = inspect.signature(parameters)
    return call


init = _needs_device("init", lambda: ...)
current_device = _needs_device("current_device", lambda: ...)
current_stream = _needs_device("current_stream")
synchronize = _needs_device("synchronize")
set_device = _needs_device("set_device", lambda device: ...)
get_device_name = _needs_device("get_device_name")
get_device_capability = _needs_device("get_device_capability")
get_device_properties = _needs_device("get_device_properties")
can_device_access_peer = _needs_device("can_device_access_peer", lambda device, peer: ...)
get_rng_state = _needs_device("get_rng_state", lambda device="xpu": ...)
initial_seed = _needs_device("initial_seed", lambda: ...)
mem_get_info = _needs_device("mem_get_info")
get_per_process_memory_fraction = _needs_device("get_per_process_memory_fraction")
set_per_process_memory_fraction = _needs_device(
    "set_per_process_memory_fraction", lambda fraction, device=None: ...
)
get_stream_from_external = _needs_device(
    "get_stream_from_external", lambda data_ptr, device=None: ...
)


class device:
    """A context with another current device; entering it raises NotImplementedError."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> NoReturn:
        raise NotImplementedError("PyTorch was compiled without XPU support; MLX has none")

    def __exit__(self, *exc_info: object) -> None:
        pass


class device_of(device):
    """A context with a tensor's device as the current one."""

    def __init__(self, obj: Any) -> None:
        super().__init__(-1)


class StreamContext:
    """A context with another current stream; there are none, so it does nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass


def stream(stream: Any) -> StreamContext:
    """Return a context with another current stream."""
    return StreamContext(stream)


def set_stream(stream: Any) -> None:
    """Accept None."""
    if stream is not None:
        init()
