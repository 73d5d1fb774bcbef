"""Convolution of any rank and its two transposes, in PyTorch's layouts.

input (N, C, *size), weight (O, C/groups, *kernel), result (N, O, *counts); `padding` has a
(before, after) pair per dimension. Each of the three functions is bilinear, and its gradients
are the two others, so that they are closed under differentiation.

MLX's own convolution serves GPUs. On the CPU it loops over scalars for groups, dilation and
strided input gradients, and rounds float64 to float32, so there everything is a matrix product
around copies of windows ("columns"), or a few shifted multiply-adds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import mlx.core as mx

from .ordering import in_turn
from .precision import HALF, on_accelerator
from .products import product
from .windows import Ints, interleave, pad_last, taps, unfold, window_counts

Pairs = Sequence[tuple[int, int]]

# Columns beyond WHOLE bytes are made in pieces: memory stays bounded, and MLX reuses buffers
# instead of asking the system for fresh pages, which is twice as fast from there on.
WHOLE, PIECE = 8 << 20, 4 << 20

# Up to this many taps a convolution of single channels is cheaper without columns.
FEW_TAPS = 128

NATIVE = (mx.float32, mx.float16, mx.bfloat16)


def convolution(input: mx.array, weight: mx.array, stride: Ints, padding: Pairs, dilation: Ints,
                groups: int = 1, bias: mx.array | None = None) -> mx.array:
    """Correlate (N, C, *size) with (O, C/groups, *kernel), and add (O,): (N, O, *counts)."""
    if _is_native(input, weight, groups):
        return _with_bias(_native(input, weight, stride, padding, dilation, groups), bias)
    wide = _wide(input.dtype)
    result = _correlate(pad_last(input.astype(wide), padding), weight.astype(wide), stride,
                        dilation, groups)
    return _with_bias(result, bias).astype(input.dtype)


def convolution_input_gradient(grad: mx.array, weight: mx.array, size: Ints, stride: Ints,
                               padding: Pairs, dilation: Ints, groups: int = 1,
                               bias: mx.array | None = None) -> mx.array:
    """(N, O, *counts), (O, C/groups, *kernel) -> (N, C, *size), also a transposed convolution.

    Elements whose index leaves the same remainder on division by the stride depend on the same
    taps, so each remainder is an unstrided convolution of `grad` with those taps, reversed. As a
    transposed convolution it has a `bias` (C,).
    """
    shape = (grad.shape[0], weight.shape[1] * groups, *size)
    if 0 in shape or 0 in grad.shape:
        return _with_bias(mx.zeros(shape, grad.dtype), bias)
    # With groups and strides CUDA's gradient has wrong numbers in MLX 0.32.4.
    if groups == 1 and _is_native(grad, weight, groups):
        result = _native_gradient(grad, (shape, weight), 0, stride, padding, dilation, groups)
        return _with_bias(result, bias)
    wide, counts = _wide(grad.dtype), grad.shape[2:]
    grad, reversed_taps = grad.astype(wide), _swap_channels(weight.astype(wide), groups)

    def phase(remainders, length):
        chosen, spacing, edges = [], [], []
        for r, m, k, n, s, d, (before, _) in zip(remainders, length, weight.shape[2:], counts,
                                                 stride, dilation, padding, strict=True):
            common = math.gcd(s, d)
            period = s // common
            first = next((t for t in range(min(k, period)) if (r + before - t * d) % s == 0), None)
            if first is None:
                return None
            last = range(first, k, period)[-1]
            # Element r + s·i sees grad[i + (r + before - t·d) / s] through tap t.
            start = (r + before - last * d) // s
            stop = (r + before - first * d) // s + m
            edges.append((-start, stop - n))
            spacing.append(d // common)
            chosen.append(slice(last, first - 1 if first else None, -period))
        return _correlate(pad_last(grad, edges), reversed_taps[(..., *chosen)],
                          (1,) * len(size), spacing, groups)

    return _with_bias(interleave(phase, shape[:2], size, stride, wide), bias).astype(weight.dtype)


def convolution_weight_gradient(grad: mx.array, input: mx.array, kernel: Ints, stride: Ints,
                                padding: Pairs, dilation: Ints, groups: int = 1) -> mx.array:
    """(N, O, *counts), (N, C, *size) -> (O, C/groups, *kernel)."""
    shape = (grad.shape[1], input.shape[1] // groups, *kernel)
    if 0 in shape or 0 in grad.shape:
        return mx.zeros(shape, input.dtype)
    if _is_native(grad, input, groups):
        return _native_gradient(grad, (input, shape), 1, stride, padding, dilation, groups)
    wide = _wide(input.dtype)
    # The last elements may be out of reach of any window.
    reach = [(n - 1) * s + d * (k - 1) + 1
             for n, k, s, d in zip(grad.shape[2:], kernel, stride, dilation, strict=True)]
    edges = [(before, m - n - before) for (before, _), m, n in zip(padding, reach, input.shape[2:])]
    padded, grad = pad_last(input.astype(wide), edges), grad.astype(wide)
    if shape[1] == 1 and groups > 1 and math.prod(kernel) <= FEW_TAPS:
        result = _depthwise_weight_gradient(grad, padded, shape, stride, dilation)
    else:
        result = _weight_gradient(grad, padded, shape, stride, dilation, groups)
    return result.astype(input.dtype)


def _is_native(input, weight, groups):
    """Whether MLX's own convolution is right and fast for these arrays."""
    return (on_accelerator() and input.dtype in NATIVE
            and not (input.ndim == 5 and groups > 1) and 0 not in input.shape + weight.shape)


