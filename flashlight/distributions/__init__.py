"""Probability distributions with differentiable densities and, where `has_rsample`, draws.

Draws made with `sample` are constants: to learn through them, weigh their `log_prob` by the reward
(the score function estimator). Draws made with `rsample` are differentiable functions of the
parameters (the pathwise estimator). On the CPU they consume the random stream as PyTorch does.
"""

# `_kl` registers the divergences.
from flashlight.distributions import _kl, transforms
from flashlight.distributions.bernoulli import Bernoulli
from flashlight.distributions.beta import Beta
from flashlight.distributions.binomial import Binomial
from flashlight.distributions.categorical import Categorical
from flashlight.distributions.cauchy import Cauchy
from flashlight.distributions.chi2 import Chi2
from flashlight.distributions.constraint_registry import biject_to, transform_to
from flashlight.distributions.continuous_bernoulli import ContinuousBernoulli
from flashlight.distributions.dirichlet import Dirichlet
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.exp_family import ExponentialFamily
from flashlight.distributions.exponential import Exponential
from flashlight.distributions.fishersnedecor import FisherSnedecor
from flashlight.distributions.gamma import Gamma
from flashlight.distributions.generalized_pareto import GeneralizedPareto
from flashlight.distributions.geometric import Geometric
from flashlight.distributions.gumbel import Gumbel
from flashlight.distributions.half_cauchy import HalfCauchy
from flashlight.distributions.half_normal import HalfNormal
from flashlight.distributions.independent import Independent
from flashlight.distributions.inverse_gamma import InverseGamma
from flashlight.distributions.kl import kl_divergence, register_kl
from flashlight.distributions.kumaraswamy import Kumaraswamy
from flashlight.distributions.laplace import Laplace
from flashlight.distributions.lkj_cholesky import LKJCholesky
from flashlight.distributions.log_normal import LogNormal
from flashlight.distributions.logistic_normal import LogisticNormal
from flashlight.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from flashlight.distributions.mixture_same_family import MixtureSameFamily
from flashlight.distributions.multinomial import Multinomial
from flashlight.distributions.multivariate_normal import MultivariateNormal
from flashlight.distributions.negative_binomial import NegativeBinomial
from flashlight.distributions.normal import Normal
from flashlight.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from flashlight.distributions.pareto import Pareto
from flashlight.distributions.poisson import Poisson
from flashlight.distributions.relaxed_bernoulli import RelaxedBernoulli
from flashlight.distributions.relaxed_categorical import RelaxedOneHotCategorical
from flashlight.distributions.studentT import StudentT
from flashlight.distributions.transformed_distribution import TransformedDistribution
from flashlight.distributions.transforms import *  # noqa: F403
from flashlight.distributions.uniform import Uniform
from flashlight.distributions.von_mises import VonMises
from flashlight.distributions.weibull import Weibull
from flashlight.distributions.wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "kl_divergence",
    "register_kl",
    "transform_to",
]
__all__ += transforms.__all__
