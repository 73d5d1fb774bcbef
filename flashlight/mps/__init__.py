"""Metal: its memory, generator and queue.

https://docs.pytorch.org/docs/2.13/mps.html
"""

from __future__ import annotations

from flashlight import Generator as _Generator
from flashlight import Tensor as _Tensor
from flashlight._core import generator as _generators
from flashlight._ops import memory as _memory
from flashlight.accelerator import memory as _counters
from flashlight.mps import profiler as profiler
from flashlight.mps.event import Event as Event

__all__ = [
    "device_count",
    "get_rng_state",
    "manual_seed",
    "seed",
    "set_rng_state",
    "synchronize",
    "empty_cache",
    "set_per_process_memory_fraction",
    "current_allocated_memory",
    "driver_allocated_memory",
    "Event",
    "profiler",
    "recommended_max_memory",
    "is_available",
]


def is_available() -> bool:
    """Tell whether this build of MLX runs on Metal."""
    return _memory.accelerator == "mps"


def device_count() -> int:
    """Return 1 with Metal, else 0."""
    return int(is_available())


def synchronize() -> None:
    """Wait until all work is done."""
    _memory.synchronize()


def _generator() -> _Generator:
    if not is_available():
        raise RuntimeError(
            "Metal is not available in this build of MLX, so it has no generator; "
            "use torch.get_rng_state and torch.manual_seed for the CPU's"
        )
    return _generators.accelerator_generator


def get_rng_state(device: object = "mps") -> _Tensor:
    """Return the state of Metal's generator, as bytes. Raises RuntimeError without Metal."""
    return _generator().get_state()


def set_rng_state(new_state: _Tensor, device: object = "mps") -> None:
    """Set the state of Metal's generator. Raises RuntimeError without Metal."""
    _generator().set_state(new_state)


def manual_seed(seed: int) -> None:
    """Seed Metal's generator, if there is one."""
    if is_available():
        _generator().manual_seed(int(seed))


def seed() -> None:
    """Seed Metal's generator with a number that nobody can foresee."""
    _generator().seed()


def empty_cache() -> None:
    """Give the memory that MLX keeps for reuse back to the system."""
    _counters.empty_cache()


def set_per_process_memory_fraction(fraction: float) -> None:
    """Limit MLX to a fraction of all memory, 0 to 2. Raises TypeError and ValueError for others."""
    _counters.set_fraction(fraction, 2.0)


def current_allocated_memory() -> int:
    """Return the bytes in use by tensors."""
    return _counters.memory_allocated()


def driver_allocated_memory() -> int:
    """Return the bytes in use, and those kept for reuse."""
    return _counters.memory_reserved()


def recommended_max_memory() -> int:
    """Return how many bytes tensors should occupy at most."""
    info = _memory.device_info()
    return int(info.get("max_recommended_working_set_size", _counters.total_memory()))
