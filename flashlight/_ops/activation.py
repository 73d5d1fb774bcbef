"""Activation functions."""

from __future__ import annotations

import functools
import inspect
import math
import warnings

import mlx.core as mx

from .._core.dtype import FLOATING, SCALAR_TYPE_NAME, bool_, complex64
from .._core.errors import not_implemented_for, wrap_dim
from .._kernels import elementary as kernels
from .._kernels import error_function
from .._kernels import softmax as softmax_kernels
from .arithmetic import REAL, logical_and
from .conversion import as_dtype
from .kinds import composite, inplace, pointwise, primitive
from .pointwise import exp, sigmoid, tanh, where
from .widening import rounded_once

NUMBERS = tuple(d for d in REAL if d is not bool_)


@pointwise(dtypes=NUMBERS, kernel="clamp_min_scalar_cpu", name="relu")
def _relu(input: mx.array) -> mx.array:
    """max(input, 0)."""
    return mx.maximum(input, mx.zeros((), input.dtype))


_relu.gradients(input=lambda grad, result: _threshold_grad(grad, result))


@primitive(name="threshold_backward", elementwise=True)
def _threshold_grad(input: mx.array, result: mx.array) -> mx.array:
    """The gradient where the result is positive or NaN, zero elsewhere."""
    return mx.where(result <= 0, mx.zeros((), input.dtype), input)


_threshold_grad.gradients(input=lambda grad, result: _threshold_grad(grad, result))


@composite
def relu(input):
    """max(input, 0)."""
    if input.dtype is bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    return _relu(input)


relu_ = inplace(relu, "relu_")


def _inplace(operation):
    name = operation.__name__
    return inplace(_written.get(name, operation), f"{name}_")


def _functional(operation, name=None):
    """Return the form of `torch.nn.functional`, with an `inplace` argument."""
    written = _inplace(operation)

    @functools.wraps(operation)
    def call(input, *args, **kwargs):
        change = kwargs.pop("inplace", False)
        if len(args) == len(parameters):
            *args, change = args
        return written(input, *args, **kwargs) if change else operation(input, *args, **kwargs)
    first, *parameters = inspect.signature(operation).parameters.values()
    flag = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
    parameters.append(flag)
    call.__signature__ = inspect.Signature([first, *parameters])
    call.__name__ = call.__qualname__ = name or operation.__name__
    return call


def _floating(name, input):
    if input.dtype not in FLOATING:
        raise not_implemented_for(name, input.dtype)


@composite
def hardtanh(input, min_val=-1.0, max_val=1.0):
    """The input limited to [min_val, max_val]."""
    if input.dtype is bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.category == 1:
        min_val, max_val = int(min_val), int(max_val)
        if not input.dtype.is_signed and min_val < 0:
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return _hardtanh(input, min_val, max_val)


@primitive(name="hardtanh", elementwise=True)
def _hardtanh(input: mx.array, min_val, max_val) -> mx.array:
    """Limit elements."""
    return mx.clip(input, mx.array(min_val, input.dtype), mx.array(max_val, input.dtype))


_hardtanh.gradients(input=lambda grad, input, min_val, max_val: grad * logical_and(
    input > min_val, input < max_val).to(grad.dtype))


