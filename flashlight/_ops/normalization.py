"""Layer, group, RMS and local response normalization.

The statistics are results of the primitives, so that a gradient computed from them can be
differentiated again: what flows back into a statistic goes on to the input.
"""

from __future__ import annotations

import collections
import math
import operator

import mlx.core as mx

from .._core.dtype import FLOATING, bfloat16, float16, float32, float64
from .._core.dtype import SCALAR_TYPE_NAME as TYPE_NAMES
from .._core.errors import not_implemented_for
from .._core.tensor import Tensor
from .._kernels import normalization as kernels
from .kinds import composite, primitive

Normalized = collections.namedtuple("Normalized", ("output", "mean", "rstd"))
RootNormalized = collections.namedtuple("RootNormalized", ("output", "scale"))
HALF = (float16, bfloat16)


def check_parameters(name, input, *parameters):
    """Raise for dtypes that the CPU kernels of PyTorch refuse, alone or together."""
    if input.dtype not in FLOATING:
        raise not_implemented_for(name, input.dtype)
    for parameter in parameters:
        if parameter is None or parameter.dtype is input.dtype:
            continue
        if input.dtype not in HALF or parameter.dtype is not float32:
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of "
                f"{TYPE_NAMES[float32 if input.dtype in HALF else input.dtype]}"
            )


# ----- layer_norm -----


@primitive(node="native_layer_norm", returns=Normalized)
def _layer_norm(
    input: mx.array, weight: mx.array | None, bias: mx.array | None, dims, eps
) -> Normalized:
    mean, rstd = kernels.layer_moments(input, dims, eps)
    output = kernels.fused_layer_norm(input, weight, bias, dims, eps)
    if output is None:
        output = kernels.layer_norm(input, mean, rstd, weight, bias)
    return output, *(kernels.rounded(statistic, input, weight) for statistic in (mean, rstd))


@primitive(name="native_layer_norm_backward")
def _layer_norm_backward(
    output: mx.array,
    input: mx.array,
    mean: mx.array,
    rstd: mx.array,
    weight: mx.array | None,
    dims,
) -> tuple:
    return kernels.layer_norm_gradients(output, input, mean, rstd, weight, dims)


def _through_moments(input, mean, rstd, mean_grad, rstd_grad, count):
    """The gradient of the input, of which `mean` and `rstd` are statistics that broadcast to it."""
    total = 0
    if mean_grad is not None:
        total = (mean_grad / count).expand(input.shape)
    if rstd_grad is not None:
        total = total - (input - mean) * (rstd_grad * rstd.pow(3) / count)
    return total


def sum_gradients(*grads):
    """Add up the tensors among `grads`; None if there are none."""
    found = [grad for grad in grads if isinstance(grad, Tensor)]
    return sum(found[1:], found[0]) if found else None


def _layer_norm_rule(grads, input, mean, rstd, weight, dims):
    grad, mean_grad, rstd_grad = grads
    gradients = (None, None, None)
    if grad is not None:
        gradients = _layer_norm_backward(grad, input, mean, rstd, weight, dims)
    count = math.prod(input.shape[input.ndim - dims :])
    more = _through_moments(input, mean, rstd, mean_grad, rstd_grad, count)
    return sum_gradients(gradients[0], more), gradients[1], gradients[2]


_layer_norm.joint_gradient(_layer_norm_rule)


