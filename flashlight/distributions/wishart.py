"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._covariance import CovarianceFactor, half_log_det, only_matrix
from flashlight.distributions.chi2 import Chi2
from flashlight.distributions.exp_family import ExponentialFamily
from flashlight.distributions.utils import _Number, vec_to_tril_matrix

__all__ = ["Wishart"]


class Wishart(CovarianceFactor, ExponentialFamily):
    """Sums of x x^T over `df` normal vectors x, `df` not necessarily whole: `(*, N, N)`.

    The covariance of x is given as in `MultivariateNormal`. Raises AssertionError unless given one
    of the three, ValueError if it has fewer than two dimensions or `df` is not above N - 1.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = ("df", "covariance_matrix", "precision_matrix", "scale_tril", "_dist_chi2")
    _shared = ("_unbroadcasted_scale_tril",)

    def __init__(
        self,
        df,
        covariance_matrix=None,
        precision_matrix=None,
        scale_tril=None,
        validate_args: bool | None = None,
    ) -> None:
        given = only_matrix(
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        if given is None:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril "
                "may be specified."
            )
        name, matrix = given
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, "
                "with optional leading batch dimensions"
            )
        if isinstance(df, _Number):
            df = torch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch_shape = torch.broadcast_shapes(matrix.shape[:-2], df.shape)
        event_shape = matrix.shape[-2:]
        size = event_shape[-1]
        self.df = df.expand(batch_shape)
        if (self.df <= size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        self._set_given_matrix(name, matrix, batch_shape)
        if (self.df < size).any():
            warnings.warn(
                "Low df values detected. "
                "Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self._set_factor(name, matrix)
        steps = torch.arange(size, dtype=matrix.dtype, device=matrix.device)
        self._dist_chi2 = Chi2(self.df.unsqueeze(-1) - steps)

    @property
    def arg_constraints(self):
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    @property
    def mean(self):
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self):
        excess = self.df - self._event_shape[-1] - 1
        excess = torch.where(excess > 0, excess, math.nan)
        return excess[..., None, None] * self.covariance_matrix

    @property
    def variance(self):
        covariance = self.covariance_matrix
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df[..., None, None] * (covariance.pow(2) + products)

    def _bartlett_sampling(self, sample_shape=torch.Size()):
        """L A A^T L^T, A with roots of chi-squares on the diagonal and normals below (Bartlett)."""
        size = self._event_shape[-1]
        diagonal = self._dist_chi2.rsample(sample_shape).sqrt()
        diagonal = diagonal.clamp(min=torch.finfo(diagonal.dtype).eps)
        below = torch.randn(
            (*sample_shape, *self._batch_shape, size * (size - 1) // 2),
            dtype=diagonal.dtype,
            device=diagonal.device,
        )
        noise = diagonal.diag_embed() + vec_to_tril_matrix(below, diag=-1)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape=torch.Size(), max_try_correction=10):
        """Draw; what is chosen for correction is drawn again up to `max_try_correction` times."""
        if max_try_correction is None:
            max_try_correction = 10
        sample_shape = torch.Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        # PyTorch starts by correcting the samples that are positive definite, not the others. Its
        # random stream, and so this, has every good sample drawn twice.
        chosen = self._any_in_batch(self.support.check(sample))
        if not chosen.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(max_try_correction):
            fresh = self._bartlett_sampling(chosen[chosen].shape)
            sample[chosen] = fresh
            # Autograd keeps the mask that was written through.
            rest = chosen.clone()
            rest[chosen] = self._any_in_batch(~self.support.check(fresh))
            chosen = rest
            if not chosen.any():
                break
        return sample

    def _any_in_batch(self, flags):
        kept = flags.dim() - len(self._batch_shape)
        return flags.reshape(flags.shape[:kept] + (-1,)).any(-1)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        size = self._event_shape[-1]
        solved = torch.cholesky_solve(value, self._unbroadcasted_scale_tril)
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        log_det = torch.linalg.slogdet(value).logabsdet
        return (
            0.5 * (self.df - size - 1) * log_det
            - 0.5 * trace
            - self.df * self._half_log_det_of_double()
            - torch.mvlgamma(self.df / 2, p=size)
        )

    def entropy(self):
        size = self._event_shape[-1]
        return (
            (size + 1) * self._half_log_det_of_double()
            + torch.mvlgamma(self.df / 2, p=size)
            - 0.5 * (self.df - size - 1) * _mvdigamma(self.df / 2, p=size)
            + self.df * size / 2
        )

    def _half_log_det_of_double(self):
        """Half the log determinant of twice the covariance."""
        half_log_two = self._event_shape[-1] * math.log(2) / 2
        return half_log_two + half_log_det(self._unbroadcasted_scale_tril)

    @property
    def _natural_params(self):
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x, y):
        size = self._event_shape[-1]
        half_df = y + (size + 1) / 2
        log_det = size * math.log(2) - torch.linalg.slogdet(-2 * x).logabsdet
        return half_df * log_det + torch.mvlgamma(half_df, p=size)


def _mvdigamma(x, p: int):
    """Derivative of the multivariate log gamma function of order p."""
    if not (x > (p - 1) / 2).all():
        raise AssertionError("Wrong domain for multivariate digamma function.")
    halves = torch.arange(p, dtype=x.dtype, device=x.device) / 2
    return torch.digamma(x.unsqueeze(-1) - halves).sum(-1)
