"""The half-Cauchy distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions.cauchy import Cauchy
from flashlight.distributions.half_normal import _Folded
from flashlight.distributions.transforms import AbsTransform

__all__ = ["HalfCauchy"]


class HalfCauchy(_Folded):
    """|X| for X from Cauchy(0, scale)."""

    base_dist: Cauchy
    _batched = ()

    def __init__(self, scale, validate_args: bool | None = None) -> None:
        base_dist = Cauchy(0, scale, validate_args=False)
        super().__init__(base_dist, AbsTransform(), validate_args=validate_args)

    @property
    def mean(self):
        return self.scale.new_full(self._extended_shape(), math.inf)

    @property
    def variance(self):
        return self.base_dist.variance

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        value = torch.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        return self._folded_log_prob(value)
