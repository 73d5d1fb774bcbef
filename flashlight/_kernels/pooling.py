"""Pooling over the last dimensions of an array, one dimension after the other.

Windows are boxes, so a maximum or a sum over one is a maximum or sum per dimension: fewer steps,
sums in two or three levels, and no copies of windows. `counts` is how many windows there are in
each dimension, which depends on PyTorch's ceil_mode. Indices count in the flattened last
dimensions of the input, as PyTorch's do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from .precision import HALF, on_accelerator
from .reduction import plain_sum
from .windows import Ints, fold, pad_last


def max_pool(input: mx.array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints,
             counts: Ints) -> mx.array:
    """(..., *size) -> (..., *counts): the largest element of each window; NaN wins."""
    input = pad_last(input, _edges(input, kernel, stride, padding, dilation, counts),
                     lowest(input.dtype))
    for _, seen in _taps_by_dimension(kernel, stride, dilation, counts):
        parts = [input[at] for at in seen]
        input = parts[0]
        for part in parts[1:]:
            input = mx.maximum(input, part)
    return input


def max_pool_indices(input: mx.array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints,
                     counts: Ints) -> mx.array:
    """(..., *size) -> (..., *counts): where the maxima are, int64; the first, or the last NaN."""
    rank = len(kernel)
    size = input.shape[input.ndim - rank:]
    best = pad_last(input, _edges(input, kernel, stride, padding, dilation, counts),
                    lowest(input.dtype))
    dtype = mx.int32 if math.prod(size) < 2**31 else mx.int64
    indices = None
    for dim, seen in _taps_by_dimension(kernel, stride, dilation, counts):
        starts = np.arange(counts[dim]) * stride[dim] - padding[dim]
        # A window that holds nothing above the padding's value takes its first real element.
        inside = starts + dilation[dim] * np.maximum(0, -(starts // dilation[dim]))
        pitch = math.prod(size[dim + 1:])
        candidates, found = best, indices
        for tap, at in enumerate(seen):
            part = candidates[at]
            position = starts + tap * dilation[dim] if tap else inside
            position = _along(position * pitch, rank - dim, dtype)
            if found is not None:
                position = found[at] + position
            if tap == 0:
                best, indices = part, mx.broadcast_to(position, part.shape)
            else:
                # MLX selects on the CPU far more slowly than it multiplies integers.
                indices = indices + _beats(part, best).astype(dtype) * (position - indices)
                best = mx.maximum(best, part)
    return indices.astype(mx.int64)


def avg_pool(input: mx.array, kernel: Ints, stride: Ints, padding: Ints, counts: Ints,
             count_include_pad: bool = True, divisor: int | None = None) -> mx.array:
    """(..., *size) -> (..., *counts): the mean of each window, or its sum by `divisor`."""
    dtype, size = input.dtype, input.shape[input.ndim - len(kernel):]
    ones = (1,) * len(kernel)
    total = pad_last(_widened(input), _edges(input, kernel, stride, padding, ones, counts))
    for dim, seen in _taps_by_dimension(kernel, stride, ones, counts):
        if counts[dim] == 1:
            axis = total.ndim - len(kernel) + dim
            total = plain_sum(total, (axis,), True)
            continue
        parts = [total[at] for at in seen]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
    divisors = _divisors(size, kernel, stride, padding, counts, count_include_pad, divisor)
    return _divide(total, divisors).astype(dtype)


def avg_pool_gradient(grad: mx.array, size: Ints, kernel: Ints, stride: Ints, padding: Ints,
                      count_include_pad: bool = True, divisor: int | None = None) -> mx.array:
    """(..., *counts) -> (..., *size)."""
    dtype, rank = grad.dtype, len(kernel)
    counts = grad.shape[grad.ndim - rank:]
    divisors = _divisors(size, kernel, stride, padding, counts, count_include_pad, divisor)
    grad = _divide(_widened(grad), divisors)
    for dim in range(rank):
        grad = _spread(grad, rank, dim, kernel[dim], stride[dim], size[dim] + 2 * padding[dim])
    return pad_last(grad, [(-p, n - g + p) for p, n, g in
                           zip(padding, size, grad.shape[grad.ndim - rank:])]).astype(dtype)


def adaptive_ranges(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the windows of an adaptive pool start and stop."""
    steps = np.arange(count, dtype=np.int64)
    return steps * size // count, -((steps + 1) * -size // count)


