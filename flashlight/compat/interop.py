"""MLX arrays as tensors and back, for programs that use both; also inside MLX's transformations."""

from __future__ import annotations

from .._core.device import NATIVE_DEVICE
from .._core.tensor import Tensor, read, wrap


def from_mlx(array) -> Tensor:
    """Return a tensor of the values of an `mx.array`; no copy, since arrays never change.

    Works on the arguments of functions under `mx.compile`, `mx.vmap` and `mx.grad` too.
    """
    return wrap(array, NATIVE_DEVICE)


def to_mlx(tensor: Tensor):
    """Return the tensor's values as an `mx.array` of its shape; lazy, without its history."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"to_mlx(): expected a Tensor, got {type(tensor).__name__}")
    return read(tensor)
