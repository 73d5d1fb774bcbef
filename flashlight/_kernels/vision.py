"""Resampling by separable filters: what every mode of `interpolate` does, and its transpose.

A `Table` says which elements of a dimension, with which weights, make each element of the
result. It depends on lengths and scales alone, so it is made in NumPy, in the precision in which
PyTorch computes positions. Tables are gathered, not multiplied as matrices: an infinity must not
reach elements that it has no weight in.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from .precision import HALF, on_accelerator

NEAREST, NEAREST_EXACT, LINEAR, CUBIC, LANCZOS = range(5)


class Table(NamedTuple):
    """For each element of the result, taps in rows: (T, count) each.

    `weights` is None for one tap of weight 1; `used` is None if all taps are used.
    """

    indices: np.ndarray
    weights: np.ndarray | None = None
    used: np.ndarray | None = None


@functools.lru_cache(maxsize=256)
def table(mode: int, size: int, count: int, scale: float | None, align_corners: bool,
          antialias: bool, double: bool, half: mx.Dtype | None = None) -> Table:
    """How `count` elements are made of `size`, `scale` times as many if it is given.

    With `half`, weights are rounded to that dtype, as PyTorch's CPU kernels keep them.
    """
    number = np.float64 if double else np.float32
    step = _step(number, size, count, scale, align_corners)
    if mode in (NEAREST, NEAREST_EXACT):
        return Table(_nearest(mode, number, size, count, step)[None])
    if antialias:
        return _filtered(mode, number, size, count, step)
    if mode == LINEAR:
        return _linear(number, size, count, step, align_corners, half)
    made = _cubic(number, size, count, step, align_corners)
    return made._replace(weights=_rounded(made.weights, half))


def _rounded(values, half):
    """Round float32 numbers to a half type, to the nearest even."""
    if half is None:
        return values
    if half == mx.float16:
        return values.astype(np.float16).astype(np.float32)
    bits = values.astype(np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


@functools.lru_cache(maxsize=256)
def transposed(of: tuple, size: int) -> Table:
    """The table that turns a gradient of `table(*of)`'s result into one of its `size` inputs."""
    original = table(*of)
    taps, count = original.indices.shape
    sources = np.broadcast_to(np.arange(count), (taps, count))
    weights = original.weights
    if weights is None:
        weights = np.ones((taps, count), np.float32)
    used = np.ones((taps, count), bool) if original.used is None else original.used
    targets, sources, weights = original.indices[used], sources[used], weights[used]
    order = np.lexsort((sources, targets))
    targets, sources, weights = targets[order], sources[order], weights[order]
    # Position of each entry among those with its target.
    rank = np.arange(len(targets)) - np.searchsorted(targets, targets)
    depth = int(rank.max(initial=-1)) + 1
    result = Table(np.zeros((depth, size), np.int64), np.zeros((depth, size), weights.dtype),
                   np.zeros((depth, size), bool))
    result.indices[rank, targets] = sources
    result.weights[rank, targets] = weights
    result.used[rank, targets] = True
    return result._replace(used=None) if result.used.all() else result


def kept_in(array: mx.array) -> mx.Dtype | None:
    """The half type in which PyTorch's CPU kernels keep weights for this array, if any."""
    return array.dtype if array.dtype in HALF and not on_accelerator() else None


def resample(array: mx.array, axis: int, by: Table) -> mx.array:
    """Apply a table to one dimension; half precision comes back as float32."""
    if by.weights is None:
        return _taken(array, axis, by.indices[0])
    if array.dtype in HALF:
        array = array.astype(mx.float32)
    shape = [-1 if i == axis else 1 for i in range(array.ndim)]
    total = None
    for tap, (indices, weights) in enumerate(zip(by.indices, by.weights, strict=True)):
        part = _taken(array, axis, indices)
        part = part * mx.array(weights.reshape(shape), dtype=array.dtype)
        if by.used is not None and not by.used[tap].all():
            part = mx.where(mx.array(by.used[tap].reshape(shape)), part, mx.zeros((), part.dtype))
        total = part if total is None else total + part
    if total is None:
        return mx.zeros((*array.shape[:axis], by.indices.shape[1], *array.shape[axis + 1:]),
                        array.dtype)
    return total


def _taken(array, axis, indices):
    # MLX gathers along an axis several times as fast as it takes; short rows are the exception.
    found = mx.array(indices.astype(np.int32))
    if axis < array.ndim - 1:
        return mx.take(array, found, axis=axis)
    shape = (*array.shape[:-1], len(indices))
    return mx.take_along_axis(array, mx.broadcast_to(found, shape), axis=-1)


