"""Divergences between distributions of different families.

KL(p || q) is the cross entropy -E_p[log q] less the entropy of p. What the cross entropy asks of p
is few expectations, collected below by what they are of: E[log X], E[log(1 - X)], E[exp(-X / s)].
It is infinite where p has draws that q does not.
"""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions.bernoulli import Bernoulli
from flashlight.distributions.beta import Beta
from flashlight.distributions.binomial import Binomial
from flashlight.distributions.continuous_bernoulli import ContinuousBernoulli
from flashlight.distributions.exponential import Exponential
from flashlight.distributions.gamma import Gamma
from flashlight.distributions.gumbel import Gumbel
from flashlight.distributions.kl import register_kl
from flashlight.distributions.laplace import Laplace
from flashlight.distributions.normal import Normal
from flashlight.distributions.pareto import Pareto
from flashlight.distributions.poisson import Poisson
from flashlight.distributions.uniform import Uniform
from flashlight.distributions.utils import euler_constant

# Pairs whose supports rule out a finite divergence

_NOT_COVERED = {
    (Beta, "concentration1"): (Pareto,),
    (ContinuousBernoulli, "probs"): (Pareto,),
    (Exponential, "rate"): (Beta, ContinuousBernoulli, Pareto, Uniform),
    (Gamma, "concentration"): (Beta, ContinuousBernoulli, Pareto, Uniform),
    (Gumbel, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Laplace, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Normal, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Pareto, "scale"): (Beta, ContinuousBernoulli, Uniform),
    (Poisson, "rate"): (Bernoulli, Binomial),
}


def _register_infinite(type_p, name, types_q):
    def infinite(p, q):
        return torch.full_like(getattr(p, name), math.inf)

    for type_q in types_q:
        register_kl(type_p, type_q)(infinite)


for (_type_p, _name), _types_q in _NOT_COVERED.items():
    _register_infinite(_type_p, _name, _types_q)


# Expectations under p


def _mean(p):
    # As a property it is infinite where it does not exist, with gradients of nan.
    return p.alpha * p.scale / (p.alpha - 1) if isinstance(p, Pareto) else p.mean


def _variance(p):
    # The same.
    if isinstance(p, Pareto):
        return p.alpha / (p.alpha - 2) * (p.scale / (p.alpha - 1)).pow(2)
    return p.variance


def _mean_log(p):
    """E[log X]."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return _mean_log_between(p.low, p.high)


def _mean_log_complement(p):
    """E[log(1 - X)] of a uniform X."""
    return _mean_log_between(1 - p.high, 1 - p.low)


def _mean_log_between(low, high):
    """E[log X] of X uniform from `low` to `high`."""
    xlogy = torch.special.xlogy
    return (xlogy(high, high) - xlogy(low, low)) / (high - low) - 1


def _mean_decay(p, scale):
    """E[exp(-X / scale)]."""
    if isinstance(p, Exponential):
        return p.rate * scale / (p.rate * scale + 1)
    if isinstance(p, Gamma):
        return (1 + (p.rate * scale).reciprocal()).pow(-p.concentration)
    if isinstance(p, Normal):
        return torch.exp(0.5 * (p.scale / scale).pow(2) - p.loc / scale)
    spread = scale / (p.high - p.low)
    return spread * (torch.exp(-p.low / scale) - torch.exp(-p.high / scale))


# Divergences by the family of q


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Pareto, Normal)
@register_kl(Uniform, Normal)
def _kl_to_normal(p, q):
    squares = _variance(p) + (_mean(p) - q.loc).pow(2)
    log_scale = q.scale.log() + 0.5 * math.log(2 * math.pi)
    result = log_scale + squares / (2 * q.scale.pow(2)) - p.entropy()
    if isinstance(p, Pareto):
        return torch.where(p.alpha <= 2, math.inf, result)
    return result


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
@register_kl(Pareto, Exponential)
@register_kl(Uniform, Exponential)
def _kl_to_exponential(p, q):
    result = q.rate * _mean(p) - q.rate.log() - p.entropy()
    return _infinite_where_uncovered(p, result)


@register_kl(Beta, Gamma)
@register_kl(Exponential, Gamma)
@register_kl(Pareto, Gamma)
@register_kl(Uniform, Gamma)
def _kl_to_gamma(p, q):
    log_norm = q.concentration.lgamma() - q.concentration * q.rate.log()
    cross = log_norm + (1 - q.concentration) * _mean_log(p) + q.rate * _mean(p)
    return _infinite_where_uncovered(p, cross - p.entropy())


def _infinite_where_uncovered(p, result):
    """Infinite where p is negative for some draws, or has no mean."""
    if isinstance(p, Uniform):
        return torch.where(p.low < 0, math.inf, result)
    if isinstance(p, Pareto):
        return torch.where(p.alpha <= 1, math.inf, result)
    return result


@register_kl(Exponential, Gumbel)
@register_kl(Gamma, Gumbel)
@register_kl(Normal, Gumbel)
@register_kl(Uniform, Gumbel)
def _kl_to_gumbel(p, q):
    tail = torch.exp(q.loc / q.scale) * _mean_decay(p, q.scale)
    return q.scale.log() + (p.mean - q.loc) / q.scale + tail - p.entropy()


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p, q):
    distance = p.loc - q.loc
    standardized = distance / p.scale
    mean_distance = p.scale * math.sqrt(2 / math.pi) * torch.exp(
        -0.5 * standardized.pow(2)
    ) + distance * torch.erf(standardized / math.sqrt(2))
    return torch.log(2 * q.scale) + mean_distance / q.scale - p.entropy()


@register_kl(Beta, ContinuousBernoulli)
def _kl_beta_continuous_bernoulli(p, q):
    return _cross_entropy_to_continuous_bernoulli(p, q) - p.entropy()


@register_kl(Uniform, ContinuousBernoulli)
def _kl_uniform_continuous_bernoulli(p, q):
    # As in PyTorch, which counts touching either end of the unit interval as leaving it.
    inside = (p.low > 0) & (p.high < 1)
    divergence = _cross_entropy_to_continuous_bernoulli(p, q) - p.entropy()
    return torch.where(inside, divergence, math.inf)


def _cross_entropy_to_continuous_bernoulli(p, q):
    return -p.mean * q.logits - torch.log1p(-q.probs) - q._cont_bern_log_norm()


@register_kl(Beta, Uniform)
def _kl_beta_uniform(p, q):
    covered = (q.low <= 0) & (q.high >= 1)
    return torch.where(covered, (q.high - q.low).log() - p.entropy(), math.inf)


@register_kl(ContinuousBernoulli, Uniform)
def _kl_continuous_bernoulli_uniform(p, q):
    # As in PyTorch, which counts an interval that ends at 0 or 1 as not covering the unit interval.
    covered = (q.low < 0) & (q.high > 1)
    return torch.where(covered, (q.high - q.low).log() - p.entropy(), math.inf)


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p, q):
    cross = (
        q._dirichlet._log_beta()
        + (1 - q.concentration1) * _mean_log(p)
        + (1 - q.concentration0) * _mean_log_complement(p)
    )
    outside = (p.high > 1) | (p.low < 0)
    return torch.where(outside, math.inf, cross - p.entropy())


@register_kl(Uniform, Pareto)
def _kl_uniform_pareto(p, q):
    cross = (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log()
    return torch.where(p.low < q.scale, math.inf, cross - p.entropy())


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p, q):
    return q.rate - p.probs * q.rate.log() - p.entropy()
