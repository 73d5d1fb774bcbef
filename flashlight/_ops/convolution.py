"""Convolution, its transpose, and their gradients.

Every form ends in one primitive, `convolution`, whose gradients are itself, transposed, and
`_weight_gradient`; the rules of these two lead back, so all derivatives exist.
"""

from __future__ import annotations

import warnings

import mlx.core as mx

from .._core.dtype import FLOATING, INTEGRAL, complex64, int64
from .._core.dtype import SCALAR_TYPE_NAME as TYPE_NAMES
from .._core.errors import not_implemented_for
from .._core.tensor import Tensor
from .._kernels import convolution as kernels
from .kinds import composite, primitive
from .lengths import integer, lengths

#: The names of types that PyTorch's messages about convolutions use.
_CPP_NAME = {
    "float32": "float",
    "float64": "double",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "complex64": "c10::complex<float>",
    "int64": "long int",
    "int32": "int",
}


def _pairs(padding):
    return [p if isinstance(p, tuple) else (p, p) for p in padding]


def _transposed_size(size, kernel, stride, padding, dilation, output_padding):
    return tuple(
        (n - 1) * s - before - after + d * (k - 1) + 1 + extra
        for n, k, s, (before, after), d, extra in zip(
            size, kernel, stride, _pairs(padding), dilation, output_padding
        )
    )


@primitive(name="convolution", channels_last=("input", "weight"))
def _convolution(
    input: mx.array,
    weight: mx.array,
    bias: mx.array | None,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
) -> mx.array:
    pairs = _pairs(padding)
    if transposed:
        size = _transposed_size(
            input.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding
        )
        return kernels.convolution_input_gradient(
            input, weight, size, stride, pairs, dilation, groups, bias
        )
    return kernels.convolution(input, weight, stride, pairs, dilation, groups, bias)


@primitive(name="convolution_weight_gradient")
def _weight_gradient(
    output: mx.array, input: mx.array, kernel, stride, padding, dilation, groups
) -> mx.array:
    """(N, O, *counts), (N, C, *size) -> (O, C / groups, *kernel)."""
    return kernels.convolution_weight_gradient(
        output, input, kernel, stride, _pairs(padding), dilation, groups
    )


def _conj(tensor: Tensor) -> Tensor:
    return tensor.conj() if tensor.dtype.is_complex else tensor


def _forward(input, weight, size, stride, padding, dilation, groups):
    """Convolve, and leave out what an output padding beyond the stride adds to `size`."""
    result = _convolution(
        input, weight, None, stride, padding, dilation, False, (0,) * len(stride), groups
    )
    for dim, n in enumerate(size, 2):
        if result.shape[dim] != n:
            result = result.narrow(dim, 0, n)
    return result


def _backward(input, weight, size, stride, padding, dilation, groups):
    """Transposed convolution to `size`."""
    zeros = (0,) * len(stride)
    least = _transposed_size(input.shape[2:], weight.shape[2:], stride, padding, dilation, zeros)
    extra = tuple(n - m for n, m in zip(size, least))
    return _convolution(input, weight, None, stride, padding, dilation, True, extra, groups)


def _input_rule(grad, input_shape, weight, stride, padding, dilation, transposed, groups):
    step = _forward if transposed else _backward
    return step(grad, _conj(weight), input_shape[2:], stride, padding, dilation, groups)


def _weight_rule(grad, input, weight_shape, stride, padding, dilation, transposed, groups):
    pair = (_conj(input), grad) if transposed else (grad, _conj(input))
    return _weight_gradient(*pair, weight_shape[2:], stride, padding, dilation, groups)


_convolution.gradients(
    input=_input_rule,
    weight=_weight_rule,
    bias=lambda grad: grad.sum([0, *range(2, grad.ndim)]),
)

_weight_gradient.gradients(
    output=lambda grad, output_shape, input, stride, padding, dilation, groups: _forward(
        _conj(input), grad, output_shape[2:], stride, padding, dilation, groups
    ),
    input=lambda grad, output, input_shape, stride, padding, dilation, groups: _backward(
        _conj(output), grad, input_shape[2:], stride, padding, dilation, groups
    ),
)


# ----- checks -----


