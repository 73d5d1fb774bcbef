"""Pools whose windows follow from the size of the result, random pools, and max_unpool."""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FLOATING, int64
from .._core.dtype import SCALAR_TYPE_NAME as TYPE_NAMES
from .._core.evaluation import is_traced
from .._core.layout import is_meta
from .._core.tensor import read
from .._kernels import pooling as kernels
from .kinds import composite, primitive
from .lengths import lengths
from .pooling import Pooled, check_dtype, check_input, maximum_rule, take_at


def _output_size(function, output_size, input, rank):
    """Return the result's lengths; None keeps the input's. Raises RuntimeError for other counts."""
    if isinstance(output_size, (tuple, list)):
        if rank > 1 and len(output_size) > input.ndim - 1:
            raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
        if len(output_size) != rank:
            raise RuntimeError(f"{function}: output_size must be {rank}")
    else:
        output_size = (output_size,) * rank
    kept = input.shape[max(0, input.ndim - rank) :]
    given = [n if count is None else count for count, n in zip(output_size, kept)]
    counts = lengths(function, "output_size", given, rank)
    if any(count < 0 for count in counts):
        raise RuntimeError(
            f"{function}: elements of output_size must be greater than or equal to 0 but received "
            f"{list(counts)}"
        )
    return counts


# ----- adaptive_avg_pool -----


@primitive
def _adaptive_avg_pool_backward(output: mx.array, size) -> mx.array:
    return kernels.adaptive_avg_pool_gradient(output, size)


def _adaptive_avg_pool_body(input: mx.array, counts):
    return kernels.adaptive_avg_pool(input, counts)


_ADAPTIVE_AVG_POOLS = {
    rank: primitive(
        _adaptive_avg_pool_body,
        name=f"adaptive_avg_pool{rank}d",
        node=f"adaptive_avg_pool{rank}_d",
        channels_last=("input",) if rank == 2 else (),
    )
    for rank in (1, 2, 3)
}


def _tail(shape, rank):
    return tuple(shape)[len(shape) - rank :]


for _operation in _ADAPTIVE_AVG_POOLS.values():
    _operation.gradients(
        input=lambda grad, input_shape, counts: _adaptive_avg_pool_backward(
            grad, _tail(input_shape, len(counts))
        )
    )
_adaptive_avg_pool_backward.gradients(
    output=lambda grad, output_shape, size: _ADAPTIVE_AVG_POOLS[len(size)](
        grad, _tail(output_shape, len(size))
    )
)


def _adaptive_avg_pool(rank, input, output_size):
    function = f"adaptive_avg_pool{rank}d"
    counts = _output_size(function, output_size, input, rank)
    if not (rank == 2 and input.ndim == 2):
        check_input(function, input, rank)
    if rank > 1 and all(count == 1 for count in counts) and input.is_floating_point():
        return input.mean(tuple(range(-rank, 0)), keepdim=True)
    check_dtype(function, input, FLOATING)
    return _ADAPTIVE_AVG_POOLS[rank](input, counts)


@composite(out=False)
def adaptive_avg_pool1d(input, output_size):
    """(N, C, L) or (C, L) -> (N, C, output_size): means of windows that cover the input."""
    return _adaptive_avg_pool(1, input, output_size)


@composite(out=False)
def adaptive_avg_pool2d(input, output_size):
    """(N, C, H, W) or (C, H, W) -> (N, C, *output_size): means of windows that cover the input."""
    return _adaptive_avg_pool(2, input, output_size)


@composite(out=False)
def adaptive_avg_pool3d(input, output_size):
    """(N, C, D, H, W) -> (N, C, *output_size): means of windows that cover the input."""
    return _adaptive_avg_pool(3, input, output_size)


# ----- adaptive_max_pool -----


def _adaptive_max_pool_body(input: mx.array, counts):
    values = kernels.adaptive_max_pool(input, counts)
    return values, kernels.adaptive_max_pool_indices(input, counts)


_ADAPTIVE_MAX_POOLS = {
    rank: primitive(
        _adaptive_max_pool_body,
        name=f"adaptive_max_pool{rank}d",
        node=f"adaptive_max_pool{rank}_d",
        returns=Pooled,
        channels_last=("input",) if rank == 2 else (),
    )
    for rank in (1, 2, 3)
}
for _rank, _operation in _ADAPTIVE_MAX_POOLS.items():
    _operation.gradients(input=maximum_rule(_rank))


