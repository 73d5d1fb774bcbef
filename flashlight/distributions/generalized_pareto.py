"""The generalized Pareto distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Law of excesses over a threshold: P(X > x) = (1 + concentration z)^(-1 / concentration).

    Here z = (x - loc) / scale; a concentration of 0 is the exponential law, one below 0 has bounded
    support.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _batched = ("loc", "scale", "concentration")

    def __init__(self, loc, scale, concentration, validate_args=None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, torch.where(self.concentration < 0, end, math.inf))

    @property
    def mean(self):
        exists = self.concentration < 1
        concentration = torch.where(exists, self.concentration, 0.5)
        return torch.where(exists, self.loc + self.scale / (1 - concentration), math.nan)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        exists = self.concentration < 0.5
        concentration = torch.where(exists, self.concentration, 0.25)
        spread = (self.scale / (1 - concentration)) ** 2
        return torch.where(exists, spread / (1 - 2 * concentration), math.nan)

    def rsample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        return self.icdf(torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def _exponential(self):
        """Where the law is exponential, and a concentration safe to divide by."""
        exponential = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return exponential, torch.where(exponential, 1.0, self.concentration)

    def log_prob(self, value):
        # log p = log S - log(scale + concentration (x - loc)).
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        exponential, concentration = self._exponential()
        factor = 1 / concentration + torch.ones_like(z)
        # A concentration of -1 is the uniform law, also at its end where log1p is infinite.
        decay = torch.where(factor == 0, factor, factor * torch.log1p(concentration * z))
        return -self.scale.log() - torch.where(exponential, z, decay)

    def log_survival_function(self, value):
        """log P(X > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z = (value - self.loc) / self.scale
        exponential, concentration = self._exponential()
        decay = torch.log1p(concentration * z) / concentration
        return -torch.where(exponential, z, decay)

    def log_cdf(self, value):
        """log P(X <= value)."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value):
        return torch.exp(self.log_cdf(value))

    def icdf(self, value):
        exponential, concentration = self._exponential()
        log_survival = torch.log1p(-value)
        growth = torch.expm1(-concentration * log_survival)
        return torch.where(
            exponential,
            self.loc - self.scale * log_survival,
            self.loc + self.scale / concentration * growth,
        )

    def entropy(self):
        return (torch.log(self.scale) + self.concentration + 1).expand(self._batch_shape)
