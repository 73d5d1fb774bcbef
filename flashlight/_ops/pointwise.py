"""Mathematical functions of one or two tensors, element by element."""

from __future__ import annotations

import cmath
import math

import mlx.core as mx

from .._core.dtype import FROM_MLX, INTEGRAL, SUPPORTED, bool_, float16, get_default_dtype
from .._core.exact import rounded
from .._core.tensor import Tensor
from .._kernels import elementary as kernels
from .arithmetic import (
    REAL,
    _conjugate,
    eq,
    logical_and,
    true_divide,
)
from .complex_parts import conj, imag, real
from .conversion import as_dtype
from .kinds import INT_TO_FLOAT, SAME, Operand, composite, pointwise, primitive
from .masking import where


def _unary(name, function, rule=None, *, dtypes=SUPPORTED, text="", fast=None):
    """Declare a function of floating point numbers; integers become the default dtype."""
    def body(input: mx.array) -> mx.array:
        return function(input)
    body.__name__, body.__doc__, body.__module__ = name, text, __name__
    made = pointwise(
        body, promote=INT_TO_FLOAT, dtypes=dtypes, fast=fast or function, kernel=f"{name}_vml_cpu"
    )
    if rule is not None:
        made.gradients(input=rule)
    return made


def _c(value):
    return conj(value)


def _cube(value):
    """The third power; of float16 rounded once, as in PyTorch."""
    return pow_(value, 3) if value.dtype is float16 else value * value * value


exp = _unary(
    "exp",
    kernels.exp,
    lambda grad, result: grad * _c(result),
    text="e to the power of each element.",
)
exp2 = _unary("exp2", kernels.exp2, lambda grad, result: grad * _c(result) * math.log(2),
              text="2 to the power of each element.")
expm1 = _unary("expm1", kernels.expm1, lambda grad, result: grad * _c(result + 1),
               text="e**x - 1, accurate near zero.")
log = _unary("log", mx.log, lambda grad, input: grad / _c(input), text="The natural logarithm.")
log2 = _unary(
    "log2",
    mx.log2,
    lambda grad, input: grad / _c(input * math.log(2)),
    text="The logarithm to base 2.",
)
log10 = _unary("log10", mx.log10, lambda grad, input: grad / _c(input * math.log(10)),
               text="The logarithm to base 10.")
log1p = _unary(
    "log1p",
    mx.log1p,
    lambda grad, input: grad / _c(input + 1),
    text="log(1 + x), accurate near zero.",
)
sqrt = _unary("sqrt", mx.sqrt, lambda grad, result: grad / _c(2 * result), text="The square root.")
rsqrt = _unary(
    "rsqrt",
    kernels.rsqrt,
    lambda grad, result: grad * -0.5 * _c(_cube(result)),
    text="1 / sqrt(x).",
)
sin = _unary("sin", kernels.sin, lambda grad, input: grad * _c(cos(input)), text="The sine.")
cos = _unary("cos", kernels.cos, lambda grad, input: grad * -_c(sin(input)), text="The cosine.")
tan = _unary(
    "tan", mx.tan, lambda grad, result: grad * _c(1 + result * result), text="The tangent."
)
sinh = _unary(
    "sinh", mx.sinh, lambda grad, input: grad * _c(cosh(input)), text="The hyperbolic sine."
)
cosh = _unary(
    "cosh", mx.cosh, lambda grad, input: grad * _c(sinh(input)), text="The hyperbolic cosine."
)
tanh = _unary(
    "tanh",
    mx.tanh,
    lambda grad, result: _tanh_grad(grad, result),
    text="The hyperbolic tangent.",
)
asin = _unary(
    "asin",
    mx.arcsin,
    lambda grad, input: grad * _c(rsqrt(1 - input * input)),
    text="The inverse sine.",
)
acos = _unary("acos", mx.arccos, lambda grad, input: grad * -_c(rsqrt(1 - input * input)),
              text="The inverse cosine.")
atan = _unary(
    "atan", mx.arctan, lambda grad, input: grad / _c(input * input + 1), text="The inverse tangent."
)
asinh = _unary("asinh", mx.arcsinh, lambda grad, input: grad * _c(rsqrt(input * input + 1)),
               text="The inverse hyperbolic sine.")