def adaptive_avg_pool(input: mx.array, counts: Ints) -> mx.array:
    """(..., *size) -> (..., *counts): means of windows that cover the input evenly."""
    dtype, rank = input.dtype, len(counts)
    if rank == 3 and dtype in HALF and not on_accelerator():
        total = _small_sums_in_half(input, counts)
        if total is not None:
            return total
    input = _widened(input)
    for dim, count in enumerate(counts):
        axis = input.ndim - rank + dim
        starts, stops = adaptive_ranges(input.shape[axis], count)
        input = sum_ranges(input, axis, starts, stops)
        input = input / _along(stops - starts, rank - dim, input.dtype)
    return input.astype(dtype)


def _small_sums_in_half(input, counts):
    """Means of small windows as PyTorch's CPU kernel of rank 3 has them, never leaving half."""
    size = input.shape[input.ndim - 3:]
    ranges = [adaptive_ranges(n, count) for n, count in zip(size, counts, strict=True)]
    depths = [int((stops - starts).max(initial=0)) for starts, stops in ranges]
    if not 0 < math.prod(depths) <= 64:
        return None
    total = None
    for taps in np.ndindex(*depths):
        part = input
        for dim, ((starts, stops), tap) in enumerate(zip(ranges, taps, strict=True)):
            part = mx.take(part, mx.array(np.minimum(starts + tap, stops - 1)), dim - 3)
            inside = _along(tap < stops - starts, 3 - dim, mx.bool_)
            part = mx.where(inside, part, mx.zeros((), part.dtype))
        total = part if total is None else total + part
    for dim, (starts, stops) in enumerate(ranges):
        total = total / _along(stops - starts, 3 - dim, total.dtype)
    return total


def adaptive_avg_pool_gradient(grad: mx.array, size: Ints) -> mx.array:
    """(..., *counts) -> (..., *size)."""
    dtype, rank = grad.dtype, len(size)
    grad = _widened(grad)
    for dim, length in enumerate(size):
        axis = grad.ndim - rank + dim
        starts, stops = adaptive_ranges(length, grad.shape[axis])
        grad = grad / _along(stops - starts, rank - dim, grad.dtype)
        # The windows that hold an element follow one another, as elements of a window do.
        elements = np.arange(length)
        grad = sum_ranges(grad, axis, np.searchsorted(stops, elements, side="right"),
                          np.searchsorted(starts, elements, side="right"))
    return grad.astype(dtype)


def adaptive_max_pool(input: mx.array, counts: Ints) -> mx.array:
    """(..., *size) -> (..., *counts): maxima of windows that cover the input evenly."""
    rank = len(counts)
    if 0 in counts:
        return mx.zeros((*input.shape[:input.ndim - rank], *counts), input.dtype)
    for dim, count in enumerate(counts):
        axis = input.ndim - rank + dim
        starts, stops = adaptive_ranges(input.shape[axis], count)
        best = None
        for tap in range(int((stops - starts).max())):
            part = mx.take(input, mx.array(np.minimum(starts + tap, stops - 1)), axis=axis)
            best = part if best is None else mx.maximum(best, part)
        input = best
    return input


