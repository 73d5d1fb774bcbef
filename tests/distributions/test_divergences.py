"""Kullback-Leibler divergences: every registered pair, their gradients, and the look-up."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import flashlight
import flashlight.distributions as ours
from tests.distributions.cases import CASES, assert_same, build, pair


def registered(cases):
    """The pairs of cases for which PyTorch has a function."""
    kinds = {name: type(build(torch, case)[0]) for name, case in cases.items()}
    return [
        (one, other)
        for one, other in itertools.product(cases, cases)
        if torch.distributions.kl._dispatch_kl(kinds[one], kinds[other]) is not NotImplemented
    ]


PAIRS = registered({name: case for name, case in CASES.items() if "-" not in name})
# Parameters with more than one sign of support, and the edges of intervals.
MORE = {
    "Uniform-unit": lambda d, p: d.Uniform(p([0.0, 0.2]), p([1.0, 0.9])),
    "Uniform-wide": lambda d, p: d.Uniform(p([-1.0, 0.5]), p([2.0, 3.0])),
    "Pareto-heavy": lambda d, p: d.Pareto(p([1.0, 0.4]), p([0.9, 3.5])),
    "Beta": CASES["Beta"],
    "ContinuousBernoulli": lambda d, p: d.ContinuousBernoulli(p([0.3, 0.5])),
    "Exponential": CASES["Exponential"],
    "Gamma": CASES["Gamma"],
    "Gumbel": CASES["Gumbel"],
    "Laplace": CASES["Laplace"],
    "Normal": lambda d, p: d.Normal(p([0.5, -1.0]), p([1.0, 2.0])),
}
MORE_PAIRS = registered(MORE)


def divergence(module, one, other):
    p, p_leaves = build(module, one)
    q, q_leaves = build(module, other)
    result = module.distributions.kl_divergence(p, q)
    leaves = [leaf for leaf in p_leaves + q_leaves if leaf.requires_grad]
    finite = result[module.isfinite(result)].sum()
    if not finite.requires_grad:
        return result, []
    return result, module.autograd.grad(finite, leaves, allow_unused=True)


def assert_same_divergence(one, other):
    (wanted, wanted_grads), (got, grads) = (
        divergence(module, one, other) for module in (torch, flashlight)
    )
    assert_same(got, wanted, 1e-8, 1e-10)
    for grad, wanted_grad in zip(grads, wanted_grads, strict=False):
        if wanted_grad is None or not wanted_grad.isfinite().all() or not wanted_grad.any():
            continue
        assert_same(grad, wanted_grad, 1e-7, 1e-9)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_pairs(one, other):
    compare(CASES[one], CASES[other])


@pytest.mark.parametrize(("one", "other"), MORE_PAIRS)
def test_pairs_on_the_line(one, other):
    compare(MORE[one], MORE[other])


def compare(one, other):
    try:
        divergence(torch, one, other)
    except (NotImplementedError, ValueError) as error:
        with pytest.raises(type(error)):
            divergence(flashlight, one, other)
    except (RuntimeError, IndexError):
        pytest.skip("PyTorch refuses these shapes")
    else:
        assert_same_divergence(one, other)


def test_same_pairs_are_registered():
    def names(registry):
        return {(p.__name__, q.__name__) for p, q in registry}

    theirs, mine = torch.distributions.kl._KL_REGISTRY, ours.kl._KL_REGISTRY
    assert names(theirs) <= names(mine)


def test_impossible_outcomes():
    for make in (
        lambda d, t: (d.Bernoulli(t([0.0, 1.0, 0.5, 0.5])), d.Bernoulli(t([0.5, 0.5, 0.0, 1.0]))),
        lambda d, t: (
            d.Categorical(t([[0.0, 1.0], [0.5, 0.5]])),
            d.Categorical(t([[0.5, 0.5], [0.0, 1.0]])),
        ),
        lambda d, t: (d.Binomial(t([3.0, 2.0]), t([0.3, 0.3])), d.Binomial(2, t([0.4, 0.4]))),
    ):
        results = [
            module.distributions.kl_divergence(
                *make(
                    module.distributions,
                    lambda values, module=module: module.tensor(values, dtype=module.float64),
                )
            )
            for module in (torch, flashlight)
        ]
        assert_same(results[1], results[0])


def test_normals_of_full_and_low_rank():
    def make(d, p):
        full = d.MultivariateNormal(
            p([[0.5, -1.0, 0.0]] * 2), p([[1.5, 0.2, 0.0], [0.2, 1.0, 0.3], [0.0, 0.3, 2.0]])
        )
        low = d.LowRankMultivariateNormal(
            p([0.2, 0.0, 1.0]), p([[[1.0], [0.5], [0.2]]]), p([1.0, 2.0, 0.5])
        )
        return full, low

    results = {}
    for module in (torch, flashlight):

        def tensor(values, module=module):
            return module.tensor(values, dtype=module.float64)

        normals = make(module.distributions, tensor)
        results[module] = [
            module.distributions.kl_divergence(p, q) for p, q in itertools.product(normals, normals)
        ]
    for got, wanted in zip(results[flashlight], results[torch], strict=True):
        assert_same(got, wanted)


def test_errors():
    _, normal = pair("Normal")
    _, wishart = pair("VonMises")
    with pytest.raises(NotImplementedError, match="p type Normal and q type VonMises"):
        ours.kl_divergence(normal, wishart)
    with pytest.raises(NotImplementedError, match=r"q\.total_count > p.total_count"):
        probs = flashlight.tensor([0.5])
        ours.kl_divergence(ours.Binomial(1, probs), ours.Binomial(2, probs))
    with pytest.raises(ValueError, match="different event shapes"):
        eye = flashlight.eye
        ours.kl_divergence(
            ours.MultivariateNormal(flashlight.zeros(2), eye(2)),
            ours.MultivariateNormal(flashlight.zeros(3), eye(3)),
        )
    with pytest.raises(TypeError):
        ours.register_kl(int, ours.Normal)


class NormalOfOurs(ours.Normal):
    pass


def test_the_most_specific_function_serves():
    p, q = NormalOfOurs(0.0, 1.0), NormalOfOurs(1.0, 1.0)
    assert math.isclose(ours.kl_divergence(p, q).item(), 0.5)
    registry = dict(ours.kl._KL_REGISTRY)
    try:
        ours.register_kl(NormalOfOurs, ours.Normal)(lambda p, q: "left")
        ours.register_kl(ours.Normal, NormalOfOurs)(lambda p, q: "right")
        assert ours.kl_divergence(p, ours.Normal(0.0, 1.0)) == "left"
        assert ours.kl_divergence(ours.Normal(0.0, 1.0), q) == "right"
        with pytest.warns(RuntimeWarning, match="Ambiguous kl_divergence"):
            assert ours.kl_divergence(p, q) == "left"
        ours.register_kl(NormalOfOurs, NormalOfOurs)(lambda p, q: "both")
        assert ours.kl_divergence(p, q) == "both"
    finally:
        ours.kl._KL_REGISTRY.clear()
        ours.kl._KL_REGISTRY.update(registry)
        ours.kl._KL_MEMOIZE.clear()


def test_bregman_divergence_agrees():
    for name in ("Gamma", "Exponential", "Bernoulli", "Normal", "Beta", "Dirichlet"):
        _, p = pair(name)
        first = ours.kl._KL_REGISTRY[ours.ExponentialFamily, ours.ExponentialFamily]
        q, _ = build(flashlight, CASES[name])
        assert abs(first(p, q)).max() < 1e-12
