"""NumPy arithmetic that rounds as PyTorch's CPU samplers do: fused multiply-add, casts, libm.

NumPy has no bfloat16: here a bfloat16 array is a float32 array of values that bfloat16 can hold.
"""

from __future__ import annotations

import functools
import math

import numpy as np

# The type in which values of a dtype are stored in NumPy.
STORED = {
    name: np.dtype(name)
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64", "complex64"),
    )
} | {"bfloat16": np.dtype(np.float32)}


def round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 values of a float32 array (ties to even), as float32."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF)
    rounded += (bits >> np.uint32(16)) & np.uint32(1)
    rounded &= np.uint32(0xFFFF0000)
    result = rounded.view(np.float32)
    # Rounding up the bits of a NaN can turn it into infinity.
    return np.where(np.isnan(values), values, result) if np.isnan(values).any() else result


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """`values` as `dtype`; half types are reached by way of float32, as in PyTorch."""
    if values.dtype == dtype:
        return values
    if dtype == "bfloat16":
        return round_to_bfloat16(values.astype(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "float16":
            return values.astype(np.float32).astype(np.float16)
        return values.astype(STORED[dtype], copy=False)


def rounded(value: float, dtype: str) -> float:
    """A Python number rounded to `dtype`."""
    # Zeros of both signs are one key of the cache.
    return _rounded(value, dtype) if value else float(value)


@functools.lru_cache(1024)
def _rounded(value: float, dtype: str) -> float:
    return float(cast(np.array([value], np.float64), dtype)[0])


def fma32(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """a·b + c rounded once, for a float32 array and float32 numbers."""
    if c == 0:
        # Adding 0 turns -0 into +0, as the fused form does.
        return a * np.float32(b) + np.float32(0)
    product = a.astype(np.float64)
    product *= b
    total = product + c
    # The cast to float32 rounds a second time, which matters only where the float64 sum was
    # inexact and lies exactly halfway between two float32 numbers.
    halfway = np.nonzero((total.view(np.int64) & 0x1FFFFFFF) == 0x10000000)[0]
    if halfway.size:
        _, error = two_sum(product[halfway], c)
        away = np.nextafter(total[halfway], np.copysign(np.inf, error))
        total[halfway] = np.where(error != 0, away, total[halfway])
    return total.astype(np.float32)


def fma64(a: np.ndarray, b: float, c: float | np.ndarray) -> np.ndarray:
    """a·b + c rounded once, for float64 (Boldo & Melquiond 2008, through rounding to odd)."""
    if not np.any(c):
        return a * b + 0.0
    if not (math.isfinite(b) and np.all(np.isfinite(c))) or abs(b) > 2.0**900:
        return a * b + c
    product, product_error = two_product(a, b)
    low_sum, low_error = two_sum(product_error, c)
    high_sum, high_error = two_sum(product, low_sum)
    return high_sum + _sum_to_odd(low_error, high_error)


def two_sum(a, b) -> tuple[np.ndarray, np.ndarray]:
    """a + b and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """a·b and its rounding error (Dekker)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(value):
    scaled = value * 134217729.0
    high = scaled - (scaled - value)
    return high, value - high


def _sum_to_odd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total, error = two_sum(a, b)
    move = (error != 0) & ((total.view(np.int64) & 1) == 0)
    return np.where(move, np.nextafter(total, np.copysign(np.inf, error)), total)


@functools.cache
def _numpy_is_libm() -> bool:
    # On AVX-512 machines NumPy computes log, log1p, exp and tan by itself, with other last bits
    # than the C library that PyTorch calls. Seven of a hundred log1p values tell.
    sample = -np.linspace(0.001, 0.999, 1024)
    return np.array_equal(np.log1p(sample), list(map(math.log1p, sample.tolist())))


_LIMIT_AT_POLE = {"log": (0.0, -math.inf), "log1p": (-1.0, -math.inf)}


def libm(function: str, values: np.ndarray, dtype: str) -> np.ndarray:
    """log, log1p, exp or tan of float64 values, exact to the last bit of `dtype`.

    Only float64 results show the difference between NumPy's functions and the C library's.
    """
    if dtype != "float64" or _numpy_is_libm():
        with np.errstate(all="ignore"):
            return getattr(np, function)(values)
    exact = getattr(math, function)
    if function in _LIMIT_AT_POLE:
        pole, limit = _LIMIT_AT_POLE[function]
        exact = functools.partial(_with_pole, exact, pole, limit)
    elif function == "exp":
        exact = _exp
    return np.fromiter(map(exact, values.ravel().tolist()), np.float64, values.size).reshape(
        values.shape
    )


def _with_pole(function, pole: float, limit: float, value: float) -> float:
    if value > pole:
        return function(value)
    return limit if value == pole else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
