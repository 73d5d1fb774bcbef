"""Divergences between two distributions of one family."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions.bernoulli import Bernoulli
from flashlight.distributions.beta import Beta
from flashlight.distributions.binomial import Binomial
from flashlight.distributions.categorical import Categorical
from flashlight.distributions.cauchy import Cauchy
from flashlight.distributions.continuous_bernoulli import ContinuousBernoulli
from flashlight.distributions.dirichlet import Dirichlet
from flashlight.distributions.exp_family import ExponentialFamily
from flashlight.distributions.exponential import Exponential
from flashlight.distributions.gamma import Gamma
from flashlight.distributions.geometric import Geometric
from flashlight.distributions.gumbel import Gumbel
from flashlight.distributions.half_normal import HalfNormal
from flashlight.distributions.independent import Independent
from flashlight.distributions.kl import kl_divergence, register_kl
from flashlight.distributions.laplace import Laplace
from flashlight.distributions.normal import Normal
from flashlight.distributions.one_hot_categorical import OneHotCategorical
from flashlight.distributions.pareto import Pareto
from flashlight.distributions.poisson import Poisson
from flashlight.distributions.transformed_distribution import TransformedDistribution
from flashlight.distributions.uniform import Uniform
from flashlight.distributions.utils import _sum_rightmost, euler_constant

# Discrete


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli_bernoulli(p, q):
    return _outcome(p.probs, q.probs, _log_success(p.logits) - _log_success(q.logits)) + _outcome(
        1 - p.probs, 1 - q.probs, _log_success(-p.logits) - _log_success(-q.logits)
    )


def _log_success(logits):
    return torch.nn.functional.logsigmoid(logits)


def _outcome(p, q, log_ratio):
    """p log(p / q) for the probabilities of one outcome: 0 if p is, infinite if only q is."""
    term = torch.where(q == 0, math.inf, p * log_ratio)
    return torch.where(p == 0, 0.0, term)


@register_kl(Categorical, Categorical)
def _kl_categorical_categorical(p, q):
    return _outcome(p.probs, q.probs, p.logits - q.logits).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_onehotcategorical_onehotcategorical(p, q):
    return _kl_categorical_categorical(p._categorical, q._categorical)


@register_kl(Binomial, Binomial)
def _kl_binomial_binomial(p, q):
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    trial = p.probs * (p.logits - q.logits) + torch.log1p(-p.probs) - torch.log1p(-q.probs)
    return torch.where(p.total_count > q.total_count, math.inf, p.total_count * trial)


@register_kl(Geometric, Geometric)
def _kl_geometric_geometric(p, q):
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _kl_poisson_poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) + q.rate - p.rate


# Continuous, on part of the line


@register_kl(Beta, Beta)
def _kl_beta_beta(p, q):
    return _kl_dirichlet_dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet_dirichlet(p, q):
    total = p.concentration.sum(-1)
    expected_log = p.concentration.digamma() - total.digamma().unsqueeze(-1)
    difference = p.concentration - q.concentration
    return q._log_beta() - p._log_beta() + (difference * expected_log).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli_continuous_bernoulli(p, q):
    log_density_at_0 = [torch.log1p(-d.probs) + d._cont_bern_log_norm() for d in (p, q)]
    return p.mean * (p.logits - q.logits) + log_density_at_0[0] - log_density_at_0[1]


@register_kl(Exponential, Exponential)
def _kl_exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _kl_gamma_gamma(p, q):
    return (
        q.concentration * (p.rate / q.rate).log()
        + torch.lgamma(q.concentration)
        - torch.lgamma(p.concentration)
        + (p.concentration - q.concentration) * torch.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(HalfNormal, HalfNormal)
def _kl_halfnormal_halfnormal(p, q):
    return _kl_normal_normal(p.base_dist, q.base_dist)


@register_kl(Pareto, Pareto)
def _kl_pareto_pareto(p, q):
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return torch.where(p.scale < q.scale, math.inf, result)


@register_kl(Uniform, Uniform)
def _kl_uniform_uniform(p, q):
    outside = (q.low > p.low) | (q.high < p.high)
    return torch.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


# Continuous, on the whole line


@register_kl(Normal, Normal)
def _kl_normal_normal(p, q):
    squared_ratio = (p.scale / q.scale).pow(2)
    squared_distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (squared_ratio + squared_distance - 1 - squared_ratio.log())


@register_kl(Laplace, Laplace)
def _kl_laplace_laplace(p, q):
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return distance / q.scale + ratio * torch.exp(-distance / p.scale) - ratio.log() - 1


@register_kl(Gumbel, Gumbel)
def _kl_gumbel_gumbel(p, q):
    ratio = p.scale / q.scale
    shift = (p.loc - q.loc) / q.scale
    tail = torch.exp(torch.lgamma(1 + ratio) - shift)
    return shift + ratio * euler_constant + tail - ratio.log() - (1 + euler_constant)


@register_kl(Cauchy, Cauchy)
def _kl_cauchy_cauchy(p, q):
    # Chyzak and Nielsen, 2019, arXiv:1905.10965.
    squares = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return squares.log() - (4 * p.scale * q.scale).log()


# General constructions


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_expfamily_expfamily(p, q):
    """Bregman divergence of the log normalizer, between the natural parameters."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families "
            "cannot be computed using Bregman divergences"
        )
    p_params = [param.detach().requires_grad_() for param in p._natural_params]
    q_params = q._natural_params
    normalizer = p._log_normalizer(*p_params)
    slopes = torch.autograd.grad(normalizer.sum(), p_params, create_graph=True)
    result = q._log_normalizer(*q_params) - normalizer
    for p_param, q_param, slope in zip(p_params, q_params, slopes, strict=True):
        result = result - _sum_rightmost((q_param - p_param) * slope, len(q.event_shape))
    return result


@register_kl(Independent, Independent)
def _kl_independent_independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    divergence = kl_divergence(p.base_dist, q.base_dist)
    return _sum_rightmost(divergence, p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _kl_transformed_transformed(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)