def _native(input, weight, stride, padding, dilation, groups):
    last, first = _orders(input.ndim)
    result = _channels_last(mx.transpose(input, last), mx.transpose(weight, last), stride, padding,
                            dilation, groups)
    return mx.transpose(result, first)


def _native_gradient(grad, operands, which, stride, padding, dilation, groups):
    """The gradient of `_native` for operand `which`, of which only the shape is given."""
    last, first = _orders(grad.ndim)
    arrays = [mx.zeros([o[d] for d in last], grad.dtype) if position == which
              else mx.contiguous(mx.transpose(o, last)) for position, o in enumerate(operands)]
    cotangent = mx.contiguous(mx.transpose(grad, last))

    def forward(chosen):
        pair = [chosen if position == which else array for position, array in enumerate(arrays)]
        return _channels_last(*pair, stride, padding, dilation, groups)
    return mx.transpose(mx.vjp(forward, [arrays[which]], [cotangent])[1][0], first)


def _orders(ndim):
    """The permutations to channels last and back."""
    return (0, *range(2, ndim), 1), (0, ndim - 1, *range(1, ndim - 1))


def _channels_last(input, weight, stride, padding, dilation, groups):
    return mx.conv_general(
        input, weight, stride=list(stride),
        padding=([before for before, _ in padding], [end for _, end in padding]),
        kernel_dilation=list(dilation), groups=groups)


def _with_bias(result, bias):
    if bias is None:
        return result
    return result + mx.reshape(bias.astype(result.dtype), (-1, *(1,) * (result.ndim - 2)))


def _wide(dtype):
    return mx.float32 if dtype in HALF else dtype