def _check_numbers(stride, padding, dilation, output_padding, groups):
    if any(p < 0 for pair in _pairs(padding) for p in pair):
        raise RuntimeError("negative padding is not supported")
    if any(p < 0 for p in output_padding):
        raise RuntimeError("negative output_padding is not supported")
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def _check_channels(input, weight, bias, transposed, groups):
    size, kernel = list(input.shape), list(weight.shape)
    if len(size) != len(kernel):
        raise RuntimeError(
            f"Expected {len(kernel)}-dimensional input for {len(kernel)}-dimensional weight "
            f"{kernel}, but got {len(size)}-dimensional input of size {size} instead"
        )
    if kernel[0] < groups or kernel[0] % groups:
        wanted = f"at least {groups}" if kernel[0] < groups else f"divisible by {groups}"
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be {wanted} at dimension 0, "
            f"but got weight of size {kernel} instead"
        )
    channels = kernel[0] if transposed else kernel[1] * groups
    if size[1] != channels:
        kind = "transposed=1" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {kind}, weight of size {kernel}, expected input{size} to have {channels} "
            f"channels, but got {size[1]} channels instead"
        )
    outputs = kernel[1] * groups if transposed else kernel[0]
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}weight of size {kernel}, expected bias "
            f"to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(bias.shape)} instead"
        )


def _by(numbers):
    return f"({' x '.join(map(str, numbers))})"


def _check_size(size, kernel, padding, dilation):
    if 0 in kernel[2:]:
        raise RuntimeError(f"kernel size should be greater than zero, but got {list(kernel[2:])}")
    padded = [n + sum(pair) for n, pair in zip(size[2:], _pairs(padding))]
    extent = [d * (k - 1) + 1 for k, d in zip(kernel[2:], dilation)]
    if any(n < k for n, k in zip(padded, extent)):
        raise RuntimeError(
            f"Calculated padded input size per channel: {_by(padded)}. Kernel size: {_by(extent)}. "
            "Kernel size can't be greater than actual input size"
        )
    if 0 in size[2:] and 0 not in size[:2]:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(size)}"
        )


def _check_transposed(size, kernel, stride, padding, dilation, output_padding):
    if any(p >= s and p >= d for p, s, d in zip(output_padding, stride, dilation)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got output_padding "
            f"{list(output_padding)}, stride {list(stride)}, dilation {list(dilation)}"
        )
    made = _transposed_size(size[2:], kernel[2:], stride, padding, dilation, output_padding)
    if any(n <= 0 for n in made):
        raise RuntimeError(
            f"Given input size per channel: {_by(size[2:])}. Calculated output size per channel: "
            f"{_by(made)}. Output size is too small"
        )


def _check_dtypes(input, weight, bias, transposed):
    if bias is not None and bias.dtype is not input.dtype:
        names = [_CPP_NAME.get(t.dtype.name, t.dtype.name) for t in (input, bias)]
        raise RuntimeError(f"Input type ({names[0]}) and bias type ({names[1]}) should be the same")
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {TYPE_NAMES[input.dtype]} but found {TYPE_NAMES[weight.dtype]}"
        )
    if input.dtype not in (*FLOATING, complex64, *((int64,) if transposed else INTEGRAL)):
        name = "slow_conv_transpose2d_out_cpu" if transposed else "slow_conv2d_cpu"
        raise not_implemented_for(name, input.dtype)


# ----- public forms -----


