"""Distributions, transforms and ways to carry them between PyTorch and flashlight."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributions

import flashlight
import flashlight.distributions

# PyTorch's compares its double precision parameters with a single precision zero, and fails.
SINGLE_ONLY = {"GeneralizedPareto"}

# Each builds a distribution from a namespace of distributions and a function that makes parameters.
CASES = {
    "Bernoulli": lambda d, p: d.Bernoulli(p([0.2, 0.7, 0.5])),
    "Bernoulli-logits": lambda d, p: d.Bernoulli(logits=p([[-1.0, 0.5], [2.0, 0.0]])),
    "Bernoulli-certain": lambda d, p: d.Bernoulli(p([0.0, 1.0])),
    "Beta": lambda d, p: d.Beta(p([0.5, 2.0]), p([1.5, 3.0])),
    "Beta-number": lambda d, p: d.Beta(p([0.5, 2.0]), 3.0),
    "Binomial": lambda d, p: d.Binomial(10, p([0.2, 0.7])),
    "Binomial-logits": lambda d, p: d.Binomial(p([4.0, 30.0]).detach(), logits=p([-1.0, 0.5])),
    "Categorical": lambda d, p: d.Categorical(p([[0.2, 0.3, 0.5], [6.0, 3.0, 1.0]])),
    "Categorical-logits": lambda d, p: d.Categorical(logits=p([0.1, -1.0, 2.0])),
    "Cauchy": lambda d, p: d.Cauchy(p([0.5, -1.0]), p([1.0, 2.0])),
    "Chi2": lambda d, p: d.Chi2(p([1.5, 4.0])),
    "ContinuousBernoulli": lambda d, p: d.ContinuousBernoulli(p([0.2, 0.7, 0.5003])),
    "ContinuousBernoulli-logits": lambda d, p: d.ContinuousBernoulli(logits=p([-1.0, 1e-4])),
    "Dirichlet": lambda d, p: d.Dirichlet(p([[0.5, 1.5, 3.0], [2.0, 1.0, 0.3]])),
    "Exponential": lambda d, p: d.Exponential(p([0.5, 2.0])),
    "FisherSnedecor": lambda d, p: d.FisherSnedecor(p([3.0, 1.5]), p([4.5, 3.0])),
    "Gamma": lambda d, p: d.Gamma(p([0.5, 3.0]), p([1.0, 2.0])),
    "GeneralizedPareto": lambda d, p: d.GeneralizedPareto(
        p([0.0, 1.0, 0.5]), p([1.0, 2.0, 1.5]), p([0.2, -0.3, 0.0])
    ),
    "Geometric": lambda d, p: d.Geometric(p([0.2, 0.7])),
    "Geometric-logits": lambda d, p: d.Geometric(logits=p([-1.0, 0.5])),
    "Gumbel": lambda d, p: d.Gumbel(p([0.5, -1.0]), p([1.0, 2.0])),
    "HalfCauchy": lambda d, p: d.HalfCauchy(p([0.5, 2.0])),
    "HalfNormal": lambda d, p: d.HalfNormal(p([0.5, 2.0])),
    "Independent": lambda d, p: d.Independent(
        d.Normal(p([[0.5, -1.0], [0.0, 1.0]]), p([1.0, 2.0])), 1
    ),
    "InverseGamma": lambda d, p: d.InverseGamma(p([2.5, 1.5, 0.7]), p([1.0, 2.0, 1.0])),
    "Kumaraswamy": lambda d, p: d.Kumaraswamy(p([0.5, 2.0]), p([1.5, 3.0])),
    "LKJCholesky": lambda d, p: d.LKJCholesky(3, p([0.5, 2.0])),
    "Laplace": lambda d, p: d.Laplace(p([0.5, -1.0]), p([1.0, 2.0])),
    "LogNormal": lambda d, p: d.LogNormal(p([0.5, -1.0]), p([1.0, 0.3])),
    "LogisticNormal": lambda d, p: d.LogisticNormal(p([[0.5, -1.0]]), p([[1.0, 2.0]])),
    "LowRankMultivariateNormal": lambda d, p: d.LowRankMultivariateNormal(
        p([[0.5, -1.0, 0.0], [1.0, 0.0, 2.0]]), p([[1.0], [0.5], [0.2]]), p([1.0, 2.0, 0.5])
    ),
    "MixtureSameFamily": lambda d, p: d.MixtureSameFamily(
        d.Categorical(p([[0.3, 0.7]])), d.Normal(p([[0.5, -1.0]]), p([[1.0, 2.0]]))
    ),
    "MixtureSameFamily-vectors": lambda d, p: d.MixtureSameFamily(
        d.Categorical(p([0.3, 0.7])),
        d.Independent(d.Normal(p([[0.5, -1.0], [2.0, 0.0]]), p([1.0, 2.0])), 1),
    ),
    "Multinomial": lambda d, p: d.Multinomial(10, p([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])),
    "Multinomial-logits": lambda d, p: d.Multinomial(7, logits=p([0.1, -1.0, 2.0])),
    "MultivariateNormal": lambda d, p: d.MultivariateNormal(
        p([[0.5, -1.0], [1.0, 2.0]]), p([[1.5, 0.2], [0.2, 1.0]])
    ),
    "MultivariateNormal-precision": lambda d, p: d.MultivariateNormal(
        p([0.5, -1.0]), precision_matrix=p([[[1.5, 0.2], [0.2, 1.0]], [[1.0, 0.0], [0.0, 2.0]]])
    ),
    "MultivariateNormal-tril": lambda d, p: d.MultivariateNormal(
        p([0.5, -1.0]), scale_tril=p([[1.2, 0.0], [-0.4, 0.8]])
    ),
    "NegativeBinomial": lambda d, p: d.NegativeBinomial(p([5.0, 2.5]), p([0.2, 0.7])),
    "NegativeBinomial-logits": lambda d, p: d.NegativeBinomial(3, logits=p([-1.0, 0.5])),
    "Normal": lambda d, p: d.Normal(p([[0.5, -1.0, 2.0]]), p([[1.0], [2.0]])),
    "Normal-number": lambda d, p: d.Normal(0.0, p([0.1, 30.0])),
    "OneHotCategorical": lambda d, p: d.OneHotCategorical(p([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])),
    "OneHotCategorical-logits": lambda d, p: d.OneHotCategorical(logits=p([0.1, -1.0, 2.0])),
    "OneHotCategoricalStraightThrough": lambda d, p: d.OneHotCategoricalStraightThrough(
        p([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    ),
    "Pareto": lambda d, p: d.Pareto(p([1.0, 2.0, 1.0]), p([2.5, 1.5, 0.5])),
    "Poisson": lambda d, p: d.Poisson(p([0.5, 16.0])),
    "RelaxedBernoulli": lambda d, p: d.RelaxedBernoulli(p([0.7]), p([0.2, 0.7])),
    "RelaxedOneHotCategorical": lambda d, p: d.RelaxedOneHotCategorical(
        p([0.7]), p([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    ),
    "StudentT": lambda d, p: d.StudentT(
        p([3.5, 1.5, 0.5]), p([0.5, -1.0, 0.0]), p([1.0, 2.0, 1.0])
    ),
    "StudentT-numbers": lambda d, p: d.StudentT(p([3.5, 1.5])),
    "TransformedDistribution": lambda d, p: d.TransformedDistribution(
        d.Normal(p([0.5, -1.0]), p([1.0, 2.0])),
        [d.AffineTransform(p([[0.1], [0.2]]), p([2.0, -0.5])), d.SigmoidTransform()],
    ),
    "Uniform": lambda d, p: d.Uniform(p([-1.0, 0.0]), p([2.0, 0.5])),
    "VonMises": lambda d, p: d.VonMises(p([0.5, -1.0]), p([0.3, 40.0])),
    "Weibull": lambda d, p: d.Weibull(p([0.5, 2.0]), p([1.5, 3.0])),
    "Wishart": lambda d, p: d.Wishart(p([5.0, 3.5]), p([[1.5, 0.2], [0.2, 1.0]])),
    "Wishart-tril": lambda d, p: d.Wishart(4.5, scale_tril=p([[1.2, 0.0], [-0.4, 0.8]])),
}


def build(module, case, dtype="float64"):
    """A distribution of `module` (torch or flashlight), and the parameters that require grad."""
    leaves = []

    def parameter(values):
        tensor = module.tensor(values, dtype=getattr(module, dtype), requires_grad=True)
        leaves.append(tensor)
        return tensor

    return case(module.distributions, parameter), leaves


def pair(name, dtype=None):
    """The same distribution of PyTorch and of flashlight, without their parameters."""
    dtype = dtype or dtype_for(name)
    return build(torch, CASES[name], dtype)[0], build(flashlight, CASES[name], dtype)[0]


def dtype_for(name):
    """The dtype to compare in: double precision, if PyTorch can."""
    return "float32" if name in SINGLE_ONLY else "float64"


def to_flashlight(tensor):
    """The same values as a flashlight tensor."""
    return flashlight.tensor(
        tensor.detach().numpy(), dtype=getattr(flashlight, str(tensor.dtype).removeprefix("torch."))
    )


def assert_same(actual, expected, rtol=1e-9, atol=1e-11):
    """Shape, dtype and values of a flashlight tensor are those of a PyTorch tensor.

    Tolerances are for double precision, and at least 1e-5 and 1e-6 for single.
    """
    if expected.dtype is torch.float32:
        rtol, atol = max(rtol, 1e-5), max(atol, 1e-6)
    assert tuple(actual.shape) == tuple(expected.shape)
    assert str(actual.dtype) == str(expected.dtype)
    np.testing.assert_allclose(
        actual.detach().numpy(), expected.detach().numpy(), rtol=rtol, atol=atol
    )
