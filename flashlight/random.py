"""Seeds and states of the default generators (`torch.random`).

Inside `mx.compile` the state is the key that the trace carries: `get_rng_state` returns it, and
`fork_rng` with `set_rng_state` inside repeats its draws, which is what checkpointing needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from . import _ops  # noqa: F401  gives the tensors of states their methods
from ._core import generator as _generators
from ._core.device import device
from ._core.generator import Generator, default_generator
from ._core.tensor import Tensor

__all__ = [
    "set_rng_state",
    "get_rng_state",
    "manual_seed",
    "seed",
    "initial_seed",
    "fork_rng",
    "thread_safe_generator",
]


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the CPU's default generator, PyTorch's own included.

    Raises TypeError for other than uint8 tensors, RuntimeError for what is no such state.
    """
    _generators.set_default_state(new_state)


def get_rng_state() -> Tensor:
    """Return the state of the CPU's default generator: 5056 bytes, PyTorch's format."""
    return _generators.get_default_state()


def manual_seed(seed) -> Generator:
    """Seed the generators of all devices; returns the CPU's.

    Raises ValueError unless -2**63 <= seed < 2**64.
    """
    return _generators.seed_everything(int(seed))


def seed() -> int:
    """Seed the generators of all devices with a number of the operating system's, and return it."""
    chosen = Generator().seed()
    _generators.seed_everything(chosen)
    return chosen


def initial_seed() -> int:
    """Return the seed of the CPU's default generator."""
    return default_generator.initial_seed()


@contextlib.contextmanager
def fork_rng(
    devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type=None
) -> Iterator[None]:
    """Put the random states back on leaving; the accelerator's too, unless `devices` is empty.

    Raises RuntimeError for an unknown `device_type`.
    """
    if device_type is not None:
        device(device_type)
    if not enabled or device_type == "meta":
        yield
        return
    with _generators.forked(devices is None or bool(list(devices))):
        yield


def thread_safe_generator() -> Generator | None:
    """Return the generator of a DataLoader's worker thread; None elsewhere, for the default one."""
    from .utils.data import get_worker_info  # utils.data imports this module

    info = get_worker_info()
    if info is not None and info.worker_method == "thread" and info.rng is not None:
        return info.rng.torch_generator
    return None
