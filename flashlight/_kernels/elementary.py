"""Exponentials, logarithms, powers and circular functions, accurate in every dtype.

MLX's functions are used wherever they are within two units in the last place of the true value.
On the CPU they are not for `exp` and `sigmoid` (62 units off, early overflow, no denormals, and
single precision in float64), `sin` and `cos` in float64 (single precision) and `logaddexp`.
Functions whose half-precision forms already round a float32 result once are called directly.
"""

from __future__ import annotations

import math

import mlx.core as mx

from .precision import on_accelerator, through_float32

LOG_2 = math.log(2.0)

# e^(2^k): the largest such power whose own exponents reach the whole range of the dtype. A base b
# with a relative rounding error r makes b^(x/2^k) wrong by x·r/2^k, so the larger the base the
# better: half a unit in the last place at the ends of the range, nothing near zero.
_BASES = {mx.float32: (math.exp(64.0), 1 / 64), mx.float64: (math.exp(512.0), 1 / 512)}


@through_float32
def exp(x: mx.array) -> mx.array:
    """e^x, to 1.4 units in the last place; denormals included."""
    base = _BASES.get(x.dtype)
    if base is None or (x.dtype == mx.float32 and on_accelerator()):
        return mx.exp(x)
    return mx.power(base[0], x * base[1])


def exp2(x: mx.array) -> mx.array:
    """2^x."""
    if x.dtype == mx.complex64:
        return mx.exp(x * LOG_2)
    return mx.power(2.0, x)


def expm1(x: mx.array) -> mx.array:
    """e^x - 1, accurate near 0."""
    if x.dtype != mx.complex64:
        return mx.expm1(x)
    a, b = mx.real(x), mx.imag(x)
    half_sine = mx.sin(b * 0.5)
    real = mx.expm1(a) * mx.cos(b) - 2.0 * half_sine * half_sine
    return complex_from(real, exp(a) * mx.sin(b))


def sin(x: mx.array) -> mx.array:
    """sin x; in float64 2t / (1 + t²) with t = tan(x/2), which MLX has in double precision."""
    if x.dtype == mx.float64:
        t = mx.tan(x * 0.5)
        return (t + t) / (t * t + 1.0)
    if x.dtype == mx.complex64 or on_accelerator():
        return mx.sin(x)
    return mx.where(x == 0.0, x, mx.sin(x))  # MLX gives +0 for -0


def cos(x: mx.array) -> mx.array:
    """cos x; in float64 (1 - t²) / (1 + t²) with t = tan(x/2)."""
    if x.dtype == mx.float64:
        t = mx.tan(x * 0.5)
        return (1.0 - t) * (1.0 + t) / (t * t + 1.0)
    return mx.cos(x)


def sine_and_cosine(x: mx.array) -> tuple[mx.array, mx.array]:
    """sin x and cos x; in float64 of one tangent."""
    if x.dtype != mx.float64:
        return mx.sin(x), mx.cos(x)
    t = mx.tan(x * 0.5)
    scale = t * t + 1.0
    return (t + t) / scale, (1.0 - t) * (1.0 + t) / scale


@through_float32
def rsqrt(x: mx.array) -> mx.array:
    """1 / sqrt(x)."""
    return mx.rsqrt(x)


@through_float32
def sigmoid(x: mx.array) -> mx.array:
    """1 / (1 + e^-x)."""
    return mx.reciprocal(exp(-x) + 1.0)


@through_float32
def tanh_gradient(grad: mx.array, result: mx.array) -> mx.array:
    """The gradient of tanh, of its result."""
    slope = 1.0 - result * result
    return grad * (mx.conj(slope) if result.dtype == mx.complex64 else slope)


def sigmoid_gradient(grad: mx.array, result: mx.array) -> mx.array:
    """The gradient of sigmoid, of its result; PyTorch rounds each step in float16 only."""
    if result.dtype == mx.complex64:
        return grad * mx.conj((1.0 - result) * result)
    if result.dtype == mx.bfloat16:
        wide = result.astype(mx.float32)
        return (grad.astype(mx.float32) * (1.0 - wide) * wide).astype(mx.bfloat16)
    return grad * (1.0 - result) * result