def _adaptive_max_pool(rank, input, output_size, return_indices):
    function = f"adaptive_max_pool{rank}d"
    counts = _output_size(function, output_size, input, rank)
    check_input(function, input, rank)
    check_dtype(function, input, FLOATING)
    result = _ADAPTIVE_MAX_POOLS[rank](input, counts)
    return tuple(result) if return_indices else result.values


@composite(out=False)
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """(N, C, L) or (C, L) -> (N, C, output_size): maxima of windows that cover the input."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


@composite(out=False)
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """(N, C, H, W) -> (N, C, *output_size): maxima of windows that cover the input."""
    return _adaptive_max_pool(2, input, output_size, return_indices)


@composite(out=False)
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """(N, C, D, H, W) -> (N, C, *output_size): maxima of windows that cover the input."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def _with_indices(pool):
    @composite(out=False, name=f"{pool.__name__}_with_indices")
    def call(input, output_size, return_indices=True):
        return pool(input, output_size, True)

    call.__doc__ = f"`{pool.__name__}` with the indices of the maxima."
    return call


adaptive_max_pool1d_with_indices = _with_indices(adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive_max_pool3d)


# ----- fractional_max_pool -----


def _fractional_body(input: mx.array, samples: mx.array, kernel, counts):
    rank = len(kernel)
    size = input.shape[input.ndim - rank :]
    # The numbers of the last dimension come first in two dimensions, but last in three.
    order = range(rank) if rank == 3 else reversed(range(rank))
    starts = [
        kernels.fractional_starts(samples[..., i], n, k, count)
        for i, n, k, count in zip(order, size, kernel, counts, strict=True)
    ]
    if input.ndim == rank + 1:
        starts = [start[0] for start in starts]
    indices = kernels.box_max_indices(input, starts, kernel)
    return kernels.take_at(input, indices, rank), indices


_FRACTIONAL_POOLS = {
    rank: primitive(
        _fractional_body,
        name=f"fractional_max_pool{rank}d",
        node=f"fractional_max_pool{rank}_d",
        returns=Pooled,
        channels_last=("input",) if rank == 2 else (),
    )
    for rank in (2, 3)
}
for _rank, _operation in _FRACTIONAL_POOLS.items():
    _operation.gradients(input=maximum_rule(_rank))


def _fractional(rank, input, kernel_size, output_size, output_ratio, return_indices, samples):
    function = f"fractional_max_pool{rank}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{function} requires specifying either an output_size or an output_ratio")
    if input.ndim < 3:
        raise IndexError(f"{function}: too few dimensions, {input.ndim}")
    kernel = lengths(function, "kernel_size", kernel_size, rank)
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * rank
        output_size = [int(n * r) for n, r in zip(input.shape[-rank:], ratios, strict=True)]
    counts = lengths(function, "output_size", output_size, rank)
    check_input(function, input, rank)
    for n, k, count in zip(input.shape[-rank:], kernel, counts, strict=True):
        if k <= 0 or count <= 0 or count + k - 1 > n:
            raise RuntimeError(
                f"{function}(): pool of length {k} with {count} windows is too large relative to "
                f"input length {n}"
            )
    batch = 1 if input.ndim == rank + 1 else input.shape[0]
    channels = input.shape[-rank - 1]
    if samples is None:
        from .random import rand

        samples = rand(batch, channels, rank, dtype=input.dtype, device=input.device)
    check_dtype(function, input, FLOATING)
    if samples.dtype is not input.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    drawn = tuple(samples.shape)
    if len(drawn) != 3 or drawn[0] < batch or drawn[1:] != (channels, rank):
        raise RuntimeError(
            f"Expect _random_samples of size {[batch, channels, rank]}, but got {list(drawn)}"
        )
    result = _FRACTIONAL_POOLS[rank](input, samples[:batch], kernel, counts)
    return tuple(result) if return_indices else result.values


