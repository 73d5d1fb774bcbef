"""Layer, RMS, group and batch normalization with their gradients, from saved statistics.

Statistics are computed in float32 at least, from centered values (no difference of squares),
with sums that the BLAS takes in blocks: MLX sums a row on the CPU into one scalar.
"""

from __future__ import annotations

import math

import mlx.core as mx

from .precision import HALF, on_accelerator
from .reduction import plain_sum

FUSED = (mx.float32, *HALF)

Moments = tuple[mx.array, mx.array]
Optional = mx.array | None


def widened(array: Optional) -> Optional:
    """A half precision array in float32."""
    return array.astype(mx.float32) if array is not None and array.dtype in HALF else array


def sum_last(array: mx.array) -> mx.array:
    """(..., n) -> (...), in floating point."""
    if on_accelerator():
        return plain_sum(array, (array.ndim - 1,))
    return mx.matmul(array, mx.ones((array.shape[-1],), array.dtype))


def sum_first(array: mx.array) -> mx.array:
    """(n, ...) -> (...), in floating point."""
    if on_accelerator():
        return plain_sum(array, (0,))
    rows = mx.reshape(array, (array.shape[0], math.prod(array.shape[1:])))
    return mx.reshape(mx.matmul(mx.ones((array.shape[0],), array.dtype), rows), array.shape[1:])


def sum_of_sums(sums: mx.array, axis: int) -> mx.array:
    """The sum over `axis`, which stays as 1, in double where there is double, as PyTorch's."""
    if sums.dtype == mx.float32 and not on_accelerator():
        sums = sums.astype(mx.float64)
    return plain_sum(sums, (axis % sums.ndim,), True)


def rounded(statistic: mx.array, input: mx.array, weight: Optional) -> mx.array:
    """A statistic in the dtype in which PyTorch keeps it: the parameters', else the input's."""
    return statistic.astype(input.dtype if weight is None else weight.dtype)


# ----- layer_norm, rms_norm: the last dimensions, a weight per element -----


def layer_moments(input: mx.array, dims: int, eps: float) -> Moments:
    """Mean and 1/std over the last `dims` dimensions, which stay as 1."""
    rows, length = _rows(widened(input), dims)
    mean = sum_last(rows)[..., None] / length
    centered = rows - mean
    rstd = mx.rsqrt(sum_last(centered * centered)[..., None] / length + eps)
    shape = (*input.shape[:input.ndim - dims], *(1,) * dims)
    return mx.reshape(mean, shape), mx.reshape(rstd, shape)


def layer_norm(input: mx.array, mean: mx.array, rstd: mx.array, weight: Optional,
               bias: Optional) -> mx.array:
    """(input - mean) · rstd · weight + bias, weight and bias of the normalized shape."""
    result = (widened(input) - widened(mean)) * widened(rstd)
    if weight is not None:
        result = result * widened(weight)
    if bias is not None:
        result = result + widened(bias)
    return result.astype(input.dtype)


def layer_norm_gradients(grad: mx.array, input: mx.array, mean: mx.array, rstd: mx.array,
                         weight: Optional, dims: int) -> tuple[mx.array, mx.array, mx.array]:
    """Gradients of input, weight and bias, the last two of the normalized shape."""
    shape = input.shape[input.ndim - dims:]
    rows, length = _rows(widened(input), dims)
    grad_rows, _ = _rows(widened(grad), dims)
    factor = widened(weight)
    if factor is not None:
        factor = mx.reshape(factor, (length,)).astype(rows.dtype)
    rstd = mx.reshape(widened(rstd), (-1, 1))
    normalized = (rows - mx.reshape(widened(mean), (-1, 1))) * rstd
    products = grad_rows * normalized
    if factor is None:
        along, offset, scaled = sum_last(products), sum_last(grad_rows), grad_rows
    else:
        along, offset = mx.matmul(products, factor), mx.matmul(grad_rows, factor)
        scaled = grad_rows * factor
    inner = scaled - normalized * (along[:, None] / length) - offset[:, None] / length
    weight_grad = mx.reshape(sum_first(products), shape)
    bias_grad = mx.reshape(sum_first(grad_rows), shape)
    parameter = input.dtype if weight is None else weight.dtype
    return (mx.reshape(inner * rstd, input.shape).astype(input.dtype),
            weight_grad.astype(parameter), bias_grad.astype(parameter))


def fused_layer_norm(input: mx.array, weight: Optional, bias: Optional, dims: int,
                     eps: float) -> Optional:
    """`layer_norm` by MLX's kernel, on an accelerator and for dtypes that it has; else None."""
    if not _has_kernel(input, weight, bias):
        return None
    rows, length = _rows(input, dims)
    weight, bias = (None if p is None else mx.reshape(p, (length,)) for p in (weight, bias))
    return mx.reshape(mx.fast.layer_norm(rows, weight, bias, eps), input.shape)


def fused_rms_norm(input: mx.array, weight: Optional, dims: int, eps: float) -> Optional:
    """`rms_norm` by MLX's kernel, on an accelerator and for dtypes that it has; else None."""
    if not _has_kernel(input, weight):
        return None
    rows, length = _rows(input, dims)
    weight = None if weight is None else mx.reshape(weight, (length,))
    return mx.reshape(mx.fast.rms_norm(rows, weight, eps), input.shape)


