"""Pooling: maxima, means and norms of windows, adaptive and random windows, and max_unpool."""

from __future__ import annotations

import collections
import math

import mlx.core as mx

from .._core.dtype import FLOATING, INTEGRAL, int64
from .._core.errors import not_implemented_for
from .._kernels import pooling as kernels
from .kinds import composite, primitive
from .lengths import integer, lengths

Pooled = collections.namedtuple("Pooled", ("values", "indices"))


# ----- gathering and scattering by flat indices: the gradient of every maximum -----


@primitive
def take_at(input: mx.array, indices: mx.array, rank) -> mx.array:
    """(..., *size), (..., *counts) -> (..., *counts): the elements at flat indices."""
    return kernels.take_at(input, indices, rank)


@primitive
def add_at(values: mx.array, indices: mx.array, size) -> mx.array:
    """(..., *counts) -> (..., *size): zeros with `values` added at flat indices."""
    return kernels.add_at(values, indices, size)


take_at.gradients(
    input=lambda grad, input_shape, indices, rank: add_at(
        grad, indices, tuple(input_shape)[len(input_shape) - rank :]
    )
)
add_at.gradients(values=lambda grad, indices, size: take_at(grad, indices, len(size)))


def maximum_rule(rank):
    """Return the gradient rule of an operation that returns `Pooled`."""
    return lambda grad, input_shape, indices: add_at(
        grad, indices, tuple(input_shape)[len(input_shape) - rank :]
    )


# ----- checks and sizes -----


