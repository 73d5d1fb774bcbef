"""Sums, norms and softmax of sparse tensors."""

from __future__ import annotations

import mlx.core as mx

from ..._core.errors import wrap_dim, wrap_dims
from ..kinds import composite, primitive
from . import positions
from .dispatch import implements
from .gradients import assemble, coalesced, values_of
from .grid import coordinates
from .history import record
from .rows import add_up, take
from .tensor import COO, CSR, SparseTensor, as_index, coo, unsupported, wrong_layout


@implements("sum")
def sum(input: SparseTensor, dim=None, keepdim=False, *, dtype=None):
    """Return the sum of all elements (dense), or over dimensions (sparse while any is left)."""
    size = tuple(input.shape)
    dims = wrap_dims((dim,) if isinstance(dim, int) else dim or range(len(size)), len(size))
    whole = len(dims) == len(size)
    if not keepdim and (whole or input.format is COO and {*range(input.sparse_dim())} <= {*dims}):
        return _dense_sum(input, dims, whole, dtype)
    if input.format is not COO:
        return _compressed_sum(input, dims, keepdim, dtype)
    made = _sum_over(coalesced(input), dims, dtype)
    if not keepdim:
        return made
    for dim in sorted(dims):
        made = made.unsqueeze(dim)
    return made


def _dense_sum(input, dims, whole, dtype):
    """Return the sum over all sparse dimensions; its gradient reaches elements not kept as well."""
    values, own, size = input._storage.values, input.dtype, tuple(input.shape)
    lead = input.sparse_dim() - 1
    inner = None if whole else (0, *(dim - lead for dim in dims if dim > lead))

    def rule(needs, grad):
        for dim in sorted(dims):
            grad = grad.unsqueeze(dim)
        return grad.to(own).expand(size)

    return record("Sum", values.sum(inner, dtype=dtype), (input,), rule)


def _compressed_sum(input, dims, keepdim, dtype):
    if input.format is not CSR:
        raise RuntimeError(
            "Currently the only compressed sparse format supported for sum.dim_IntList is CSR, but "
            f"got layout {input.format.title}"
        )
    if not keepdim:
        raise RuntimeError(
            "reduction operations on CSR tensors with keepdim=False is unsupported; pass "
            "keepdim=True or call to_sparse_coo()"
        )
    if input.ndim != 2:
        raise unsupported("sum.dim_IntList", input)
    return sum(input.to_sparse(), dims, True, dtype=dtype).to_sparse_csr()


def _sum_over(input, dims, dtype):
    """Return a coalesced COO tensor summed over some dimensions, with its history."""
    sparse = input.sparse_dim()
    values = values_of(input)
    inner = tuple(dim - sparse + 1 for dim in dims if dim >= sparse)
    if inner or not [dim for dim in dims if dim < sparse]:
        values = values.sum(inner, dtype=dtype) if inner else values
    left = [dim for dim in range(sparse) if dim not in dims]
    if not left:
        return values.sum(0, dtype=dtype)
    if dtype is not None:
        values = values.to(dtype)
    elif values.dtype.category < 2:
        values = values.long()
    size = [n for dim, n in enumerate(input.shape) if dim not in dims]
    if len(left) == sparse:
        indices, kept = input._storage.indices[0], values
    else:
        where = coordinates(input)[left]
        lead = tuple(size[: len(left)])
        unique, place = positions.distinct(positions.keys(where, lead))
        indices, kept = positions.unfold(unique, lead), add_up(values, place, len(unique))
    return assemble(coo(indices, kept.detach(), size, True), kept)


@composite(name="sparse_sum")
def sparse_sum(input, dim=None, dtype=None):
    """Return the sum of a COO tensor: of all elements, or over dimensions; its gradient is sparse.

    Raises RuntimeError for other layouts.
    """
    if not isinstance(input, SparseTensor) or input.format is not COO:
        raise wrong_layout("coalesce", "coordinate", input)
    source = coalesced(input)
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return values_of(source).sum(dtype=dtype)
    dims = wrap_dims((dim,) if isinstance(dim, int) else dim, input.ndim)
    return _sum_over(source, dims, dtype)


@implements("norm", "linalg_vector_norm")
def norm(input: SparseTensor, p="fro", dim=None, keepdim=False, dtype=None, ord=None):
    """Return the norm of all elements as one vector. Raises RuntimeError for norms along dims."""
    whole = dim is None or len(set(wrap_dims(
        (dim,) if isinstance(dim, int) else dim, input.ndim))) in (0, input.ndim)
    if not whole:
        raise RuntimeError("norm_sparse currently only supports full reductions, so 'dim' must "
                           "either be empty or contain all dimensions of the input")
    if keepdim:
        raise RuntimeError("norm_sparse currently does not support keepdim=True")
    order = ord if ord is not None else p
    order = 2 if order in ("fro", None) else order
    source = coalesced(input) if input.format is COO else input
    values = values_of(source)
    values = values if dtype is None else values.to(dtype)
    return values.reshape(-1).norm(order)


@implements("any")
def any_(input: SparseTensor, dim=None, keepdim=False):
    """Tell whether any element is true."""
    if dim is not None:
        raise unsupported("any.dim", input)
    return input._storage.values.any()


@implements("count_nonzero")
def count_nonzero(input: SparseTensor, dim=None):
    """Return how many elements are not zero."""
    if dim is not None:
        raise unsupported("count_nonzero.dim_IntList", input)
    source = coalesced(input) if input.format is COO else input
    return source._storage.values.count_nonzero()


# ----- softmax -----


@primitive(name="segment_max", differentiable=False)
def _largest(values: mx.array, index: mx.array, count) -> mx.array:
    start = mx.full((count, *values.shape[1:]), -mx.inf, values.dtype)
    return start.at[index].maximum(values) if values.size else start


def _softmax(name, input, dim, dtype, logarithm):
    if not isinstance(input, SparseTensor) or input.format is not COO:
        raise unsupported(f"_sparse_{name}", input)
    dim = wrap_dim(dim, input.ndim)
    source = coalesced(input)
    values = values_of(source)
    values = values if dtype is None else values.to(dtype)
    sparse = source.sparse_dim()
    if dim >= sparse:
        inner = dim - sparse + 1
        found = values.log_softmax(inner) if logarithm else values.softmax(inner)
        return assemble(source, found)
    others = [d for d in range(sparse) if d != dim]
    where = coordinates(source)[others]
    unique, place = positions.distinct(
        positions.keys(where, tuple(source.shape[d] for d in others))
    )
    count = len(unique)
    group = as_index(place, values)
    # The largest of a group is only taken out for the range of exp: no gradient.
    largest = _largest(values.detach(), group, count)
    largest = largest.masked_fill(largest.isinf(), 0)
    shifted = values - take(largest, group)
    powers = shifted.exp()
    total = add_up(powers, group, count)
    found = shifted - take(total.log(), group) if logarithm else powers / take(total, group)
    return assemble(source, found)


@composite(name="sparse_softmax", out=False)
def softmax(input, dim, *, dtype=None):
    """Return softmax along `dim` over the kept elements; what is not kept counts as -inf."""
    return _softmax("softmax", input, dim, dtype, False)


@composite(name="sparse_log_softmax", out=False)
def log_softmax(input, dim, *, dtype=None):
    """Return log_softmax along `dim` over the kept elements; what is not kept counts as -inf."""
    return _softmax("log_softmax", input, dim, dtype, True)
