"""Parametrisations to register: orthogonal weights, weight norm, spectral norm."""

from __future__ import annotations

from enum import Enum, auto

import flashlight as torch
from flashlight import Tensor
from flashlight.nn import functional as F
from flashlight.nn.modules import Module
from flashlight.nn.utils import parametrize

from .spectral_norm import _output_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _weight_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


# ----- orthogonal -----


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


def _is_orthogonal(Q: Tensor) -> bool:
    rows, columns = Q.shape[-2:]
    identity = torch.eye(columns, dtype=Q.dtype, device=Q.device)
    return torch.allclose(Q.mH @ Q, identity, atol=10.0 * rows * torch.finfo(Q.dtype).eps)


def _make_orthogonal(A: Tensor) -> Tensor:
    """Return the Q of a QR decomposition whose R has a positive diagonal."""
    X, tau = torch.geqrf(A)
    Q = torch.linalg.householder_product(X, tau)
    return Q * X.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    """Maps any matrix to one with orthonormal columns, or rows if it is wide.

    With `use_trivialization`, the result is a fixed orthogonal `base` times such a matrix near
    the identity, which keeps the gradients well behaved (https://arxiv.org/abs/1909.09501).
    """

    base: Tensor

    def __init__(self, weight, orthogonal_map: _OrthMaps, *, use_trivialization=True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.size(-2) < X.size(-1)
        X = X.mT if wide else X
        if self.orthogonal_map is _OrthMaps.householder:
            Q = self._by_householder(X)
        else:
            Q = self._by_skew_symmetric(X)
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if wide else Q

    def _by_householder(self, X: Tensor) -> Tensor:
        A = X.tril(diagonal=-1)
        tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
        Q = torch.linalg.householder_product(A, tau)
        # The diagonal holds signs: reflections alone give only one determinant.
        return Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)

    def _by_skew_symmetric(self, X: Tensor) -> Tensor:
        rows, columns = X.shape[-2:]
        X = X.tril()
        if rows != columns:
            filler = X.new_zeros(rows, rows - columns).expand(*X.shape[:-2], -1, -1)
            X = torch.cat([X, filler], dim=-1)
        A = X - X.mH
        if self.orthogonal_map is _OrthMaps.matrix_exp:
            Q = torch.matrix_exp(A)
        else:
            identity = torch.eye(rows, dtype=A.dtype, device=A.device)
            Q = torch.linalg.solve(identity - A / 2, identity + A / 2)
        return Q if rows == columns else Q[..., :columns]

    @torch.no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """Return a matrix that maps to `Q`, which must be orthogonal already, or nearly."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if hasattr(self, "base"):
            self.base = self._complete(tall)
            near_identity = torch.zeros_like(Q)
            near_identity.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return near_identity
        if self.orthogonal_map is not _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        A, tau = torch.geqrf(tall)
        signs = A.diagonal(dim1=-2, dim2=-1)
        # Where no reflection was needed the sign is the other one.
        signs.copy_(torch.where(tau == 0.0, -signs.sign(), signs.sign()))
        return A.mT if wide else A

    def _complete(self, Q: Tensor) -> Tensor:
        """Return a square orthogonal matrix whose first columns span those of `Q`."""
        rows, columns = Q.shape[-2:]
        if rows == columns:
            return Q.clone() if _is_orthogonal(Q) else _make_orthogonal(Q)
        shape = (*Q.shape[:-2], rows, rows - columns)
        more = torch.randn(*shape, dtype=Q.dtype, device=Q.device)
        return _make_orthogonal(torch.cat([Q, more], dim=-1))


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep the matrix `name` of `module` orthogonal (unitary if complex); return the module.

    `orthogonal_map` is "matrix_exp" (default for square), "cayley" or "householder". Raises
    ValueError for other tensors and names.
    """
    weight = _weight_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    mapping = _OrthMaps[orthogonal_map]
    orth = _Orthogonal(weight, mapping, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, orth, unsafe=True)
    return module


# ----- weight norm -----


class _WeightNorm(Module):
    """Length along `dim` and direction to weight (https://arxiv.org/abs/1602.07868)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return torch._weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return torch.norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Split tensor `name` into its length along `dim` and its direction; return the module.

    States of the older ``nn.utils.weight_norm`` load as well.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename_old_keys(state_dict, prefix, *others) -> None:
        old = [f"{prefix}{name}{suffix}" for suffix in ("_g", "_v")]
        if all(key in state_dict for key in old):
            for index, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{index}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename_old_keys)
    return module


# ----- spectral norm -----


class _SpectralNorm(Module):
    """A weight divided by its largest singular value (https://arxiv.org/abs/1802.05957)."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but "
                f"got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim == 1:
            return
        self.n_power_iterations = n_power_iterations
        matrix = self._reshape_weight_to_matrix(weight)
        for name, size in zip(("_u", "_v"), matrix.size()):
            drawn = matrix.new_empty(size).normal_(0, 1)
            self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
        self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        """Improve the singular vectors, in place: replicas of the module share them."""
        u, v = self._u, self._v
        for _ in range(n_power_iterations):
            u.copy_(F.normalize(torch.mv(weight_mat, v), dim=0, eps=self.eps))
            v.copy_(F.normalize(torch.mv(weight_mat.mH, u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # A second forward before the backward must not change what this one saves.
        u, v = self._u.clone(), self._v.clone()
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        # Normalised or not, the value is as good: the forward divides by what is left.
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide tensor `name` by its largest singular value; return the module.

    `dim` counts the outputs: 1 for transposed convolutions, else 0, by default.
    """
    weight = _weight_of(module, name)
    dim = _output_dim(module) if dim is None else dim
    norm = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, norm)
    return module
