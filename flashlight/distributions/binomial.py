"""The binomial distribution."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._probs_or_logits import CountedProbsOrLogits, enumerate_numbers
from flashlight.distributions.distribution import Distribution

__all__ = ["Binomial"]


class Binomial(CountedProbsOrLogits, Distribution):
    """Successes in `total_count` trials of probability `probs`, or of log odds `logits`."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _batched = ("total_count", "probs", "logits", "_param")

    def __init__(
        self, total_count=1, probs=None, logits=None, validate_args: bool | None = None
    ) -> None:
        self._set_given(total_count, probs, logits)
        super().__init__(self._param.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self):
        return self.mean * (1 - self.probs)

    def sample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        # log C(n, k) + k logit - n log(1 + exp(logit)).
        if self._validate_args:
            self._validate_sample(value)
        failures = self.total_count - value
        log_choices = (
            torch.lgamma(self.total_count + 1)
            - torch.lgamma(value + 1)
            - torch.lgamma(failures + 1)
        )
        log_weight = _half_slope_relu(self.logits) + torch.log1p(torch.exp(-self.logits.abs()))
        return value * self.logits - self.total_count * log_weight + log_choices

    def entropy(self):
        log_prob = self.log_prob(self._enumerate("entropy", False))
        return -(torch.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        return self._enumerate("enumerate_support", expand)

    def _enumerate(self, caller: str, expand: bool):
        total_count = int(self.total_count.max())
        if self.total_count.min() != total_count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{caller}`.")
        return enumerate_numbers(1 + total_count, self._param, self._batch_shape, expand)


def _half_slope_relu(x):
    """max(x, 0) with slope 1/2 at 0, which makes log(1 + exp(x)) smooth there."""
    return (x + x.clamp(min=0) - x.clamp(max=0)) / 2