def adaptive_max_pool_indices(input: mx.array, counts: Ints) -> mx.array:
    """(..., *size) -> (..., *counts): where the maxima are, int64."""
    rank = len(counts)
    size = input.shape[input.ndim - rank:]
    if 0 in counts:
        return mx.zeros((*input.shape[:input.ndim - rank], *counts), mx.int64)
    best, indices = input, None
    for dim in reversed(range(rank)):
        starts, stops = adaptive_ranges(size[dim], counts[dim])
        pitch, axis = math.prod(size[dim + 1:]), input.ndim - rank + dim
        candidates, found = best, indices
        for tap in range(int((stops - starts).max())):
            at = np.minimum(starts + tap, stops - 1)
            part = mx.take(candidates, mx.array(at), axis=axis)
            position = _along(at * pitch, rank - dim, mx.int64)
            if found is not None:
                position = mx.take(found, mx.array(at), axis=axis) + position
            if tap == 0:
                best, indices = part, mx.broadcast_to(position, part.shape)
            else:
                better = _beats(part, best)
                best = mx.where(better, part, best)
                indices = mx.where(better, position, indices)
    return indices


def fractional_starts(samples: mx.array, size: int, kernel: int, count: int) -> mx.array:
    """(N, C) numbers in [0, 1) -> (N, C, count): where the windows of Graham's pool start.

    Benjamin Graham, Fractional Max-Pooling, 2014.
    """
    if count == 1:
        return mx.full((*samples.shape, 1), size - kernel, mx.int64)
    alpha = mx.array((size - kernel) / (count - 1), samples.dtype)
    steps = mx.arange(count - 1).astype(samples.dtype)
    samples = samples[..., None]
    starts = ((steps + samples) * alpha).astype(mx.int64) - (samples * alpha).astype(mx.int64)
    last = mx.full((*samples.shape[:-1], 1), size - kernel, mx.int64)
    # Numbers outside [0, 1) must not lead outside the input.
    return mx.clip(mx.concatenate([starts, last], axis=-1), 0, size - kernel)


def box_max_indices(input: mx.array, starts: Sequence[mx.array], kernel: Ints) -> mx.array:
    """Where the maxima of boxes are: `starts` (..., count) per dimension, (..., *counts), int64."""
    rank = len(kernel)
    size = input.shape[input.ndim - rank:]
    corner = None
    for dim, start in enumerate(starts):
        shape = [*start.shape[:-1], *(start.shape[-1] if i == dim else 1 for i in range(rank))]
        part = mx.reshape(start, shape) * math.prod(size[dim + 1:])
        corner = part if corner is None else corner + part
    best = indices = None
    for tap in np.ndindex(*kernel):
        position = corner + int(np.ravel_multi_index(tap, size))
        part = take_at(input, position, rank)
        if best is None:
            best, indices = part, position
        else:
            better = _beats(part, best)
            best, indices = mx.where(better, part, best), mx.where(better, position, indices)
    return indices


def take_at(input: mx.array, indices: mx.array, rank: int) -> mx.array:
    """(..., *size), (..., *counts) -> (..., *counts): the elements at flat indices."""
    lead = input.shape[:input.ndim - rank]
    flat = mx.reshape(input, (*lead, math.prod(input.shape[len(lead):])))
    found = mx.take_along_axis(flat, _flat(indices, len(lead)), axis=-1)
    return mx.reshape(found, indices.shape)


def add_at(values: mx.array, indices: mx.array, size: Ints) -> mx.array:
    """(..., *counts) -> (..., *size): zeros with `values` added at flat indices."""
    lead = values.shape[:values.ndim - len(size)]
    rows = _flat(indices, len(lead))
    # MLX scatters along an axis far faster than by `at[].add`, but only as this gradient.
    zeros = mx.zeros((*lead, math.prod(size)), values.dtype)
    added = mx.vjp(lambda array: mx.take_along_axis(array, rows, axis=-1), [zeros],
                   [mx.reshape(values, rows.shape)])[1][0]
    return mx.reshape(added, (*lead, *size))


def put_at(values: mx.array, indices: mx.array, size: Ints) -> mx.array:
    """(..., *counts) -> (..., *size): zeros with `values` put at flat indices."""
    lead = values.shape[:values.ndim - len(size)]
    zeros = mx.zeros((*lead, math.prod(size)), values.dtype)
    rows = _flat(indices, len(lead))
    put = mx.put_along_axis(zeros, rows, mx.reshape(values, rows.shape), axis=-1)
    return mx.reshape(put, (*lead, *size))


