"""Log densities, cumulative distributions, moments and entropies, with their derivatives."""

from __future__ import annotations

import pytest
import torch

import flashlight
from tests.distributions.cases import CASES, assert_same, build, dtype_for, pair, to_flashlight

pytestmark = pytest.mark.filterwarnings("ignore:Singular sample:UserWarning")


def values_for(expected, shape=(3,)):
    torch.manual_seed(1)
    return expected.sample(shape)


def asked(question, expected, actual):
    """Both answers, or both exceptions' classes and messages."""
    answers = []
    for distribution in (expected, actual):
        try:
            answers.append(question(distribution))
        except (NotImplementedError, ValueError) as error:
            answers.append((type(error), str(error).replace("flashlight.", "torch.")))
    return answers


def assert_same_answer(question, expected, actual, *tolerance):
    wanted, got = asked(question, expected, actual)
    if isinstance(wanted, tuple):
        assert got == wanted
    else:
        assert_same(got, wanted, *tolerance)


@pytest.mark.parametrize("name", CASES)
def test_moments_and_entropy(name):
    expected, actual = pair(name)
    for moment in ("mean", "mode", "variance", "stddev"):
        assert_same_answer(lambda made, moment=moment: getattr(made, moment), expected, actual)
    # PyTorch's multinomial entropy has a logarithm of single precision in it.
    tolerance = (1e-6, 1e-6) if name.startswith("Multinomial") else (1e-9, 1e-11)
    for summary in ("entropy", "perplexity"):
        assert_same_answer(
            lambda made, summary=summary: getattr(made, summary)(), expected, actual, *tolerance
        )


@pytest.mark.parametrize("name", CASES)
def test_log_prob_and_its_derivatives(name):
    expected, wanted_leaves = build(torch, CASES[name], dtype_for(name))
    actual, leaves = build(flashlight, CASES[name], dtype_for(name))
    value = values_for(expected)
    wanted, got = expected.log_prob(value), actual.log_prob(to_flashlight(value))
    assert_same(got, wanted)
    wanted_leaves = [leaf for leaf in wanted_leaves if leaf.requires_grad]
    wanted_grads = torch.autograd.grad(
        wanted.sum(), wanted_leaves, create_graph=True, allow_unused=True
    )
    grads = flashlight.autograd.grad(got.sum(), leaves, create_graph=True, allow_unused=True)
    compare_derivatives(grads, wanted_grads)
    wanted_total = sum((grad**2).sum() for grad in wanted_grads if grad is not None)
    total = sum((grad**2).sum() for grad in grads if grad is not None)
    if not wanted_total.requires_grad:
        assert not total.requires_grad
        return
    compare_derivatives(
        flashlight.autograd.grad(total, leaves, allow_unused=True),
        torch.autograd.grad(wanted_total, wanted_leaves, allow_unused=True),
    )


