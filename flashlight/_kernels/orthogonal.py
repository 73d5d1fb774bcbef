"""The classical orthogonal polynomials, of degrees given by an array or a Python integer.

Degrees are truncated to integers, and negative ones give 0, as in PyTorch. Chebyshev polynomials
have closed forms in the circular and hyperbolic functions (NIST DLMF 18.5.1 to 4); the others are
run up by their recurrences (DLMF 18.9), which for an array of degrees needs its largest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mlx.core as mx

from .elementary import cos, sin
from .precision import in_double, on_accelerator

# From these degrees on PyTorch gives NaN for Hermite polynomials.
HERMITE_LIMIT = {mx.float32: 128, mx.float64: 512}


@in_double
def chebyshev_t(x: mx.array, n: mx.array) -> mx.array:
    """Chebyshev polynomials of the first kind: cos(nθ) with x = cos θ."""
    angle, size, n, sign = _angles(x, n)
    inside = cos(n * angle)
    return _chebyshev(x, n, inside, sign * mx.cosh(n * size), mx.where(x > 0.0, 1.0, sign))


@in_double
def chebyshev_u(x: mx.array, n: mx.array) -> mx.array:
    """Chebyshev polynomials of the second kind: sin((n + 1)θ) / sin θ."""
    angle, size, n, sign = _angles(x, n)
    m = n + 1.0
    inside = sin(m * angle) / sin(angle)
    outside = sign * mx.sinh(m * size) / mx.sinh(size)
    return _chebyshev(x, n, inside, outside, m * mx.where(x > 0.0, 1.0, sign))


@in_double
def chebyshev_v(x: mx.array, n: mx.array) -> mx.array:
    """Chebyshev polynomials of the third kind: cos((n + 1/2)θ) / cos(θ/2)."""
    angle, size, n, sign = _angles(x, n)
    m = n + 0.5
    inside = cos(m * angle) / cos(angle * 0.5)
    right = mx.cosh(m * size) / mx.cosh(size * 0.5)
    left = sign * mx.sinh(m * size) / mx.sinh(size * 0.5)
    edge = mx.where(x > 0.0, 1.0, sign * (n + n + 1.0))
    return _chebyshev(x, n, inside, mx.where(x > 0.0, right, left), edge)


@in_double
def chebyshev_w(x: mx.array, n: mx.array) -> mx.array:
    """Chebyshev polynomials of the fourth kind: sin((n + 1/2)θ) / sin(θ/2)."""
    angle, size, n, sign = _angles(x, n)
    m = n + 0.5
    inside = sin(m * angle) / sin(angle * 0.5)
    right = mx.sinh(m * size) / mx.sinh(size * 0.5)
    left = sign * mx.cosh(m * size) / mx.cosh(size * 0.5)
    edge = mx.where(x > 0.0, n + n + 1.0, sign)
    return _chebyshev(x, n, inside, mx.where(x > 0.0, right, left), edge)


def _angles(x: mx.array, n: mx.array) -> tuple[mx.array, mx.array, mx.array, mx.array]:
    """arccos x, arccosh |x|, the whole degree, and the sign that x < 0 has at that degree."""
    n = mx.where(n < 0.0, mx.ceil(n), mx.floor(n))
    odd = n - 2.0 * mx.floor(n * 0.5)
    sign = mx.where(x < 0.0, 1.0 - 2.0 * odd, 1.0)
    return mx.arccos(x), mx.arccosh(mx.abs(x)), n, sign


def _chebyshev(
    x: mx.array, n: mx.array, inside: mx.array, outside: mx.array, edge: mx.array
) -> mx.array:
    size = mx.abs(x)
    result = mx.where(size < 1.0, inside, mx.where(size == 1.0, edge, outside))
    result = mx.where(n == 0.0, 1.0, result)
    return mx.where(n < 0.0, 0.0, result)


def hermite_h(x: mx.array, n: mx.array | int, degree: int) -> mx.array:
    """Hermite polynomials H_n, up to `degree` = the largest n: H_n+1 = 2x·H_n - 2n·H_n-1."""
    twice = x + x
    return _hermite(x, n, degree, twice, lambda k, p, q: _fused(twice, q, p * (-2.0 * k)))


def hermite_he(x: mx.array, n: mx.array | int, degree: int) -> mx.array:
    """Probabilists' Hermite polynomials: He_n+1 = x·He_n - n·He_n-1."""
    return _hermite(x, n, degree, x, lambda k, p, q: _fused(x, q, p * -float(k)))


def laguerre_l(x: mx.array, n: mx.array | int, degree: int) -> mx.array:
    """Laguerre polynomials: (n + 1)·L_n+1 = (2n + 1 - x)·L_n - n·L_n-1."""
    rest = 1.0 - x
    step = lambda k, p, q: ((2.0 * k + rest) * q - float(k) * p) / (k + 1.0)
    return _recurrence(x, n, degree, rest, step)


def legendre_p(x: mx.array, n: mx.array | int, degree: int) -> mx.array:
    """Legendre polynomials: (n + 1)·P_n+1 = (2n + 1)·x·P_n - n·P_n-1."""
    step = lambda k, p, q: ((2.0 * k + 1.0) * x * q - float(k) * p) / (k + 1.0)
    return _recurrence(x, n, degree, x, step)


Step = Callable[[int, mx.array, mx.array], mx.array]


def _hermite(
    x: mx.array, n: mx.array | int, degree: int, first: mx.array, step: Step
) -> mx.array:
    limit = HERMITE_LIMIT[x.dtype]
    result = _recurrence(x, n, min(degree, limit), first, step)
    if degree <= limit:
        return result
    return mx.where(n > limit, math.nan, result)


def _fused(x: mx.array, y: mx.array, z: mx.array) -> mx.array:
    """x·y + z rounded once: near its zeros a Hermite polynomial is as PyTorch rounds it."""
    if x.dtype == mx.float64 or on_accelerator():
        return x * y + z
    product = x.astype(mx.float64) * y.astype(mx.float64)
    return (product + z.astype(mx.float64)).astype(mx.float32)


def _recurrence(
    x: mx.array, n: mx.array | int, degree: int, first: mx.array, step: Step
) -> mx.array:
    """The polynomial of degree n, of 1, `first`, and `step(k, p_k-1, p_k)` for the one after."""
    one = mx.ones_like(x)
    if not isinstance(n, mx.array):
        if n < 1:
            return one if n == 0 else mx.zeros_like(x)
        p, q = one, first
        for k in range(1, degree):
            p, q = q, step(k, p, q)
        return q
    n = mx.where(n < 0.0, mx.ceil(n), mx.floor(n))
    result = mx.where(n == 0.0, one, 0.0)
    p, q = one, first
    for k in range(1, degree + 1):
        result = mx.where(n == k, q, result)
        p, q = q, step(k, p, q)
    return result
