"""Draws: PyTorch's numbers from the same seed, and gradients through them."""

from __future__ import annotations

import pytest
import torch

import flashlight
from tests.distributions.cases import CASES, SINGLE_ONLY, assert_same, build, dtype_for, pair

pytestmark = pytest.mark.filterwarnings("ignore:Singular sample:UserWarning")

DIFFERENTIABLE = [name for name in CASES if build(torch, CASES[name])[0].has_rsample]


def draw(module, distribution, shape, method="sample", seed=5):
    """A draw, and the random numbers that come after it."""
    module.manual_seed(seed)
    return getattr(distribution, method)(shape), module.rand(3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_draws_are_those_of_the_same_seed(name, dtype):
    if name in SINGLE_ONLY and dtype == "float64":
        pytest.skip("PyTorch cannot")
    expected, actual = pair(name, dtype)
    for shape in [(), (3,), (4, 10)]:
        wanted, wanted_next = draw(torch, expected, shape)
        got, got_next = draw(flashlight, actual, shape)
        tolerance = (2e-5, 2e-6) if dtype == "float32" else (1e-9, 1e-12)
        assert_same(got, wanted, *tolerance)
        assert got_next.tolist() == wanted_next.tolist()
        assert not got.requires_grad


# PyTorch writes into a mask that its backward pass needs.
@pytest.mark.parametrize("name", [name for name in DIFFERENTIABLE if "Wishart" not in name])
def test_gradients_of_draws(name):
    results = []
    for module in (torch, flashlight):
        distribution, leaves = build(module, CASES[name], dtype_for(name))
        value, _ = draw(module, distribution, (5,), "rsample")
        weights = module.arange(value.numel(), dtype=value.dtype).reshape(value.shape) - 1.5
        (value * weights).sum().backward()
        results.append((value, [leaf.grad for leaf in leaves]))
    (wanted, wanted_grads), (got, got_grads) = results
    assert_same(got, wanted)
    for leaf_got, leaf_wanted in zip(got_grads, wanted_grads, strict=True):
        assert (leaf_got is None) == (leaf_wanted is None)
        if leaf_wanted is not None:
            assert_same(leaf_got, leaf_wanted, 1e-7, 1e-9)


@pytest.mark.parametrize("name", [n for n in CASES if n not in DIFFERENTIABLE])
def test_other_draws_have_no_gradient(name):
    expected, actual = pair(name)
    errors = []
    for distribution in (expected, actual):
        with pytest.raises(NotImplementedError) as caught:
            distribution.rsample()
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def second_derivatives(module, name):
    distribution, leaves = build(module, CASES[name], dtype_for(name))
    value, _ = draw(module, distribution, (2,), "rsample")
    firsts = module.autograd.grad((value**3).sum(), leaves, create_graph=True)
    total = sum((first * first).sum() for first in firsts)
    return module.autograd.grad(total, leaves)


@pytest.mark.parametrize(
    "name",
    ["Normal", "Laplace", "Cauchy", "Exponential", "LogNormal", "Weibull", "Kumaraswamy"]
    + ["MultivariateNormal", "RelaxedOneHotCategorical", "GeneralizedPareto", "Gumbel"],
)
def test_second_derivatives_of_draws(name):
    wanted, got = (second_derivatives(module, name) for module in (torch, flashlight))
    for one, other in zip(got, wanted, strict=True):
        assert_same(one, other, 1e-7, 1e-9)


@pytest.mark.parametrize("name", ["Dirichlet", "Beta"])
def test_dirichlet_draws_are_differentiable_once(name):
    for module in (torch, flashlight):
        with pytest.raises(RuntimeError):
            second_derivatives(module, name)


def test_gradients_of_wishart_draws():
    def total(diagonal):
        tril = flashlight.diag_embed(diagonal) + flashlight.tensor([[0.0, 0.0], [-0.4, 0.0]])
        distribution = flashlight.distributions.Wishart(4.5, scale_tril=tril)
        flashlight.manual_seed(0)
        return distribution.rsample((3,)).sum()

    point = flashlight.tensor([1.2, 0.8], dtype=flashlight.float64, requires_grad=True)
    (gradient,) = flashlight.autograd.grad(total(point), point)
    step = flashlight.tensor([1e-5, -2e-5], dtype=flashlight.float64)
    difference = (total(point + step) - total(point - step)) / 2
    assert abs(difference - (gradient * step).sum()) < 1e-8


def test_tiny_gamma_draws_stay_positive():
    flashlight.manual_seed(0)
    concentration = flashlight.full((200,), 1e-3)
    draws = flashlight.distributions.Gamma(concentration, 1.0).sample()
    assert (draws > 0).all()


def test_straight_through_draws_are_one_hot():
    _, distribution = pair("OneHotCategoricalStraightThrough")
    draws = distribution.rsample((20,))
    assert draws.requires_grad
    assert (abs(draws.sum(-1) - 1) < 1e-6).all()


def test_wishart_draws_what_pytorch_draws_again():
    # PyTorch corrects good samples, with a warning; the stream is that of the second draw.
    for module in (torch, flashlight):
        distribution, _ = build(module, CASES["Wishart"])
        with pytest.warns(UserWarning, match="Singular sample detected"):
            distribution.sample((2,))


def test_sample_n_is_deprecated():
    expected, actual = pair("Normal")
    for distribution in (expected, actual):
        with pytest.warns(FutureWarning, match="sample_n"):
            assert tuple(distribution.sample_n(4).shape) == (4, 2, 3)
