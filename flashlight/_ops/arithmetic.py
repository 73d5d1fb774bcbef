"""Arithmetic, comparison, logic and bits, element by element."""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FROM_MLX, INTEGRAL, SUPPORTED, bool_
from .._core.evaluation import is_traced
from .._core.tensor import Tensor
from .kinds import INT_TO_FLOAT, SAME, Operand, composite, pointwise, primitive

INTEGER_OR_BOOL = (*INTEGRAL, bool_)
REAL = tuple(d for d in SUPPORTED if not d.is_complex)


def _conjugate(value):
    """Return the conjugate of a complex tensor or number; anything else as it is."""
    if isinstance(value, Tensor):
        return value.conj() if value.dtype.is_complex else value
    return value.conjugate() if isinstance(value, complex) else value


def _alpha(name, array, alpha):
    kind = FROM_MLX[array.dtype]
    if isinstance(alpha, float) and kind.category < 2:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if isinstance(alpha, bool) and kind is not bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, complex) and not kind.is_complex:
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )
    return alpha


def _scaled(name, other, alpha):
    if alpha is True or alpha == 1:
        return other
    scale = mx.array(_alpha(name, other, alpha), other.dtype)
    half = other.dtype in (mx.float16, mx.bfloat16)
    return (other.astype(mx.float32) if half else other) * scale


@pointwise(promote=SAME, fast=mx.add)
def add(input: Operand, other: Operand, *, alpha=1) -> mx.array:
    """input + alpha * other."""
    return mx.add(input, _scaled("add", other, alpha)).astype(input.dtype)


add.gradients(input=lambda grad: grad,
              other=lambda grad, alpha: grad if alpha == 1 else grad * _conjugate(alpha))


@pointwise(promote=SAME, fast=mx.subtract)
def sub(input: Operand, other: Operand, *, alpha=1) -> mx.array:
    """input - alpha * other. Raises RuntimeError for bool."""
    if input.dtype == mx.bool_:
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. "
                           "Use the `^` or `logical_xor()` operator instead.")
    return mx.subtract(input, _scaled("sub", other, alpha)).astype(input.dtype)


sub.gradients(input=lambda grad: grad,
              other=lambda grad, alpha: -grad if alpha == 1 else grad * -_conjugate(alpha))


@composite
def rsub(input, other, *, alpha=1):
    """other - alpha * input."""
    if not isinstance(input, Tensor):
        raise TypeError("rsub(): argument 'input' (position 1) must be Tensor, not "
                        f"{type(input).__name__}")
    return sub(other, input, alpha=alpha)


def _beside_number(function, input, other):
    """Run in float32 and round once where one of the two is a number beside half precision."""
    if input.dtype == other.dtype:
        return function(input, other)
    return function(input, other).astype(other.dtype if input.dtype == mx.float32 else input.dtype)


@pointwise(promote=SAME, fast=mx.multiply, exact_numbers=True)
def mul(input: Operand, other: Operand) -> mx.array:
    """input * other."""
    return _beside_number(mx.multiply, input, other)


mul.gradients(input=lambda grad, other: grad * _conjugate(other),
              other=lambda grad, input: grad * _conjugate(input))


@pointwise(promote=INT_TO_FLOAT, fast=mx.divide, name="div", exact_numbers=True)
def true_divide(input: Operand, other: Operand) -> mx.array:
    """input / other."""
    return _beside_number(mx.divide, input, other)


true_divide.gradients(
    input=lambda grad, other: grad / _conjugate(other),
    other=lambda grad, input, other: -grad * _conjugate((input / other) / other),
)


def _check_divisor(name, other):
    """Raise RuntimeError for an integer division by zero: MLX would end the process, or give 0."""
    if not is_traced(other) and bool(mx.any(other == 0).item()):
        raise RuntimeError("ZeroDivisionError")


def _floor_divide_floats(input, other):
    """Divide as Python does: by way of the remainder, so that the quotient is exact."""
    remainder = mx.remainder(input, other)
    quotient = (input - remainder) / other
    rounded = mx.floor(quotient)
    rounded = mx.where(quotient - rounded > 0.5, rounded + 1, rounded)
    plain = mx.divide(input, other)
    rounded = mx.where(quotient == 0, mx.copysign(mx.zeros_like(plain), plain)
                       if hasattr(mx, "copysign") else mx.zeros_like(plain) * plain, rounded)
    return mx.where(other == 0, plain, rounded)