acosh = _unary(
    "acosh",
    mx.arccosh,
    lambda grad, input: grad * (
        _c(rsqrt(input + 1) * rsqrt(input - 1))
        if input.dtype.is_complex
        else rsqrt(input * input - 1)
    ),
    text="The inverse hyperbolic cosine.",
)
atanh = _unary("atanh", mx.arctanh, lambda grad, input: grad / _c(1 - input * input),
               text="The inverse hyperbolic tangent.")
sigmoid = _unary(
    "sigmoid",
    kernels.sigmoid,
    lambda grad, result: _sigmoid_grad(grad, result),
    text="1 / (1 + exp(-x)).",
)


# Rules of hot functions, as one operation each: fewer nodes, and rounded once in half precision.


@primitive(name="tanh_backward", elementwise=True)
def _tanh_grad(grad: mx.array, result: mx.array) -> mx.array:
    """The gradient of tanh from its result."""
    return kernels.tanh_gradient(grad, result)


@primitive(name="sigmoid_backward", elementwise=True)
def _sigmoid_grad(grad: mx.array, result: mx.array) -> mx.array:
    """The gradient of sigmoid from its result."""
    return kernels.sigmoid_gradient(grad, result)


reciprocal = _unary(
    "reciprocal", mx.reciprocal, lambda grad, result: grad * -_c(result * result), text="1 / x."
)


@pointwise
def square(input: mx.array) -> mx.array:
    """x * x."""
    return mx.square(input.astype(mx.int64) if input.dtype == mx.bool_ else input)


square.gradients(input=lambda grad, input: grad * _c(2 * input))


@pointwise(name="abs")
def abs_(input: mx.array) -> mx.array:
    """The absolute value; of complex numbers the real one."""
    return mx.abs(input)


abs_.gradients(input=lambda grad, input: grad * sgn(input))


@pointwise(dtypes=REAL, kernel="sign_cpu")
def sign(input: mx.array) -> mx.array:
    """-1, 0 or 1."""
    return input if input.dtype == mx.bool_ else mx.sign(input)


def _no_slope(grad):
    return grad.new_zeros(()).expand(grad.shape)


sign.gradients(input=_no_slope)


@pointwise
def sgn(input: mx.array) -> mx.array:
    """x / abs(x), and 0 at 0."""
    if input.dtype == mx.complex64:
        size = mx.abs(input)
        return mx.where(
            size == 0, mx.zeros_like(input), input / mx.where(size == 0, mx.ones_like(size), size)
        )
    return input if input.dtype == mx.bool_ else mx.sign(input)


def _sgn_rule(grad, input, result):
    if not input.dtype.is_complex:
        return _no_slope(grad)
    size = abs_(input)
    slope = (grad - result * real(grad * conj(result))) / size
    return slope.masked_fill(eq(size, 0), 0)


sgn.gradients(input=_sgn_rule)


def _rounding(name, function, text):
    def body(input: mx.array) -> mx.array:
        return input if FROM_MLX[input.dtype].category < 2 else function(input)
    body.__name__, body.__doc__, body.__module__ = name, text, __name__
    made = pointwise(
        body, dtypes=tuple(d for d in REAL if d is not bool_), kernel=f"{name}_vml_cpu"
    )
    made.gradients(input=_no_slope)
    return made


def _truncate(input):
    return mx.where(
        mx.signbit(input) if hasattr(mx, "signbit") else input < 0, mx.ceil(input), mx.floor(input)
    )


floor = _rounding("floor", mx.floor, "The largest integer not above.")
ceil = _rounding("ceil", mx.ceil, "The smallest integer not below.")
trunc = _rounding("trunc", _truncate, "The integer part.")
_round = _rounding("round", mx.round, "The nearest integer; halves to even.")


@composite
def round_(input, *, decimals=0):
    """The nearest integer (halves to even), or multiple of 10**-decimals."""
    if decimals == 0:
        return _round(input)
    if input.dtype.category < 2:
        raise NotImplementedError(f"\"round_vml_cpu\" not implemented for '{input.dtype.name}'")
    return _round_decimals(input, decimals)


round_.__name__ = round_.__qualname__ = "round"


@primitive(name="round", elementwise=True)
def _round_decimals(input: mx.array, decimals) -> mx.array:
    """Round to decimals."""
    scale = 10.0 ** abs(decimals)
    wide = input.astype(mx.float32) if input.dtype in (mx.float16, mx.bfloat16) else input
    rounded = mx.round(wide / scale) * scale if decimals < 0 else mx.round(wide * scale) / scale
    return rounded.astype(input.dtype)