def _swap_channels(weight, groups):
    """(O, C/groups, *kernel) -> (C, O/groups, *kernel)."""
    if groups == 1:
        return mx.swapaxes(weight, 0, 1)
    outputs, each, *kernel = weight.shape
    weight = mx.reshape(weight, (groups, outputs // groups, each, *kernel))
    return mx.reshape(mx.swapaxes(weight, 1, 2), (groups * each, outputs // groups, *kernel))


def _correlate(input, weight, stride, dilation, groups):
    """Convolve an input that is already padded, in the way that copies least."""
    batch, channels, *size = input.shape
    outputs, each, *kernel = weight.shape
    counts = window_counts(size, kernel, stride, dilation)
    if 0 in (batch, outputs, *counts) or each == 0:
        return mx.zeros((batch, outputs, *counts), input.dtype)
    if math.prod(kernel) == 1:
        seen = next(taps(input, kernel, stride, dilation, counts))
        return _multiply(weight, seen, groups, counts)
    if each == 1 and groups > 1 and math.prod(kernel) <= FEW_TAPS:
        return _correlate_depthwise(input, weight, stride, dilation, counts)
    if set(stride) == {1} and outputs < channels:
        return _correlate_then_shift(input, weight, dilation, counts, groups)
    return _correlate_columns(input, weight, stride, dilation, counts, groups)


def _multiply(weight, columns, groups, counts):
    """Multiply columns (N, C · taps or split up, ...) by the weight: (N, O, *counts)."""
    batch, outputs = columns.shape[0], weight.shape[0]
    rows = mx.reshape(weight, (groups, outputs // groups, -1))
    columns = mx.reshape(columns, (batch, groups, rows.shape[-1], -1))
    return mx.reshape(product(rows, columns), (batch, outputs, *counts))


def _correlate_columns(input, weight, stride, dilation, counts, groups):
    """One product with the columns, or with those of some samples or some rows at a time."""
    batch, kernel = input.shape[0], weight.shape[2:]
    samples, rows = _piece(input, kernel, counts)

    def convolved(piece):
        found = window_counts(piece.shape[2:], kernel, stride, dilation)
        return _multiply(weight, unfold(piece, kernel, stride, dilation), groups, found)

    def bands(piece):
        extent = (kernel[0] - 1) * dilation[0] + 1
        for first in range(0, counts[0], rows):
            last = min(first + rows, counts[0]) - 1
            yield piece[:, :, first * stride[0]:last * stride[0] + extent]

    if (samples, rows) == (batch, counts[0]):
        return convolved(input)
    parts = in_turn(convolved, ((band,) for first in range(0, batch, samples)
                                for band in bands(input[first:first + samples])))
    banded = -(-counts[0] // rows)
    joined = [_concatenate(list(group), 2) for group in _batched(parts, banded)]
    return _concatenate(joined, 0)


def _correlate_then_shift(input, weight, dilation, counts, groups):
    """With fewer outputs than inputs: multiply by every tap first, then add up, shifted."""
    batch, *size = input.shape[0], *input.shape[2:]
    outputs, each, *kernel = weight.shape
    rank, few = len(kernel), outputs // groups
    rows = mx.reshape(weight, (groups, few, each, *kernel))
    rows = mx.transpose(rows, (0, *range(3, 3 + rank), 1, 2))
    rows = mx.reshape(rows, (groups, -1, each))
    positions = math.prod(size)

    def convolved(piece):
        lead = (piece.shape[0], groups)
        products = product(rows, mx.reshape(piece, (*lead, each, positions)))
        products = mx.reshape(products, (*lead, *kernel, few, *size))
        total = None
        for tap in itertools.product(*map(range, kernel)):
            region = (slice(t * d, t * d + n) for t, d, n in zip(tap, dilation, counts))
            part = products[(slice(None), slice(None), *tap, slice(None), *region)]
            total = part if total is None else total + part
        return mx.reshape(total, (piece.shape[0], outputs, *counts))

    sample = outputs * math.prod(kernel) * positions * input.itemsize
    if sample * batch <= WHOLE:
        return convolved(input)
    samples = max(1, PIECE // sample)
    return _concatenate(list(in_turn(
        convolved, ((input[first:first + samples],) for first in range(0, batch, samples)))), 0)


def _correlate_depthwise(input, weight, stride, dilation, counts):
    """One input channel a group: a multiply and an add per tap."""
    batch, channels = input.shape[:2]
    outputs, _, *kernel = weight.shape
    multiplier, ones = outputs // channels, (1,) * len(kernel)
    factors = mx.reshape(weight, (channels, multiplier, -1))
    total = None
    for tap, seen in enumerate(taps(input, kernel, stride, dilation, counts)):
        if multiplier == 1:
            part = seen * mx.reshape(factors[:, 0, tap], (channels, *ones))
        else:
            part = seen[:, :, None] * mx.reshape(factors[..., tap], (channels, multiplier, *ones))
        total = part if total is None else total + part
    return mx.reshape(total, (batch, outputs, *counts))


def _weight_gradient(grad, input, shape, stride, dilation, groups):
    batch, outputs, *counts = grad.shape
    kernel, rows = shape[2:], outputs // groups
    positions = math.prod(counts)
    # A product per sample takes the data as it lies, but makes a stack of weight gradients to
    # sum; one product over all samples needs transposed copies of small size instead.
    per_sample = 4 * outputs < positions

    def gradient(grad, input):
        some = grad.shape[0]
        if per_sample:
            grad = mx.reshape(grad, (some, groups, rows, positions))
            columns = unfold(input, kernel, stride, dilation)
            columns = mx.reshape(columns, (some, groups, -1, positions))
            return mx.sum(product(grad, mx.swapaxes(columns, -1, -2)), axis=0)
        grad = mx.reshape(mx.swapaxes(grad, 0, 1), (groups, rows, some * positions))
        columns = unfold(mx.swapaxes(input, 0, 1), kernel, stride, dilation, axis=1)
        columns = mx.reshape(columns, (groups, -1, some * positions))
        return product(grad, mx.swapaxes(columns, -1, -2))

    samples, _ = _piece(input, kernel, counts)
    total = None
    for part in in_turn(gradient, ((grad[first:first + samples], input[first:first + samples])
                                   for first in range(0, batch, samples))):
        total = part if total is None else total + part
    return mx.reshape(total, shape)


def _depthwise_weight_gradient(grad, input, shape, stride, dilation):
    batch, outputs, *counts = grad.shape
    channels = input.shape[1]
    grad = mx.reshape(grad, (batch, channels, outputs // channels, *counts))
    spatial = tuple(range(3, grad.ndim))
    sums = [mx.sum(mx.sum(grad * seen[:, :, None], axis=spatial), axis=0)
            for seen in taps(input, shape[2:], stride, dilation, counts)]
    return mx.reshape(mx.stack(sums, axis=-1), shape)


def _piece(input, kernel, counts):
    """How many samples, and how many rows of the result, to make columns of at a time."""
    row = input.shape[1] * math.prod(kernel) * math.prod(counts[1:]) * input.itemsize
    sample = row * counts[0]
    if sample * input.shape[0] <= WHOLE:
        return input.shape[0], counts[0]
    if sample <= WHOLE:
        return max(1, PIECE // sample), counts[0]
    return 1, max(1, PIECE // row)


def _concatenate(parts, axis):
    return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=axis)


def _batched(iterable, size):
    iterator = iter(iterable)
    while group := list(itertools.islice(iterator, size)):
        yield group