@pointwise(promote=SAME, dtypes=REAL, name="floor_divide")
def floor_divide(input: Operand, other: Operand) -> mx.array:
    """The quotient rounded down. Raises RuntimeError for an integer division by zero."""
    if FROM_MLX[input.dtype].category < 2:
        if input.dtype == mx.bool_:
            input, other = input.astype(mx.uint8), other.astype(mx.uint8)
            _check_divisor("floor_divide", other)
            return mx.floor_divide(input, other).astype(mx.bool_)
        _check_divisor("floor_divide", other)
        return _safe_integer(mx.floor_divide, input, other)
    return _in_float(_floor_divide_floats, input, other)


def _safe_integer(function, input, other):
    """Run an integer division whose INT_MIN / -1 would trap."""
    if FROM_MLX[input.dtype].is_signed:
        minus = other == -1
        quotient = function(input, mx.where(minus, mx.ones_like(other), other))
        return mx.where(minus, -quotient, quotient)
    return function(input, other)


def _in_float(function, *arrays):
    """Run in float32 for the half types, and cast back."""
    kind = arrays[0].dtype
    if kind in (mx.float16, mx.bfloat16):
        return function(*[a.astype(mx.float32) for a in arrays]).astype(kind)
    return function(*arrays)


@pointwise(promote=SAME, dtypes=REAL, name="div")
def _trunc_divide(input: Operand, other: Operand) -> mx.array:
    """The quotient rounded towards zero."""
    if FROM_MLX[input.dtype].category < 2:
        _check_divisor("div", other)
        if not FROM_MLX[input.dtype].is_signed:
            return mx.floor_divide(input, other)
        quotient = _safe_integer(mx.floor_divide, input, other)
        inexact = mx.multiply(quotient, other) != input
        negative = (input < 0) != (other < 0)
        return mx.where(inexact & negative, quotient + 1, quotient)
    return _truncate(input / other)  # of the rounded quotient, in half precision too


def _truncate(value):
    return mx.where(value < 0, mx.ceil(value), mx.floor(value))


def _zero_like_grad(grad):
    return grad * 0


_trunc_divide.gradients(input=_zero_like_grad, other=_zero_like_grad)


@composite
def div(input, other, *, rounding_mode=None):
    """input / other, rounded as `rounding_mode` says: None, "trunc" or "floor"."""
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return _trunc_divide(input, other)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


div.operator = true_divide.operator


def _remainder(input, other):
    result = mx.remainder(input, other)
    if FROM_MLX[input.dtype].category == 2:
        # MLX's remainder by an infinity of the other sign is NaN; Python's is the divisor.
        far = mx.isinf(other) & mx.isfinite(input)
        opposite = (input != 0) & ((input < 0) != (other < 0))
        result = mx.where(far, mx.where(opposite, other, input), result)
    return result


@pointwise(promote=SAME, dtypes=REAL)
def remainder(input: Operand, other: Operand) -> mx.array:
    """input - other * floor(input / other), of the divisor's sign. Integers: other must not be 0.
    """
    if FROM_MLX[input.dtype].category < 2:
        _check_divisor("remainder", other)
        if FROM_MLX[input.dtype].is_signed:
            minus = other == -1
            other = mx.where(minus, mx.ones_like(other), other)
        return mx.remainder(input, other)
    return _in_float(_remainder, input, other)


remainder.gradients(
    input=lambda grad: grad,
    other=lambda grad, input, other: -grad * div(input, other, rounding_mode="floor"),
)


def _fmod(input, other):
    magnitude = mx.remainder(mx.abs(input), mx.abs(other))
    magnitude = mx.where(mx.isinf(other) & mx.isfinite(input), mx.abs(input), magnitude)
    return mx.where(input < 0, -magnitude, magnitude)


@pointwise(promote=SAME, dtypes=REAL)
def fmod(input: mx.array, other: Operand) -> mx.array:
    """The remainder of the division rounded towards zero, of the dividend's sign."""
    if FROM_MLX[input.dtype].category < 2:
        _check_divisor("fmod", other)
        if not FROM_MLX[input.dtype].is_signed:
            return mx.remainder(input, other)
        minus = other == -1
        other = mx.where(minus, mx.ones_like(other), other)
        rest = mx.remainder(input, other)
        return mx.where((rest != 0) & ((input < 0) != (other < 0)), rest - other, rest)
    return _in_float(_fmod, input, other)


fmod.gradients(input=lambda grad: grad,
               other=lambda grad, input, other: -grad * div(input, other, rounding_mode="trunc"))


@pointwise(promote=SAME)
def neg(input: mx.array) -> mx.array:
    """-input. Raises RuntimeError for bool."""
    if input.dtype == mx.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return mx.negative(input)


neg.gradients(input=lambda grad: -grad)


@composite
def positive(input):
    """Return `input`. Raises RuntimeError for bool."""
    if input.dtype is bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