def _has_kernel(input, *parameters):
    return (on_accelerator() and input.dtype in FUSED and input.size > 0
            and all(p is None or p.dtype == input.dtype for p in parameters))


def rms_scale(input: mx.array, dims: int, eps: float) -> mx.array:
    """1/sqrt(mean(input²) + eps) over the last `dims` dimensions, which stay as 1."""
    rows, length = _rows(widened(input), dims)
    scale = mx.rsqrt(sum_last(rows * rows) / length + eps)
    return mx.reshape(scale, (*input.shape[:input.ndim - dims], *(1,) * dims))


def rms_norm(input: mx.array, scale: mx.array, weight: Optional) -> mx.array:
    """input · scale · weight, the weight of the normalized shape."""
    result = widened(input) * scale
    return (result if weight is None else result * widened(weight)).astype(input.dtype)


def rms_norm_gradients(grad: mx.array, input: mx.array, scale: mx.array, weight: Optional,
                       dims: int) -> tuple[mx.array, mx.array]:
    """Gradients of input and weight."""
    rows, length = _rows(widened(input), dims)
    grad_rows, _ = _rows(widened(grad), dims)
    scale = mx.reshape(scale, (-1, 1))
    normalized = rows * scale
    products = grad_rows * normalized
    if weight is None:
        along, scaled = sum_last(products), grad_rows
    else:
        factor = mx.reshape(widened(weight), (length,)).astype(rows.dtype)
        along, scaled = mx.matmul(products, factor), grad_rows * factor
    inner = (scaled - normalized * (along[:, None] / length)) * scale
    weight_grad = mx.reshape(sum_first(products), input.shape[input.ndim - dims:])
    return (mx.reshape(inner, input.shape).astype(input.dtype),
            weight_grad.astype(input.dtype if weight is None else weight.dtype))


# ----- group_norm, batch_norm, instance_norm: a weight per channel -----
#
# The input is seen as (N, G, K, L), its channels in G groups of K. Group normalization takes
# statistics over axes (2, 3), batch normalization, with G channels and K = 1, over (0, 3).

GROUP, BATCH = 2, 0


def grouped(array: mx.array, groups: int) -> mx.array:
    """(N, C, ...) -> (N, groups, C / groups, L)."""
    batch, channels = array.shape[:2]
    return mx.reshape(array, (batch, groups, channels // groups, math.prod(array.shape[2:])))


def channel_moments(
    input: mx.array, across: int, kept: mx.Dtype | None = None
) -> Moments:
    """Mean and variance of (N, G, K, L) over the last axis and axis `across`, kept as 1.

    Statistics that PyTorch keeps in bfloat16 round the sum of squares, too.
    """
    input = widened(input)
    count = input.shape[across] * input.shape[3]
    mean = (sum_of_sums(sum_last(input), across)[..., None] / count).astype(input.dtype)
    centered = input - mean
    squares = sum_of_sums(sum_last(centered * centered), across)[..., None]
    if kept is not None and kept == mx.bfloat16:
        squares = squares.astype(kept).astype(mx.float32)
        return mean, (squares / count).astype(kept).astype(mx.float32)
    return mean, (squares / count).astype(input.dtype)


def channel_norm(input: mx.array, mean: mx.array, rstd: mx.array, weight: Optional,
                 bias: Optional) -> mx.array:
    """(input - mean) · rstd · weight + bias, for parameters of C elements."""
    mean, scale = widened(mean), widened(rstd)
    if weight is not None:
        scale = scale * _per_channel(weight, input)
    result = (widened(input) - mean) * scale
    if bias is not None:
        result = result + _per_channel(bias, input)
    return result.astype(input.dtype)


def channel_norm_gradients(
    grad: mx.array, input: mx.array, mean: mx.array, rstd: mx.array, weight: Optional,
    across: int | None,
) -> tuple[mx.array, mx.array, mx.array]:
    """Gradients of input, weight and bias; `across` is None where the statistics are given."""
    wide, grad, mean, rstd = widened(input), widened(grad), widened(mean), widened(rstd)
    centered = wide - mean
    sums, along = sum_last(grad)[..., None], sum_last(grad * centered)[..., None]
    factor = 1 if weight is None else _per_channel(weight, input)
    input_grad = grad * (rstd * factor)
    if across is not None:
        count = input.shape[across] * input.shape[3]
        mean_along = (sum_of_sums(along * factor, across) / count).astype(wide.dtype)
        mean_sum = (sum_of_sums(sums * factor, across) / count).astype(wide.dtype)
        input_grad = input_grad - centered * (mean_along * rstd * rstd * rstd) - mean_sum * rstd
    parameter = input.dtype if weight is None else weight.dtype
    weight_grad = mx.reshape(sum_of_sums(along * rstd, 0), (-1,))
    bias_grad = mx.reshape(sum_of_sums(sums, 0), (-1,))
    return (input_grad.astype(input.dtype), weight_grad.astype(parameter),
            bias_grad.astype(parameter))


def _rows(array, dims):
    length = math.prod(array.shape[array.ndim - dims:])
    return mx.reshape(array, (math.prod(array.shape[:array.ndim - dims]), length)), length


def _per_channel(parameter, input):
    return mx.reshape(widened(parameter), (1, *input.shape[1:3], 1))
