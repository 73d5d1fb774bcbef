"""Random numbers from keys: the distributions are right. Fixed keys, so a test never flickers."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
import pytest
import torch
from scipy import stats

from flashlight._kernels import random as kernels
from flashlight._kernels import random_gradients

COUNT = 20_000
DTYPES = [mx.float32, mx.float64]

CONTINUOUS = {
    "uniform": ((-2.0, 3.0), stats.uniform(-2, 5)),
    "normal": ((1.0, 2.0), stats.norm(1, 2)),
    "exponential": ((2.0,), stats.expon(0, 0.5)),
    "cauchy": ((1.0, 2.0), stats.cauchy(1, 2)),
    "log_normal": ((0.5, 0.7), stats.lognorm(0.7, scale=math.exp(0.5))),
}


def fits(values: mx.array, distribution) -> None:
    found = np.array(values, np.float64).ravel()
    assert stats.kstest(found, distribution.cdf).pvalue > 1e-3


def fits_counts(values: mx.array, mass) -> None:
    found = np.array(values).astype(np.int64).ravel()
    observed = np.bincount(found).astype(float)
    expected = mass(np.arange(observed.size)) * found.size
    often = expected >= 5
    rest = found.size - expected[often].sum()
    observed = np.append(observed[often], observed[~often].sum())
    expected = np.append(expected[often], rest)
    if rest < 5:  # too few for a cell of their own
        observed = np.append(observed[:-2], observed[-2:].sum())
        expected = np.append(expected[:-2], expected[-2:].sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, max(observed.size - 1, 1)) > 1e-3


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name, kind):
    parameters, distribution = CONTINUOUS[name]
    values = getattr(kernels, name)(mx.random.key(1), (COUNT,), kind, *parameters)
    assert values.dtype == kind
    fits(values, distribution)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("alpha", [0.3, 1, 2.5, 30, 1000])
def test_gamma(alpha, kind):
    shapes = mx.full((COUNT,), alpha, dtype=kind)
    fits(kernels.standard_gamma(mx.random.key(2), shapes), stats.gamma(alpha))


@pytest.mark.parametrize("kind", DTYPES)
def test_dirichlet(kind):
    alpha = mx.broadcast_to(mx.array([1.0, 2.0, 3.0], kind), (COUNT, 3))
    values = kernels.dirichlet(mx.random.key(3), alpha)
    np.testing.assert_allclose(np.array(values.sum(-1)), 1, rtol=1e-6)
    fits(values[:, 0], stats.beta(1, 5))


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("rate", [0.1, 3, 9.9, 10, 30, 1000])
def test_poisson(rate, kind):
    rates = mx.full((COUNT,), rate, dtype=kind)
    fits_counts(kernels.poisson(mx.random.key(4), rates), stats.poisson(rate).pmf)


BINOMIAL = [
    (1, 0.5),
    (5, 0.3),
    (5, 0.9),
    (20, 0.5),
    (100, 0.3),
    (100, 0.7),
    (1000, 0.02),
    (10**5, 0.4),
]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("count, p", BINOMIAL)
def test_binomial(count, p, kind):
    counts, chances = (mx.full((COUNT,), value, dtype=kind) for value in (count, p))
    fits_counts(kernels.binomial(mx.random.key(5), counts, chances), stats.binom(count, p).pmf)


def test_edges_of_poisson_and_binomial():
    assert kernels.poisson(mx.random.key(0), mx.zeros((50,))).tolist() == [0] * 50
    counts, chances = mx.array([0.0, 5, 5, 5]), mx.array([0.5, 0, 1, math.nan])
    found = kernels.binomial(mx.random.key(0), counts, chances).tolist()
    assert found[:3] == [0, 0, 5] and math.isnan(found[3])


def test_counting():
    fits_counts(kernels.geometric(mx.random.key(6), (COUNT,), mx.int64, 0.2), stats.geom(0.2).pmf)
    fits_counts(
        kernels.integers(mx.random.key(7), (COUNT,), mx.int64, 0, 7),
        lambda k: np.where(k < 7, 1 / 7, 0),
    )
    wide = np.array(kernels.integers(mx.random.key(8), (COUNT,), mx.int64, -(2**62), 2**62))
    assert stats.kstest(wide / 2.0**62, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert sorted(kernels.permutation(mx.random.key(9), 50).tolist()) == list(range(50))
    kept = np.array(kernels.bernoulli(mx.random.key(10), (COUNT,), 0.3))
    assert stats.binomtest(int(kept.sum()), COUNT, 0.3).pvalue > 1e-3


@pytest.mark.parametrize("kind", DTYPES)
def test_multinomial(kind):
    weights = np.array([1, 0, 3, 2.5, 0.5])
    chances = weights / weights.sum()

    def mass(k):
        return np.append(chances, np.zeros(9))[k]

    rows = mx.array(weights, kind)[None]
    fits_counts(kernels.multinomial_with_replacement(mx.random.key(11), rows, COUNT), mass)
    many = mx.broadcast_to(rows, (COUNT, 5))
    fits_counts(kernels.multinomial_without_replacement(mx.random.key(12), many, 1), mass)
    triples = kernels.multinomial_without_replacement(mx.random.key(13), many[:100], 3)
    assert all(len(set(row)) == 3 and 1 not in row for row in triples.tolist())


def test_complex_and_empty():
    values = np.array(kernels.normal(mx.random.key(14), (COUNT,), mx.complex64))
    for part in (values.real, values.imag):
        assert stats.kstest(part, stats.norm(0, math.sqrt(0.5)).cdf).pvalue > 1e-3
    for draw in (kernels.uniform, kernels.normal, kernels.exponential):
        assert draw(mx.random.key(0), (0, 3), mx.float32).shape == (0, 3)
    assert kernels.integers(mx.random.key(0), (0,), mx.int8, 0, 3).shape == (0,)
    assert kernels.permutation(mx.random.key(0), 0).shape == (0,)


def test_derivative_of_gamma_numbers():
    rng = np.random.default_rng(0)
    alpha = np.exp(rng.uniform(-6, 7, 3000))
    x = np.maximum(rng.gamma(alpha), 1e-300)
    expected = torch._standard_gamma_grad(torch.tensor(alpha), torch.tensor(x)).numpy()
    found = random_gradients.standard_gamma_grad(
        mx.array(alpha, mx.float64), mx.array(x, mx.float64)
    )
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-11)


def test_derivative_of_beta_numbers():
    rng = np.random.default_rng(0)
    alpha, beta = np.exp(rng.uniform(-3, 5, (2, 3000)))
    x = np.clip(rng.beta(alpha, beta), 1e-300, 1 - 1e-15)
    arguments = x, alpha, alpha + beta
    expected = torch._dirichlet_grad(*map(torch.tensor, arguments)).numpy()
    found = random_gradients.dirichlet_grad(*[mx.array(a, mx.float64) for a in arguments])
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-11)
