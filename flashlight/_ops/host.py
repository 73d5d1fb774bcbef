"""Work that MLX has no kernel for, done by NumPy on the CPU; unified memory makes the way there
short.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.dtype import SCALAR_TYPE_NAME
from .._core.evaluation import evaluate


class LinAlgError(RuntimeError):
    """A decomposition or solver met a matrix for which there is no result."""


LinAlgError.__module__ = "flashlight.linalg"


def to_numpy(array: mx.array, name: str) -> np.ndarray:
    """Return the values; raises RuntimeError inside a trace, where there are none."""
    return np.asarray(evaluate(array, f"{name}()"))


def from_numpy(array: np.ndarray, dtype=None) -> mx.array:
    """Return an MLX array with a copy; 64-bit results of 32-bit work are narrowed."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    if dtype is not None:
        return mx.array(array.astype(_NUMPY.get(dtype, array.dtype)), dtype)
    return mx.array(array, mx.float64 if array.dtype == np.float64 else None)


_NUMPY = {
    mx.float32: np.float32,
    mx.float64: np.float64,
    mx.complex64: np.complex64,
    mx.int32: np.int32,
    mx.int64: np.int64,
    mx.bool_: np.bool_,
}


def pivot_sizes(values: np.ndarray) -> np.ndarray:
    """|re| + |im|, by which LAPACK compares complex numbers when it chooses a pivot."""
    if np.iscomplexobj(values):
        return np.abs(values.real) + np.abs(values.imag)
    return np.abs(values)


def check_matrix(name: str, tensor, square: bool = False, letter: str = "A") -> None:
    """Raise RuntimeError for what linalg does not take: too few dimensions, integers, halves, not
    square.
    """
    if tensor.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {letter} must have at least 2 dimensions.")
    check_dtype(name, tensor)
    if square and tensor.shape[-1] != tensor.shape[-2]:
        raise RuntimeError(
            f"{name}: {letter} must be batches of square matrices, but they are "
            f"{tensor.shape[-2]} by {tensor.shape[-1]} matrices"
        )


def check_dtype(name: str, tensor) -> None:
    """Raise RuntimeError for integers and half types."""
    kind = tensor.dtype
    if kind.category < 2:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{SCALAR_TYPE_NAME[kind]}")
    if kind.itemsize == 2:
        raise RuntimeError(
            f"{name}: Low precision dtypes not supported. Got {SCALAR_TYPE_NAME[kind]}"
        )


def raise_first(name: str, info: np.ndarray, reason) -> None:
    """Raise LinAlgError for the first matrix of a batch whose `info` is not zero."""
    if not info.any():
        return
    flat = info.reshape(-1)
    at = int(np.flatnonzero(flat)[0])
    where = f"(Batch element {at}): " if info.ndim else ""
    raise LinAlgError(f"{name}: {where}{reason(int(flat[at]))}")


def each(function, *arrays, batch):
    """Apply `function` to the matrices of a batch; return stacked results."""
    flat = [a.reshape((-1, *a.shape[len(batch):])) for a in arrays]
    results = [function(*[a[i] for a in flat]) for i in range(flat[0].shape[0])]
    return (
        [np.stack(column).reshape((*batch, *np.shape(column[0]))) for column in zip(*results)]
        if results
        else None
    )
