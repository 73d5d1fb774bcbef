"""Sliding windows over the last dimensions of an array: what convolution, pooling, fold share.

A window has `kernel` taps per dimension, `dilation` apart, and moves by `stride`. Slices and
stacks rather than `mx.as_strided`: that has no vmap rule and a slow gradient, and a copy by
slices costs the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import mlx.core as mx

Ints = Sequence[int]

# Above this many taps a window is taken apart one dimension at a time, with fewer slices.
MOST_SLICES = 49


def window_counts(size: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[int, ...]:
    """How many windows fit in each dimension of `size`."""
    return tuple(
        max(0, (n - d * (k - 1) - 1) // s + 1)
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    )


def pad_last(array: mx.array, padding: Sequence[tuple[int, int]], value=0) -> mx.array:
    """`array` with (before, after) elements added to its last dimensions; negative ones crop."""
    lead = array.ndim - len(padding)
    if any(before < 0 or after < 0 for before, after in padding):
        sizes = array.shape[lead:]
        array = array[(..., *(slice(max(0, -before), n - max(0, -after))
                              for n, (before, after) in zip(sizes, padding)))]
    widths = [(max(0, before), max(0, after)) for before, after in padding]
    if not any(map(any, widths)):
        return array
    return mx.pad(array, [(0, 0)] * lead + widths, constant_values=mx.array(value, array.dtype))


def taps(array: mx.array, kernel: Ints, stride: Ints, dilation: Ints,
         counts: Ints) -> Iterator[mx.array]:
    """Yield what each tap sees, row by row: `counts` elements of the last dimensions."""
    for tap in itertools.product(*map(range, kernel)):
        yield array[(..., *(slice(t * d, t * d + (n - 1) * s + 1, s)
                            for t, d, n, s in zip(tap, dilation, counts, stride)))]


def unfold(array: mx.array, kernel: Ints, stride: Ints, dilation: Ints,
           axis: int | None = None) -> mx.array:
    """Copy every window: (*lead, *size) -> (*lead, *kernel, *counts).

    The kernel's dimensions come before `axis` instead if one of `lead` is given.
    """
    rank = len(kernel)
    lead = array.ndim - rank
    axis = lead if axis is None else axis
    counts = window_counts(array.shape[lead:], kernel, stride, dilation)
    shape = (*array.shape[:axis], *kernel, *array.shape[axis:lead], *counts)
    if 0 in shape:
        return mx.zeros(shape, array.dtype)
    if tuple(kernel) == tuple(stride) and set(dilation) == {1}:
        return _unfold_tiles(array, kernel, counts, axis)
    if math.prod(kernel) <= MOST_SLICES:
        seen = list(taps(array, kernel, stride, dilation, counts))
        return mx.reshape(seen[0] if len(seen) == 1 else mx.stack(seen, axis=axis), shape)
    for dim in range(rank):
        before = (slice(None),) * (lead + 2 * dim)
        array = mx.stack(
            [array[(*before, slice(t * dilation[dim],
                                   t * dilation[dim] + (counts[dim] - 1) * stride[dim] + 1,
                                   stride[dim]))] for t in range(kernel[dim])],
            axis=axis + dim)
    return array


def _unfold_tiles(array, kernel, counts, axis):
    lead, rank = array.ndim - len(kernel), len(kernel)
    array = array[(..., *(slice(0, n * k) for n, k in zip(counts, kernel)))]
    split = [length for pair in zip(counts, kernel) for length in pair]
    array = mx.reshape(array, (*array.shape[:lead], *split))
    return mx.transpose(array, [*range(axis), *(lead + 2 * i + 1 for i in range(rank)),
                                *range(axis, lead), *(lead + 2 * i for i in range(rank))])


def fold(windows: mx.array, size: Ints, stride: Ints, dilation: Ints) -> mx.array:
    """(..., *kernel, *counts) -> (..., *size): the sum of what the windows hold for each element.

    Elements whose index leaves the same remainder on division by the stride are summed together,
    by shifts alone, and then interleaved.
    """
    rank = len(size)
    lead = windows.ndim - 2 * rank
    kernel, counts = windows.shape[lead:lead + rank], windows.shape[lead + rank:]

    def phase(remainders, length):
        total = None
        per_dimension = [
            [(t, t * d // s) for t in range(k) if t * d % s == r]
            for k, d, s, r in zip(kernel, dilation, stride, remainders)
        ]
        for tap in itertools.product(*per_dimension):
            part = windows[(*(slice(None),) * lead, *(t for t, _ in tap))]
            part = pad_last(part, [(shift, m - shift - n)
                                   for (_, shift), m, n in zip(tap, length, counts)])
            total = part if total is None else total + part
        return total

    if 0 in windows.shape:
        return mx.zeros((*windows.shape[:lead], *size), windows.dtype)
    return interleave(phase, windows.shape[:lead], size, stride, windows.dtype)


def interleave(phase, lead: Ints, size: Ints, stride: Ints, dtype: mx.Dtype) -> mx.array:
    """Return (*lead, *size), whose elements at remainders r (by `stride`) are phase(r, length).

    `phase` returns (*lead, *length), or None for zeros.
    """
    if all(s == 1 for s in stride):
        found = phase((0,) * len(size), tuple(size))
        return mx.zeros((*lead, *size), dtype) if found is None else found
    result = mx.zeros((*lead, *size), dtype)
    for remainders in itertools.product(*map(range, stride)):
        length = tuple(len(range(r, n, s)) for r, n, s in zip(remainders, size, stride))
        part = None if 0 in length else phase(remainders, length)
        if part is not None:
            result[(..., *(slice(r, None, s) for r, s in zip(remainders, stride)))] = part
    return result