def _flat(array, lead):
    return mx.reshape(array, (*array.shape[:lead], math.prod(array.shape[lead:])))


def sum_ranges(array: mx.array, axis: int, starts: np.ndarray, stops: np.ndarray) -> mx.array:
    """Sum array[starts[i]:stops[i]] along `axis`, for each i."""
    lengths = stops - starts
    total = None
    for tap in range(int(lengths.max(initial=0))):
        picked = mx.take(array, mx.array(np.minimum(starts + tap, array.shape[axis] - 1)), axis)
        if tap >= lengths.min():
            # Not by a factor of zero: outside the range may lie infinities.
            inside = _along(tap < lengths, array.ndim - axis, mx.bool_)
            picked = mx.where(inside, picked, mx.zeros((), picked.dtype))
        total = picked if total is None else total + picked
    if total is None:
        shape = list(array.shape)
        shape[axis] = len(starts)
        return mx.zeros(shape, array.dtype)
    return total


def lowest(dtype: mx.Dtype):
    """The number that no element of this type is below."""
    return -math.inf if mx.issubdtype(dtype, mx.floating) else mx.iinfo(dtype).min


def _widened(array):
    return array.astype(mx.float32) if array.dtype in HALF else array


def _along(values, ndim, dtype):
    return mx.array(np.asarray(values).reshape(-1, *(1,) * (ndim - 1)), dtype=dtype)


def _edges(input, kernel, stride, padding, dilation, counts):
    """What to pad (or crop), so that just `counts` windows fit."""
    size = input.shape[input.ndim - len(kernel):]
    return [(p, (c - 1) * s + d * (k - 1) + 1 - n - p)
            for n, k, s, p, d, c in zip(size, kernel, stride, padding, dilation, counts,
                                        strict=True)]


def _taps_by_dimension(kernel, stride, dilation, counts):
    """Yield each dimension, the last first, with the slice that each of its taps sees."""
    for dim in reversed(range(len(kernel))):
        rest = (slice(None),) * (len(kernel) - 1 - dim)
        reach = (counts[dim] - 1) * stride[dim] + 1
        yield dim, [(..., slice(t * dilation[dim], t * dilation[dim] + reach, stride[dim]), *rest)
                    for t in range(kernel[dim])]


def _beats(challenger, best):
    better = challenger > best
    if mx.issubdtype(challenger.dtype, mx.floating):
        better = better | mx.isnan(challenger)
    return better


def _divisors(size, kernel, stride, padding, counts, count_include_pad, divisor):
    """What to divide the sum of each window by: a number, or an array that broadcasts."""
    if divisor is not None:
        return divisor
    result = 1
    for n, k, s, p, c in zip(size, kernel, stride, padding, counts, strict=True):
        starts = np.arange(c, dtype=np.int64) * s - p
        stops = np.minimum(starts + k, n + p)
        if not count_include_pad:
            starts, stops = np.maximum(starts, 0), np.minimum(stops, n)
        result = np.multiply.outer(result, stops - starts)
    return int(result.flat[0]) if (result == result.flat[0]).all() else result


def _divide(total, divisors):
    divisors = mx.array(divisors, dtype=total.dtype)
    if mx.issubdtype(total.dtype, mx.integer):
        return mx.sign(total) * mx.sign(divisors) * (mx.abs(total) // mx.abs(divisors))
    return total / divisors


def _spread(grad, rank, dim, kernel, stride, size):
    """Add each element of one dimension to the `kernel` elements of its window."""
    lead = grad.ndim - rank
    counts = grad.shape[lead:]
    ones = (1,) * rank
    kernels = [kernel if i == dim else 1 for i in range(rank)]
    strides = [stride if i == dim else 1 for i in range(rank)]
    reach = max(size, (counts[dim] - 1) * stride + kernel)
    sizes = [reach if i == dim else n for i, n in enumerate(counts)]
    windows = mx.reshape(grad, (*grad.shape[:lead], *ones, *counts))
    windows = mx.broadcast_to(windows, (*grad.shape[:lead], *kernels, *counts))
    return fold(windows, sizes, strides, ones)
