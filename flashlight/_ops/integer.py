"""Greatest common divisors and least common multiples."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.dtype import FROM_MLX, INTEGRAL
from .._core.evaluation import is_traced
from .host import from_numpy, to_numpy
from .kinds import SAME, pointwise


def _steps(kind) -> int:
    """How many divisions Euclid's algorithm takes at most (for two Fibonacci numbers)."""
    return int(8 * kind.itemsize * 1.4405) + 2


def _gcd(a: mx.array, b: mx.array) -> mx.array:
    kind = FROM_MLX[a.dtype]
    if not is_traced(a, b):
        made = np.gcd(to_numpy(a, "gcd"), to_numpy(b, "gcd"))
        return from_numpy(made.astype(kind.numpy), a.dtype)
    a, b = (mx.abs(x) if kind.is_signed else x for x in mx.broadcast_arrays(a, b))
    for _ in range(_steps(kind)):
        # MLX has x % 0 == x, but a vector unit may trap.
        rest = mx.where(b == 0, 0, mx.remainder(a, mx.where(b == 0, 1, b)))
        a, b = mx.where(b == 0, a, b), rest
    return a


@pointwise(promote=SAME, dtypes=INTEGRAL, differentiable=False, kernel="gcd_cpu")
def gcd(input: mx.array, other: mx.array) -> mx.array:
    """The greatest common divisor; 0 of two zeros."""
    return _gcd(input, other)


@pointwise(promote=SAME, dtypes=INTEGRAL, differentiable=False, kernel="lcm_cpu")
def lcm(input: mx.array, other: mx.array) -> mx.array:
    """The least common multiple; 0 if one is 0."""
    kind = FROM_MLX[input.dtype]
    divisor = _gcd(input, other)
    if kind.itemsize < 4:  # C multiplies small integers as int, and wraps last
        input, other = input.astype(mx.int32), other.astype(mx.int32)
    quotient = mx.where(divisor == 0, 0, input // mx.where(divisor == 0, 1, divisor))
    made = (quotient * other).astype(input.dtype)
    return (mx.abs(made) if kind.is_signed else made).astype(kind.mlx)


FUNCTIONS = {"gcd": gcd, "lcm": lcm}
METHODS = dict(FUNCTIONS)
INPLACE = ("gcd", "lcm")
