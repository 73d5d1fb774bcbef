"""The negative binomial distribution."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._probs_or_logits import CountedProbsOrLogits
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.gamma import Gamma
from flashlight.distributions.utils import lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(CountedProbsOrLogits, Distribution):
    """Successes of probability `probs` before `total_count` failures, which need not be whole."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _batched = ("total_count", "probs", "logits", "_param")

    def __init__(
        self, total_count, probs=None, logits=None, validate_args: bool | None = None
    ) -> None:
        self._set_given(total_count, probs, logits)
        super().__init__(self._param.size(), validate_args=validate_args)

    @property
    def mean(self):
        return self.total_count * torch.exp(self.logits)

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self):
        return self.mean / torch.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self):
        # Unchecked, because a count of 0 is allowed here.
        return Gamma(self.total_count, torch.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return torch.poisson(self._gamma.sample(sample_shape=sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logsigmoid = torch.nn.functional.logsigmoid
        total = self.total_count + value
        log_choices = (
            torch.lgamma(total) - torch.lgamma(1.0 + value) - torch.lgamma(self.total_count)
        )
        # No failure to wait for: the value is surely 0, but lgamma(0) is infinite.
        log_choices = log_choices.masked_fill(total == 0.0, 0.0)
        log_power = self.total_count * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        return log_power + log_choices