# ----- comparison -----


def _comparison(name, function, dtypes=SUPPORTED):
    def body(input: mx.array, other: Operand) -> mx.array:
        return function(input, other)
    body.__name__ = name
    body.__doc__ = f"Compare element by element ({name}); the result is bool."
    body.__module__ = __name__
    return pointwise(body, promote=SAME, fast=function, dtypes=dtypes, differentiable=False)


eq = _comparison("eq", mx.equal)
ne = _comparison("ne", mx.not_equal)
lt = _comparison("lt", mx.less, REAL)
le = _comparison("le", mx.less_equal, REAL)
gt = _comparison("gt", mx.greater, REAL)
ge = _comparison("ge", mx.greater_equal, REAL)


# ----- logic and bits -----


@pointwise(differentiable=False)
def logical_not(input: mx.array) -> mx.array:
    """Whether an element is zero."""
    return input == 0 if input.dtype != mx.bool_ else mx.logical_not(input)


def _truth(array):
    return array if array.dtype == mx.bool_ else array != 0


@pointwise(promote=SAME, differentiable=False)
def logical_and(input: mx.array, other: mx.array) -> mx.array:
    """Whether both elements are other than zero."""
    return mx.logical_and(_truth(input), _truth(other))


@pointwise(promote=SAME, differentiable=False)
def logical_or(input: mx.array, other: mx.array) -> mx.array:
    """Whether one of the elements is other than zero."""
    return mx.logical_or(_truth(input), _truth(other))


@pointwise(promote=SAME, differentiable=False)
def logical_xor(input: mx.array, other: mx.array) -> mx.array:
    """Whether just one of the elements is other than zero."""
    return mx.not_equal(_truth(input), _truth(other))


@pointwise(
    promote=SAME,
    dtypes=INTEGER_OR_BOOL,
    fast=mx.bitwise_and,
    name="bitwise_and",
    kernel="bitwise_and_cpu",
)
def bitwise_and(input: Operand, other: Operand) -> mx.array:
    """The bits set in both."""
    return mx.bitwise_and(input, other)


@pointwise(promote=SAME, dtypes=INTEGER_OR_BOOL, fast=mx.bitwise_or, kernel="bitwise_or_cpu")
def bitwise_or(input: Operand, other: Operand) -> mx.array:
    """The bits set in one of the two."""
    return mx.bitwise_or(input, other)


@pointwise(promote=SAME, dtypes=INTEGER_OR_BOOL, fast=mx.bitwise_xor, kernel="bitwise_xor_cpu")
def bitwise_xor(input: Operand, other: Operand) -> mx.array:
    """The bits set in just one of the two."""
    return mx.bitwise_xor(input, other)


@pointwise(dtypes=INTEGER_OR_BOOL, kernel="bitwise_not_cpu")
def bitwise_not(input: mx.array) -> mx.array:
    """The bits that are not set."""
    return mx.logical_not(input) if input.dtype == mx.bool_ else mx.bitwise_invert(input)


def _shift(function, fill):
    def body(input: Operand, other: Operand) -> mx.array:
        kind = FROM_MLX[input.dtype]
        bits = 8 * kind.itemsize
        outside = (other < 0) | (other >= bits) if kind.is_signed else other >= bits
        shifted = function(input, mx.where(outside, mx.zeros_like(other), other))
        beyond = mx.where(input < 0, mx.full(input.shape, -1, input.dtype), mx.zeros_like(input)) \
            if fill and kind.is_signed else mx.zeros_like(input)
        return mx.where(outside, beyond, shifted)
    return body


def _declare_shift(name, function, fill, text):
    body = _shift(function, fill)
    body.__name__, body.__doc__, body.__module__ = name, text, __name__
    return pointwise(body, promote=SAME, dtypes=INTEGRAL, kernel=f"{name}_cpu")


bitwise_left_shift = _declare_shift("bitwise_left_shift", mx.left_shift, False,
                                    "input * 2**other; 0 for counts beyond the width.")
bitwise_right_shift = _declare_shift("bitwise_right_shift", mx.right_shift, True,
                                     "input // 2**other; 0 or -1 for counts beyond the width.")


# ----- extremes and clamping -----


@pointwise(promote=SAME, dtypes=REAL)
def maximum(input: mx.array, other: mx.array) -> mx.array:
    """The larger of two elements; NaN if one is."""
    return mx.maximum(input, other)


@pointwise(promote=SAME, dtypes=REAL)
def minimum(input: mx.array, other: mx.array) -> mx.array:
    """The smaller of two elements; NaN if one is."""
    return mx.minimum(input, other)