@composite(out=False)
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Convolution of any rank: (N, C, *size), (O, C / groups, *kernel) -> (N, O, *counts).

    With `transposed`, (N, C, *size), (C, O / groups, *kernel) -> (N, O, *counts). Raises
    RuntimeError for shapes or dtypes that do not fit.
    """
    rank = weight.ndim - 2
    if rank < 1:
        raise RuntimeError("weight should have at least three dimensions")
    groups = integer("convolution", "groups", groups)
    stride, dilation, output_padding = (
        lengths("convolution", name, value, rank)
        for name, value in (
            ("stride", stride),
            ("dilation", dilation),
            ("output_padding", output_padding),
        )
    )
    if not (isinstance(padding, tuple) and isinstance(padding[0], tuple)):
        padding = lengths("convolution", "padding", padding, rank)
    _check_numbers(stride, padding, dilation, output_padding, groups)
    _check_channels(input, weight, bias, transposed, groups)
    if transposed:
        _check_transposed(input.shape, weight.shape, stride, padding, dilation, output_padding)
    else:
        _check_size(input.shape, weight.shape, padding, dilation)
    _check_dtypes(input, weight, bias, transposed)
    return _convolution(
        input, weight, bias, stride, padding, dilation, bool(transposed), output_padding, groups
    )


def _check_tensors(function, input, weight, bias):
    given = {"input": input, "weight": weight, "bias": bias}
    for position, (name, value) in enumerate(given.items(), 1):
        if not isinstance(value, Tensor) and not (name == "bias" and value is None):
            raise TypeError(
                f"{function}(): argument '{name}' (position {position}) must be "
                f"Tensor, not {type(value).__name__}"
            )


def _batched(function, rank, input, compute):
    """Run `compute` on the input with a batch dimension, which an unbatched input gets."""
    if input.ndim == rank + 2:
        return compute(input)
    if input.ndim == rank + 1:
        return compute(input.unsqueeze(0)).squeeze(0)
    raise RuntimeError(
        f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to "
        f"{function}, but got input of size: {list(input.shape)}"
    )


def _string_padding(padding, kernel, stride, dilation):
    """Return the (before, after) pairs that 'valid' and 'same' mean."""
    if padding == "valid":
        return (0,) * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    if any(total % 2 for total in totals):
        warnings.warn(
            "Using padding='same' with even kernel lengths and odd dilation may require "
            "a zero-padded copy of the input be created",
            UserWarning,
            stacklevel=5,
        )
    return tuple((total // 2, total - total // 2) for total in totals)


def _convolve(function, rank, input, weight, bias, stride, padding, dilation, groups):
    _check_tensors(function, input, weight, bias)
    if isinstance(padding, str):
        kernel = tuple(weight.shape[2:])
        stride, dilation = (
            lengths(function, name, value, rank)
            for name, value in (("stride", stride), ("dilation", dilation))
        )
        padding = _string_padding(padding, kernel, stride, dilation)
    return _batched(
        function,
        rank,
        input,
        lambda batch: convolution(batch, weight, bias, stride, padding, dilation, False, 0, groups),
    )


def _convolve_transposed(
    function, rank, input, weight, bias, stride, padding, output_padding, groups, dilation
):
    _check_tensors(function, input, weight, bias)
    return _batched(
        function,
        rank,
        input,
        lambda batch: convolution(
            batch, weight, bias, stride, padding, dilation, True, output_padding, groups
        ),
    )


@composite(out=False)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """1-D convolution: (N, C, L) or (C, L), (O, C / groups, k) -> (N, O, L') or (O, L')."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@composite(out=False)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """2-D convolution: (N, C, H, W), (O, C / groups, kH, kW) -> (N, O, H', W')."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@composite(out=False)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """3-D convolution: (N, C, D, H, W), (O, C / groups, kD, kH, kW) -> (N, O, D', H', W')."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@composite(out=False)
def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Transposed 1-D convolution: (N, C, L), (C, O / groups, k) -> (N, O, L')."""
    return _convolve_transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@composite(out=False)
def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Transposed 2-D convolution: (N, C, H, W), (C, O / groups, kH, kW) -> (N, O, H', W')."""
    return _convolve_transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@composite(out=False)
def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """3-D transpose: (N, C, D, H, W), (C, O / groups, *kernel) -> (N, O, D', H', W')."""
    return _convolve_transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@composite(out=False)
def conv_tbc(input, weight, bias, pad=0):
    """1-D convolution, time first: (T, N, C), (k, C, O), (O,) -> (T + 2 pad - k + 1, N, O)."""
    if input.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if weight.shape[2] != bias.shape[0]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    if input.shape[0] + 2 * pad - weight.shape[0] + 1 < 0:
        raise RuntimeError(
            "Trying to create tensor with negative dimension: the kernel is too long"
        )
    moved = input.permute(1, 2, 0)
    if pad < 0:
        moved = moved.narrow(2, -pad, moved.shape[2] + 2 * pad)
    result = convolution(moved, weight.permute(2, 1, 0), bias, 1, max(pad, 0), 1, False, 0, 1)
    return result.permute(2, 0, 1).contiguous()


_PUBLIC = (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    convolution,
)
FUNCTIONS = {function.__name__: function for function in _PUBLIC}
METHODS = {}
INPLACE = ()