def _window_counts(function, size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit. Raises RuntimeError for windows that no input has."""
    if any(s == 0 for s in stride):
        raise RuntimeError(f"{function}: stride should not be zero")
    if any(k <= 0 for k in kernel):
        raise RuntimeError(f"{function}: kernel size should be greater than zero, but got {kernel}")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"{function}: stride should be greater than zero, but got {stride}")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"{function}: dilation should be greater than zero, but got {dilation}")
    counts = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )
        room = n + 2 * p - d * (k - 1) - 1
        count = (room + (s - 1 if ceil_mode else 0)) // s + 1
        # A window must start in the input or in the padding before it.
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    if any(c < 1 for c in counts):
        raise RuntimeError(
            f"Given input size: {tuple(size)}. Calculated output size: {tuple(counts)}. "
            "Output size is too small"
        )
    return tuple(counts)


def check_input(function, input, rank):
    """Raise RuntimeError unless the input is (C, ...) or (N, C, ...), empty only in the batch."""
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{function}: non-empty {rank + 1}D or {rank + 2}D (batch mode) tensor expected for "
            f"input, but got: {list(input.shape)}"
        )
    if 0 in input.shape[input.ndim - rank - 1 :]:
        raise RuntimeError(
            f"{function}(): Expected input to have non-zero size for non-batch dimensions, but "
            f"input has sizes {list(input.shape)}"
        )


def check_dtype(function, input, supported):
    """Raise NotImplementedError for other than the supported dtypes."""
    if input.dtype not in supported:
        raise not_implemented_for(function, input.dtype)


def _window(function, rank, kernel_size, stride, padding, dilation):
    kernel = lengths(function, "kernel_size", kernel_size, rank)
    stride = lengths(function, "stride", stride, rank, optional=True) or kernel
    padding = lengths(function, "padding", padding, rank)
    return kernel, stride, padding, lengths(function, "dilation", dilation, rank)


# ----- max_pool -----


def _max_pool_body(input: mx.array, kernel, stride, padding, dilation, counts):
    window = kernel, stride, padding, dilation, counts
    return kernels.max_pool(input, *window), kernels.max_pool_indices(input, *window)


_MAX_POOLS = {
    rank: primitive(
        _max_pool_body,
        name=f"max_pool{rank}d_with_indices",
        node=f"max_pool{rank}_d_with_indices",
        returns=Pooled,
        channels_last=("input",),
    )
    for rank in (1, 2, 3)
}
for _rank, _operation in _MAX_POOLS.items():
    _operation.gradients(input=maximum_rule(_rank))


def _max_pool(rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    function = f"max_pool{rank}d"
    window = _window(function, rank, kernel_size, stride, padding, dilation)
    check_input(function, input, rank)
    check_dtype(function, input, FLOATING if rank == 1 else (*FLOATING, *INTEGRAL))
    counts = _window_counts(function, input.shape[-rank:], *window, bool(ceil_mode))
    result = _MAX_POOLS[rank](input, *window, counts)
    return tuple(result) if return_indices else result.values


@composite(out=False)
def max_pool1d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(N, C, L) or (C, L) -> (N, C, L'), with the positions of the maxima on request."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(out=False)
def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(N, C, H, W) or (C, H, W) -> (N, C, H', W'), with flat indices of the maxima on request."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite(out=False)
def max_pool3d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with flat indices of the maxima on request."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(pool):
    @composite(out=False, name=f"{pool.__name__}_with_indices")
    def call(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=True
    ):
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    call.__doc__ = f"`{pool.__name__}` with the indices of the maxima."
    return call


max_pool1d_with_indices = _with_indices(max_pool1d)
max_pool2d_with_indices = _with_indices(max_pool2d)
max_pool3d_with_indices = _with_indices(max_pool3d)


# ----- avg_pool, lp_pool -----


def _avg_pool_body(input: mx.array, kernel, stride, padding, counts, include_pad, divisor):
    return kernels.avg_pool(input, kernel, stride, padding, counts, include_pad, divisor)


_AVG_POOLS = {
    rank: primitive(_avg_pool_body, name=f"avg_pool{rank}d", node=f"avg_pool{rank}_d",
                    channels_last=("input",) if rank == 2 else ())
    for rank in (1, 2, 3)
}


@primitive
def _avg_pool_backward(
    output: mx.array, size, kernel, stride, padding, include_pad, divisor
) -> mx.array:
    return kernels.avg_pool_gradient(output, size, kernel, stride, padding, include_pad, divisor)


def _avg_pool_rule(grad, input_shape, kernel, stride, padding, include_pad, divisor):
    size = tuple(input_shape)[len(input_shape) - len(kernel) :]
    return _avg_pool_backward(grad, size, kernel, stride, padding, include_pad, divisor)


for _operation in _AVG_POOLS.values():
    _operation.gradients(input=_avg_pool_rule)


def _avg_pool_backward_rule(grad, output_shape, kernel, stride, padding, include_pad, divisor):
    rank = len(kernel)
    counts = tuple(output_shape)[len(output_shape) - rank :]
    return _AVG_POOLS[rank](grad, kernel, stride, padding, counts, include_pad, divisor)


_avg_pool_backward.gradients(output=_avg_pool_backward_rule)


def _avg_pool(rank, input, kernel_size, stride, padding, ceil_mode, include_pad, divisor):
    function = f"avg_pool{rank}d"
    window = _window(function, rank, kernel_size, stride, padding, 1)
    if divisor is not None:
        divisor = integer(function, "divisor_override", divisor)
        if divisor == 0:
            raise RuntimeError("divisor must be not zero")
    if rank == 2 and input.ndim < 3:
        raise IndexError(f"{function}: expected 3 or 4 dimensions, but got {input.ndim}")
    check_input(function, input, rank)
    check_dtype(function, input, (*FLOATING, int64))
    counts = _window_counts(function, input.shape[-rank:], *window, bool(ceil_mode))
    return _AVG_POOLS[rank](input, *window[:3], counts, bool(include_pad), divisor)


@composite
def avg_pool1d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """(N, C, L) or (C, L) -> (N, C, L'): the mean of each window."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@composite
def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """(N, C, H, W) or (C, H, W) -> (N, C, H', W'): the mean of each window."""
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@composite
def avg_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """(N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W'): the mean of each window."""
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool(pool, rank, input, norm_type, kernel_size, stride, ceil_mode):
    count = math.prod(lengths(f"lp_pool{rank}d", "kernel_size", kernel_size, rank))
    mean = pool(input.pow(float(norm_type)), kernel_size, stride, 0, ceil_mode)
    return (mean.sign() * mean.abs().relu()).mul(count).pow(1.0 / norm_type)


@composite(out=False)
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(N, C, L) or (C, L) -> (N, C, L'): (Σ xᵖ)^(1/p) of each window."""
    return _lp_pool(avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


@composite(out=False)
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(N, C, H, W) or (C, H, W) -> (N, C, H', W'): (Σ xᵖ)^(1/p) of each window."""
    return _lp_pool(avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


@composite(out=False)
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W'): (Σ xᵖ)^(1/p) of each window."""
    return _lp_pool(avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)


_PUBLIC = (
    avg_pool1d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool3d,
)
FUNCTIONS = {function.__name__: function for function in _PUBLIC}
METHODS = {}
INPLACE = ()
