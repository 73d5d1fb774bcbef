"""The multivariate normal distribution with a covariance of low rank plus a diagonal."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._covariance import (
    _batch_mahalanobis,
    _batch_mv,
    add_to_diagonal,
    half_log_det,
)
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import _standard_normal, lazy_property

__all__ = ["LowRankMultivariateNormal"]


# Names: W is the factor (*, N, M), D the diagonal (*, N) of the covariance W W^T + D. By the
# Woodbury and determinant lemmas all work is done on the capacitance I + W^T D^-1 W of size M.


def _batch_capacitance_tril(W, D):
    capacitance = add_to_diagonal(torch.matmul(_scaled_factor(W, D), W), 1)
    return torch.linalg.cholesky(capacitance)


def _scaled_factor(W, D):
    """W^T D^-1: `(*, M, N)`."""
    return W.mT / D.unsqueeze(-2)


def _batch_lowrank_logdet(W, D, capacitance_tril):
    return 2 * half_log_det(capacitance_tril) + D.log().sum(-1)


def _batch_lowrank_mahalanobis(W, D, x, capacitance_tril):
    projected = _batch_mv(_scaled_factor(W, D), x)
    return (x.pow(2) / D).sum(-1) - _batch_mahalanobis(capacitance_tril, projected)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of mean `loc` `(*, N)` and covariance W W^T + diag(D).

    W is `cov_factor` `(*, N, M)`, D is `cov_diag` `(*, N)`; with M below N this costs less than a
    full covariance. Raises ValueError for other shapes.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _batched = ("loc", "cov_factor", "cov_diag")
    _shared = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(self, loc, cov_factor, cov_diag, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, "
                "with optional leading batch dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            batch_shape = torch.broadcast_shapes(
                loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand(batch_shape + (-1,))
        self.cov_factor = cov_factor.expand(batch_shape + (-1, -1))
        self.cov_diag = cov_diag.expand(batch_shape + (-1,))
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = _batch_capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @lazy_property
    def variance(self):
        low_rank = self._unbroadcasted_cov_factor.pow(2).sum(-1)
        return (low_rank + self._unbroadcasted_cov_diag).expand(self.loc.shape)

    @lazy_property
    def scale_tril(self):
        # Factoring I + D^-1/2 W W^T D^-1/2, whose eigenvalues are at least 1, is well conditioned.
        scale = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        relative = self._unbroadcasted_cov_factor / scale
        factor = torch.linalg.cholesky(add_to_diagonal(relative @ relative.mT, 1))
        return self._expand_matrix(scale * factor)

    @lazy_property
    def covariance_matrix(self):
        factor = self._unbroadcasted_cov_factor
        diagonal = torch.diag_embed(self._unbroadcasted_cov_diag)
        return self._expand_matrix(factor @ factor.mT + diagonal)

    @lazy_property
    def precision_matrix(self):
        scaled = _scaled_factor(self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag)
        root = torch.linalg.solve_triangular(self._capacitance_tril, scaled, upper=False)
        diagonal = torch.diag_embed(self._unbroadcasted_cov_diag.reciprocal())
        return self._expand_matrix(diagonal - root.mT @ root)

    def _expand_matrix(self, matrix):
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    def rsample(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        options = {"dtype": self.loc.dtype, "device": self.loc.device}
        shared = _standard_normal(shape[:-1] + self.cov_factor.shape[-1:], **options)
        own = _standard_normal(shape, **options)
        return (
            self.loc
            + _batch_mv(self._unbroadcasted_cov_factor, shared)
            + self._unbroadcasted_cov_diag.sqrt() * own
        )

    def _log_det(self):
        return _batch_lowrank_logdet(
            self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag, self._capacitance_tril
        )

    def _mahalanobis(self, x):
        return _batch_lowrank_mahalanobis(
            self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag, x, self._capacitance_tril
        )

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        distance = self._mahalanobis(value - self.loc)
        log_scale = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (log_scale + self._log_det() + distance)

    def entropy(self):
        constant = self._event_shape[0] * (1 + math.log(2 * math.pi))
        return (0.5 * (constant + self._log_det())).expand(self._batch_shape)
