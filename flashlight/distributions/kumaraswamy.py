"""The Kumaraswamy distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.transformed_distribution import TransformedDistribution
from flashlight.distributions.transforms import AffineTransform, PowerTransform
from flashlight.distributions.uniform import Uniform
from flashlight.distributions.utils import broadcast_all, euler_constant

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """P(X <= x) = 1 - (1 - x^concentration1)^concentration0 on the unit interval."""

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    _batched = ("concentration1", "concentration0")

    def __init__(self, concentration1, concentration0, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base_dist = Uniform(
            torch.zeros_like(self.concentration0),
            torch.ones_like(self.concentration0),
            validate_args=validate_args,
        )
        transforms = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base_dist, transforms, validate_args=validate_args)

    @property
    def mean(self):
        return self._moment(1)

    @property
    def mode(self):
        # PyTorch's expression, whose logarithms of negative numbers make it nan wherever there is a
        # mode; the true one is ((a - 1) / (a b - 1))^(1 / a).
        a, b = self.concentration1, self.concentration0
        log_mode = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return torch.where((b < 1) | (a < 1), math.nan, log_mode).exp()

    @property
    def variance(self):
        return self._moment(2) - self.mean.pow(2)

    def _moment(self, order: int):
        """E[X^order] = b B(1 + order / a, b)."""
        a, b = self.concentration1, self.concentration0
        above = 1 + order / a
        return b * torch.exp(torch.lgamma(above) + torch.lgamma(b) - torch.lgamma(above + b))

    def entropy(self):
        a, b = self.concentration1, self.concentration0
        harmonic = torch.digamma(b + 1) + euler_constant
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