_round_decimals.gradients(input=_no_slope)


@composite
def frac(input):
    """The fractional part, of the sign of x."""
    if input.dtype.category < 2:
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{input.dtype.name}'")
    return input - trunc(input)


@pointwise(promote=SAME, name="pow")
def _pow(input: Operand, exponent: Operand) -> mx.array:
    """input to the power of exponent."""
    if input.dtype == mx.bool_:
        raise NotImplementedError("\"pow\" not implemented for 'Bool'")
    return kernels.pow(input, exponent)


def _pow_base(grad, input, exponent):
    if not isinstance(exponent, Tensor):
        if exponent == 0:
            return _no_slope(grad)
        if exponent == 2:
            return grad * _c(2 * input)
        return grad * _c(exponent * pow_(input, exponent - 1))
    slope = exponent * pow_(input, exponent - 1)
    return (grad * _c(slope)).masked_fill(eq(exponent, 0), 0)


def _log_of_number(value):
    if isinstance(value, complex):
        return cmath.log(value)
    return math.log(value) if value > 0 else math.nan


def _pow_exponent(grad, input, result, exponent):
    if not isinstance(input, Tensor) and input != 0:  # a number's logarithm is a number, unrounded
        return grad * _c(result * _log_of_number(input))
    base = input if isinstance(input, Tensor) else result.new_full((), input)
    if base.dtype is not result.dtype:
        base = as_dtype(base, result.dtype)
    flat = logical_and(
        eq(base, 0), real(exponent) >= 0 if exponent.dtype.is_complex else exponent >= 0
    )
    slope = (result * log(base)).masked_fill(flat, 0)
    return grad * _c(slope)


_pow.gradients(input=_pow_base, exponent=_pow_exponent)


@composite
def pow_(input, exponent):
    """input to the power of exponent; one of them may be a number.

    Raises RuntimeError for integers to a negative number.
    """
    if isinstance(exponent, (int, float)) and isinstance(input, Tensor):
        if exponent < 0 and isinstance(exponent, int) and input.dtype in INTEGRAL:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if exponent == 2 and type(exponent) is int and input.dtype.category >= 1:
            return square(input)
        if exponent == 0.5 and input.dtype.category >= 2:
            return sqrt(input)
    return _pow(input, exponent)


pow_.__name__ = pow_.__qualname__ = "pow"


@composite
def float_power(input, exponent):
    """The power in double precision (complex numbers have none here: raises TypeError)."""
    from .._core.dtype import check_supported, complex128, float64
    parts = (input, exponent)
    if any(isinstance(v, complex) or isinstance(v, Tensor) and v.dtype.is_complex for v in parts):
        check_supported(complex128)
    parts = [as_dtype(v, float64) if isinstance(v, Tensor) else float(v) for v in parts]
    return _pow(*parts)


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL)
def atan2(input: mx.array, other: mx.array) -> mx.array:
    """The angle of the point (other, input)."""
    return mx.arctan2(input, other)


def _atan2_rule(sign_, numerator):
    def rule(grad, input, other):
        size = input * input + other * other
        inverse = reciprocal(size).masked_fill(eq(size, 0), 0)
        return grad * (other if numerator == "other" else sign_ * input) * inverse
    return rule


atan2.gradients(input=_atan2_rule(1, "other"), other=_atan2_rule(-1, "input"))


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL)
def hypot(input: mx.array, other: mx.array) -> mx.array:
    """sqrt(input**2 + other**2) without overflow on the way."""
    return kernels.hypot(input, other)


hypot.gradients(input=lambda grad, input, result: grad * input / result,
                other=lambda grad, other, result: grad * other / result)


@pointwise(promote=INT_TO_FLOAT)
def logaddexp(input: mx.array, other: mx.array) -> mx.array:
    """log(exp(input) + exp(other)) without overflow."""
    return kernels.logaddexp(input, other)


logaddexp.gradients(input=lambda grad, input, other: grad / _c(1 + exp(other - input)),
                    other=lambda grad, input, other: grad / _c(1 + exp(input - other)))


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL)
def logaddexp2(input: mx.array, other: mx.array) -> mx.array:
    """log2(2**input + 2**other) without overflow."""
    return kernels.logaddexp2(input, other)


