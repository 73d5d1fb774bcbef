"""The geometric distribution."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._probs_or_logits import ProbsOrLogits
from flashlight.distributions.bernoulli import _cross_entropy
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import broadcast_all

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits, Distribution):
    """Failures before the first success: P(k) = (1 - probs)^k probs for k = 0, 1, ..."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer
    _batched = ("probs", "logits", "_param")

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None) -> None:
        self._set_given(probs, logits)
        super().__init__(self._param.size(), validate_args=validate_args)
        if self._validate_args and probs is not None:
            self._check_positive()

    def _check_positive(self) -> None:
        # `repr` shows probs with the constraint it passed; 0 would never succeed.
        positive = self.probs > 0
        if not positive.all():
            raise ValueError(
                "Expected parameter probs "
                f"({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) "
                f"of distribution {self!r} "
                f"to be positive but found invalid values:\n{self.probs.detach()[~positive]}"
            )

    @property
    def mean(self):
        return 1.0 / self.probs - 1.0

    @property
    def mode(self):
        return torch.zeros_like(self.probs)

    @property
    def variance(self):
        return self.mean / self.probs

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            tiny = torch.finfo(self.probs.dtype).tiny
            noise = self.probs.new_empty(self._extended_shape(sample_shape)).uniform_(tiny, 1)
            return (noise.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        # 0 log 0 is 0: success is certain and comes at once.
        failure = torch.where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-failure).log1p() + self.probs.log()

    def entropy(self):
        return _cross_entropy(self.logits, self.probs) / self.probs