@composite
def relu6(input):
    """The input limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0)


def _wide(function):
    """Let a body compute its half types in float32."""
    @functools.wraps(function)
    def body(input, *args, **kwargs):
        if input.dtype in (mx.float16, mx.bfloat16):
            return function(input.astype(mx.float32), *args, **kwargs).astype(input.dtype)
        return function(input, *args, **kwargs)
    return body


@primitive(dtypes=FLOATING, kernel="elu_cpu", name="elu", elementwise=True)
@_wide
def _elu(input: mx.array, alpha=1.0, scale=1.0, input_scale=1.0) -> mx.array:
    """scale * (input where positive, alpha * (exp(input_scale * input) - 1) elsewhere)."""
    below = mx.expm1(mx.minimum(input, mx.zeros((), input.dtype)) * input_scale) * (alpha * scale)
    return mx.where(input > 0, input * scale, below)


@rounded_once
def _elu_rule(grad, input, alpha, scale, input_scale):
    below = alpha * scale * input_scale * exp(input.clamp(max=0) * input_scale)
    return grad * where(input > 0, scale, below).to(grad.dtype)


@rounded_once
def _elu_rule_of_result(grad, result, alpha, scale, input_scale):
    if alpha < 0:
        raise RuntimeError(
            "the gradient of an in-place elu needs alpha >= 0: elsewhere its result does not tell "
            "what the input was; use the form that is not in place")
    return grad * where(result > 0, scale, input_scale * (result + alpha * scale)).to(grad.dtype)


_elu.gradients(input=_elu_rule)
_written_elu = primitive(
    _elu.operation.body, dtypes=FLOATING, kernel="elu_cpu", name="elu", elementwise=True)
_written_elu.gradients(input=_elu_rule_of_result)


def _exponential_units(unit):
    @composite(name="elu")
    def elu(input, alpha=1.0):
        """input where positive, alpha * (exp(input) - 1) elsewhere."""
        return unit(input, alpha)

    @composite(name="selu")
    def selu(input):
        """The self-normalising exponential unit (Klambauer et al., 2017)."""
        return unit(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)

    @composite(name="celu")
    def celu(input, alpha=1.0):
        """The exponential unit that is smooth for every alpha (Barron, 2017)."""
        if alpha == 0:
            raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
        return unit(input, alpha, 1.0, 1.0 / alpha)
    return elu, selu, celu


elu, selu, celu = _exponential_units(_elu)
#: what the in-place forms compute where it is not what the others do
_written = dict(zip(("elu", "selu", "celu"), _exponential_units(_written_elu)))


@primitive(dtypes=FLOATING, kernel="leaky_relu_cpu", name="leaky_relu", elementwise=True)
def leaky_relu(input: mx.array, negative_slope=0.01) -> mx.array:
    """input where positive, negative_slope * input elsewhere."""
    return mx.where(input > 0, input, input * mx.array(negative_slope, input.dtype))


leaky_relu.gradients(
    input=lambda grad, input, negative_slope: where(input > 0, grad, grad * negative_slope)
)


@primitive(dtypes=FLOATING, kernel="prelu_cpu", name="_prelu_kernel", node="PreluKernel", elementwise=True)
def _prelu(input: mx.array, weight: mx.array) -> mx.array:
    """input where positive, weight * input elsewhere."""
    return mx.where(input > 0, input, input * weight)


_prelu.gradients(input=lambda grad, input, weight: where(input > 0, grad, grad * weight),
                 weight=lambda grad, input: where(input > 0, 0.0, grad * input))


@composite
def prelu(input, weight):
    """input where positive, weight * input elsewhere; one weight, or one for each channel
    (dimension 1).
    """
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {SCALAR_TYPE_NAME[input.dtype]} and "
            f"{SCALAR_TYPE_NAME[weight.dtype]}"
        )
    if weight.numel() != 1:
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim >= 2 else 1
        if channels != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if input.ndim >= 2 and weight.ndim:
        weight = weight.reshape([-1 if d == 1 else 1 for d in range(input.ndim)])
    elif weight.ndim:
        weight = weight.reshape([1] * input.ndim)
    return _prelu(input, weight)


@primitive(dtypes=FLOATING, kernel="glu_cpu", name="glu", elementwise=True)
def _glu(input: mx.array, gate: mx.array) -> mx.array:
    """input * sigmoid(gate)."""
    return _wide(lambda wide: wide * kernels.sigmoid(gate.astype(wide.dtype)))(input)


@rounded_once
def _gate_slope(grad, opening, input):
    return (1 - opening) * opening * input * grad


_glu.gradients(input=lambda grad, gate: sigmoid(gate) * grad,
               gate=lambda grad, input, gate: _gate_slope(grad, sigmoid(gate), input))


@composite
def glu(input, dim=-1):
    """The first half along `dim`, times the sigmoid of the second."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    d = wrap_dim(dim, input.ndim)
    n = input.shape[d]
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {n}")
    return _glu(input.narrow(d, 0, n // 2), input.narrow(d, n // 2, n // 2))


@primitive(dtypes=FLOATING, kernel="GeluKernelImpl", name="gelu", elementwise=True)
@_wide
def gelu(input: mx.array, *, approximate="none") -> mx.array:
    """input * Φ(input), Φ the normal distribution; "tanh" approximates it (Hendrycks and Gimpel,
    2016).
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + mx.tanh(inner))
    if approximate != "none":
        raise RuntimeError("approximate argument must be either none or tanh.")
    return input * (0.5 * (1 + error_function.erf(input * math.sqrt(0.5))))


@rounded_once
def _gelu_rule(grad, input, approximate):
    from .special import erf
    if approximate == "tanh":
        k = math.sqrt(2 / math.pi)
        t = tanh(k * (input + 0.044715 * input * input * input))
        return grad * (
            0.5 * (1 + t) + 0.5 * input * (1 - t * t) * k * (1 + 3 * 0.044715 * input * input)
        )
    density = exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi))
    return grad * (0.5 * (1 + erf(input * math.sqrt(0.5))) + input * density)


gelu.gradients(input=_gelu_rule)


@_wide
def log_sigmoid_of(input: mx.array) -> mx.array:
    """log(sigmoid(input)), without overflow."""
    return mx.minimum(input, mx.zeros((), input.dtype)) - mx.log1p(kernels.exp(-mx.abs(input)))


logsigmoid = primitive(log_sigmoid_of, dtypes=FLOATING, kernel="log_sigmoid_cpu",
                       name="log_sigmoid_forward", node="LogSigmoid", elementwise=True)
logsigmoid.gradients(input=rounded_once(lambda grad, input: grad * sigmoid(-input)))


@primitive(dtypes=FLOATING, kernel="softplus_cpu", elementwise=True)
@_wide
def softplus(input: mx.array, beta=1, threshold=20) -> mx.array:
    """log(1 + exp(beta * input)) / beta, and the input where beta * input > threshold."""
    return kernels.softplus(input, beta, threshold)


softplus.gradients(input=rounded_once(lambda grad, input, beta, threshold: where(
    input * beta > threshold, grad, grad * sigmoid(input * beta))))


@primitive(dtypes=FLOATING, kernel="hardshrink_cpu", elementwise=True)
def hardshrink(input: mx.array, lambd=0.5) -> mx.array:
    """The input, and 0 in [-lambd, lambd]."""
    inside = (input >= -lambd) & (input <= lambd)
    return mx.where(inside, mx.zeros((), input.dtype), input)


hardshrink.gradients(input=lambda grad, input, lambd: where(
    logical_and(input >= -lambd, input <= lambd), 0.0, grad))


@primitive(dtypes=FLOATING, kernel="softshrink_cpu", elementwise=True)
def softshrink(input: mx.array, lambd=0.5) -> mx.array:
    """The input moved towards 0 by lambd, and 0 within."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    zero = mx.zeros((), input.dtype)
    inside = mx.where(mx.isnan(input), input, zero)
    return mx.where(input > lambd, input - lambd, mx.where(input < -lambd, input + lambd, inside))


softshrink.gradients(input=lambda grad, input, lambd: where(
    logical_and(input >= -lambd, input <= lambd), 0.0, grad))


@composite
def tanhshrink(input):
    """input - tanh(input)."""
    return input - tanh(input)


@composite
def softsign(input):
    """input / (1 + |input|)."""
    return input / (input.abs() + 1)


@primitive(dtypes=FLOATING, kernel="hardsigmoid_cpu", elementwise=True)
@_wide
def hardsigmoid(input: mx.array) -> mx.array:
    """input / 6 + 1/2 limited to [0, 1]."""
    return mx.clip(input + 3, 0, 6) / 6


hardsigmoid.gradients(input=rounded_once(
    lambda grad, input: grad * (logical_and(input > -3, input < 3).to(grad.dtype) / 6)))


@primitive(dtypes=FLOATING, kernel="hardswish_cpu", elementwise=True)
@_wide
def hardswish(input: mx.array) -> mx.array:
    """input * hardsigmoid(input)."""
    return input * mx.clip(input + 3, 0, 6) / 6


hardswish.gradients(input=rounded_once(lambda grad, input: grad * where(
    input <= -3, 0.0, where(input < 3, input / 3 + 0.5, 1.0)).to(grad.dtype)))


@primitive(dtypes=(*FLOATING, complex64), kernel="silu_cpu", elementwise=True)
@_wide
def silu(input: mx.array) -> mx.array:
    """input * sigmoid(input)."""
    return input * kernels.sigmoid(input)


@rounded_once
def _silu_rule(grad, input):
    s = sigmoid(input)
    return grad * (s * (1 + input * (1 - s))).conj()


silu.gradients(input=_silu_rule)


@primitive(dtypes=FLOATING, kernel="mish_cpu", elementwise=True)
@_wide
def mish(input: mx.array) -> mx.array:
    """input * tanh(softplus(input)) (Misra, 2019)."""
    return input * mx.tanh(kernels.softplus(input))


@rounded_once
def _mish_rule(grad, input):
    t = tanh(softplus(input))
    return grad * (t + input * sigmoid(input) * (1 - t * t))


mish.gradients(input=_mish_rule)


@primitive(dtypes=NUMBERS, kernel="threshold_cpu", name="threshold", elementwise=True)
def threshold(input: mx.array, threshold, value) -> mx.array:
    """The input where above the threshold, `value` elsewhere."""
    return mx.where(input <= threshold, mx.array(value, input.dtype), input)


threshold.gradients(
    input=lambda grad, input, threshold: where(input <= threshold, 0, grad).to(grad.dtype)
)


# ----- softmax -----


def _soft_dim(input, dim):
    return wrap_dim(dim, input.ndim)


@primitive(dtypes=FLOATING, kernel="softmax_lastdim_kernel_impl", name="softmax")
def _softmax(input: mx.array, dim) -> mx.array:
    """exp(input) normalised along `dim`."""
    if input.ndim == 0:
        return mx.where(mx.isfinite(input), mx.ones_like(input), mx.full((), math.nan, input.dtype))
    return softmax_kernels.softmax(input, _soft_dim(input, dim))


@primitive(name="_softmax_backward_data")
def _softmax_grad(grad: mx.array, result: mx.array, dim) -> mx.array:
    """The gradient of softmax from its result."""
    if grad.ndim == 0:
        return grad * result - result * (grad * result)
    return softmax_kernels.softmax_gradient(grad, result, _soft_dim(grad, dim))


_softmax.gradients(input=lambda grad, result, dim: _softmax_grad(grad, result, dim))


@primitive(dtypes=FLOATING, kernel="log_softmax_lastdim_kernel_impl", name="log_softmax")
def _log_softmax(input: mx.array, dim) -> mx.array:
    """The logarithm of softmax."""
    if input.ndim == 0:
        return input - input
    return softmax_kernels.log_softmax(input, _soft_dim(input, dim))


@primitive(name="_log_softmax_backward_data")
def _log_softmax_grad(grad: mx.array, result: mx.array, dim) -> mx.array:
    """The gradient of log_softmax from its result."""
    if grad.ndim == 0:
        return grad - kernels.exp(result) * grad
    return softmax_kernels.log_softmax_gradient(grad, result, _soft_dim(grad, dim))


_log_softmax.gradients(input=lambda grad, result, dim: _log_softmax_grad(grad, result, dim))


def _implicit_dim(name, ndim, stacklevel):
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _soft(name, operation, sign=1):
    def top(input, dim, dtype=None):
        wrap_dim(dim, input.ndim)
        if dtype is not None:
            input = as_dtype(input, dtype)
        return operation(input if sign == 1 else -input, dim)

    def functional(input, dim=None, _stacklevel=3, dtype=None):
        if dim is None:
            dim = _implicit_dim(name, input.ndim, _stacklevel + 2)
        return top(input, dim, dtype)
    for made in (top, functional):
        made.__name__ = made.__qualname__ = name
        made.__doc__ = f"{'Minus ' if sign < 0 else ''}{name} along `dim`, in `dtype` if given."
    return composite(top), composite(functional, out=False)


softmax, functional_softmax = _soft("softmax", _softmax)
log_softmax, functional_log_softmax = _soft("log_softmax", _log_softmax)
_, functional_softmin = _soft("softmin", _softmax, -1)

functional = {
    name: _functional(f)
    for name, f in {
        "relu": relu, "relu6": relu6, "elu": elu, "selu": selu, "celu": celu,
        "leaky_relu": leaky_relu, "hardsigmoid": hardsigmoid, "hardswish": hardswish,
        "silu": silu, "mish": mish, "hardtanh": hardtanh, "threshold": threshold,
    }.items()
}
for _name in ("elu", "relu", "selu", "celu", "leaky_relu", "hardtanh", "threshold"):
    functional[f"{_name}_"] = _inplace(globals()[_name])
functional |= {
    f.__name__: f
    for f in (prelu, glu, softplus, hardshrink, softshrink, tanhshrink, softsign, gelu)
}
functional |= {
    "logsigmoid": logsigmoid,
    "softmax": functional_softmax,
    "log_softmax": functional_log_softmax,
    "softmin": functional_softmin,
    "sigmoid": sigmoid,
    "tanh": tanh,
}

FUNCTIONS = {
    "relu": relu,
    "relu_": relu_,
    "selu": selu,
    "celu": celu,
    "prelu": prelu,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "threshold": threshold,
    "hardshrink": hardshrink,
    "selu_": functional["selu_"],
    "celu_": functional["celu_"],
    "threshold_": functional["threshold_"],
}
METHODS = {
    "relu": relu,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "prelu": prelu,
    "hardshrink": hardshrink,
}
INPLACE = ("relu",)