def logit(x: mx.array, eps: float | None = None) -> mx.array:
    """log(x / (1 - x)), with x first clamped to [eps, 1 - eps] where `eps` is given.

    In half precision the quotient is rounded, as in PyTorch.
    """
    if eps is not None:
        x = mx.clip(x, eps, 1.0 - eps)
    return mx.log(x / (1.0 - x))


@through_float32
def softplus(x: mx.array, beta: float = 1.0, threshold: float = 20.0) -> mx.array:
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold."""
    scaled = x * beta
    return mx.where(scaled > threshold, x, mx.log1p(exp(scaled)) / beta)


@through_float32
def logaddexp(x: mx.array, y: mx.array) -> mx.array:
    """log(e^x + e^y); complex numbers are ordered by their real parts."""
    if x.dtype == mx.complex64:
        swap = mx.real(x) < mx.real(y)
        low, high = mx.where(swap, x, y), mx.where(swap, y, x)
        tied = mx.isinf(mx.real(low)) & (mx.real(low) == mx.real(high))
        both = mx.log(mx.exp(low) + mx.exp(high))
        tie = mx.where(mx.real(low) < 0, low, both)
        return mx.where(tied, tie, mx.log1p(mx.exp(low - high)) + high)
    # The difference of equal infinities must not be NaN.
    difference = mx.where(x == y, 0.0, mx.abs(x - y))
    return mx.maximum(x, y) + mx.log1p(exp(-difference))


@through_float32
def logaddexp2(x: mx.array, y: mx.array) -> mx.array:
    """log2(2^x + 2^y)."""
    difference = mx.where(x == y, 0.0, mx.abs(x - y))
    return mx.maximum(x, y) + mx.log1p(exp2(-difference)) / LOG_2


def pow(x: mx.array, y: mx.array) -> mx.array:
    """x^y with C's special values; integers wrap, and a negative power of an integer truncates."""
    if mx.issubdtype(x.dtype, mx.signedinteger):
        # Only ±1 have integer reciprocals; MLX gives 0 for them too.
        odd = mx.bitwise_and(y, 1) != 0
        inverse = mx.where(x == -1, mx.where(odd, -1, 1), (x == 1).astype(x.dtype))
        inverse = inverse.astype(x.dtype)
        return mx.where(y < 0, inverse, mx.power(x, mx.maximum(y, 0)))
    return mx.power(x, y)


@through_float32
def hypot(x: mx.array, y: mx.array) -> mx.array:
    """sqrt(x² + y²) without overflow or underflow on the way."""
    x, y = mx.abs(x), mx.abs(y)
    large = mx.maximum(x, y)
    # Dividing by 0 or infinity would give NaN; by 1 the formula still gives 0 and infinity.
    unit = (large == 0.0) | mx.isinf(large)
    ratio = mx.minimum(x, y) / mx.where(unit, 1.0, large)
    return large * mx.sqrt(ratio * ratio + 1.0)


@through_float32
def sinc(x: mx.array) -> mx.array:
    """sin(πx) / (πx), and 1 at 0."""
    zero = x == 0
    angle = mx.where(zero, 1.0, x * math.pi)
    return mx.where(zero, 1.0, sin(angle) / angle)


def xlogy(x: mx.array, y: mx.array) -> mx.array:
    """x·log(y), and 0 where x is 0 and y is not NaN; half types round the logarithm too."""
    return mx.where((x == 0.0) & (y == y), 0.0, x * mx.log(y))


def xlog1py(x: mx.array, y: mx.array) -> mx.array:
    """x·log(1 + y), and 0 where x is 0 and y is not NaN; half types round the logarithm too."""
    return mx.where((x == 0.0) & (y == y), 0.0, x * mx.log1p(y))


def entr(x: mx.array) -> mx.array:
    """-x·log(x): 0 at 0, -inf below; half types round the logarithm too."""
    outside = mx.where(x == 0.0, 0.0, mx.where(x < 0.0, -math.inf, x))
    return mx.where(x > 0.0, x * -mx.log(x), outside)


def complex_from(real: mx.array, imaginary: mx.array) -> mx.array:
    """The complex64 array of these float32 parts; `real + 1j·imaginary` makes NaN of infinities."""
    return mx.stack([real, imaginary], axis=-1).view(mx.complex64).squeeze(-1)
