"""The logarithm of the gamma function, its derivatives, and the Hurwitz zeta function.

Stirling's series (NIST DLMF 5.11) after a shift of eight, reflection for negative arguments
(DLMF 5.5, 5.15), Euler and Maclaurin's formula for zeta (DLMF 25.11.5).
"""

from __future__ import annotations

import math

import mlx.core as mx

from . import reduction
from .elementary import sin
from .polynomial import Polynomial
from .precision import HALF, in_double

SHIFT = 8.0
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

# B(2k): the Bernoulli numbers from B2 on.
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138, -236364091 / 2730,
)  # fmt: skip
_LOG_GAMMA = Polynomial(*(b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI[:8], 1)))
_DIGAMMA = Polynomial(*(b / (2 * k) for k, b in enumerate(BERNOULLI[:8], 1)))
_TRIGAMMA = Polynomial(1.0, *BERNOULLI[:8])

# (y + j)(y + 7 - j) = y² + 7y + j(7 - j) for j < 4: eight factors in four.
_PAIRS = (0.0, 6.0, 10.0, 12.0)


@in_double
def lgamma(x: mx.array) -> mx.array:
    """log|Γ(x)|; infinite at 0, at the negative integers and at both infinities."""
    size = mx.abs(x)
    result = _log_gamma_positive(size)
    sine = mx.abs(sin((size - mx.round(size)) * math.pi))
    reflected = mx.log(math.pi / (size * sine)) - result
    result = mx.where(x < 0.0, reflected, result)
    return mx.where(size == math.inf, math.inf, result)


def _log_gamma_positive(x: mx.array) -> mx.array:
    pair = x * (x + 7.0)
    rising = pair * (pair + 6.0) * (pair + 10.0) * (pair + 12.0)
    shift = x < SHIFT
    x = mx.where(shift, x + SHIFT, x)
    inverse = mx.reciprocal(x)
    stirling = (x - 0.5) * mx.log(x) - x + HALF_LOG_2PI + inverse * _LOG_GAMMA(inverse * inverse)
    return stirling - mx.log(mx.where(shift, rising, 1.0))


def multigammaln(x: mx.array, p: int) -> mx.array:
    """log of the multivariate gamma function of dimension p (NIST DLMF 35.3).

    Half precision rounds each term, as in PyTorch.
    """
    terms = lgamma(mx.expand_dims(x, -1) - (0.5 * mx.arange(p)).astype(x.dtype))
    if x.dtype in HALF:
        terms = terms.astype(mx.float32)
    total = reduction.sum(terms, (-1,), False)
    return total.astype(x.dtype) + 0.25 * p * (p - 1) * math.log(math.pi)


@in_double
def digamma(x: mx.array) -> mx.array:
    """ψ(x) = Γ'(x) / Γ(x); ∓inf at ±0, NaN at the negative integers."""
    negative = x < 0.0
    y = mx.where(negative, 1.0 - x, x)
    pair = y * (y + 7.0)
    below = mx.reciprocal(pair)
    for offset in _PAIRS[1:]:
        below = below + mx.reciprocal(pair + offset)
    shift = y < SHIFT
    below = mx.where(shift, (y + y + 7.0) * below, 0.0)
    y = mx.where(shift, y + SHIFT, y)
    inverse = mx.reciprocal(y)
    square = inverse * inverse
    result = mx.log(y) - 0.5 * inverse - square * _DIGAMMA(square) - below

    fraction = x - mx.round(x)
    reflected = result - math.pi / mx.tan(fraction * math.pi)
    reflected = mx.where(fraction == 0.0, math.nan, reflected)
    return mx.where(x == 0.0, -1.0 / x, mx.where(negative, reflected, result))


def trigamma(x: mx.array) -> mx.array:
    """ψ'(x). The poles' sizes are those of PyTorch, which does not reduce πx before its sine."""
    dtype = x.dtype
    angle = x.astype(mx.float32) * math.pi if dtype in HALF else x * math.pi
    return _trigamma(x.astype(angle.dtype), angle).astype(dtype)


@in_double
def _trigamma(x: mx.array, angle: mx.array) -> mx.array:
    reflect = x < 0.5
    y = mx.where(reflect, 1.0 - x, x)
    total = mx.square(mx.reciprocal(y))
    for k in range(1, int(SHIFT)):
        total = total + mx.square(mx.reciprocal(y + k))
    y = y + SHIFT
    inverse = mx.reciprocal(y)
    total = total + inverse * (_TRIGAMMA(inverse * inverse) + 0.5 * inverse)
    return mx.where(reflect, mx.square(math.pi / sin(angle)) - total, total)


def polygamma(n: int, x: mx.array) -> mx.array:
    """The n-th derivative of digamma, n >= 0."""
    if n == 0:
        return digamma(x)
    if n == 1:
        return trigamma(x)
    return _higher_polygamma(x, n)


@in_double
def _higher_polygamma(x: mx.array, n: int) -> mx.array:
    sign = 1.0 if n % 2 else -1.0
    negative = x <= 0.0
    y = mx.where(negative, 1.0 - x, x)
    result = _hurwitz(float(n + 1), y, 10) * (sign * math.gamma(n + 1.0))
    cotangent = mx.reciprocal(mx.tan((x - mx.round(x)) * math.pi))
    poles = _cotangent_derivative(n)(cotangent) * math.pi ** (n + 1)
    reflected = result * (-sign) - poles
    reflected = mx.where(x == mx.round(x), sign * math.inf, reflected)
    return mx.where(negative, reflected, result)


def _cotangent_derivative(n: int) -> Polynomial:
    """The n-th derivative of the cotangent as a polynomial in it: each is -(1 + c²)·P'(c)."""
    coefficients = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-a - b for a, b in zip(slope + [0.0, 0.0], [0.0, 0.0] + slope)]
    return Polynomial(*coefficients)


@in_double
def zeta(s: mx.array, q: mx.array, terms: int = 10) -> mx.array:
    """Σ (q + k)^-s over k >= 0, for s > 1; for negative q it needs `terms` > 9 - q.

    As in Cephes: infinite at s = 1 and at non-positive integers q; NaN for s < 1, and for
    negative q unless s is an integer.
    """
    result = _hurwitz(s, q, terms)
    undefined = (s < 1.0) | ((q < 0.0) & (s != mx.round(s)))
    infinite = (s == 1.0) | ((q <= 0.0) & (q == mx.round(q)))
    result = mx.where(undefined, math.nan, result)
    return mx.where(infinite & (s >= 1.0), math.inf, result)


def _hurwitz(s: mx.array | float, q: mx.array, terms: int) -> mx.array:
    total = mx.power(q, -s)
    for k in range(1, terms):
        total = total + mx.power(q + k, -s)
    # From 10^-1000 on the remainder is nothing, but its factors would overflow.
    s = mx.minimum(s, 1000.0) if isinstance(s, mx.array) else s
    edge = q + terms
    last = mx.power(edge, -s)
    total = total + last * (edge / (s - 1.0) + 0.5)
    factor = last * s / edge
    square = mx.reciprocal(edge * edge)
    factorial = 2.0
    for k, bernoulli in enumerate(BERNOULLI, 1):
        total = total + factor * (bernoulli / factorial)
        factor = factor * ((s + (2 * k - 1)) * (s + 2 * k)) * square
        factorial *= (2 * k + 1) * (2 * k + 2)
    return total
