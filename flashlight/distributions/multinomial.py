"""The multinomial distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.binomial import Binomial
from flashlight.distributions.one_hot_categorical import _OfCategorical
from flashlight.distributions.utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(_OfCategorical):
    """How often each of K values comes up in `total_count` draws: `(*, K) -> (*, K)`.

    Raises NotImplementedError for a count that is not a single int.
    """

    total_count: int
    _batched = ("_categorical", "_binomial")
    _shared = ("total_count",)

    def __init__(
        self, total_count=1, probs=None, logits=None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._set_categorical(probs, logits, validate_args)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        return constraints.multinomial(self.total_count)

    @property
    def mean(self):
        return self.probs * self.total_count

    @property
    def variance(self):
        return self.mean * (1 - self.probs)

    def sample(self, sample_shape=torch.Size()):
        sample_shape = torch.Size(sample_shape)
        draws = self._categorical.sample(torch.Size((self.total_count,)) + sample_shape)
        draws = draws.movedim(0, -1)
        counts = draws.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add_(-1, draws, torch.ones_like(draws)).type_as(self.probs)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        # What is impossible and did not happen contributes 0, not nan.
        logits = torch.where((value == 0) & (logits == -math.inf), 0.0, logits)
        log_choices = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return log_choices + (logits * value).sum(-1)

    def entropy(self):
        # n H - log n! + sum over values of E[log k!], where each count k is binomial.
        counts = self._binomial.enumerate_support(expand=False)[1:]
        expected = torch.exp(self._binomial.log_prob(counts)) * torch.lgamma(counts + 1)
        draws = self.total_count * self._categorical.entropy()
        return draws - math.lgamma(self.total_count + 1) + expected.sum([0, -1])