def _extreme_rule(wins, ties):
    """Return a rule: the whole gradient where `wins`, half of it at a tie, all of it beside NaN."""
    def rule(grad, input, other):
        share = wins(input, other).to(grad.dtype) + eq(input, other).to(grad.dtype) * ties
        return grad * share
    return rule


def _beats(compare):
    return lambda input, other: logical_not(logical_or(compare(input, other), eq(input, other)))


# Whoever is not beaten takes the gradient, so that NaN (which nothing beats) gives it to both.
maximum.gradients(input=_extreme_rule(_beats(lt), 0.5), other=_extreme_rule(_beats(gt), 0.5))
minimum.gradients(input=_extreme_rule(_beats(gt), 0.5), other=_extreme_rule(_beats(lt), 0.5))


@pointwise(promote=SAME, dtypes=REAL)
def fmax(input: mx.array, other: mx.array) -> mx.array:
    """The larger of two elements; the other one where one is NaN."""
    if FROM_MLX[input.dtype].category < 2:
        return mx.maximum(input, other)
    return mx.where(
        mx.isnan(other), input, mx.where(mx.isnan(input), other, mx.maximum(input, other))
    )


@pointwise(promote=SAME, dtypes=REAL)
def fmin(input: mx.array, other: mx.array) -> mx.array:
    """The smaller of two elements; the other one where one is NaN."""
    if FROM_MLX[input.dtype].category < 2:
        return mx.minimum(input, other)
    return mx.where(
        mx.isnan(other), input, mx.where(mx.isnan(input), other, mx.minimum(input, other))
    )


def _nan_aware_rule(compare):
    def first(grad, input, other):
        return grad * logical_or(compare(input, other), other.isnan()).to(grad.dtype)

    def second(grad, input, other):
        return grad * logical_not(logical_or(compare(input, other), other.isnan())).to(grad.dtype)
    return {"input": first, "other": second}


fmax.gradients(**_nan_aware_rule(ge))
fmin.gradients(**_nan_aware_rule(le))


@primitive(promote=SAME, dtypes=REAL, kernel="clamp_scalar_cpu", elementwise=True)
def clamp(input: mx.array, min: Operand | None = None, max: Operand | None = None) -> mx.array:
    """Limit elements to [min, max]; if min > max, to max."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None:
        input = mx.maximum(input, min)
    if max is not None:
        input = mx.minimum(input, max)
    return input


def _inside(grad, input, min, max):
    inside = None
    if min is not None:
        inside = ge(input, min)
    if max is not None:
        below = le(input, max)
        inside = below if inside is None else logical_and(inside, below)
    return grad * inside.to(grad.dtype)


def _at_lower(grad, input, min, max):
    chosen = lt(input, min)
    if max is not None:
        chosen = logical_and(chosen, lt(min, max))
    return grad * chosen.to(grad.dtype)


def _at_upper(grad, input, min, max):
    chosen = gt(input, max)
    if min is not None:
        chosen = logical_or(chosen, gt(min, max))
    return grad * chosen.to(grad.dtype)


clamp.gradients(input=_inside, min=_at_lower, max=_at_upper)


@composite
def clamp_min(input, min):
    """Limit elements to at least `min`."""
    return clamp(input, min=min)


@composite
def clamp_max(input, max):
    """Limit elements to at most `max`."""
    return clamp(input, max=max)


clip = clamp
subtract, multiply, divide, negative = sub, mul, div, neg
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne


@composite
def __lshift__(input, other):
    """Shift bits to the left."""
    return bitwise_left_shift(input, other)


@composite
def __rshift__(input, other):
    """Shift bits to the right."""
    return bitwise_right_shift(input, other)


_PUBLIC = (
    add, sub, rsub, mul, div, floor_divide, remainder, fmod, neg, positive, eq, ne, lt, le, gt,
    ge, logical_not, logical_and, logical_or, logical_xor, bitwise_and, bitwise_or, bitwise_xor,
    bitwise_not, bitwise_left_shift, bitwise_right_shift, maximum, minimum, fmax, fmin, clamp,
    clamp_min, clamp_max,
)  # fmt: skip
_ALIASES = {
    "subtract": sub, "multiply": mul, "divide": div, "true_divide": true_divide, "negative": neg,
    "greater": gt, "greater_equal": ge, "less": lt, "less_equal": le, "not_equal": ne,
    "clip": clamp,
}  # fmt: skip
FUNCTIONS = {**{f.__name__: f for f in _PUBLIC}, **_ALIASES}
METHODS = {name: f for name, f in FUNCTIONS.items() if name != "rsub"}
INPLACE = tuple(name for name in METHODS
                if name not in ("positive", "maximum", "minimum", "fmax", "fmin", "rsub"))