logaddexp2.gradients(input=lambda grad, input, other: grad / (1 + exp2(other - input)),
                     other=lambda grad, input, other: grad / (1 + exp2(input - other)))


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL)
def copysign(input: mx.array, other: Operand) -> mx.array:
    """The size of input with the sign of other, minus zero included."""
    negative = _negative(other)
    size = mx.abs(input)
    return mx.where(negative, -size, size)


def _negative(array):
    """Whether the sign bit is set."""
    if FROM_MLX[array.dtype].category < 2:
        return array < 0 if FROM_MLX[array.dtype].is_signed else mx.zeros(array.shape, mx.bool_)
    bits = {2: mx.int16, 4: mx.int32, 8: mx.int64}[FROM_MLX[array.dtype].itemsize]
    return mx.view(array, bits) < 0


def _copysign_rule(grad, input, result):
    ratio = (result / input).masked_fill(eq(input, 0), 0)
    return grad * ratio


copysign.gradients(input=_copysign_rule, other=_no_slope)


@pointwise(differentiable=False, dtypes=REAL)
def signbit(input: mx.array) -> mx.array:
    """Whether the sign bit is set: -0.0 too."""
    return _negative(input)


@pointwise(
    promote=INT_TO_FLOAT,
    dtypes=REAL,
)
def nextafter(input: mx.array, other: mx.array) -> mx.array:
    """The next number from input towards other."""
    bits = {2: mx.int16, 4: mx.int32, 8: mx.int64}[input.dtype.size]
    raw = mx.view(input, bits)
    up = (other > input) == (input > 0)
    moved = mx.view(mx.where(up, raw + 1, raw - 1), input.dtype)
    smallest = mx.view(mx.ones_like(raw), input.dtype)
    moved = mx.where(input == 0, mx.where(other > 0, smallest, -smallest), moved)
    moved = mx.where(input == other, other, moved)
    return mx.where(
        mx.isnan(input) | mx.isnan(other), mx.full(input.shape, math.nan, input.dtype), moved
    )


nextafter.gradients(input=lambda grad, input, other: grad.masked_fill(eq(input, other), 0),
                    other=_no_slope)


@primitive(promote=INT_TO_FLOAT, name="ldexp", elementwise=True)
def _ldexp(input: mx.array, other: mx.array, whole) -> mx.array:
    """input * 2**other, the power in two factors that don't overflow if it is a `whole` one."""
    two = mx.array(2, other.dtype)
    if not whole:
        return input * kernels.pow(two, other)
    part = mx.floor(other / 2)
    return input * kernels.pow(two, part) * kernels.pow(two, other - part)


_ldexp.gradients(input=lambda grad, other: grad * _c(pow_(2.0, other)),
                 other=lambda grad, result: grad * _c(result) * math.log(2))


@composite
def ldexp(input, other):
    """input * 2**other; both are tensors."""
    for position, value in enumerate((input, other)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"ldexp(): argument '{('input', 'other')[position]}' (position {position + 1}) "
                f"must be Tensor, not {type(value).__name__}"
            )
    return _ldexp(input, other, other.dtype.category < 2)


@primitive(promote=SAME, exact_numbers=True, elementwise=True)
def lerp(input: mx.array, end: mx.array, weight: Operand) -> mx.array:
    """input + weight * (end - input), computed from the nearer end."""
    half = input.dtype in (mx.float16, mx.bfloat16)
    if half:
        kind = input.dtype
        input, end, weight = (a.astype(mx.float32) for a in (input, end, weight))
    size = mx.abs(weight) if FROM_MLX[weight.dtype].is_complex else weight
    result = mx.where(
        size < 0.5, input + weight * (end - input), end - (end - input) * (1 - weight)
    )
    return result.astype(kind) if half else result


lerp.gradients(input=lambda grad, weight: grad * _conjugate(1 - weight),
               end=lambda grad, weight: grad * _conjugate(weight),
               weight=lambda grad, input, end: grad * _c(end - input))


@primitive(promote=SAME, elementwise=True)
def addcmul(input: mx.array, tensor1: mx.array, tensor2: mx.array, *, value=1) -> mx.array:
    """input + value * tensor1 * tensor2."""
    return _in_single(_addcmul, input, tensor1, tensor2, value)


