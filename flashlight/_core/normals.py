"""Normally distributed numbers, by the two algorithms of PyTorch's CPU kernels.

Fewer than 16 numbers, or a target that is not contiguous, go one pair at a time in double
precision, the second of a pair waiting as the source's `spare_normal`. Longer contiguous targets
go in groups of 16, whose float32 logarithm and sine are the Cephes polynomials with every
multiply-add fused. That chain is bit-equal to PyTorch's AVX2 kernel; PyTorch built for another
processor differs from both in the last bits.
"""

from __future__ import annotations

import math

import numpy as np

from .exact import cast, fma32, fma64, libm, rounded
from .mersenne import MersenneTwister

GROUP = 16

# Pairs a chunk: its float64 buffers stay in the second-level cache.
_CHUNK = 16384


def normal(
    source: MersenneTwister,
    count: int,
    dtype: str,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
) -> np.ndarray:
    """Normal numbers in memory order; `contiguous` says whether the target is."""
    if dtype == "complex64":
        # The real view of a target: twice the numbers, each with half the variance.
        pairs = normal(source, 2 * count, "float32", mean, std / math.sqrt(2.0), contiguous)
        return pairs.view(np.complex64)
    with source.lock:
        if count < GROUP or not contiguous:
            return cast(_scalar(source, count, dtype, mean, std), dtype)
        if dtype == "float64":
            return _in_groups(source, count, source.uniform53, _box_muller64, mean, std)
        mean, std = rounded(mean, "float32"), rounded(std, "float32")
        if dtype == "float32":
            return _in_groups(source, count, source.uniform24, _box_muller32, mean, std)
        return cast(_half_groups(source, count, mean, std), dtype)


def log_normal(
    source: MersenneTwister, count: int, dtype: str, mean: float = 1.0, std: float = 2.0
) -> np.ndarray:
    """exp of a normal number of the scalar path."""
    with source.lock:
        return cast(libm("exp", _scalar(source, count, dtype, mean, std), dtype), dtype)


def _scalar(source: MersenneTwister, count: int, dtype: str, mean: float, std: float) -> np.ndarray:
    return fma64(standard(source, count, dtype), std, mean)


def standard(source: MersenneTwister, count: int, dtype: str = "float64") -> np.ndarray:
    """`count` standard normals of the scalar path in float64, through the spare normal."""
    if count <= 4:
        return np.array([next_standard(source) for _ in range(count)])
    values = np.empty(count)
    start = 0
    if source.spare_normal is not None:
        values[0], source.spare_normal, start = source.spare_normal, None, 1
    pairs = (count - start) // 2
    uniforms = source.uniform53(2 * pairs)
    radius = np.sqrt(-2.0 * libm("log1p", -uniforms[1::2], dtype))
    angle = 2.0 * math.pi * uniforms[0::2]
    end = start + 2 * pairs
    values[start:end:2] = radius * np.cos(angle)
    values[start + 1 : end : 2] = radius * np.sin(angle)
    if end < count:
        values[end] = next_standard(source)
    return values


def next_standard(source: MersenneTwister) -> float:
    """One standard normal of the scalar path."""
    spare = source.spare_normal
    if spare is not None:
        source.spare_normal = None
        return spare
    first, second = source.uniform53(2).tolist()
    radius = math.sqrt(-2.0 * math.log1p(-second))
    angle = 2.0 * math.pi * first
    source.spare_normal = radius * math.sin(angle)
    return radius * math.cos(angle)


def _in_groups(
    source: MersenneTwister, count: int, uniforms, transform, mean: float, std: float
) -> np.ndarray:
    values = uniforms(count)
    whole = count - count % GROUP
    if whole == count:
        return transform(values, mean, std)
    # The incomplete group at the end gives way to a whole one of fresh numbers, laid over the
    # last 16 places.
    values = transform(values[:whole], mean, std)
    tail = transform(uniforms(GROUP), mean, std)
    return np.concatenate((values[: count - GROUP], tail))


def _half_groups(source: MersenneTwister, count: int, mean: float, std: float) -> np.ndarray:
    # As for float32, but the incomplete group draws nothing before it is replaced.
    values = _box_muller32(source.uniform24(count - count % GROUP), mean, std)
    if count % GROUP:
        tail = _box_muller32(source.uniform24(GROUP), mean, std)
        values = np.concatenate((values[: count - GROUP], tail))
    return values


