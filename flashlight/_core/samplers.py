"""Uniform numbers, integers, permutations and what is made from one uniform number each.

Each function draws `count` numbers from a MersenneTwister and returns a flat NumPy array of
PyTorch's CPU values, in the order in which PyTorch fills memory. bfloat16 comes as rounded
float32 (see `exact`). The formulas were checked against PyTorch 2.13, whose kernels fuse a
multiplication with the addition after it.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from .exact import STORED, cast, fma32, fma64, libm, rounded
from .mersenne import MersenneTwister

# Mantissa digits: every integer up to 2**DIGITS is a number of the dtype.
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def _in_one_run(sampler):
    @functools.wraps(sampler)
    def run(source: MersenneTwister, *args, **kwargs):
        with source.lock:
            return sampler(source, *args, **kwargs)

    return run


@_in_one_run
def uniform(
    source: MersenneTwister, count: int, dtype: str, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Numbers in [low, high); a value that rounds to `high` becomes `low`."""
    if dtype == "complex64":
        return uniform(source, 2 * count, "float32", low, high).view(np.complex64)
    if dtype == "float32" and (low, high) == (0, 1):
        return source.uniform24(count)
    if dtype == "float64":
        values, span = source.uniform53(count), high - low
        if low == -high:
            return _symmetric(values, high)
        if (low, high) == (0, 1):
            return values
        values = fma64(values, span, low)
    else:
        low, high = rounded(low, "float32"), rounded(high, "float32")
        values, span = source.uniform24(count), rounded(high - low, "float32")
        if low == -high:
            values = cast(_symmetric(values, np.float32(high)), dtype)
        else:
            values = cast(fma32(values, span, low), dtype)
    values[values == rounded(high, dtype)] = rounded(low, dtype)
    return values


def _symmetric(values: np.ndarray, bound) -> np.ndarray:
    # 2u - 1 is exact, so this rounds once, like the fused form, without its cost.
    values *= 2
    values -= 1
    values *= bound
    values += 0
    return values


@_in_one_run
def integers(source: MersenneTwister, count: int, dtype: str, low: int, high: int) -> np.ndarray:
    """Integers in [low, high), in any dtype; `high - low` lies in 1 .. 2**64 - 1."""
    span = high - low
    if span < 1 << 28:
        values = (source.words32(count) % np.uint32(span)).astype(np.int64)
    else:
        values = (source.words64(count) % np.uint64(span)).view(np.int64)
    # Two's complement addition that may wrap, as in PyTorch.
    values += np.array(low & (1 << 64) - 1, np.uint64).view(np.int64)
    return cast(values, dtype)


@_in_one_run
def all_integers(source: MersenneTwister, count: int, dtype: str) -> np.ndarray:
    """`random_()`: integers over the whole non-negative range that the dtype counts exactly."""
    if dtype == "bool":
        return (source.words32(count) & np.uint32(1)).astype(np.bool_)
    if dtype in DIGITS:
        span = (1 << DIGITS[dtype]) + 1
    else:
        span = np.iinfo(dtype).max + 1
    if span <= 1 << 32:
        words = source.words32(count)
        if span < 1 << 32:
            words %= np.uint32(span)
        return cast(words, dtype)
    return cast(source.words64(count) % np.uint64(span), dtype)


@_in_one_run
def any_int64(source: MersenneTwister, count: int, dtype: str) -> np.ndarray:
    """`random_(-2**63, None)`: all 64 bits of a pair of words as a signed integer."""
    return cast(source.words64(count).view(np.int64), dtype)


def representable_range(low: int, high: int, dtype: str) -> tuple[int, int]:
    """[low, high) moved inwards to numbers that a floating dtype can hold."""
    digits = DIGITS[dtype]
    nearest = _as_int64(high - 1, dtype)
    if nearest >= high:
        high = nearest - (1 << max(_log2(high - 1) - digits + 1, 0))
    nearest = _as_int64(low + 1, dtype)
    if nearest < low:
        low = nearest + (1 << max(_log2(low + 1) - digits + 1, 0))
    return low, high


def _as_int64(value: int, dtype: str) -> int:
    nearest = rounded(value, dtype)
    # What the processor makes of a number past the largest int64, infinity included.
    return int(nearest) if -(2.0**63) <= nearest < 2.0**63 else -(1 << 63)


def _log2(value: int) -> int:
    return abs(value).bit_length() - 1


# Past this n PyTorch's permutation uses 64-bit draws: the bias of 32 bits would show.
_LARGE_PERMUTATION = (2**32 - 1) // 20