def _in_single(function, input, tensor1, tensor2, value):
    """Run in float32 for half precision, rounding once."""
    kind = input.dtype
    if kind in (mx.float16, mx.bfloat16):
        input, tensor1, tensor2 = (a.astype(mx.float32) for a in (input, tensor1, tensor2))
    return function(input, tensor1, tensor2, mx.array(value, input.dtype)).astype(kind)


def _addcmul(input, tensor1, tensor2, value):
    return input + value * tensor1 * tensor2


addcmul.gradients(input=lambda grad: grad,
                  tensor1=lambda grad, tensor2, value: grad * _conjugate(tensor2 * value),
                  tensor2=lambda grad, tensor1, value: grad * _conjugate(tensor1 * value))


@primitive(promote=SAME, elementwise=True)
def addcdiv(input: mx.array, tensor1: mx.array, tensor2: mx.array, *, value=1) -> mx.array:
    """input + value * tensor1 / tensor2. Raises RuntimeError for integers."""
    if FROM_MLX[input.dtype].category < 2:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs."
        )
    return _in_single(_addcdiv, input, tensor1, tensor2, value)


def _addcdiv(input, tensor1, tensor2, value):
    return input + value * tensor1 / tensor2


def _over(value, tensor):
    # Beside half types PyTorch rounds the number first.
    value = rounded(value, tensor.dtype.name) if tensor.dtype.itemsize == 2 else value
    return true_divide(value, tensor)


addcdiv.gradients(
    input=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * _conjugate(_over(value, tensor2)),
    tensor2=lambda grad, tensor1, tensor2, value: (
        grad * -_conjugate(value * tensor1 / (tensor2 * tensor2))
    ),
)


def _isnan(input):
    return (
        mx.isnan(input) if FROM_MLX[input.dtype].category >= 2 else mx.zeros(input.shape, mx.bool_)
    )


def _test(name, function, text, dtypes=SUPPORTED):
    def body(input: mx.array) -> mx.array:
        return function(input)
    body.__name__, body.__doc__, body.__module__ = name, text, __name__
    return pointwise(body, differentiable=False, dtypes=dtypes, kernel=name)


def _exact(function, constant):
    return lambda input: function(input) if FROM_MLX[input.dtype].category >= 2 else \
        mx.full(input.shape, constant, mx.bool_)


isnan = _test("isnan", _isnan, "Whether an element is NaN.")
isinf = _test("isinf", _exact(mx.isinf, False), "Whether an element is infinite.")
isfinite = _test(
    "isfinite", _exact(mx.isfinite, True), "Whether an element is neither infinite nor NaN."
)
isposinf = _test("isposinf", _exact(mx.isposinf, False), "Whether an element is infinity.", REAL)
isneginf = _test(
    "isneginf", _exact(mx.isneginf, False), "Whether an element is minus infinity.", REAL
)
isreal = _test("isreal", lambda input: mx.imag(input) == 0 if input.dtype == mx.complex64 else
               mx.ones(input.shape, mx.bool_), "Whether an element has no imaginary part.")


@pointwise
def nan_to_num(input: mx.array, nan=None, posinf=None, neginf=None) -> mx.array:
    """Replace NaN by `nan` (0), infinities by `posinf` and `neginf` (the extremes of the dtype)."""
    kind = FROM_MLX[input.dtype]
    if kind.category < 2:
        return input
    if kind.is_complex:
        parts = [
            _replace_infinities(part, kind.real, nan, posinf, neginf)
            for part in (mx.real(input), mx.imag(input))
        ]
        return kernels.complex_from(*parts)
    return _replace_infinities(input, kind, nan, posinf, neginf)


def _replace_infinities(input, kind, nan, posinf, neginf):
    from .._core.dtype import finfo
    limits = finfo(kind)
    high = mx.array(
        limits.max if posinf is None else posinf, mx.float64 if kind.itemsize == 8 else mx.float32
    )
    low = mx.array(limits.min if neginf is None else neginf, high.dtype)
    result = mx.where(mx.isnan(input), mx.array(0.0 if nan is None else nan, input.dtype), input)
    result = mx.where(mx.isposinf(input), high.astype(input.dtype), result)
    return mx.where(mx.isneginf(input), low.astype(input.dtype), result)


nan_to_num.gradients(
    input=lambda grad, input: (
        grad.masked_fill(isfinite(input).logical_not(), 0)
        if not input.dtype.is_complex
        else automatic_mask(grad, input)
    )
)


