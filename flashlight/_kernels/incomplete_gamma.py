"""The regularised incomplete gamma functions P and Q = 1 - P.

Temme's uniform expansion (NIST DLMF 8.12.3) where a > 20 and x is within 30 % of it; else the
power series (8.11.4) for x up to a or 4, and the continued fraction (8.9.2) beyond. All three are
evaluated everywhere with a fixed number of terms, enough for 1e-9 in float32 and 1e-15 in float64.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import mlx.core as mx

from .elementary import exp
from .error_function import erfc
from .gamma import lgamma
from .polynomial import Polynomial
from .precision import on_accelerator

# Terms of the series, levels of the fraction, and the size below which terms of Temme's
# expansion are left out.
SINGLE = (46, 14, 1e-10)
DOUBLE = (76, 34, 1e-16)
SERIES_LIMIT = 4.0


def gammainc(a: mx.array, x: mx.array) -> mx.array:
    """P(a, x), the integral of the gamma density from 0 to x; NaN for negative arguments."""
    return _regularised(a, x, upper=False)


def gammaincc(a: mx.array, x: mx.array) -> mx.array:
    """Q(a, x) = 1 - P(a, x), the upper tail."""
    return _regularised(a, x, upper=True)


def _regularised(a: mx.array, x: mx.array, upper: bool) -> mx.array:
    dtype = a.dtype
    terms, levels, negligible = DOUBLE if dtype == mx.float64 else SINGLE
    inner = mx.float32 if dtype != mx.float64 and on_accelerator() else mx.float64
    a, x = a.astype(inner), x.astype(inner)

    density = exp(a * mx.log(x) - x - lgamma(a))
    lower = mx.minimum(density * _series(a, x, terms) / a, 1.0)
    beyond = density * _fraction(a, x, levels)
    in_series = x <= mx.maximum(a, SERIES_LIMIT)
    excess = (x - a) / a
    uniform = (a > 20.0) & (mx.abs(excess) < 0.3)
    if upper:
        result = mx.where(in_series, 1.0 - lower, beyond)
    else:
        result = mx.where(in_series, lower, 1.0 - beyond)
    result = mx.where(uniform, _uniform(a, excess, negligible, 1.0 if upper else -1.0), result)

    at_zero, at_infinity = (1.0, 0.0) if upper else (0.0, 1.0)
    from_a = (a == 0.0) | mx.isinf(x)
    from_x = (x == 0.0) | mx.isinf(a)
    result = mx.where(from_a, at_infinity, mx.where(from_x, at_zero, result))
    undefined = (from_a & from_x) | (a < 0.0) | (x < 0.0) | mx.isnan(a) | mx.isnan(x)
    return mx.where(undefined, math.nan, result).astype(dtype)


def _series(a: mx.array, x: mx.array, terms: int) -> mx.array:
    """1 + x/(a + 1)·(1 + x/(a + 2)·(...))."""
    total = 1.0 + x / (a + terms)
    for n in range(terms - 1, 0, -1):
        total = total * (x / (a + n)) + 1.0
    return total


def _fraction(a: mx.array, x: mx.array, levels: int) -> mx.array:
    """1/(x + 1 - a - 1·(1 - a)/(x + 3 - a - 2·(2 - a)/(x + 5 - a - ...)))."""
    distance = x - a
    total = distance + (2 * levels + 1)
    for n in range(levels, 0, -1):
        total = (distance + (2 * n - 1)) + (a * n - n * n) / total
    return mx.reciprocal(total)


def _uniform(a: mx.array, excess: mx.array, negligible: float, side: float) -> mx.array:
    """Q for side 1, P for -1."""
    half_square = excess - mx.log1p(excess)
    eta = mx.sign(excess) * mx.sqrt(half_square * 2.0)
    inverse = mx.reciprocal(a)
    rows = _temme(negligible)
    correction = rows[-1](eta)
    for row in reversed(rows[:-1]):
        correction = correction * inverse + row(eta)
    correction = correction * exp(-a * half_square) * mx.sqrt(inverse * (0.5 / math.pi))
    return 0.5 * erfc(side * eta * mx.sqrt(a * 0.5)) + side * correction


@functools.cache
def _temme(negligible: float) -> list[Polynomial]:
    """The coefficients of Temme's expansion, a row for each power of 1/a (DLMF 8.12.10 to 13).

    With λ = x/a and η²/2 = λ - 1 - log λ the series of μ = λ - 1 in η solves μ·μ' = η·(1 + μ).
    """
    order = 48
    mu = [Fraction(0), Fraction(1)]
    for m in range(2, order):
        known = sum(mu[i] * (m + 1 - i) * mu[m + 1 - i] for i in range(2, m))
        mu.append((mu[m - 1] - known) / (m + 1))
    inverse = [Fraction(1)]  # of μ/η
    for m in range(1, order - 2):
        inverse.append(-sum(mu[i + 1] * inverse[m - i] for i in range(1, m + 1)))
    first = inverse[1:]

    rows, row, odd_product = [], first, 1
    for k in range(12):
        # Terms at the edge of the region, where a = 20 and |η| = 0.37.
        kept = [n for n, c in enumerate(row) if abs(c) * 0.37**n * 20.0**-k > negligible]
        if not kept:
            break
        rows.append(Polynomial(*(float(c) for c in row[: kept[-1] + 1])))
        odd_product *= 2 * k + 3
        stirling = (-1) ** (k + 1) * odd_product * mu[2 * k + 3]
        row = [(n + 2) * row[n + 2] + stirling * first[n] for n in range(len(row) - 2)]
    return rows
