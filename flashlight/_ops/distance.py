"""Distances, similarities and norms of vectors."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._autograd.grad_mode import no_grad
from .._core.dtype import SCALAR_TYPE_NAME, float32, float64
from .._core.errors import broadcast_shapes, not_implemented_for
from .._core.promotion import result_of
from .._core.tensor import Tensor, from_host
from .arithmetic import div
from .kinds import composite, primitive
from .matmul import matmul
from .pointwise import abs_, pow_, sgn, where
from .shape import broadcast_tensors, expand, unsqueeze


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


# ----- all pairs of two sets -----

_AT_ONCE = 1 << 24  # differences held in memory; more are computed in several steps


def _norm_of(differences: mx.array, p: float) -> mx.array:
    """The p-norm over the last dimension; for 0 the number of coordinates that differ."""
    size = mx.abs(differences)
    if p == 0:
        return mx.sum((size != 0).astype(size.dtype), axis=-1)
    if p == 1:
        return mx.sum(size, axis=-1)
    if p == 2:
        return mx.sqrt(mx.sum(size * size, axis=-1))
    if p == math.inf:
        return mx.max(size, axis=-1)
    return mx.power(mx.sum(mx.power(size, p), axis=-1), 1 / p)


@primitive(name="_cdist_forward", node="Cdist")
def _pair_distances(x1: mx.array, x2: mx.array, p) -> mx.array:
    """The p-norm of the differences of all pairs of rows, (*, P, M), (*, R, M) -> (*, P, R)."""
    if 0 in (x1.size, x2.size):
        return mx.zeros((*x1.shape[:-1], x2.shape[-2]), x1.dtype)
    per_row = math.prod(x2.shape)
    step = max(1, _AT_ONCE // per_row)
    parts = [_norm_of(x1[..., at:at + step, None, :] - x2[..., None, :, :], p)
             for at in range(0, x1.shape[-2], step)]
    return mx.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0]


def _pair_gradient(grad, x1, x2, p, result):
    """The gradient of `_pair_distances` for each pair and coordinate; 0 where it has none."""
    apart = unsqueeze(x1, -2) - unsqueeze(x2, -3)
    grad, distance = unsqueeze(grad, -1), unsqueeze(result, -1)
    if p == 0:
        return apart * 0
    if p == 1:
        return grad * sgn(apart)
    if p == math.inf:
        return grad * sgn(apart) * (abs_(apart) == distance).to(apart.dtype)
    nowhere = distance == 0 if p >= 1 else (distance == 0) | (apart == 0)
    scale = grad / where(nowhere, 1, distance)
    if p == 2:
        return where(nowhere, 0, scale * apart)
    share = where(nowhere, 1, abs_(apart) / where(nowhere, 1, distance))
    return where(nowhere, 0, grad * sgn(apart) * pow_(share, p - 1))


_pair_distances.gradients(
    x1=lambda grad, x1, x2, p, result: _pair_gradient(grad, x1, x2, p, result).sum(-2),
    x2=lambda grad, x1, x2, p, result: -_pair_gradient(grad, x1, x2, p, result).sum(-3),
)


@primitive(name="_euclidean_dist")
def _by_products(x1: mx.array, x2: mx.array) -> mx.array:
    """The distances of all pairs by one product of matrices; less exact for close pairs."""
    ones1, ones2 = mx.ones((*x1.shape[:-1], 1), x1.dtype), mx.ones((*x2.shape[:-1], 1), x2.dtype)
    left = mx.concatenate([-2 * x1, mx.sum(x1 * x1, -1, keepdims=True), ones1], axis=-1)
    right = mx.concatenate([x2, ones2, mx.sum(x2 * x2, -1, keepdims=True)], axis=-1)
    return mx.sqrt(mx.maximum(mx.matmul(left, mx.swapaxes(right, -1, -2)), 0))


def _ratio(grad, result):
    return where(result == 0, 0, grad / where(result == 0, 1, result))


def _product_rule(grad, mine, other, result):
    ratio = _ratio(grad, result)
    return mine * ratio.sum(-1, keepdim=True) - matmul(ratio, other)


_by_products.gradients(
    x1=lambda grad, x1, x2, result: _product_rule(grad, x1, x2, result),
    x2=lambda grad, x1, x2, result: _product_rule(
        grad.transpose(-1, -2), x2, x1, result.transpose(-1, -2)),
)

_BY_PRODUCTS = {
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
    "use_mm_for_euclid_dist_if_necessary": None,
}


@composite(out=False)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norm distances of all pairs of rows, (*, P, M), (*, R, M) -> (*, P, R).

    Raises RuntimeError for other shapes, integers and negative p.
    https://docs.pytorch.org/docs/stable/generated/torch.cdist.html
    """
    if compute_mode not in _BY_PRODUCTS:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: "
                               f"{SCALAR_TYPE_NAME[x.dtype]}")
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError("X1 and X2 must have the same number of columns. "
                           f"X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype is not x2.dtype:
        names = SCALAR_TYPE_NAME[x1.dtype], SCALAR_TYPE_NAME[x2.dtype]
        raise RuntimeError("expected scalar type {} but found {}".format(*names))
    if x1.dtype not in (float32, float64):
        raise not_implemented_for("cdist", x1.dtype)
    batch = broadcast_shapes(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    x1, x2 = (expand(x, (*batch, *x.shape[-2:])) for x in (x1, x2))
    by_products = _BY_PRODUCTS[compute_mode]
    if by_products is None:
        by_products = max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and by_products and x1.numel() and x2.numel():
        return _by_products(x1, x2)
    return _pair_distances(x1, x2, float(p))


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


_PUBLIC = (_weight_norm, cdist, cosine_similarity, norm_except_dim, pairwise_distance, pdist)
FUNCTIONS = {function.__name__: function for function in _PUBLIC}
METHODS: dict = {}
INPLACE = ()