def _normalized_shape(function, input, normalized_shape, weight, bias):
    """Return how many dimensions are normalized. Raises for shapes that do not fit."""
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"{function}(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
            f"{type(normalized_shape).__name__}"
        )
    shape = [operator.index(n) for n in normalized_shape]
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and list(parameter.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(parameter.shape)} and normalized_shape = {shape}"
            )
    if list(input.shape[max(0, input.ndim - len(shape)) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={shape}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    return len(shape)


@composite(out=False)
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """Return the layer norm of (*, *normalized_shape), the means and the reciprocal deviations."""
    dims = _normalized_shape("native_layer_norm", input, normalized_shape, weight, bias)
    check_parameters("LayerNormKernelImpl", input, weight, bias)
    output, mean, rstd = _layer_norm(input, weight, bias, dims, eps)
    return output, mean.detach(), rstd.detach()


@composite(out=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(*, *normalized_shape) -> the same: (x - mean) / sqrt(var + eps) · weight + bias.

    Ba, Kiros & Hinton, Layer Normalization, 2016. Raises RuntimeError for other shapes.
    """
    dims = _normalized_shape("layer_norm", input, normalized_shape, weight, bias)
    check_parameters("LayerNormKernelImpl", input, weight, bias)
    return _layer_norm(input, weight, bias, dims, eps).output


# ----- rms_norm -----


@primitive(name="rms_norm", returns=RootNormalized)
def _rms_norm(input: mx.array, weight: mx.array | None, dims, eps) -> RootNormalized:
    scale = kernels.rms_scale(input, dims, eps)
    output = kernels.fused_rms_norm(input, weight, dims, eps)
    return kernels.rms_norm(input, scale, weight) if output is None else output, scale


@primitive(name="rms_norm_backward")
def _rms_norm_backward(
    output: mx.array, input: mx.array, scale: mx.array, weight: mx.array | None, dims
) -> tuple:
    return kernels.rms_norm_gradients(output, input, scale, weight, dims)


def _rms_norm_rule(grads, input, scale, weight, dims):
    grad, scale_grad = grads
    gradients = (None, None)
    if grad is not None:
        gradients = _rms_norm_backward(grad, input, scale, weight, dims)
    more = None
    if scale_grad is not None:
        more = input * (scale_grad * scale.pow(3) / -math.prod(input.shape[input.ndim - dims :]))
    return sum_gradients(gradients[0], more), gradients[1]


_rms_norm.joint_gradient(_rms_norm_rule)

_EPSILON = {float64: 2.0**-52}


@composite(out=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """(*, *normalized_shape) -> the same: x / sqrt(mean(x²) + eps) · weight.

    Zhang & Sennrich, Root Mean Square Layer Normalization, 2019. `eps` is the spacing of float32
    (or float64) by default. Raises RuntimeError for other shapes.
    """
    dims = _normalized_shape("rms_norm", input, normalized_shape, weight, None)
    if not (input.dtype in FLOATING or input.dtype.is_complex):
        raise not_implemented_for("rms_norm", input.dtype)
    if eps is None:
        eps = _EPSILON.get(input.dtype, 2.0**-23)
    parameter = input.dtype if weight is None else weight.dtype
    if input.dtype.is_complex or parameter not in (input.dtype, float32):
        mean = input.pow(2).mean(tuple(range(-dims, 0)), keepdim=True)
        result = input * (mean + eps).rsqrt()
        return result if weight is None else (result * weight).to(input.dtype)
    return _rms_norm(input, weight, dims, eps).output


# ----- group_norm -----


@primitive(node="native_group_norm", returns=Normalized)
def _group_norm(
    input: mx.array, weight: mx.array | None, bias: mx.array | None, groups, eps
) -> Normalized:
    grouped = kernels.grouped(input, groups)
    mean, variance = kernels.channel_moments(grouped, kernels.GROUP)
    rstd = mx.rsqrt(variance + eps)
    output = mx.reshape(kernels.channel_norm(grouped, mean, rstd, weight, bias), input.shape)
    shape = (input.shape[0], groups)
    return output, *(
        mx.reshape(kernels.rounded(statistic, input, weight), shape) for statistic in (mean, rstd)
    )


@primitive(name="native_group_norm_backward")
def _group_norm_backward(
    output: mx.array,
    input: mx.array,
    mean: mx.array,
    rstd: mx.array,
    weight: mx.array | None,
    groups,
) -> tuple:
    shape = (input.shape[0], groups, 1, 1)
    input_grad, *rest = kernels.channel_norm_gradients(
        kernels.grouped(output, groups),
        kernels.grouped(input, groups),
        mx.reshape(mean, shape),
        mx.reshape(rstd, shape),
        weight,
        kernels.GROUP,
    )
    return mx.reshape(input_grad, input.shape), *rest


def _group_norm_rule(grads, input, mean, rstd, weight, groups):
    grad, mean_grad, rstd_grad = grads
    gradients = (None, None, None)
    if grad is not None:
        gradients = _group_norm_backward(grad, input, mean, rstd, weight, groups)
    rows = input.reshape(input.shape[0], groups, input.numel() // max(1, mean.numel()))
    mean, rstd, mean_grad, rstd_grad = (
        None if t is None else t.unsqueeze(-1) for t in (mean, rstd, mean_grad, rstd_grad)
    )
    more = _through_moments(rows, mean, rstd, mean_grad, rstd_grad, rows.shape[-1])
    more = more.reshape(input.shape) if isinstance(more, Tensor) else None
    return sum_gradients(gradients[0], more), gradients[1], gradients[2]


_group_norm.joint_gradient(_group_norm_rule)


def _check_groups(input, num_groups, weight, bias):
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    shape = list(input.shape)
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {shape} and num_groups={num_groups}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and list(parameter.shape) != shape[1:2]:
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(parameter.shape)} and input of shape {shape}"
            )
    check_parameters("GroupNormKernelImpl", input, weight, bias)


@composite(out=False)
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """Return the group norm of (N, C, ...), the means (N, group) and reciprocal deviations."""
    _check_groups(input, group, weight, bias)
    return tuple(_group_norm(input, weight, bias, group, eps))


@composite(out=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """(N, C, *) -> the same, normalized within each sample and group of channels.

    Wu & He, Group Normalization, 2018. Raises RuntimeError for channels that do not divide.
    """
    _check_groups(input, num_groups, weight, bias)
    return _group_norm(input, weight, bias, num_groups, eps).output


@composite(out=False)
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """(N, C, *) -> the same: x / (k + alpha · mean of x² over `size` channels)^beta.

    Krizhevsky, Sutskever & Hinton, ImageNet Classification …, 2012. Raises ValueError below 3
    dimensions.
    """
    from .pooling import avg_pool2d

    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    squares = input.mul(input).reshape(input.shape[0], 1, input.shape[1], -1)
    # Channels beyond the ends count as zeros. For even sizes there is one window too many.
    mean = avg_pool2d(squares, (size, 1), stride=1, padding=(size // 2, 0))
    mean = mean.narrow(2, 0, input.shape[1]).reshape(input.shape)
    return input / (mean * alpha + k).pow(beta)


# The forms in torch.* take one more argument, about a library that is not here.


@composite(out=False, name="layer_norm")
def _torch_layer_norm(
    input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True
):
    """`torch.layer_norm`: see `nn.functional.layer_norm`."""
    return layer_norm(input, normalized_shape, weight, bias, eps)


@composite(out=False, name="group_norm")
def _torch_group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """`torch.group_norm`: see `nn.functional.group_norm`."""
    return group_norm(input, num_groups, weight, bias, eps)


FUNCTIONS = {
    "group_norm": _torch_group_norm,
    "layer_norm": _torch_layer_norm,
    "native_group_norm": native_group_norm,
    "native_layer_norm": native_layer_norm,
    "rms_norm": rms_norm,
}
METHODS = {}
INPLACE = ()
