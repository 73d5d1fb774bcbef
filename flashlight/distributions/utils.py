"""What several distributions share: broadcasting, probabilities and logits, lazy attributes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, TypeVar

import flashlight as torch

__all__ = [
    "broadcast_all",
    "logits_to_probs",
    "clamp_probs",
    "probs_to_logits",
    "lazy_property",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060

#: Python numbers that stand for a tensor without dimensions.
_Number = (int, float, bool)

Owner = TypeVar("Owner", contravariant=True)
Value = TypeVar("Value", covariant=True)


def broadcast_all(*values):
    """Broadcast tensors and numbers against each other.

    A number becomes a tensor of the first tensor's dtype and device, or of the default dtype when
    there is no tensor. Raises ValueError for anything that is neither.
    """
    if not all(_is_tensor_like(value) or isinstance(value, _Number) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, "
            "torch.Tensor or objects implementing __torch_function__."
        )
    model = next((value for value in values if isinstance(value, torch.Tensor)), None)
    if model is None:
        options = {"dtype": torch.get_default_dtype()}
    else:
        options = {"dtype": model.dtype, "device": model.device}
    return torch.broadcast_tensors(
        *(value if _is_tensor_like(value) else torch.tensor(value, **options) for value in values)
    )


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or hasattr(type(value), "__torch_function__")


def _standard_normal(shape, dtype, device):
    return torch.empty(shape, dtype=dtype, device=device).normal_()


def _sum_rightmost(value, dim: int):
    """Sum over the last `dim` dimensions."""
    if dim == 0:
        return value
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1)


def logits_to_probs(logits, is_binary: bool = False):
    """Probabilities of log odds if binary, else of log weights along the last dimension."""
    return torch.sigmoid(logits) if is_binary else torch.softmax(logits, dim=-1)


def clamp_probs(probs):
    """Move probabilities at least the dtype's epsilon away from 0 and from 1."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs, is_binary: bool = False):
    """Log odds of probabilities if binary, else their logarithms; 0 and 1 stay finite."""
    inside = clamp_probs(probs)
    if is_binary:
        return torch.log(inside) - torch.log1p(-inside)
    return torch.log(inside)


class lazy_property(Generic[Owner, Value]):
    """A property computed at its first use, always with gradients, and kept on the instance.

    Not a data descriptor: the value stored on the instance hides it from then on. On the class it
    yields itself, by which argument validation recognises parameters not computed yet.
    """

    def __init__(self, wrapped: Callable[[Owner], Value]) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None) -> Any:
        if instance is None:
            return self
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def tril_matrix_to_vec(mat, diag: int = 0):
    """Entries on and below diagonal `diag`, row by row: `(*, D, D) -> (*, L)`.

    Raises ValueError if the matrix has no such diagonal.
    """
    size = mat.shape[-1]
    if not -size <= diag < size:
        raise ValueError(f"diag ({diag}) provided is outside [{-size}, {size - 1}].")
    return mat.flatten(-2).index_select(-1, _flat_tril_indices(size, diag, mat.device))


def vec_to_tril_matrix(vec, diag: int = 0):
    """Inverse of `tril_matrix_to_vec`, zeros above: `(*, L) -> (*, D, D)`.

    Raises ValueError if no square matrix has L entries there.
    """
    length = vec.shape[-1]
    # The positive root of D^2 + (1 + 2 diag) D - |diag| (diag + 1) = 2 L.
    slope = 1 + 2 * diag
    size = (math.isqrt(slope**2 + 8 * length + 4 * abs(diag) * (diag + 1)) - slope) // 2
    if _tril_count(size, diag) != length:
        raise ValueError(
            f"The size of last dimension is {length} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    flat = vec.new_zeros(vec.shape[:-1] + (size * size,))
    flat = flat.index_copy(-1, _flat_tril_indices(size, diag, vec.device), vec)
    return flat.unflatten(-1, (size, size))


def _tril_count(size: int, diag: int) -> int:
    return sum(min(max(row + diag + 1, 0), size) for row in range(size))


def _flat_tril_indices(size: int, diag: int, device):
    rows, columns = torch.tril_indices(size, size, diag, device=device)
    return rows * size + columns
