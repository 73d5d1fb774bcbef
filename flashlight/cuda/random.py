"""The generator of draws on CUDA tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flashlight import Generator, Tensor
from flashlight._core import generator as _generators
from flashlight._ops import memory as _memory

__all__ = ["get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all",
           "manual_seed", "manual_seed_all", "seed", "seed_all", "initial_seed"]  # fmt: skip

#: Seeds given before there is a CUDA device concern nothing, as in PyTorch's builds without one.


def _generator() -> Generator:
    if _memory.accelerator != "cuda":
        raise RuntimeError("this build of MLX has no CUDA, so there is no CUDA generator")
    return _generators.accelerator_generator


def get_rng_state(device: Any = "cuda") -> Tensor:
    """Return the generator's state, as bytes. Raises RuntimeError without CUDA."""
    return _generator().get_state()


def get_rng_state_all() -> list[Tensor]:
    """Return the states of all devices' generators."""
    return [get_rng_state()] if _memory.accelerator == "cuda" else []


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Set the generator's state. Raises RuntimeError without CUDA."""
    _generator().set_state(new_state)


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Set the states of all devices' generators."""
    for state in new_states:
        set_rng_state(state)


def manual_seed(seed: int) -> None:
    """Seed the generator, if there is one."""
    if _memory.accelerator == "cuda":
        _generator().manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices."""
    manual_seed(seed)


def seed() -> None:
    """Seed the generator, if there is one, with a number that nobody can foresee."""
    if _memory.accelerator == "cuda":
        _generator().seed()


def seed_all() -> None:
    """Seed the generators of all devices with a number that nobody can foresee."""
    seed()


def initial_seed() -> int:
    """Return the seed. Raises RuntimeError without CUDA."""
    return _generator().initial_seed()
