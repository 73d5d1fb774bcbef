"""Maps of whole vectors and matrices: simplices and Cholesky factors."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._transforms.base import Transform, _require_dims, _Stateless
from flashlight.distributions._transforms.elementwise import _clipped_sigmoid
from flashlight.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix


class SoftmaxTransform(_Stateless):
    """y = exp(x) / sum(exp(x)) over the last dimension: `(*, K) -> (*, K)`, not injective."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x):
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y):
        return y.log()

    def forward_shape(self, shape):
        _require_dims(len(shape), 1)
        return shape

    def inverse_shape(self, shape):
        _require_dims(len(shape), 1)
        return shape


class StickBreakingTransform(_Stateless):
    """Breaks shares off a stick of length 1: `(*, K) -> (*, K + 1)`.

    Share k is a sigmoid of x_k of what is left, shifted so that x = 0 gives equal shares.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _call(self, x):
        share = _clipped_sigmoid(x - self._shift(x))
        left = (1 - share).cumprod(-1)
        pad = torch.nn.functional.pad
        return pad(share, [0, 1], value=1) * pad(left, [1, 0], value=1)

    def _inverse(self, y):
        taken = y[..., :-1]
        # Rounding can make the rest vanish or turn negative near a vertex.
        left = (1 - taken.cumsum(-1)).clamp(min=torch.finfo(y.dtype).tiny)
        return taken.log() - left.log() + self._shift(taken)

    def log_abs_det_jacobian(self, x, y):
        x = x - self._shift(x)
        # 1 - sigmoid(x) is exp(-x) sigmoid(x).
        return (-x + torch.nn.functional.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    @staticmethod
    def _shift(x):
        """log K, log(K - 1), ..., log 1: the odds of the other shares."""
        return (x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)).log()

    def forward_shape(self, shape):
        _require_dims(len(shape), 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape):
        _require_dims(len(shape), 1)
        return shape[:-1] + (shape[-1] - 1,)


class LowerCholeskyTransform(_Stateless):
    """Lower triangle of a matrix, the diagonal through exp: `(*, D, D) -> (*, D, D)`."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x):
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y):
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Stateless):
    """L L^T for the `LowerCholeskyTransform` L of a matrix: `(*, D, D) -> (*, D, D)`."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x):
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y):
        return LowerCholeskyTransform().inv(torch.linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """Cholesky factor of a correlation matrix: `(*, D (D - 1) / 2) -> (*, D, D)`.

    Below the diagonal, each row breaks its squared unit length as in `StickBreakingTransform`, by
    the square of tanh(x) and with its sign (Stan reference manual, "Cholesky factors of correlation
    matrices"). The Jacobian is taken of the entries below the diagonal.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x):
        eps = torch.finfo(x.dtype).eps
        signed = vec_to_tril_matrix(torch.tanh(x).clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - signed**2).sqrt().cumprod(-1)
        signed = signed + torch.eye(signed.shape[-1], dtype=x.dtype, device=x.device)
        return signed * torch.nn.functional.pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y):
        left = 1 - (y * y).cumsum(-1)
        left = torch.nn.functional.pad(left[..., :-1], [1, 0], value=1)
        ratio = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (ratio.log1p() - (-ratio).log1p()) / 2

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        log_det_tanh = 2 * (math.log(2.0) - x - torch.nn.functional.softplus(-2 * x))
        return 0.5 * left.log().sum(-1) + log_det_tanh.sum(-1)

    def forward_shape(self, shape):
        """`(*, D (D - 1) / 2) -> (*, D, D)`; ValueError if there is no such D."""
        _require_dims(len(shape), 1)
        length = shape[-1]
        size = round((0.25 + 2 * length) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != length:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + (size, size)

    def inverse_shape(self, shape):
        """`(*, D, D) -> (*, D (D - 1) / 2)`; ValueError if the matrix is not square."""
        _require_dims(len(shape), 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        size = shape[-1]
        return shape[:-2] + (size * (size - 1) // 2,)
