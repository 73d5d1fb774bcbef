"""Covariance matrices, given as they are, inverted or as Cholesky factor; the rest when asked for.

The factor keeps the batch shape it was given with, so that large batches share one.
"""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions.utils import lazy_property


class CovarianceFactor:
    """Keeps the matrix that was given, and `_unbroadcasted_scale_tril`, the Cholesky factor."""

    def _set_given_matrix(self, name: str, matrix, batch_shape: torch.Size) -> None:
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))

    def _set_factor(self, name: str, matrix) -> None:
        factorize = {
            "scale_tril": lambda matrix: matrix,
            "covariance_matrix": torch.linalg.cholesky,
            "precision_matrix": _precision_to_scale_tril,
        }
        self._unbroadcasted_scale_tril = factorize[name](matrix)

    def _expand_matrix(self, matrix):
        size = self._event_shape[-1]
        return matrix.expand(self._batch_shape + (size, size))

    @lazy_property
    def scale_tril(self):
        return self._expand_matrix(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        factor = self._unbroadcasted_scale_tril
        return self._expand_matrix(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self):
        return self._expand_matrix(torch.cholesky_inverse(self._unbroadcasted_scale_tril))


def only_matrix(**matrices):
    """Name and value of the one matrix that is not None, or None if there is not exactly one."""
    given = [(name, matrix) for name, matrix in matrices.items() if matrix is not None]
    return given[0] if len(given) == 1 else None


def half_log_det(factor):
    """Half the log determinant of the covariance with this Cholesky factor: `(*, N, N) -> (*)`."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def add_to_diagonal(matrix, value):
    """`matrix` plus `value` times the identity."""
    return matrix + value * torch.eye(matrix.size(-1), dtype=matrix.dtype, device=matrix.device)


def _batch_mv(bmat, bvec):
    """Products `(*, N, M), (*, M) -> (*, N)`."""
    return torch.matmul(bmat, bvec.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(bL, bx):
    """x^T (L L^T)^-1 x: `(*B, N, N), (*S, *B, N) -> (*S, *B)`.

    The samples S become columns of one right-hand side, so that L is not repeated for each.
    """
    samples = bx.shape[: bx.dim() - bL.dim() + 1]
    columns = bx.reshape((math.prod(samples),) + bx.shape[len(samples) :]).movedim(0, -1)
    solved = torch.linalg.solve_triangular(bL, columns, upper=False)
    return solved.pow(2).sum(-2).movedim(-1, 0).reshape(bx.shape[:-1])


def _precision_to_scale_tril(P):
    """Cholesky factor of the inverse of P.

    With J the reversal of rows, J P J = C C^T makes P = (J C J) (J C J)^T with an upper triangular
    factor, whose inverse transposed is the factor asked for.
    """
    upper = torch.linalg.cholesky(P.flip(-2, -1)).flip(-2, -1)
    identity = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    return torch.linalg.solve_triangular(upper.mT, identity, upper=False)