def automatic_mask(grad, input):
    """The gradient's parts where the parts of a complex input are finite."""
    from .creation import complex_
    parts = [g.masked_fill(isfinite(x).logical_not(), 0) for g, x in
             ((real(grad), real(input)), (imag(grad), imag(input)))]
    return complex_(*parts)


@pointwise(promote=SAME, dtypes=REAL)
def heaviside(input: mx.array, values: mx.array) -> mx.array:
    """0 for negative elements, 1 for positive ones, `values` at zero."""
    return mx.where(input == 0, values, (input > 0).astype(input.dtype))


@composite
def angle(input):
    """The angle of each element in the complex plane."""
    if input.dtype.is_complex:
        return atan2(imag(input), real(input))
    floating = input if input.dtype.category >= 2 else as_dtype(input, get_default_dtype())
    flat = where(floating < 0, math.pi, 0.0).to(floating.dtype)
    return where(isnan(floating), floating, flat)


@composite
def absolute(input):
    """The absolute value."""
    return abs_(input)


@primitive(returns=None, differentiable=False, many=True, name="frexp", elementwise=True)
def _frexp(input: mx.array) -> tuple:
    """Split into a fraction in [1/2, 1) and a power of two."""
    wide = input.astype(mx.float32) if input.dtype in (mx.float16, mx.bfloat16) else input
    plain = mx.isfinite(wide) & (wide != 0)
    safe = mx.where(plain, mx.abs(wide), mx.ones_like(wide))
    exponent = mx.floor(mx.log2(safe)) + 1
    half = mx.floor(exponent / 2)
    fraction = safe * mx.power(2.0, -half) * mx.power(2.0, half - exponent)
    low, high = fraction < 0.5, fraction >= 1
    exponent = exponent - low.astype(exponent.dtype) + high.astype(exponent.dtype)
    fraction = mx.where(low, fraction * 2, mx.where(high, fraction / 2, fraction))
    signed = mx.where(wide < 0, -fraction, fraction)
    mantissa = mx.where(plain, signed, wide).astype(input.dtype)
    return mantissa, mx.where(plain, exponent, mx.zeros_like(exponent)).astype(mx.int32)


@composite
def frexp(input, *, out=None):
    """Return (mantissa, exponent) with input = mantissa * 2**exponent."""
    from .return_types import ALL, return_type
    kind = ALL.get("frexp") or return_type("frexp", "mantissa", "exponent")
    if input.dtype.category != 2:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    mantissa, exponent = _frexp(input)
    if input.requires_grad:
        mantissa = input * exp2(-exponent.to(input.dtype))
    if out is not None:
        out[0].resize_(mantissa.shape).copy_(mantissa)
        out[1].resize_(exponent.shape).copy_(exponent)
        return kind(*out)
    return kind(mantissa, exponent)


deg2rad = _unary(
    "deg2rad",
    lambda input: input * (math.pi / 180),
    lambda grad: grad * (math.pi / 180),
    text="Degrees as radians.",
)
rad2deg = _unary(
    "rad2deg",
    lambda input: input * (180 / math.pi),
    lambda grad: grad * (180 / math.pi),
    text="Radians as degrees.",
)

_PUBLIC = (
    exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, sin, cos, tan, sinh, cosh, tanh, asin,
    acos, atan, asinh, acosh, atanh, sigmoid, reciprocal, square, abs_, absolute, sign, sgn,
    floor, ceil, trunc, round_, frac, pow_, float_power, atan2, hypot, logaddexp, logaddexp2,
    copysign, signbit, nextafter, ldexp, lerp, addcmul, addcdiv, isnan, isinf,
    isfinite, isposinf, isneginf, isreal, nan_to_num, heaviside, angle,
    frexp, deg2rad, rad2deg,
)  # fmt: skip
FUNCTIONS = {f.__name__: f for f in _PUBLIC}
FUNCTIONS |= {
    "arcsin": asin, "arccos": acos, "arctan": atan, "arctan2": atan2, "arcsinh": asinh,
    "arccosh": acosh, "arctanh": atanh, "fix": trunc,
}  # fmt: skip
METHODS = dict(FUNCTIONS)
INPLACE = tuple(
    name
    for name in METHODS
    if name
    not in (
        "signbit", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal",
        "angle", "frexp", "logaddexp", "logaddexp2",
    )
)
