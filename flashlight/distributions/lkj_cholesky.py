"""The LKJ distribution of correlation matrices, by Cholesky factor."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.beta import Beta
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower Cholesky factors `(*, dim, dim)` of correlation matrices M.

    The density of M is proportional to det(M)^(concentration - 1): uniform for 1, nearer to the
    identity above. Drawn row by row by the onion method (Lewandowski, Kurowicka and Joe,
    "Generating random correlation matrices", 2009, section 3). Raises ValueError if `dim` < 2.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _batched = ("concentration", "_beta")
    _shared = ("dim",)

    def __init__(self, dim, concentration=1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # Squared length of each row left of the diagonal; the first row has none, and a draw that
        # goes unused.
        before = self._range(dim - 1)
        before = torch.cat([before.new_zeros((1,)), before])
        marginal = self.concentration + 0.5 * (dim - 2)
        self._beta = Beta(before + 0.5, marginal.unsqueeze(-1) - 0.5 * before)
        super().__init__(self.concentration.size(), torch.Size((dim, dim)), validate_args)

    def _range(self, *bounds):
        options = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        return torch.arange(*bounds, **options)

    def sample(self, sample_shape=torch.Size()):
        squared = self._beta.sample(sample_shape).unsqueeze(-1)
        shape = self._extended_shape(sample_shape)
        normal = torch.randn(shape, dtype=squared.dtype, device=squared.device).tril(-1)
        direction = normal / normal.norm(dim=-1, keepdim=True)
        direction[..., 0, :].fill_(0.0)
        rows = torch.sqrt(squared) * direction
        tiny = torch.finfo(rows.dtype).tiny
        diagonal = torch.clamp(1 - torch.sum(rows**2, dim=-1), min=tiny).sqrt()
        return rows + torch.diag_embed(diagonal)

    def log_prob(self, value):
        # With the Jacobian from factor to matrix, entry i of the diagonal comes to the power
        # 2 (concentration - 1) + dim - i (Stan functions reference, "Cholesky LKJ correlation
        # distribution"); the norm is on page 1999 of the paper.
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - self._range(2, self.dim + 1)
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        log_norm = (
            0.5 * below * math.log(math.pi)
            + torch.mvlgamma(alpha - 0.5, below)
            - below * torch.lgamma(alpha)
        )
        return torch.sum(power * diagonal.log(), dim=-1) - log_norm
