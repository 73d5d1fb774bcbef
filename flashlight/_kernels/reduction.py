"""Sums, means, variances, norms, products and scans that keep PyTorch's accuracy at any length.

MLX's CPU reductions run one accumulator of the array's own type: ten million equal float32 values
sum to 9 % too much. Here sixteen-fold sums along the run of reduced axes, which also vectorise, are
followed by a sum in double. Accelerators reduce in trees, so there MLX's own sums will do.

`axes` are non-negative and sorted; integers and bools sum and multiply in int64.
"""

from __future__ import annotations

import math

import mlx.core as mx

from .precision import HALF, on_accelerator

FOLD = 16  # terms added up in float32; 1e-7 off at worst
PLAIN = 64  # shorter reductions are accurate as they are
DIRECT = 8192  # up to this many elements, a cast costs less than a fold

FLOATS = (mx.float32, mx.float64, mx.complex64)


def sum(x: mx.array, axes: tuple[int, ...], keepdims: bool = False) -> mx.array:
    """The sum over `axes`; over no axes the array itself."""
    if x.dtype in FLOATS or x.dtype in HALF:
        return _finish(_accumulate(x, axes), x.dtype, axes, keepdims)
    if not x.size:
        return _of_nothing(x, mx.int64, axes, keepdims, 0)
    return mx.sum(x.astype(mx.int64), axes, keepdims=keepdims)


