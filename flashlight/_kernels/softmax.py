"""softmax and the logarithms of sums of exponentials, shifted by the largest entry.

`axis` and `axes` are non-negative; a 0-d array counts as one with a single entry.
"""

from __future__ import annotations

import math

import mlx.core as mx

from . import reduction
from .elementary import exp, logaddexp
from .precision import HALF, on_accelerator, through_float32


def softmax(x: mx.array, axis: int) -> mx.array:
    """e^x / Σ e^x along `axis`."""
    if x.ndim == 0:
        return softmax(x[None], 0).squeeze(0)
    if x.size == 0:
        return x
    # On the CPU MLX's is off by 35 units in the last place, and slower.
    if on_accelerator():
        return mx.softmax(x, axis, precise=True)
    dtype = x.dtype
    if dtype in HALF:
        x = x.astype(mx.float32)
    weights = exp(x - mx.max(x, axis, keepdims=True))
    total = reduction.sum(weights, (axis,), keepdims=True)
    if dtype in HALF and axis < x.ndim - 1:
        weights = weights.astype(dtype).astype(mx.float32)  # as PyTorch keeps them
    return (weights / total).astype(dtype)


@through_float32
def softmax_gradient(grad: mx.array, result: mx.array, axis: int) -> mx.array:
    """The gradient of softmax, of its result."""
    weighted = grad * result
    return weighted - result * reduction.sum(weighted, (axis,), keepdims=True)


def log_softmax(x: mx.array, axis: int) -> mx.array:
    """x - log Σ e^x along `axis`; of half precision in the last axis with PyTorch's roundings."""
    if x.ndim == 0:
        return log_softmax(x[None], 0).squeeze(0)
    if x.size == 0:
        return x
    dtype = x.dtype
    if dtype in HALF:
        x = x.astype(mx.float32)
    shifted = x - mx.max(x, axis, keepdims=True)
    total = reduction.sum(exp(shifted), (axis,), keepdims=True)
    if dtype in HALF and axis == x.ndim - 1:
        log_total = mx.log(total.astype(dtype)).astype(mx.float32)
    else:
        log_total = mx.log(total)
    return (shifted - log_total).astype(dtype)


@through_float32
def log_softmax_gradient(grad: mx.array, result: mx.array, axis: int) -> mx.array:
    """The gradient of log_softmax, of its result."""
    return grad - exp(result) * reduction.sum(grad, (axis,), keepdims=True)


def logsumexp(x: mx.array, axes: tuple[int, ...], keepdims: bool = False) -> mx.array:
    """log Σ e^x over `axes`; -inf where they are empty. Half types round each step."""
    if not axes:  # of a 0-d array
        return logsumexp(x[None], (0,)).reshape(x.shape)
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
    x = mx.moveaxis(x, axis, -1)
    if x.dtype == mx.complex64:
        # One by one: the order decides by how many turns the angles differ from PyTorch's.
        sums = [x[..., 0]]
        for i in range(1, x.shape[-1]):
            sums.append(logaddexp(sums[-1], x[..., i]))
        return mx.moveaxis(mx.stack(sums, -1), -1, axis)
    # Doubling the reach of each entry takes log2(n) rounds (Hillis and Steele, 1986).
    reach = 1
    while reach < x.shape[-1]:
        x = mx.concatenate([x[..., :reach], logaddexp(x[..., reach:], x[..., :-reach])], -1)
        reach *= 2
    return mx.moveaxis(x, -1, axis)
