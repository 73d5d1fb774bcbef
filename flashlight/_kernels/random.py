"""Random numbers as graphs of MLX operations: a key in, an array out.

For accelerators and for traces, where numbers cannot come one after the other from a generator on
the host. Distributions are those of PyTorch's samplers, the numbers are not. Every function
takes a key (uint32 of shape (2,)), the result's shape and its MLX dtype.
"""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np


def _words(key: mx.array, count: int) -> mx.array:
    """uint32 words, all bits random; MLX shows its bits only as new keys."""
    return mx.random.split(key, (count + 1) // 2).reshape(-1)[:count]


def _words64(key: mx.array, shape) -> mx.array:
    pairs = mx.random.split(key, max(math.prod(shape), 1)).astype(mx.uint64)
    pairs = pairs[: math.prod(shape)]
    return ((pairs[:, 0] << 32) | pairs[:, 1]).reshape(shape)


def _working(dtype: mx.Dtype) -> mx.Dtype:
    return mx.float64 if dtype == mx.float64 else mx.float32


def unit(key: mx.array, shape, dtype: mx.Dtype) -> mx.array:
    """Uniform in [0, 1), with 53 random bits in float64."""
    if dtype == mx.float64:
        return (_words64(key, shape) >> 11).astype(mx.float64) * 2.0**-53
    return mx.random.uniform(shape=shape, dtype=dtype, key=key)


def uniform(key: mx.array, shape, dtype: mx.Dtype, low: float = 0.0, high: float = 1.0) -> mx.array:
    """Uniform in [low, high); what rounds to `high` becomes `low`."""
    if dtype == mx.complex64:
        return _of_pairs(uniform(key, (*shape, 2), mx.float32, low, high))
    working = _working(dtype)
    values = (unit(key, shape, working) * (high - low) + low).astype(dtype)
    bounds = mx.array([low, high], working).astype(dtype)
    return mx.where(values == bounds[1], bounds[0], values)


def _of_pairs(pairs: mx.array) -> mx.array:
    return pairs[..., 0] + 1j * pairs[..., 1]


def normal(key: mx.array, shape, dtype: mx.Dtype, mean: float = 0.0, std: float = 1.0) -> mx.array:
    """Normal; complex numbers have their variance halved between the parts."""
    if dtype == mx.complex64:
        return _of_pairs(normal(key, (*shape, 2), mx.float32, mean, std / math.sqrt(2)))
    return (_standard_normal(key, shape, _working(dtype)) * std + mean).astype(dtype)


def _standard_normal(key: mx.array, shape, dtype: mx.Dtype) -> mx.array:
    if dtype != mx.float64:
        return mx.random.normal(shape=shape, dtype=dtype, key=key)
    # MLX's float64 normals, erfinv and cos have float32 accuracy only; its tan is exact.
    first, second = unit(key, (2, *shape), dtype)
    half_angle = mx.tan(math.pi * first)
    square = half_angle * half_angle
    return mx.sqrt(-2.0 * mx.log1p(-second)) * ((1 - square) / (1 + square))


def integers(key: mx.array, shape, dtype: mx.Dtype, low: int, high: int) -> mx.array:
    """Integers in [low, high)."""
    span = high - low
    if span < 1 << 28:
        words = _words(key, math.prod(shape)).reshape(shape)
        words = (words % mx.array(span, mx.uint32)).astype(mx.uint64)
    else:
        words = _words64(key, shape)
        if span < 1 << 64:
            words = words % mx.array(np.uint64(span), mx.uint64)
    # Unsigned, so that sums past the largest int64 wrap round to the negative numbers meant.
    words = words + mx.array(np.uint64(low % (1 << 64)), mx.uint64)
    return words.astype(mx.int64).astype(dtype)


def permutation(key: mx.array, n: int) -> mx.array:
    """A permutation of 0 .. n-1 as int64."""
    return mx.argsort(_words64(key, (n,))).astype(mx.int64)


def bernoulli(key: mx.array, shape, probability) -> mx.array:
    """Booleans that are True with a probability, a number or an array of the shape."""
    working = mx.float32
    if isinstance(probability, mx.array) and probability.dtype == mx.float64:
        working = mx.float64
    return unit(key, shape, working) < probability


def exponential(key: mx.array, shape, dtype: mx.Dtype, rate: float = 1.0) -> mx.array:
    """-log(1 - u) / rate."""
    scale = math.inf if rate == 0 else 1.0 / rate
    return (-mx.log1p(-unit(key, shape, _working(dtype))) * scale).astype(dtype)


def cauchy(
    key: mx.array, shape, dtype: mx.Dtype, median: float = 0.0, sigma: float = 1.0
) -> mx.array:
    """median + sigma·tan(π(u - ½))."""
    centred = unit(key, shape, _working(dtype)) - 0.5
    return (median + sigma * mx.tan(math.pi * centred)).astype(dtype)


def log_normal(
    key: mx.array, shape, dtype: mx.Dtype, mean: float = 1.0, std: float = 2.0
) -> mx.array:
    """e to the power of a normal number."""
    exponent = normal(key, shape, _working(dtype), mean, std)
    # MLX's float64 exp has float32 accuracy and range, its power has not.
    values = mx.power(math.e, exponent) if dtype == mx.float64 else mx.exp(exponent)
    return values.astype(dtype)


def geometric(key: mx.array, shape, dtype: mx.Dtype, p: float) -> mx.array:
    """⌈log u / log(1 - p)⌉, the number of trials up to the first success."""
    # 1 - u lies in (0, 1]: no infinity, and at least one trial.
    fails = mx.log(1 - unit(key, shape, _working(dtype)))
    scale = 0.0 if p == 1 else 1 / math.log1p(-p)
    return mx.maximum(mx.ceil(fails * scale), 1).astype(dtype)


# ----- samplers that reject: a fixed number of rounds, of which the first accepted one counts -----

# All rounds fail with a probability below 1e-8; then the last round's value stands.
_GAMMA_ROUNDS = 8
_ROUNDS = 16


def _first_accepted(accepted: mx.array, values: mx.array) -> mx.array:
    chosen = mx.argmax(accepted, axis=0, keepdims=True)
    return mx.take_along_axis(values, chosen, axis=0)[0]


def standard_gamma(key: mx.array, alpha: mx.array) -> mx.array:
    """Gamma of scale 1 with the shapes `alpha` (Marsaglia & Tsang 2000)."""
    dtype, shape = alpha.dtype, alpha.shape
    boost_key, normal_key, uniform_key = mx.random.split(key, 3)
    boosted = alpha < 1
    scale = mx.power(1 - unit(boost_key, shape, dtype), 1 / mx.where(boosted, alpha, 1))
    d = mx.where(boosted, alpha + 1, alpha) - 1 / 3
    c = mx.rsqrt(9 * d)
    x = _standard_normal(normal_key, (_GAMMA_ROUNDS, *shape), dtype)
    u = 1 - unit(uniform_key, (_GAMMA_ROUNDS, *shape), dtype)
    y = 1 + c * x
    v = y * y * y
    log_v = mx.log(mx.maximum(v, _tiny(dtype)))
    accepted = (y > 0) & (mx.log(u) < 0.5 * x * x + d * (1 - v + log_v))
    values = mx.where(boosted, scale, 1) * d * _first_accepted(accepted, mx.maximum(v, 0))
    values = mx.maximum(values, _tiny(dtype))
    return mx.where(alpha == 0, mx.array(_tiny(dtype), dtype), values)


def _tiny(dtype: mx.Dtype) -> float:
    return 2.0**-1022 if dtype == mx.float64 else 2.0**-126


def dirichlet(key: mx.array, alpha: mx.array) -> mx.array:
    """Dirichlet vectors along the last axis."""
    values = standard_gamma(key, alpha)
    values = values / values.sum(axis=-1, keepdims=True)
    top = 1 - (2.0**-53 if alpha.dtype == mx.float64 else 2.0**-24)
    return mx.clip(values, mx.array(_tiny(alpha.dtype), alpha.dtype), mx.array(top, alpha.dtype))


def poisson(key: mx.array, rates: mx.array) -> mx.array:
    """Poisson numbers: the inverse of the distribution function below 10, else Hörmann's PTRS."""
    dtype, shape = rates.dtype, rates.shape
    inverse_key, u_key, v_key = mx.random.split(key, 3)
    small = mx.minimum(rates, 10)
    few = _invert(unit(inverse_key, shape, dtype), mx.exp(-small), small / _steps(small))

    rate = mx.maximum(rates, 10)
    b = 0.931 + 2.53 * mx.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    width, k, v = _transformed(u_key, v_key, shape, a, b, rate + 0.43)
    ratio = mx.log(v) + mx.log(inverse_alpha) - mx.log(a / (width * width) + b)
    accepted = (k >= 0) & (ratio <= _log_poisson(mx.maximum(k, 0), rate))
    many = _first_accepted(accepted, mx.maximum(k, 0))
    return mx.where(rates < 10, few, many)


def binomial(key: mx.array, counts: mx.array, probabilities: mx.array) -> mx.array:
    """Binomial numbers: the inverse of the distribution function for means below 10, else BTRS."""
    dtype, shape = counts.dtype, counts.shape
    inverse_key, u_key, v_key = mx.random.split(key, 3)
    mirrored = probabilities > 0.5
    p = mx.where(mirrored, 1 - probabilities, probabilities)
    active = (counts > 0) & (p > 0)
    p, n = mx.where(active, p, 0.25), mx.where(active, counts, 1)
    by_inverse = n * p < 10

    n_few, p_few = mx.where(by_inverse, n, 1), mx.where(by_inverse, p, 0.25)
    odds = p_few / (1 - p_few)
    steps = _steps(odds)
    few = _invert(
        unit(inverse_key, shape, dtype),
        mx.exp(n_few * mx.log1p(-p_few)),
        odds * mx.maximum(n_few - steps + 1, 0) / steps,
    )

    n_many, p_many = mx.where(by_inverse, 100, n), mx.where(by_inverse, 0.5, p)
    spread = mx.sqrt(n_many * p_many * (1 - p_many))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p_many
    alpha = (2.83 + 5.1 / b) * spread
    mode = mx.floor((n_many + 1) * p_many)
    width, k, v = _transformed(u_key, v_key, shape, a, b, n_many * p_many + 0.5)
    inside = (k >= 0) & (k <= n_many)
    k = mx.clip(k, 0, n_many)
    height = _log_binomial(k, n_many, p_many) - _log_binomial(mode, n_many, p_many)
    accepted = inside & (mx.log(v * alpha / (a / (width * width) + b)) <= height)
    found = mx.where(by_inverse, few, _first_accepted(accepted, k))
    found = mx.where(mirrored, n - found, found)
    found = mx.where(active, found, mx.where(probabilities >= 1, mx.maximum(counts, 0), 0))
    return mx.where(mx.isnan(probabilities) & (counts > 0), mx.nan, found).astype(dtype)


# A Poisson number of mean 10 exceeds this with a probability below 1e-8.
_STEPS_OF_MEAN_10 = 34


def _invert(u: mx.array, mass: mx.array, ratios: mx.array) -> mx.array:
    """The number of values whose distribution function is at most `u`.

    `mass` is the probability of 0, `ratios[k - 1]` that of k against k - 1.
    """
    masses = mx.concatenate([mass[None], mass * mx.cumprod(ratios, axis=0)])
    return (u >= mx.cumsum(masses, axis=0)).sum(axis=0).astype(u.dtype)


def _steps(like: mx.array) -> mx.array:
    """1, 2, … along a new first axis."""
    count = mx.arange(1, _STEPS_OF_MEAN_10 + 1).astype(like.dtype)
    return count.reshape(-1, *[1] * like.ndim)


def _transformed(u_key, v_key, shape, a, b, shift) -> tuple[mx.array, mx.array, mx.array]:
    """Hörmann's transformed pair: the width of the box, the candidate, the height."""
    u = unit(u_key, (_ROUNDS, *shape), a.dtype) - 0.5
    width = mx.maximum(0.5 - mx.abs(u), 2.0**-24)
    v = 1 - unit(v_key, (_ROUNDS, *shape), a.dtype)
    return width, mx.floor((2 * a / width + b) * u + shift), v


def _deviance(k: mx.array, mean: mx.array) -> mx.array:
    """k·log(k/mean) + mean - k, without cancelling digits (Loader 2000)."""
    difference = k - mean
    positive = mx.maximum(k, 0.5)
    return mx.where(k > 0, positive * mx.log1p((positive - mean) / mean) - difference, mean)


def _stirling_error(k: mx.array) -> mx.array:
    """log k! - log(√(2πk)·(k/e)^k), for integers from 1 on."""
    square = k * k
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / k
    return mx.where(k == 1, 0.0810614667953272, series)


def _log_poisson(k: mx.array, rate: mx.array) -> mx.array:
    positive = mx.maximum(k, 1)
    correction = _stirling_error(positive) + 0.5 * mx.log(2 * math.pi * positive)
    return mx.where(k > 0, -correction, 0) - _deviance(k, rate)


def _log_binomial(k: mx.array, n: mx.array, p: mx.array) -> mx.array:
    rest = n - k
    value = _stirling_error(n) - _deviance(k, n * p) - _deviance(rest, n * (1 - p))
    for part in (k, rest):
        positive = mx.maximum(part, 1)
        correction = _stirling_error(positive) + 0.5 * mx.log(2 * math.pi * positive)
        value = value - mx.where(part > 0, correction, 0)
    return value + 0.5 * mx.log(2 * math.pi * n)


# ----- categories -----


def multinomial_with_replacement(key: mx.array, weights: mx.array, count: int) -> mx.array:
    """`count` category numbers for each row of (rows, categories) weights, int64."""
    rows, categories = weights.shape
    bounds = mx.cumsum(weights, axis=1)
    bounds = bounds / bounds[:, -1:]
    u = unit(key, (rows, count), weights.dtype)
    low = mx.zeros((rows, count), mx.int32)
    high = mx.full((rows, count), categories - 1, mx.int32)
    for _ in range(categories.bit_length()):
        middle = (low + high) >> 1
        below = mx.take_along_axis(bounds, middle, axis=1) <= u
        low, high = (
            mx.where(below & (middle < high), middle + 1, low),
            mx.where(below, high, middle),
        )
    return low.astype(mx.int64)


def multinomial_without_replacement(key: mx.array, weights: mx.array, count: int) -> mx.array:
    """`count` different category numbers for each row of weights, int64."""
    race = exponential(key, weights.shape, weights.dtype)
    keys = weights / mx.maximum(race, _tiny(weights.dtype))
    if count == 1:
        return mx.argmax(keys, axis=-1, keepdims=True).astype(mx.int64)
    return mx.argsort(-keys, axis=-1)[..., :count].astype(mx.int64)