@_in_one_run
def permutation(source: MersenneTwister, n: int) -> np.ndarray:
    """A permutation of 0 .. n-1 as integers (int32 or int64)."""
    if n < 2:
        return np.arange(n)
    if n >= _LARGE_PERMUTATION:
        return _permute_inside_out(source.words64(n), n)
    draws = source.words32(n - 1) % np.arange(n, 1, -1, dtype=np.uint32)
    return _permute_by_swaps(draws.tolist(), n) if n < 500 else _permute_at_once(draws, n)


def _permute_by_swaps(draws: list[int], n: int) -> np.ndarray:
    values = list(range(n))
    for here, draw in enumerate(draws):
        there = here + draw
        values[here], values[there] = values[there], values[here]
    return np.array(values)


def _permute_at_once(draws: np.ndarray, n: int) -> np.ndarray:
    """All swaps i <-> i + draws[i] without a loop over i.

    Step i puts what slot target[i] holds into place i, and what slot i holds into target[i].
    A slot holds its own number until an earlier step wrote to it; following such writes back to
    their origin by pointer doubling takes a few rounds.
    """
    steps = n - 1
    slot = np.arange(n, dtype=np.int32)
    target = draws.view(np.int32) + slot[:steps]
    shift = steps.bit_length()
    ordered = np.sort((target.astype(np.int64) << shift) | slot[:steps])
    step, at = (ordered & ((1 << shift) - 1)).astype(np.int32), ordered >> shift
    previous = np.full(steps, -1, np.int32)
    previous[step[1:]] = np.where(at[1:] == at[:-1], step[:-1], -1)

    origin = slot.copy()
    origin[target] = slot[:steps]
    own = np.nonzero(target == slot[:steps])[0]
    origin[own] = np.where(previous[own] >= 0, previous[own], own)
    while (origin[origin] != origin).any():
        origin = origin[origin]
    unwritten = np.where(target == slot[:steps], origin[:steps], target)
    return np.append(np.where(previous >= 0, origin[previous], unwritten), origin[steps])


def _permute_inside_out(words: np.ndarray, n: int) -> np.ndarray:
    chosen = words % np.arange(1, n + 1, dtype=np.uint64)
    values = np.arange(n)
    for i, z in enumerate(chosen.tolist()):
        values[i] = values[z]
        values[z] = i
    return values


@_in_one_run
def bernoulli(source: MersenneTwister, count: int, probability: float) -> np.ndarray:
    """Booleans that are True with one probability; draws also for 0 and 1."""
    words = source.words64(count)
    words &= np.uint64((1 << 53) - 1)
    return words < np.uint64(math.ceil(probability * 2.0**53))


@_in_one_run
def bernoulli_each(source: MersenneTwister, probabilities: np.ndarray) -> np.ndarray:
    """Booleans that are True with the probability at the same place of a flat array.

    float64 probabilities take a double precision draw, all others a single precision one.
    """
    if probabilities.dtype == np.float64:
        return source.uniform53(probabilities.size) < probabilities
    return source.uniform24(probabilities.size) < probabilities.astype(np.float32, copy=False)


@_in_one_run
def exponential(source: MersenneTwister, count: int, dtype: str, rate: float = 1.0) -> np.ndarray:
    """-log(1 - u) / rate."""
    values = libm("log1p", -source.uniform53(count), dtype)
    # A rate of 0 gives infinity, not Python's ZeroDivisionError.
    with np.errstate(all="ignore"):
        values *= np.float64(-1.0) / np.float64(rate)
    return cast(values, dtype)


@_in_one_run
def cauchy(
    source: MersenneTwister, count: int, dtype: str, median: float = 0.0, sigma: float = 1.0
) -> np.ndarray:
    """median + sigma·tan(π(u - ½))."""
    values = libm("tan", math.pi * (source.uniform53(count) - 0.5), dtype)
    return cast(fma64(values, sigma, median), dtype)


@_in_one_run
def geometric(source: MersenneTwister, count: int, dtype: str, p: float) -> np.ndarray:
    """⌈log u / log(1 - p)⌉, the number of trials up to the first success."""
    with np.errstate(all="ignore"):
        values = np.ceil(libm("log", source.uniform53(count), dtype) / np.log1p(-p))
        if STORED[dtype].kind in "iu" and dtype != "int64":
            # The processor converts to 32 bits first; smaller integers are cut from those.
            values = values.astype(np.int32)
    return cast(values, dtype)


def rrelu_slopes(
    source: MersenneTwister, count: int, dtype: str, low: float, high: float
) -> np.ndarray:
    """Slopes in [low, high) of a leaky rectifier, one for each negative entry."""
    if dtype != "float64":
        low, high = rounded(low, "float32"), rounded(high, "float32")
    return cast(low + source.uniform53(count) * (high - low), dtype)