def _box_muller64(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    halves = uniforms.reshape(-1, 2, GROUP // 2)
    radius = np.sqrt(-2.0 * libm("log", 1.0 - halves[:, 0], "float64"))
    angle = 2.0 * math.pi * halves[:, 1]
    result = np.empty_like(halves)
    result[:, 0] = radius * np.cos(angle)
    result[:, 1] = radius * np.sin(angle)
    return fma64(result.ravel(), std, mean)


def _box_muller32(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    result = np.empty(uniforms.size, np.float32)
    for start in range(0, uniforms.size, 2 * _CHUNK):
        part = slice(start, start + 2 * _CHUNK)
        _box_muller32_chunk(uniforms[part], result[part], mean, std)
    return result


def _box_muller32_chunk(uniforms: np.ndarray, result: np.ndarray, mean: float, std: float) -> None:
    halves = uniforms.reshape(-1, 2, GROUP // 2)
    radius = _radius(np.float32(1) - halves[:, 0])
    cosine, sine = _cosine_and_sine(np.multiply(halves[:, 1], np.float32(2 * math.pi)))
    out = result.reshape(halves.shape)
    for place, value in enumerate((cosine, sine)):
        value *= radius
        out[:, place] = fma32(value.ravel(), std, mean).reshape(radius.shape)


class _Fused:
    """Float32 arithmetic with fused multiply-add, on float64 arrays of float32 values.

    Rounding the float64 result to float32 rounds twice, which for the 2**24 inputs there are gives
    exactly the fused result (checked for all of them).
    """

    def __init__(self, like: np.ndarray) -> None:
        self._single = np.empty(like.shape, np.float32)

    def round(self, values: np.ndarray) -> np.ndarray:
        np.copyto(self._single, values, casting="same_kind")
        np.copyto(values, self._single)
        return values

    def multiply_add(self, values: np.ndarray, factor, addend) -> np.ndarray:
        """values·factor + addend, in place."""
        np.multiply(values, factor, out=values)
        np.add(values, addend, out=values)
        return self.round(values)

    def polynomial(self, x: np.ndarray, coefficients: list[float]) -> np.ndarray:
        """Horner's rule, highest power first."""
        values = np.full(x.shape, coefficients[0])
        for coefficient in coefficients[1:]:
            self.multiply_add(values, x, coefficient)
        return values


def _singles(*values: float) -> list[float]:
    return [float(np.float32(value)) for value in values]


_LOG = _singles(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_LN2_LOW, _LN2_HIGH, _SQRT_HALF = _singles(-2.12194440e-4, 0.693359375, 0.707106781186547524)
_COS = _singles(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = _singles(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_FOUR_OVER_PI = np.float32(1.27323954473516)
# π/4 in three parts, subtracted one after the other.
_QUARTER_PI = _singles(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)


def _radius(x: np.ndarray) -> np.ndarray:
    """√(-2·log x) of float32 x in (0, 1]."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < np.float32(_SQRT_HALF)
    exponent = (exponent - small).astype(np.float64)
    mantissa = mantissa.astype(np.float64)
    np.add(mantissa, mantissa, out=mantissa, where=small)
    mantissa -= 1.0

    fused = _Fused(x)
    square = fused.round(mantissa * mantissa)
    y = fused.polynomial(mantissa, _LOG)
    fused.round(np.multiply(y, mantissa, out=y))
    low = fused.round(exponent * _LN2_LOW)
    fused.multiply_add(y, square, low)
    np.add(y, np.multiply(square, -0.5, out=square), out=y)
    fused.round(y)
    fused.round(np.add(mantissa, y, out=mantissa))
    exponent *= _LN2_HIGH
    logarithm = np.add(exponent, mantissa, out=exponent).astype(np.float32)
    logarithm *= np.float32(-2)
    return np.sqrt(logarithm, out=logarithm)


def _cosine_and_sine(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of float32 angles in [0, 2π)."""
    octant = (angle * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    fused = _Fused(angle)
    reduced = angle.astype(np.float64)
    step = octant.astype(np.float64)
    for part in _QUARTER_PI:
        np.add(reduced, step * part, out=reduced)
        fused.round(reduced)
    square = fused.round(reduced * reduced)

    cosine = fused.polynomial(square, _COS)
    fused.round(np.multiply(cosine, square, out=cosine))
    fused.multiply_add(cosine, square, -0.5 * square)
    cosine = (cosine + 1.0).astype(np.float32)

    sine = fused.polynomial(square, _SIN)
    fused.round(np.multiply(sine, square, out=sine))
    fused.multiply_add(sine, reduced, reduced)
    sine = sine.astype(np.float32)

    swap = (octant & 2) != 0
    cosine, sine = np.where(swap, sine, cosine), np.where(swap, cosine, sine)
    np.negative(sine, out=sine, where=(octant & 4) != 0)
    np.negative(cosine, out=cosine, where=((octant - 2) & 4) == 0)
    return cosine, sine
