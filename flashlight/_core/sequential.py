"""Samplers that draw until an element is done: Poisson, binomial, gamma, Dirichlet; multinomial.

How much an element draws depends on what it draws, so elements follow each other in a Python loop
(about a microsecond each). Where all elements share their parameters the trials are alike, and
whole blocks of them are tried at once. Neither way takes a number from the stream that it does
not use: a block is never longer than what the elements to come need at least.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable

import numpy as np

from .exact import cast, rounded
from .mersenne import MersenneTwister

_BLOCK = 1 << 16

# Fewer elements than this are quicker one by one.
_WORTH_A_BLOCK = 16


def _c_lgamma() -> Callable[[float], float]:
    try:
        function = ctypes.CDLL(None).lgamma
    except (OSError, AttributeError, TypeError):
        return math.lgamma
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    return function


# The C library's, as PyTorch's: Python's own differs in the last bits, and an acceptance test on
# large numbers feels them.
_lgamma = _c_lgamma()


class _Feed:
    """Uniform numbers for the element at `place`, taken from the source in safe blocks.

    `least[i]` is the number of draws that element i needs at the very least.
    """

    __slots__ = ("_after", "_source", "draw", "place")

    def __init__(self, source: MersenneTwister, least: np.ndarray) -> None:
        self._source = source
        remaining = np.cumsum(least[::-1])[::-1]
        self._after = [*remaining[1:].tolist(), 0]
        self.place = 0
        self.draw = self._draws().__next__

    def _draws(self):
        while True:
            yield from self._source.uniform53(min(1 + self._after[self.place], _BLOCK)).tolist()


def _shared(*parameters: np.ndarray) -> bool:
    """Whether every element has the same, finite parameters and there are enough of them."""
    return all(
        p.size >= _WORTH_A_BLOCK and math.isfinite(p[0]) and (p == p[0]).all() for p in parameters
    )


def _trials(source: MersenneTwister, count: int, attempt: Callable[..., np.ndarray]) -> np.ndarray:
    """`count` accepted results of `attempt(u, v)`, which gives NaN for a trial that is refused."""
    found: list[np.ndarray] = []
    while count:
        tried = min(count, _BLOCK)
        uniforms = source.uniform53(2 * tried)
        values = attempt(uniforms[0::2], uniforms[1::2])
        values = values[~np.isnan(values)]
        found.append(values)
        count -= values.size
    return np.concatenate(found)


def poisson(source: MersenneTwister, rates: np.ndarray) -> np.ndarray:
    """A Poisson number for each of a flat float64 array of rates, as float64.

    Small rates multiply uniform numbers (Knuth); rates from 10 on use transformed rejection
    (PTRS, Hörmann 1993).
    """
    if not rates.size:
        return np.empty(0)
    with source.lock:
        if rates[0] >= 10 and _shared(rates):
            return _trials(source, rates.size, _TransformedPoisson(float(rates[0])).attempt)
        feed = _Feed(source, np.where(rates >= 10, 2, np.where(rates > 0, 1, 0)))
        draw = feed.draw
        values = []
        for feed.place, rate in enumerate(rates.tolist()):
            if rate >= 10:
                values.append(_TransformedPoisson(rate).one(draw))
            elif rate == 0:
                values.append(0.0)
            else:
                limit, product, found = math.exp(-rate), 1.0, -1.0
                while product > limit or found < 0:
                    product *= draw()
                    found += 1
                values.append(found)
        return np.array(values)


class _TransformedPoisson:
    """Hörmann's PTRS for one rate."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.log_rate = math.log(rate)
        self.b = 0.931 + 2.53 * math.sqrt(rate)
        self.a = -0.059 + 0.02483 * self.b
        self.inverse_alpha = 1.1239 + 1.1328 / (self.b - 3.4)
        self.squeeze = 0.9277 - 3.6224 / (self.b - 2)

    def one(self, draw: Callable[[], float]) -> float:
        while True:
            u, v = draw() - 0.5, draw()
            width = 0.5 - abs(u) or 5e-324
            value = (2 * self.a / width + self.b) * u + self.rate + 0.43
            if value < 0:
                continue
            k = float(math.floor(value))
            if width >= 0.07 and v <= self.squeeze:
                return k
            if width < 0.013 and v > width:
                continue
            if self._under_the_density(width, v, k):
                return k

    def attempt(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        u = u - 0.5
        width = np.maximum(0.5 - np.abs(u), 5e-324)
        with np.errstate(over="ignore"):
            k = np.floor((2 * self.a / width + self.b) * u + self.rate + 0.43)
        values = np.where((width >= 0.07) & (v <= self.squeeze), k, np.nan)
        # The quick tests decide nearly all.
        open_ = np.isnan(values) & (k >= 0) & ~((width < 0.013) & (v > width))
        for i in np.nonzero(open_)[0].tolist():
            if self._under_the_density(float(width[i]), float(v[i]), float(k[i])):
                values[i] = k[i]
        return values

    def _under_the_density(self, width: float, v: float, k: float) -> bool:
        if v == 0:
            return True
        height = math.log(v) + math.log(self.inverse_alpha)
        height -= math.log(self.a / (width * width) + self.b)
        return height <= -self.rate + k * self.log_rate - _lgamma(k + 1)


def binomial(source: MersenneTwister, counts: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """A binomial number for each pair of two flat arrays of one dtype, float32 or float64.

    Small means count geometric gaps; larger ones use transformed rejection (BTRS, Hörmann 1993).
    The result has the arrays' dtype.
    """
    dtype = counts.dtype
    if not counts.size:
        return np.empty(0, dtype)
    mirrored = probabilities > 0.5
    chance = np.where(mirrored, 1 - probabilities, probabilities).astype(dtype)
    drawn = (counts > 0) & (probabilities > 0) & (probabilities < 1)
    with np.errstate(all="ignore"):
        rejection = drawn & (counts * chance >= 10)
    with source.lock:
        if rejection[0] and _shared(counts, probabilities):
            method = _TransformedBinomial(counts[0], chance[0])
            values = _trials(source, counts.size, method.attempt)
        else:
            values = _binomial_each(source, counts, chance, drawn, rejection)
    values = values.astype(dtype)
    values = np.where(drawn & mirrored, counts - values, values)
    values[(probabilities >= 1) & (counts > 0)] = counts[(probabilities >= 1) & (counts > 0)]
    values[np.isnan(probabilities) & (counts > 0)] = np.nan
    return values


def _binomial_each(source, counts, chance, drawn, rejection) -> np.ndarray:
    feed = _Feed(source, np.where(rejection, 2, np.where(drawn, 1, 0)))
    draw = feed.draw
    values = np.zeros(counts.size)
    with np.errstate(all="ignore"):
        logs = np.log1p(-chance).astype(np.float64).tolist()
    for i in np.nonzero(drawn)[0].tolist():
        feed.place = i
        if rejection[i]:
            values[i] = _TransformedBinomial(counts[i], chance[i]).one(draw)
            continue
        count, log_fail, total, found = float(counts[i]), logs[i], 0.0, 0
        while True:
            u = draw()
            if u == 0:
                break
            total += math.ceil(math.log(u) / log_fail)
            if total > count:
                break
            found += 1
        values[i] = found
    return values


# log k! minus Stirling's approximation, for k = 0 .. 9.
_STIRLING_TAIL = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def _stirling_tail(k: float) -> float:
    if k < 10:
        return _STIRLING_TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


class _TransformedBinomial:
    """Hörmann's BTRS for one count and probability (NumPy scalars, whose dtype rounds)."""

    def __init__(self, count: np.floating, p: np.floating) -> None:
        single = count.dtype == np.float32
        # Integers up to 2**24 are float32 numbers, and so are their sums.
        self._inexact = single and count >= 1 << 23
        self.count = float(count)
        spread = float(np.sqrt(count * p * (1 - p)))
        self.b = 1.15 + 2.53 * spread
        self.a = -0.0873 + 0.0248 * self.b + 0.01 * float(p)
        self.c = float(count * p) + 0.5
        self.squeeze = 0.92 - 4.2 / self.b
        self.odds = float(p / (1 - p))
        self.alpha = (2.83 + 5.1 / self.b) * spread
        self.mode = m = float(np.floor((count + 1) * p))
        self.count_plus_1 = float(count + 1)
        self.at_mode = (m + 0.5) * math.log((m + 1) / (self.odds * (self.count - m + 1)))
        self.tail_of_mode = _stirling_tail(m)
        self.tail_beyond = _stirling_tail(self.count - m)

    def one(self, draw: Callable[[], float]) -> float:
        while True:
            u, v = draw() - 0.5, draw()
            width = 0.5 - abs(u) or 5e-324
            value = (2 * self.a / width + self.b) * u + self.c
            if not 0 <= value < math.inf:
                continue
            k = self._round(math.floor(value))
            if k > self.count:
                continue
            if (width >= 0.07 and v <= self.squeeze) or self._under_the_density(width, v, k):
                return k

    def attempt(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        u = u - 0.5
        width = np.maximum(0.5 - np.abs(u), 5e-324)
        with np.errstate(over="ignore"):
            k = np.floor((2 * self.a / width + self.b) * u + self.c)
            if self._inexact:
                k = k.astype(np.float32).astype(np.float64)
        inside = (k >= 0) & (k <= self.count)
        values = np.where(inside & (width >= 0.07) & (v <= self.squeeze), k, np.nan)
        for i in np.nonzero(inside & np.isnan(values))[0].tolist():
            if self._under_the_density(float(width[i]), float(v[i]), float(k[i])):
                values[i] = k[i]
        return values

    def _round(self, value: float) -> float:
        return rounded(value, "float32") if self._inexact else float(value)

    def _under_the_density(self, width: float, v: float, k: float) -> bool:
        if v == 0:
            return True
        count, m = self.count, self.mode
        rest = self._round(self._round(count - k) + 1)
        bound = (
            self.at_mode
            + self.count_plus_1 * math.log((count - m + 1) / rest)
            + (k + 0.5) * math.log(self.odds * rest / self._round(k + 1))
            + self.tail_of_mode
            + self.tail_beyond
            - _stirling_tail(k)
            - _stirling_tail(self._round(count - k))
        )
        return math.log(v * self.alpha / (self.a / (width * width) + self.b)) <= bound


def standard_gamma(source: MersenneTwister, alpha: np.ndarray) -> np.ndarray:
    """A gamma number of scale 1 for each of a flat array of shapes, float32 or float64.

    Marsaglia & Tsang (2000) on the normals of the scalar path; results are at least the smallest
    normal number of the dtype.
    """
    values = _gamma(source, alpha).astype(alpha.dtype)
    return np.maximum(values, np.finfo(alpha.dtype).tiny)


def _gamma(source: MersenneTwister, alpha: np.ndarray) -> np.ndarray:
    if not alpha.size:
        return np.empty(0)
    number = alpha.dtype.type
    boosted = alpha < 1
    with np.errstate(all="ignore"):
        power = (number(1) / alpha).astype(np.float64).tolist()
        shape = np.where(boosted, alpha + number(1), alpha)
        # The third is a float32 number for every dtype.
        d = (shape - number(np.float32(1) / np.float32(3))).astype(np.float64)
        c = 1.0 / np.sqrt(9.0 * d)
    with source.lock:
        feed = _Feed(source, np.where(boosted, np.where(alpha == 0, 0, 2), 1))
        return _marsaglia_tsang(
            source, feed, alpha, boosted.tolist(), power, d.tolist(), c.tolist()
        )


_SQUEEZE = float(np.float32(0.0331))


def _marsaglia_tsang(source, feed, alpha, boosted, power, d_list, c_list) -> np.ndarray:
    draw, log, sqrt = feed.draw, math.log, math.sqrt
    log1p, cos, sin, turn = math.log1p, math.cos, math.sin, 2.0 * math.pi
    spare = source.spare_normal
    zero = (alpha == 0).tolist()
    values = []
    for i, d, c in zip(itertools.count(), d_list, c_list, strict=False):
        feed.place = i
        if zero[i]:
            values.append(0.0)
            continue
        scale = math.pow(1 - draw(), power[i]) if boosted[i] else 1.0
        while True:
            if spare is None:
                angle = turn * draw()
                radius = sqrt(-2.0 * log1p(-draw()))
                x, spare = radius * cos(angle), radius * sin(angle)
            else:
                x, spare = spare, None
            y = 1.0 + c * x
            if not y <= 0:
                v = y * y * y
                u = 1 - draw()
                xx = x * x
                if u < 1.0 - _SQUEEZE * xx * xx or log(u) < 0.5 * xx + d * (1.0 - v + log(v)):
                    break
        values.append(scale * d * v)
    source.spare_normal = spare
    return np.array(values)


def dirichlet(source: MersenneTwister, alpha: np.ndarray) -> np.ndarray:
    """Dirichlet vectors along the last axis of an array of concentrations, float32 or float64."""
    gammas = _gamma(source, alpha.astype(np.float64).ravel()).reshape(alpha.shape)
    gammas = np.maximum(gammas, np.finfo(np.float64).tiny)
    limits = np.finfo(alpha.dtype)
    with np.errstate(all="ignore"):
        values = (gammas / gammas.sum(-1, keepdims=True)).astype(alpha.dtype)
    return np.clip(values, limits.tiny, 1 - limits.epsneg)


def multinomial_with_replacement(
    source: MersenneTwister, weights: np.ndarray, count: int
) -> np.ndarray:
    """`count` category numbers for each row of (rows, categories) weights, float32 or float64."""
    rows, categories = weights.shape
    bounds = np.cumsum(weights, axis=1)
    bounds /= bounds[:, -1:].copy()
    bounds[:, -1] = 1
    with source.lock:
        uniforms = source.uniform53(rows * count).reshape(rows, count)
    if rows == 1:
        return np.searchsorted(bounds[0].astype(np.float64), uniforms[0])[None]
    # One binary search for all rows.
    low, high = np.zeros((rows, count), np.int64), np.full((rows, count), categories - 1)
    for _ in range(categories.bit_length()):
        middle = (low + high) >> 1
        below = np.take_along_axis(bounds, middle, 1) < uniforms
        low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
    return low


def multinomial_without_replacement(
    weights: np.ndarray, race: np.ndarray, count: int, dtype: str
) -> np.ndarray:
    """The `count` categories of each row whose weight is largest against its exponential number.

    The quotients are rounded to `dtype`, in which the numbers of `race` were drawn.
    """
    with np.errstate(all="ignore"):
        keys = cast(weights / race.astype(weights.dtype), dtype)
    # As in PyTorch's topk, NaN (0/0 in half precision) counts as the largest.
    keys = np.where(np.isnan(keys), np.inf, keys)
    if count == 1:
        return keys.argmax(-1)[..., None]
    return np.argsort(-keys, axis=-1, kind="stable")[..., :count]
