"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._probs_or_logits import ProbsOrLogits
from flashlight.distributions.bernoulli import _cross_entropy
from flashlight.distributions.exp_family import ExponentialFamily
from flashlight.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Density proportional to probs^x (1 - probs)^(1 - x) on the unit interval.

    Between `lims` around 1/2, where closed forms cancel, Taylor expansions are used (Loaiza-Ganem
    and Cunningham, "The continuous Bernoulli", 2019). Raises ValueError unless given exactly one of
    `probs` and `logits`.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = ("probs", "logits", "_param")
    _shared = ("_lims",)

    def __init__(
        self, probs=None, logits=None, lims=(0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        self._set_given(probs, logits)
        if probs is not None:
            # Clamping would hide what is out of range from the check that follows.
            valid = self.arg_constraints["probs"].check(self.probs)
            if validate_args is not None and not valid.all():
                raise ValueError("The parameter probs has invalid values")
            self._param = self.probs = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    @lazy_property
    def probs(self):
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside_unstable_region(self):
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self):
        """The probabilities, with a stand-in where the closed forms are not used."""
        return torch.where(self._outside_unstable_region(), self.probs, self._lims[0])

    def _choose(self, closed, expansion):
        return torch.where(self._outside_unstable_region(), closed, expansion)

    def _cont_bern_log_norm(self):
        """log of 2 atanh(1 - 2 p) / (1 - 2 p)."""
        p = self._cut_probs()
        log_odds = torch.log1p(-p) - torch.log(p)
        closed = torch.log(log_odds.abs()) - torch.log((1 - 2 * p).abs())
        squared = (self.probs - 0.5) ** 2
        return self._choose(closed, math.log(2) + (4.0 / 3.0 + 104.0 / 45.0 * squared) * squared)

    @property
    def mean(self):
        p = self._cut_probs()
        closed = p / (2 * p - 1) + 1 / (torch.log1p(-p) - torch.log(p))
        offset = self.probs - 0.5
        return self._choose(closed, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * offset**2) * offset)

    @property
    def variance(self):
        p = self._cut_probs()
        closed = (torch.log1p(-p) - torch.log(p)) ** -2 - p * (1 - p) / (1 - 2 * p) ** 2
        squared = (self.probs - 0.5) ** 2
        return self._choose(closed, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * squared) * squared)

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        return self.icdf(torch.rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return self._cont_bern_log_norm() - _cross_entropy(logits, value)

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        p = self._cut_probs()
        closed = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        inside = self._choose(closed, value)
        inside = torch.where(value >= 1, 1.0, inside)
        return torch.where(value <= 0, 0.0, inside)

    def icdf(self, value):
        p = self._cut_probs()
        log_failure = torch.log1p(-p)
        closed = torch.log1p(-p + value * (2 * p - 1)) - log_failure
        return self._choose(closed / (torch.log(p) - log_failure), value)

    def entropy(self):
        log_failure, log_success = torch.log1p(-self.probs), torch.log(self.probs)
        cross = self.mean * (log_failure - log_success) - log_failure
        return cross - self._cont_bern_log_norm()

    @property
    def _natural_params(self):
        return (self.logits,)

    def _log_normalizer(self, x):
        # log((exp(x) - 1) / x)
        lower, upper = self._lims[0] - 0.5, self._lims[1] - 0.5
        outside = (x <= lower) | (x > upper)
        cut = torch.where(outside, x, lower)
        closed = torch.log(torch.expm1(cut).abs()) - torch.log(cut.abs())
        return torch.where(outside, closed, 0.5 * x + x**2 / 24 - x**4 / 2880)
