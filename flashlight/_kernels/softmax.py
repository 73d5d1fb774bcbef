"""softmax and the logarithms of sums of exponentials, shifted by the largest entry.

`axis` and `axes` are non-negative; a 0-d array counts as one with a single entry.
"""

from __future__ import annotations

import math

import mlx.core as mx

from . import reduction
from .elementary import exp, logaddexp
from .precision import on_accelerator, through_float32

NATIVE_LENGTH = 4096  # MLX's softmax adds up with one accumulator


def softmax(x: mx.array, axis: int) -> mx.array:
    """e^x / Σ e^x along `axis`."""
    if x.ndim == 0:
        return softmax(x[None], 0).squeeze(0)
    if x.dtype != mx.float64 and (x.shape[axis] <= NATIVE_LENGTH or on_accelerator()):
        return mx.softmax(x, axis, precise=True)
    return _composed_softmax(x, axis)


@through_float32
def _composed_softmax(x: mx.array, axis: int) -> mx.array:
    if x.size == 0:
        return x
    weights = exp(x - mx.max(x, axis, keepdims=True))
    return weights / reduction.sum(weights, (axis,), keepdims=True)


@through_float32
def log_softmax(x: mx.array, axis: int) -> mx.array:
    """x - log Σ e^x along `axis`."""
    if x.ndim == 0:
        return log_softmax(x[None], 0).squeeze(0)
    if x.size == 0:
        return x
    shifted = x - mx.max(x, axis, keepdims=True)
    return shifted - mx.log(reduction.sum(exp(shifted), (axis,), keepdims=True))


@through_float32
def logsumexp(x: mx.array, axes: tuple[int, ...], keepdims: bool = False) -> mx.array:
    """log Σ e^x over `axes`; -inf where they are empty."""
    if not axes:
        return mx.log(exp(x)) if x.ndim else x
    if x.size == 0:
        kept = [1 if a in axes else n for a, n in enumerate(x.shape)]
        result = mx.full(kept, -math.inf, dtype=x.dtype)
        return result if keepdims else result.squeeze(axes)
    ordered = mx.real(x) if x.dtype == mx.complex64 else x
    largest = mx.max(ordered, axes, keepdims=True)
    # Nothing to shift by where all entries are -inf or one is inf.
    largest = mx.where(mx.abs(largest) == math.inf, 0.0, largest)
    result = mx.log(reduction.sum(exp(x - largest), axes, keepdims=True)) + largest
    return result if keepdims else result.squeeze(axes)


@through_float32
def logcumsumexp(x: mx.array, axis: int) -> mx.array:
    """The running log Σ e^x along `axis`."""
    if x.ndim == 0 or x.size == 0:
        return x
    if x.dtype == mx.float32 and (x.shape[axis] <= reduction.PLAIN or on_accelerator()):
        return mx.logcumsumexp(x, axis)
    # Doubling the reach of each entry takes log2(n) rounds (Hillis and Steele, 1986).
    x = mx.moveaxis(x, axis, -1)
    reach = 1
    while reach < x.shape[-1]:
        x = mx.concatenate([x[..., :reach], logaddexp(x[..., reach:], x[..., :-reach])], -1)
        reach *= 2
    return mx.moveaxis(x, -1, axis)
