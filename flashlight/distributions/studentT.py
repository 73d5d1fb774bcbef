"""Student's t distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.chi2 import Chi2
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """loc + scale * X / sqrt(Z / df) for X standard normal and Z chi-squared of `df` degrees."""

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _batched = ("df", "loc", "scale", "_chi2")

    def __init__(self, df, loc=0.0, scale=1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.size(), validate_args=validate_args)

    @property
    def mean(self):
        return torch.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        finite = self.df > 2
        # A stand-in keeps the gradient of what is not chosen finite.
        df = torch.where(finite, self.df, 3.0)
        variance = self.scale.pow(2) * df / (df - 2)
        without = torch.where(self.df > 1, math.inf, math.nan).to(variance)
        return torch.where(finite, variance, without)

    def rsample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        noise = _standard_normal(shape, dtype=self.df.dtype, device=self.df.device)
        squared_length = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (noise * torch.rsqrt(squared_length / self.df))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        squared = ((value - self.loc) / self.scale) ** 2
        return (
            -0.5 * (self.df + 1) * torch.log1p(squared / self.df)
            - self.scale.log()
            - 0.5 * self.df.log()
            - self._log_beta()
        )

    def entropy(self):
        half_more = 0.5 * (self.df + 1)
        return (
            self.scale.log()
            + 0.5 * self.df.log()
            + self._log_beta()
            + half_more * (torch.digamma(half_more) - torch.digamma(0.5 * self.df))
        )

    def _log_beta(self):
        """log B(df / 2, 1 / 2)."""
        return (
            torch.lgamma(0.5 * self.df)
            + 0.5 * math.log(math.pi)
            - torch.lgamma(0.5 * (self.df + 1))
        )