def compare_derivatives(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        if other is None or not other.any():
            assert one is None or not one.any()
        else:
            assert_same(one, other, 1e-7, 1e-9)


@pytest.mark.parametrize("name", CASES)
def test_cdf_and_icdf(name):
    expected, actual = pair(name)
    value = values_for(expected)
    at = {expected: value, actual: to_flashlight(value)}
    assert_same_answer(lambda made: made.cdf(at[made]), expected, actual, 1e-8, 1e-10)
    for level in (0.05, 0.5, 0.95):
        assert_same_answer(
            lambda made, level=level: made.icdf(at[made] * 0 + level), expected, actual, 1e-8, 1e-10
        )


@pytest.mark.parametrize("name", CASES)
def test_expand(name):
    expected, actual = pair(name)
    shape = (2, *expected.batch_shape)
    expected, actual = expected.expand(shape), actual.expand(shape)
    assert actual.batch_shape == shape
    assert tuple(actual.event_shape) == tuple(expected.event_shape)
    value = values_for(expected)
    assert_same(actual.log_prob(to_flashlight(value)), expected.log_prob(value))
    assert_same_answer(lambda made: made.mean, expected, actual)
    # A lazy attribute which PyTorch forgets to carry over makes its entropy fail.
    if not name.startswith("Multinomial"):
        assert_same_answer(lambda made: made.entropy(), expected, actual)
    torch.manual_seed(3)
    wanted = expected.sample((2,))
    flashlight.manual_seed(3)
    assert_same(actual.sample((2,)), wanted)


def test_expanded_multinomial_has_an_entropy():
    _, distribution = pair("Multinomial")
    entropy = distribution.entropy().tolist()
    assert distribution.expand((3, 2)).entropy().tolist() == [entropy] * 3


@pytest.mark.parametrize("name", CASES)
def test_enumerate_support(name):
    expected, actual = pair(name)
    assert actual.has_enumerate_support == expected.has_enumerate_support
    for expand in (True, False):
        assert_same_answer(
            lambda made, expand=expand: made.enumerate_support(expand), expected, actual
        )


@pytest.mark.parametrize("name", CASES)
def test_repr_and_support(name):
    expected, actual = pair(name)
    assert repr(actual) == repr(expected)
    assert repr(actual.support) == repr(expected.support)
    assert actual.support.event_dim == expected.support.event_dim
    assert actual.support.is_discrete == expected.support.is_discrete
    assert sorted(actual.arg_constraints) == sorted(expected.arg_constraints)
    assert [repr(one) for one in actual.arg_constraints.values()] == [
        repr(one) for one in expected.arg_constraints.values()
    ]
    assert actual.has_rsample == expected.has_rsample


PROPERTIES = ("probs", "logits", "covariance_matrix", "precision_matrix", "scale_tril", "df", "loc")
PROPERTIES += ("scale", "concentration", "rate", "temperature", "total_count", "param_shape")


@pytest.mark.parametrize("name", CASES)
def test_parameters_can_be_read_in_every_form(name):
    expected, actual = pair(name)
    for attribute in PROPERTIES:
        if not hasattr(expected, attribute):
            continue
        wanted, got = getattr(expected, attribute), getattr(actual, attribute)
        if isinstance(wanted, torch.Tensor):
            assert_same(got, wanted)
        else:
            assert got == wanted


def test_generalized_pareto_survival():
    expected, actual = pair("GeneralizedPareto")
    value = values_for(expected)
    for function in ("log_survival_function", "log_cdf"):
        assert_same(
            getattr(actual, function)(to_flashlight(value)), getattr(expected, function)(value)
        )


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda d, t: d.Binomial(t([3.0, 3.0]), t([0.0, 1.0])), [0.0, 3.0]),
        (lambda d, t: d.Geometric(t([1.0, 1.0])), [0.0, 2.0]),
        (lambda d, t: d.NegativeBinomial(t([0.0, 0.0]), t([0.5, 0.5])), [0.0, 1.0]),
        (lambda d, t: d.Multinomial(3, t([1.0, 0.0])), [3.0, 0.0]),
        (lambda d, t: d.Poisson(t([0.0, 0.0])), [0.0, 1.0]),
        (lambda d, t: d.Uniform(t([0.0, 0.0]), t([1.0, 1.0])), [0.0, 1.0]),
        (lambda d, t: d.Dirichlet(t([1.0, 1.0])), [0.0, 1.0]),
        (lambda d, t: d.Gamma(t([1.0, 2.0]), t([1.0, 1.0])), [0.0, 0.0]),
        (lambda d, t: d.ContinuousBernoulli(t([0.0, 1.0])), [0.0, 0.3]),
        (lambda d, t: d.Dirichlet(t([[0.5, 0.5], [2.0, 0.5], [3.0, 2.0]])), [0.5, 0.5]),
        (lambda d, t: d.VonMises(t([0.0, 0.0]), t([1e-6, 300.0])), [0.1, 0.1]),
    ],
)
def test_edges(make, value):
    distributions = []
    for module in (torch, flashlight):

        def tensor(values, module=module):
            return module.tensor(values, dtype=module.float64)

        distributions.append((make(module.distributions, tensor), tensor(value)))
    (expected, wanted_at), (actual, at) = distributions
    assert_same(actual.log_prob(at), expected.log_prob(wanted_at))
    for moment in ("mean", "mode", "variance"):
        assert_same_answer(lambda made, moment=moment: getattr(made, moment), expected, actual)
