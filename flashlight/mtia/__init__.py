"""Meta's accelerators, which MLX does not drive: what a PyTorch built without them answers.

https://docs.pytorch.org/docs/2.13/mtia.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from flashlight import Tensor

__all__ = [
    "current_device", "device_count", "get_rng_state_all", "init", "is_available",
    "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated", "memory_allocated",
    "memory_stats", "reset_peak_memory_stats", "seed", "seed_all", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Return False."""
    return False


def is_initialized() -> bool:
    """Return False."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def memory_allocated(device: Any = None) -> int:
    """Return 0."""
    return 0


max_memory_allocated = memory_allocated


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Return no counters."""
    return {}


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: there are no counters."""


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


def init() -> NoReturn:
    """Raise AssertionError: there is no device."""
    raise AssertionError("Torch not compiled with MTIA enabled: MLX does not drive it")


def current_device() -> NoReturn:
    """Raise RuntimeError: there is no device."""
    raise RuntimeError("Cannot execute getCurrentDevice() without MTIA backend.")


def synchronize(device: Any = None) -> NoReturn:
    """Raise RuntimeError: there is no device."""
    raise RuntimeError("Cannot execute getCurrentDevice() without MTIA backend.")
