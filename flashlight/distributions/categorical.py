"""The categorical distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._probs_or_logits import ProbsOrLogits, enumerate_numbers
from flashlight.distributions.distribution import Distribution

__all__ = ["Categorical"]


class Categorical(ProbsOrLogits, Distribution):
    """One of K numbers, by weights `probs` or log weights `logits`: `(*, K) -> (*)`.

    Weights are normalized. Raises ValueError unless given exactly one of the two, not a scalar.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _is_binary = False
    _batched = ("probs", "logits", "_param")
    _shared = ("_num_events",)

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None) -> None:
        self._set_given(probs, logits)
        self._num_events = self._param.size()[-1]
        super().__init__(self._param.size()[:-1], validate_args=validate_args)

    def _set_given(self, probs, logits) -> None:
        super()._set_given(probs, logits)
        if self._param.dim() < 1:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is None:
            normalized = logits - logits.logsumexp(dim=-1, keepdim=True)
            super()._set_given(None, normalized)
        else:
            super()._set_given(probs / probs.sum(-1, keepdim=True), None)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self):
        return self.probs.new_full(self._extended_shape(), math.nan)

    @property
    def mode(self):
        return self.probs.argmax(dim=-1)

    @property
    def variance(self):
        return self.probs.new_full(self._extended_shape(), math.nan)

    def sample(self, sample_shape=torch.Size()):
        sample_shape = torch.Size(sample_shape)
        rows = self.probs.reshape(-1, self._num_events)
        draws = torch.multinomial(rows, sample_shape.numel(), True)
        return draws.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        index, logits = torch.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self):
        # Impossible values contribute 0, not nan.
        logits = torch.clamp(self.logits, min=torch.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        like = self._param.new_empty((), dtype=torch.long)
        return enumerate_numbers(self._num_events, like, self._batch_shape, expand)