def plain_sum(x: mx.array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> mx.array:
    """MLX's own sum, in the array's type, without its look at memory that is not there."""
    if not x.size:
        return _of_nothing(x, x.dtype, tuple(range(x.ndim)) if axes is None else axes, keepdims, 0)
    return mx.sum(x, axes, keepdims=keepdims)


def mean(x: mx.array, axes: tuple[int, ...], keepdims: bool = False) -> mx.array:
    """The mean over `axes`; NaN where they are empty."""
    total = _accumulate(x, axes) / _count(x, axes)
    return _finish(total, x.dtype, axes, keepdims)


def var(
    x: mx.array, axes: tuple[int, ...], correction: float = 1, keepdims: bool = False
) -> mx.array:
    """Σ|x - mean|² / (n - correction); real, in the precision of `x`."""
    dtype = mx.float32 if x.dtype == mx.complex64 else x.dtype
    return _finish(_variance(x, axes, correction), dtype, axes, keepdims)


def std(
    x: mx.array, axes: tuple[int, ...], correction: float = 1, keepdims: bool = False
) -> mx.array:
    """The square root of `var`, of which no intermediate value overflows before it does."""
    dtype = mx.float32 if x.dtype == mx.complex64 else x.dtype
    return _finish(mx.sqrt(_variance(x, axes, correction)), dtype, axes, keepdims)


def norm(
    x: mx.array, order: float, axes: tuple[int, ...], keepdims: bool = False
) -> mx.array:
    """(Σ|x|^order)^(1/order); the largest |x| for inf, the smallest for -inf, the count for 0."""
    dtype = mx.float32 if x.dtype == mx.complex64 else x.dtype
    if order == math.inf:
        return mx.max(mx.abs(x), axes, keepdims=keepdims)
    if order == -math.inf:
        return mx.min(mx.abs(x), axes, keepdims=keepdims)
    if x.dtype in HALF:
        x = x.astype(mx.float32)
    if order == 0:
        total = _accumulate((x != 0).astype(mx.float32), axes)
    elif order == 1:
        total = _accumulate(mx.abs(x), axes)
    elif order == 2:
        squares = mx.square(x) if x.dtype != mx.complex64 else mx.square(mx.abs(x))
        total = mx.sqrt(_accumulate(squares, axes))
    else:
        total = mx.power(_accumulate(mx.power(mx.abs(x), order), axes), 1.0 / order)
    return _finish(total, dtype, axes, keepdims)


def prod(x: mx.array, axes: tuple[int, ...], keepdims: bool = False) -> mx.array:
    """The product over `axes`."""
    if not x.size:
        dtype = x.dtype if x.dtype in FLOATS or x.dtype in HALF else mx.int64
        return _of_nothing(x, dtype, axes, keepdims, 1)
    return _in_wider_type(lambda wide: mx.prod(wide, axes, keepdims=keepdims), x, axes)


def cumsum(x: mx.array, axis: int) -> mx.array:
    """The running sum along `axis`."""
    if x.ndim == 0 or x.size == 0:  # MLX's scans of empty arrays write out of bounds
        return _in_wider_type(lambda wide: wide, x, ())
    if x.dtype == mx.complex64 and x.shape[axis] > PLAIN and not on_accelerator():
        parts = _as_parts(x).astype(mx.float64)
        return _from_parts(mx.cumsum(parts, axis).astype(mx.float32))
    return _in_wider_type(lambda wide: mx.cumsum(wide, axis), x, (axis,))


def cumprod(x: mx.array, axis: int) -> mx.array:
    """The running product along `axis`."""
    if x.ndim == 0 or x.size == 0:
        return _in_wider_type(lambda wide: wide, x, ())
    return _in_wider_type(lambda wide: mx.cumprod(wide, axis), x, (axis,))


def _in_wider_type(scan, x: mx.array, axes: tuple[int, ...]) -> mx.array:
    """`scan` in the type in which PyTorch accumulates: int64, float32 for halves, double."""
    dtype = x.dtype
    if dtype in HALF:
        return scan(x.astype(mx.float32)).astype(dtype)
    if dtype == mx.float32:
        if _count(x, axes) <= PLAIN or on_accelerator():
            return scan(x)
        return scan(x.astype(mx.float64)).astype(mx.float32)
    return scan(x if dtype in FLOATS else x.astype(mx.int64))


def _variance(x: mx.array, axes: tuple[int, ...], correction: float) -> mx.array:
    if x.dtype == mx.complex64:
        real, imaginary = mx.real(x), mx.imag(x)
        return _variance(real, axes, correction) + _variance(imaginary, axes, correction)
    if x.dtype in HALF:
        x = x.astype(mx.float32)
    count = _count(x, axes)
    center = _accumulate(x, axes) / count
    if not on_accelerator():
        center = center.astype(mx.float64)
        x = x.astype(mx.float64)
    distance = x - center
    return _accumulate(mx.square(distance), axes) / max(count - correction, 0)


def _count(x: mx.array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[axis] for axis in axes)


def _of_nothing(
    x: mx.array, dtype: mx.Dtype, axes: tuple[int, ...], keepdims: bool, value: int
) -> mx.array:
    """The result of reducing an array without elements, of which MLX reads past the end."""
    shape = [1 if a in axes else n for a, n in enumerate(x.shape) if keepdims or a not in axes]
    return mx.full(shape, value, dtype=dtype)


def _finish(
    total: mx.array, dtype: mx.Dtype, axes: tuple[int, ...], keepdims: bool
) -> mx.array:
    if total.dtype != dtype:
        total = total.astype(dtype)
    return total if keepdims or not axes else total.squeeze(axes)


def _accumulate(x: mx.array, axes: tuple[int, ...]) -> mx.array:
    """The sum over `axes`, which stay with size 1, as wide as it was added up."""
    if x.dtype in HALF:
        x = x.astype(mx.float32)
    if not axes:
        return x
    if not x.size:
        return _of_nothing(x, x.dtype, axes, True, 0)
    count = _count(x, axes)
    if count <= PLAIN or on_accelerator():
        return mx.sum(x, axes, keepdims=True)
    if x.dtype == mx.complex64:
        return _from_parts(_accumulate(_as_parts(x), axes).astype(mx.float32))
    if x.size > DIRECT:
        start, stop = _longest_run(x.shape, axes)
        if math.prod(x.shape[start:stop]) >= 2 * FOLD:
            return _fold(x, axes, start, stop)
    return mx.sum(x.astype(mx.float64), axes, keepdims=True)


def _fold(x: mx.array, axes: tuple[int, ...], start: int, stop: int) -> mx.array:
    """`_accumulate` by sixteens along the axes from `start` to `stop`, then in double."""
    lead, run, trail = x.shape[:start], math.prod(x.shape[start:stop]), x.shape[stop:]
    inner = math.prod(trail)
    # Contiguous stretches long enough to vectorise, short enough to stay in the cache.
    stretch = run // FOLD if run // FOLD * inner <= 65536 else max(1, 4096 // inner)
    whole = run - run % (FOLD * stretch)
    merged = stop - start - 1
    others = tuple(a if a < start else a - merged for a in axes if not start <= a < stop)
    kept = [1 if axis in axes else n for axis, n in enumerate(x.shape)]

    x = x.reshape(*lead, run, *trail)
    before = (slice(None),) * start
    blocks = x[(*before, slice(whole))] if whole < run else x
    blocks = blocks.reshape(*lead, -1, FOLD, stretch, *trail)
    folded = mx.sum(blocks, start + 1).reshape(*lead, -1, *trail)
    total = mx.sum(folded.astype(mx.float64), (start, *others), keepdims=True)
    if whole < run:
        rest = x[(*before, slice(whole, None))].astype(mx.float64)
        total = total + mx.sum(rest, (start, *others), keepdims=True)
    return total.reshape(kept)


def _longest_run(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, int]:
    """The first and one past the last of the adjacent axes with the most elements together."""
    runs, start = [], axes[0]
    for axis, following in zip(axes, (*axes[1:], -1)):
        if following != axis + 1:
            runs.append((start, axis + 1))
            start = following
    return max(runs, key=lambda run: math.prod(shape[run[0] : run[1]]))


def _as_parts(x: mx.array) -> mx.array:
    """The real and imaginary parts in a new last axis."""
    return x.view(mx.float32).reshape(*x.shape, 2)


def _from_parts(parts: mx.array) -> mx.array:
    return parts.view(mx.complex64).reshape(parts.shape[:-1])
