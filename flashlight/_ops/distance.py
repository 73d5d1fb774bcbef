"""Distances, similarities and norms of vectors."""

from __future__ import annotations

import numpy as np

from .._autograd.grad_mode import no_grad
from .._core.dtype import SCALAR_TYPE_NAME
from .._core.promotion import result_of
from .._core.tensor import Tensor, from_host
from .arithmetic import div
from .kinds import composite
from .shape import broadcast_tensors


def _vector_norm(x: Tensor, p: float, dim: int, keepdim: bool = False) -> Tensor:
    from .linalg import vector_norm

    return vector_norm(x, p, dim=dim, keepdim=keepdim)


@composite(out=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between `x1` and `x2` along `dim`, which disappears.

    Norms below `eps` count as `eps`. Raises RuntimeError for integers.
    """
    common = result_of([x1._layout, x2._layout], [])
    if not common.is_floating_point:
        raise RuntimeError(
            "expected common dtype to be floating point, yet common dtype is "
            + SCALAR_TYPE_NAME[common]
        )
    x1, x2 = broadcast_tensors(x1.to(common), x2.to(common))
    # Each is normalised by itself: a product of squared norms would overflow sooner.
    x1 = x1 / _norm(x1, dim, eps)
    x2 = x2 / _norm(x2, dim, eps)
    return (x1 * x2).sum(dim)


def _norm(x: Tensor, dim: int, eps: float) -> Tensor:
    norm = _vector_norm(x, 2, dim, keepdim=True).clone()
    # The bound is no part of the gradient: that of the norm is wanted where it holds, too.
    with no_grad():
        norm.clamp_min_(eps)
    return norm


@composite(out=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of ``x1 - x2 + eps`` along the last dimension: (*, D), (*, D) -> (*)."""
    return _vector_norm(x1 - x2 + eps, p, -1, keepdim)


@composite(out=False)
def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Divide `input` by its p-norm along `dim`, taken to be at least `eps`."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    return div(input, norm) if out is None else div(input, norm, out=out)


@composite(out=False)
def pdist(input, p=2.0):
    """The p-norm distances of all pairs of rows, (N, M) -> (N·(N-1)/2).

    Raises RuntimeError for other shapes and negative p.
    """
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    rows = input.shape[0]
    first, second = (from_host(each) for each in np.triu_indices(rows, 1))
    apart = input.index_select(0, first) - input.index_select(0, second)
    return _vector_norm(apart, p, 1)


@composite(out=False)
def norm_except_dim(v, pow=2, dim=0):
    """The `pow`-norms of the slices along `dim`, of size 1 in the others; -1: of everything."""
    if dim == -1:
        return v.norm(pow)
    kept = dim % v.ndim
    others = [each for each in range(v.ndim) if each != kept]
    # norm() takes a list of no dimensions for all of them.
    return v.norm(pow, others, keepdim=True) if others else v.abs()


@composite(out=False)
def _weight_norm(v, g, dim=0):
    """``g · v / |v|``, the norm taken over all dimensions but `dim`."""
    return v * (g / norm_except_dim(v, 2, dim))


_PUBLIC = (_weight_norm, cosine_similarity, norm_except_dim, pairwise_distance, pdist)
FUNCTIONS = {function.__name__: function for function in _PUBLIC}
METHODS: dict = {}
INPLACE = ()
