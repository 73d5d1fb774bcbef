"""Discrete distributions given by probabilities or by logits, the other computed when asked for."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)


class ProbsOrLogits:
    """Keeps what was given as `probs` or `logits`, and also as `_param`."""

    _is_binary = True

    def _set_given(self, probs, logits) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if logits is None:
            (self.probs,) = broadcast_all(probs)
            self._param = self.probs
        else:
            (self.logits,) = broadcast_all(logits)
            self._param = self.logits

    @lazy_property
    def logits(self):
        return probs_to_logits(self.probs, is_binary=self._is_binary)

    @lazy_property
    def probs(self):
        return logits_to_probs(self.logits, is_binary=self._is_binary)

    @property
    def param_shape(self) -> torch.Size:
        """Shape of the probabilities."""
        return self._param.size()

    def _new(self, *args, **kwargs):
        return self._param.new(*args, **kwargs)


class CountedProbsOrLogits(ProbsOrLogits):
    """The same with a `total_count`, broadcast and of the same dtype."""

    def _set_given(self, total_count, probs, logits) -> None:
        if probs is not None:
            total_count, probs = broadcast_all(total_count, probs)
        if logits is not None:
            total_count, logits = broadcast_all(total_count, logits)
        super()._set_given(probs, logits)
        self.total_count = total_count.type_as(self._param)


def enumerate_numbers(count: int, like, batch_shape: torch.Size, expand: bool):
    """0, 1, ..., count - 1 along a first dimension, the others of the batch's sizes or of 1."""
    values = torch.arange(count, dtype=like.dtype, device=like.device)
    values = values.view((-1,) + (1,) * len(batch_shape))
    return values.expand((-1,) + batch_shape) if expand else values