def _step(number, size, count, scale, align_corners):
    if align_corners:
        return number(size - 1) / number(count - 1) if count > 1 else number(0)
    if scale is not None and scale > 0:
        return number(1.0 / scale)
    return number(size) / number(count)


def _nearest(mode, number, size, count, step):
    positions = np.arange(count)
    if mode == NEAREST_EXACT:
        found = (positions.astype(number) + number(0.5)) * step
    elif size == count:
        return positions
    elif 2 * size == count:
        return positions // 2
    else:
        found = positions.astype(number) * step
    return np.minimum(np.floor(found).astype(np.int64), size - 1)


def _positions(number, count, step, align_corners):
    positions = np.arange(count).astype(number)
    return step * positions if align_corners else step * (positions + number(0.5)) - number(0.5)


def _split(positions, size):
    """Whole part, at most the last index, and the fraction of 1 beyond it."""
    whole = np.minimum(np.floor(positions).astype(np.int64), size - 1)
    return whole, np.clip(positions - whole.astype(positions.dtype), 0, 1)


def _linear(number, size, count, step, align_corners, half):
    if size == count:
        positions = np.arange(count).astype(number)
    else:
        positions = np.maximum(_positions(number, count, step, align_corners), number(0))
    low, fraction = _split(positions, size)
    high = np.minimum(low + 1, size - 1)
    fraction = _rounded(fraction, half)
    return Table(np.stack([low, high]), np.stack([_rounded(1 - fraction, half), fraction]))


def _cubic(number, size, count, step, align_corners):
    low, t = _split(_positions(number, count, step, align_corners), size)
    weights = np.stack([cubic_weight(number, abs(t - k), -0.75) for k in (-1, 0, 1, 2)])
    return Table(np.stack([np.clip(low + k, 0, size - 1) for k in (-1, 0, 1, 2)]), weights)


def cubic_weight(number, x, a):
    """Keys' cubic convolution kernel (1981) at distances x in [0, 2], with slope a at 1."""
    a = number(a)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, number(0)))


def _triangle(x):
    return np.maximum(1 - abs(x), x.dtype.type(0))


def _antialiasing_cubic(x):
    return cubic_weight(x.dtype.type, abs(x), -0.5)


def _lanczos(x):
    x = x.astype(np.float64)
    return np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FILTERS = {LINEAR: (_triangle, 1), CUBIC: (_antialiasing_cubic, 2), LANCZOS: (_lanczos, 3)}


def _filtered(mode, number, size, count, step):
    """Filters as wide as the step, so that every element counts; as Pillow's."""
    kernel, reach = _FILTERS[mode]
    width = max(step, number(1))
    support = number(reach) * width
    center = step * (np.arange(count).astype(number) + number(0.5))
    first = np.maximum((center - support + number(0.5)).astype(np.int64), 0)
    stop = np.minimum((center + support + number(0.5)).astype(np.int64), size)
    taps = first + np.arange(int((stop - first).max(initial=0)))[:, None]
    used = taps < stop
    weights = kernel((taps.astype(number) - center + number(0.5)) / width)
    weights = np.where(used, weights, 0)
    total = weights.sum(0, keepdims=True)
    weights = (weights / np.where(total == 0, 1, total)).astype(number)
    return Table(np.minimum(taps, size - 1), weights, None if used.all() else used)


def resample_bytes(array: mx.array, axis: int, by: Table) -> mx.array:
    """Apply a table to one dimension of uint8, in fixed point and rounded, as Pillow does."""
    if by.weights is None:
        return _taken(array, axis, by.indices[0])
    largest, bits = float(by.weights.max()), 0
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    weights = by.weights * (1 << bits)
    weights = np.trunc(weights + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    shape = [-1 if i == axis else 1 for i in range(array.ndim)]
    array = array.astype(mx.int32)
    total = 1 << (bits - 1)
    for indices, factors in zip(by.indices, weights, strict=True):
        total = total + _taken(array, axis, indices) * mx.array(factors.reshape(shape))
    return mx.clip(mx.right_shift(total, bits), 0, 255).astype(mx.uint8)


def identity_grid(size: tuple[int, ...], align_corners: bool, dtype: mx.Dtype) -> mx.array:
    """(H, W) -> (H · W, 3), (D, H, W) -> (D · H · W, 4): x, y, (z,) 1 of each pixel's center."""
    axes = []
    for n in size:
        ends = np.linspace(-1, 1, n, dtype=np.float64) if n > 1 else np.zeros(1)
        axes.append(ends if align_corners else ends * ((n - 1) / n))
    grid = np.meshgrid(*axes, indexing="ij")
    columns = [part.reshape(-1) for part in reversed(grid)]
    columns.append(np.ones(math.prod(size)))
    return mx.array(np.stack(columns, axis=1), dtype=dtype)