@composite(out=False)
def fractional_max_pool2d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """(N, C, H, W) or (C, H, W) -> (N, C, *output_size): maxima of windows at random steps.

    Benjamin Graham, Fractional Max-Pooling, 2014.
    """
    return _fractional(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


@composite(out=False)
def fractional_max_pool3d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """(N, C, D, H, W) -> (N, C, *output_size): maxima of windows at random steps."""
    return _fractional(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def _fractional_with_indices(pool):
    @composite(out=False, name=f"{pool.__name__}_with_indices")
    def call(
        input,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices=True,
        _random_samples=None,
    ):
        return pool(input, kernel_size, output_size, output_ratio, True, _random_samples)

    call.__doc__ = f"`{pool.__name__}` with the indices of the maxima."
    return call


fractional_max_pool2d_with_indices = _fractional_with_indices(fractional_max_pool2d)
fractional_max_pool3d_with_indices = _fractional_with_indices(fractional_max_pool3d)


# ----- max_unpool -----


def _max_unpool_body(input: mx.array, indices: mx.array, size):
    return kernels.put_at(input, indices, size)


_MAX_UNPOOLS = {
    rank: primitive(_max_unpool_body, name=f"max_unpool{rank}d", node=f"max_unpool{rank}_d", channels_last=("input",) if rank == 2 else ())
    for rank in (1, 2, 3)
}
for _operation in _MAX_UNPOOLS.values():
    _operation.gradients(input=lambda grad, indices, size: take_at(grad, indices, len(size)))


def _unpooled_size(input, kernel, stride, padding, output_size):
    rank = len(kernel)
    usual = tuple(
        (n - 1) * s + k - 2 * p
        for n, k, s, p in zip(input.shape[-rank:], kernel, stride, padding, strict=True)
    )
    if output_size is None:
        return usual
    output_size = tuple(output_size)
    if len(output_size) == rank + 2:
        output_size = output_size[2:]
    if len(output_size) != rank:
        raise ValueError(
            f"output_size should be a sequence containing {rank} or {rank + 2} elements, but it "
            f"has a length of '{len(output_size)}'"
        )
    for dim, (n, middle, s) in enumerate(zip(output_size, usual, stride, strict=True)):
        if not middle - s < n < middle + s:
            raise ValueError(
                f'invalid output_size "{output_size}" (dim {dim} must be between {middle - s} and '
                f"{middle + s})"
            )
    return output_size


def _max_unpool(rank, input, indices, kernel_size, stride, padding, output_size):
    function = f"max_unpool{rank}d"
    kernel = lengths(function, "kernel_size", kernel_size, rank)
    stride = lengths(function, "stride", stride, rank, optional=True) or kernel
    padding = lengths(function, "padding", padding, rank)
    size = _unpooled_size(input, kernel, stride, padding, output_size)
    if indices.dtype is not int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {TYPE_NAMES[indices.dtype]}"
        )
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Input to {function} should be a {rank + 1}d or {rank + 2}d Tensor, but got a tensor "
            f"with {input.ndim} dimensions."
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    check_input(function, input, rank)
    check_dtype(function, input, FLOATING)
    _check_indices(indices, size)
    return _MAX_UNPOOLS[rank](input, indices, size)


def _check_indices(indices, size):
    """Raise RuntimeError for an index outside `size`; MLX would write outside its memory."""
    if indices.numel() == 0 or is_meta(indices._layout):
        return
    array = read(indices)
    if is_traced(array):
        return
    count = 1
    for n in size:
        count *= n
    for found in (mx.min(array).item(), mx.max(array).item()):
        if not 0 <= found < count:
            raise RuntimeError(
                f"Found an invalid max index: {found} (output volumes are of size "
                f"{'x'.join(map(str, size))})"
            )


@composite(out=False)
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, L'), the result of `max_pool1d` and its indices -> (N, C, L), zeros elsewhere."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@composite(out=False)
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, H', W'), the result of `max_pool2d` and its indices -> (N, C, H, W)."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@composite(out=False)
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """(N, C, D', H', W'), the result of `max_pool3d` and its indices -> (N, C, D, H, W)."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


@composite(out=False, name="adaptive_max_pool1d")
def _torch_adaptive_max_pool1d(input, output_size):
    """`torch.adaptive_max_pool1d`, which returns the indices too."""
    return adaptive_max_pool1d(input, output_size, True)


#: `torch.adaptive_max_pool1d` returns a pair; the function of that name here is nn.functional's.
FUNCTIONS = {
    "adaptive_avg_pool1d": adaptive_avg_pool1d,
    "adaptive_max_pool1d": _torch_adaptive_max_pool1d,
}
METHODS = {}
INPLACE = ()
