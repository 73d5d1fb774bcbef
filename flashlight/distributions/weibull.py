"""The Weibull distribution."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.exponential import Exponential
from flashlight.distributions.transformed_distribution import TransformedDistribution
from flashlight.distributions.transforms import AffineTransform, PowerTransform
from flashlight.distributions.utils import broadcast_all, euler_constant

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """scale X^(1 / concentration) for X from Exponential(1)."""

    arg_constraints = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive
    _batched = ("scale", "concentration", "concentration_reciprocal")

    def __init__(self, scale, concentration, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base_dist = Exponential(torch.ones_like(self.scale), validate_args=validate_args)
        transforms = [
            PowerTransform(exponent=self.concentration_reciprocal),
            AffineTransform(loc=0, scale=self.scale),
        ]
        super().__init__(base_dist, transforms, validate_args=validate_args)

    @property
    def mean(self):
        return self.scale * self._gamma(1)

    @property
    def mode(self):
        power = self.concentration_reciprocal
        return self.scale * ((self.concentration - 1) / self.concentration) ** power

    @property
    def variance(self):
        return self.scale.pow(2) * (self._gamma(2) - self._gamma(1).pow(2))

    def _gamma(self, order: int):
        """E[(X / scale)^order]."""
        return torch.exp(torch.lgamma(1 + order * self.concentration_reciprocal))

    def entropy(self):
        power = self.concentration_reciprocal
        return euler_constant * (1 - power) + torch.log(self.scale * power) + 1
