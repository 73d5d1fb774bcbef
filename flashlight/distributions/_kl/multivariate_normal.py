"""Divergences between multivariate normal distributions with full or low rank covariances."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions._covariance import _batch_mahalanobis, half_log_det
from flashlight.distributions.kl import register_kl
from flashlight.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _scaled_factor,
)
from flashlight.distributions.multivariate_normal import MultivariateNormal


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _kl_normals(p, q):
    """(log det Q - log det P + trace(Q^-1 P) + d^T Q^-1 d - N) / 2 for covariances P and Q.

    P counts as a sum of squares of factors, so the trace is a sum over the columns of those.
    """
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with "
            "different event shapes cannot be computed"
        )
    trace = sum(_trace_under(q, factor) for factor in _factors(p))
    distance = _squared_distance(q, q.loc - p.loc)
    return 0.5 * (_log_det(q) - _log_det(p) + trace + distance - p.event_shape[0])


def _log_det(normal):
    if isinstance(normal, LowRankMultivariateNormal):
        return normal._log_det()
    return 2 * half_log_det(normal._unbroadcasted_scale_tril)


def _squared_distance(normal, difference):
    if isinstance(normal, LowRankMultivariateNormal):
        return normal._mahalanobis(difference)
    return _batch_mahalanobis(normal._unbroadcasted_scale_tril, difference)


def _factors(normal):
    """Matrices F whose F F^T add up to the covariance."""
    if isinstance(normal, LowRankMultivariateNormal):
        scale = normal._unbroadcasted_cov_diag.sqrt()
        return [normal._unbroadcasted_cov_factor, torch.diag_embed(scale)]
    return [normal._unbroadcasted_scale_tril]


def _trace_under(normal, factor):
    """trace(C^-1 F F^T) for the covariance C."""
    if isinstance(normal, LowRankMultivariateNormal):
        W, D = normal._unbroadcasted_cov_factor, normal._unbroadcasted_cov_diag
        root = torch.linalg.solve_triangular(
            normal._capacitance_tril, _scaled_factor(W, D), upper=False
        )
        diagonal = _sum_of_squares(factor * D.rsqrt().unsqueeze(-1))
        return diagonal - _sum_of_squares(root @ factor)
    return _sum_of_squares(
        torch.linalg.solve_triangular(normal._unbroadcasted_scale_tril, factor, upper=False)
    )


def _sum_of_squares(matrix):
    return matrix.pow(2).sum((-2, -1))
