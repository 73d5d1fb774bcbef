"""Sums, differences, products and quotients with numbers, dense and sparse tensors."""

from __future__ import annotations

import numbers

import numpy as np

from ..._core.errors import broadcast_shapes
from ..._core.promotion import result_of
from ..._core.tensor import Tensor
from ..joining import cat
from . import positions
from .dispatch import implements
from .gradients import assemble, coalesced, dense_of, same_pattern, values_like, values_of
from .grid import coordinates, densify, grid_size, rows_of, slots
from .history import record, without_history
from .rows import conjugate, take
from .tensor import COO, SparseTensor, as_index, coo, unsupported, with_values


def _is_scalar(value) -> bool:
    return isinstance(value, numbers.Number) or (
        isinstance(value, Tensor) and not isinstance(value, SparseTensor) and not value.ndim
    )


# ----- sums -----


@implements("add")
def add(input, other, *, alpha=1):
    """Return input + alpha * other: of two sparse tensors sparse, else dense.

    Raises RuntimeError for different sizes, and for a COO tensor plus a dense one.
    """
    return _sum("add", "Add", input, other, alpha)


@implements("sub", "subtract")
def sub(input, other, *, alpha=1):
    """Return input - alpha * other, as `add`."""
    return _sum("sub", "Sub", input, other, -alpha)


@implements("rsub")
def rsub(input, other, *, alpha=1):
    """Return other - alpha * input, as `add`."""
    other = other if isinstance(other, Tensor) else input._storage.values.new_tensor(other)
    return _sum("sub", "Sub", other, input, -alpha)


def _sum(name, node, input, other, alpha):
    if isinstance(input, SparseTensor) and not isinstance(other, SparseTensor):
        if input.format is COO:
            raise RuntimeError(
                f"{name}(sparse, dense) is not supported. Use {name}(dense, sparse) instead."
            )
        if isinstance(other, Tensor) and other.shape == input.shape:
            made = densify(input) + other.detach() * alpha
            return _record_sum(node, made, input, other, alpha)
    other_size = list(other.shape) if isinstance(other, Tensor) else []
    input_size = list(input.shape) if isinstance(input, Tensor) else []
    if input_size != other_size:
        raise RuntimeError(
            f"{name}: expected 'self' and 'other' to have same size, but self has size "
            f"{input_size} while other has size {other_size} (FYI: op2-sparse addition does not "
            "currently support broadcasting)"
        )
    kind = result_of([input._layout, other._layout])
    if not isinstance(input, SparseTensor):
        made = _dense_sum(*without_history(input, other), alpha, kind)
    else:
        made = _sparse_sum(*without_history(input, other), alpha, kind)
    return _record_sum(node, made, input, other, alpha)


def _record_sum(node, made, input, other, alpha):
    def rule(needs, grad, alpha):
        return grad, grad if alpha == 1 else grad * alpha

    return record(node, made, (input, other), rule, alpha)


def _dense_sum(input, other, alpha, kind):
    input = input.to(kind)
    values = rows_of(other).to(kind)
    if alpha != 1:
        values = values * alpha
    if other.format.blocks or other.batch_dim():
        return input + densify(with_values(other, other._storage.values.to(kind))) * alpha
    size = grid_size(other)
    rows = input.reshape((positions.count(size), *input.shape[len(size):]))
    return rows.index_add(0, as_index(slots(other), rows), values).reshape(tuple(input.shape))


def _sparse_sum(input, other, alpha, kind):
    left, right = input._storage.values.to(kind), other._storage.values.to(kind)
    if alpha != 1:
        right = right * alpha
    if same_pattern(input, other):
        made = with_values(input, left + right)
        made._storage.coalesced = input._storage.coalesced
        return made
    if input.format is not COO or other.format is not COO:
        return _compressed_sum(input, other, alpha)
    if input.sparse_dim() != other.sparse_dim():
        raise RuntimeError(
            "add: expected 'self' and 'other' to have same sparse dimensions, but got "
            f"{input.sparse_dim()} and {other.sparse_dim()}"
        )
    indices = cat([input._storage.indices[0], other._storage.indices[0]], 1)
    made = coo(indices, cat([left, right]), input.shape)
    both = input._storage.coalesced and other._storage.coalesced
    return coalesced(made) if both else made


def _compressed_sum(input, other, alpha):
    if input.format is not other.format or input.format.blocks or input.batch_dim():
        made = densify(input) + densify(other) * alpha
        block = input.block_size() if input.format.blocks else None
        return made.to_sparse(
            layout=input.layout, blocksize=block, dense_dim=input.dense_dim() or None
        )
    kind = result_of([input._layout, other._layout])
    total = _sparse_sum(input.to_sparse(), other.to_sparse(), alpha, kind)
    return total.to_sparse(layout=input.layout)


# ----- products -----


@implements("mul", "multiply")
def mul(input, other):
    """Return the products of the elements; sparse.

    A dense factor is broadcast, or broadcasts the sparse one. Raises RuntimeError for sizes that do
    not fit together.
    """
    if not isinstance(input, SparseTensor) or _is_scalar(input):
        return _product(other, input, True)
    return _product(input, other, False)


def _product(sparse, factor, swapped):
    if _is_scalar(factor):
        made = with_values(
            sparse.detach(), sparse._storage.values * without_history(factor)
        )
        rule = _scalar_product_rule
    elif isinstance(factor, SparseTensor):
        made, rule = _sparse_product(*without_history(sparse, factor)), _product_rule
    else:
        made, rule = _masked_product(*without_history(sparse, factor)), _product_rule
    inputs = (factor, sparse) if swapped else (sparse, factor)

    def ordered(needs, grad, sparse, factor):
        found = rule(needs[::-1] if swapped else needs, grad, sparse, factor)
        return found[::-1] if swapped else found

    return record("Mul", made, inputs, ordered, sparse, factor)


def _scalar_product_rule(needs, grad, sparse, factor):
    left = grad * conjugate(factor) if needs[0] else None
    right = (grad * conjugate(sparse)).sum() if needs[1] else None
    return left, right


def _product_rule(needs, grad, sparse, factor):
    left = grad * conjugate(factor) if needs[0] else None
    right = grad * conjugate(sparse) if needs[1] else None
    return left, right


def _masked_product(sparse, dense):
    size = broadcast_shapes(tuple(sparse.shape), tuple(dense.shape))
    if size != tuple(sparse.shape):
        sparse = broadcast(sparse, size)
    lead = len(grid_size(sparse))
    if sparse.format.blocks:
        found = values_like(dense.expand(sparse.shape), sparse)
        return with_values(sparse, sparse._storage.values * found)
    # Only dimensions that `dense` has of its own are indexed, so a vector is not spread out.
    dense = dense.reshape((1,) * (len(size) - dense.ndim) + tuple(dense.shape))
    where = coordinates(sparse).copy()
    where[[dim for dim in range(lead) if dense.shape[dim] == 1]] = 0
    rows = dense.reshape((positions.count(dense.shape[:lead]), *dense.shape[lead:]))
    found = take(rows, positions.keys(where, tuple(dense.shape[:lead])))
    values = rows_of(sparse) * found
    own = sparse._storage.values
    if values.shape != own.shape:
        values = values.reshape((*own.shape[: sparse.batch_dim() + 1], *values.shape[1:]))
    return with_values(sparse, values)


def _sparse_product(input, other):
    if same_pattern(input, other) and (input.format is not COO or input._storage.coalesced):
        return with_values(input, input._storage.values * other._storage.values)
    if input.shape != other.shape:
        if input.format is not COO or other.format is not COO:
            raise RuntimeError(
                f"mul: expected sizes {list(input.shape)} and {list(other.shape)} to be equal"
            )
        size = broadcast_shapes(tuple(input.shape), tuple(other.shape))
        input, other = broadcast(input, size), broadcast(other, size)
    if input.format is not COO or other.format is not COO:
        target = input if input.format is not COO else other
        made = _sparse_product(input.to_sparse(), other.to_sparse())
        block = target.block_size() if target.format.blocks else None
        return made.to_sparse(layout=target.layout, blocksize=block)
    if input.sparse_dim() != other.sparse_dim():
        raise RuntimeError(
            "mul(sparse, sparse): expected tensors of equal sparse dimensions, but got "
            f"{input.sparse_dim()} and {other.sparse_dim()}"
        )
    input, other = coalesced(input), coalesced(other)
    place, there = positions.find(slots(input), slots(other))
    kept = np.flatnonzero(there)
    values = take(input._storage.values, kept) * take(other._storage.values, place[kept])
    indices = coordinates(input)[:, kept]
    return coo(indices, values, input.shape, True)


def broadcast(tensor: SparseTensor, size) -> SparseTensor:
    """Return a COO tensor repeated to a size. Raises RuntimeError if it does not broadcast."""
    size = tuple(size)
    if size == tuple(tensor.shape):
        return tensor
    if tensor.format is not COO:
        raise RuntimeError(f"expand is unsupported for {tensor.format.title} tensors")
    extra = len(size) - tensor.ndim
    old = (1,) * extra + tuple(tensor.shape)
    sparse = tensor.sparse_dim() + extra
    if extra < 0 or any(m not in (1, n) for m, n in zip(old, size)):
        raise RuntimeError(
            f"The expanded size of the tensor ({list(size)}) does not fit {list(tensor.shape)}"
        )
    where = np.concatenate([np.zeros((extra, tensor._nnz()), np.int64), coordinates(tensor)])
    which = np.arange(tensor._nnz())
    for dim in reversed(range(sparse)):
        if old[dim] != size[dim]:
            times = size[dim]
            which, where = np.repeat(which, times), np.repeat(where, times, axis=1)
            where[dim] = np.tile(np.arange(times), where.shape[1] // max(times, 1))
    values = take(values_of(tensor), which)
    values = values.expand((len(which), *size[sparse:]))
    pattern = coo(where, values.detach(), size)
    return coalesced(assemble(pattern, values)) if tensor._storage.coalesced else \
        assemble(pattern, values)


# ----- quotients -----


@implements("div", "divide", "true_divide")
def div(input, other, *, rounding_mode=None):
    """Return the elements divided by a number. Raises RuntimeError for other divisors."""
    return _quotient(input, other, rounding_mode)


@implements("floor_divide")
def floor_divide(input, other):
    """Return the elements divided by a number and rounded down."""
    for value in (input, other):
        if isinstance(value, SparseTensor) and value.format is not COO:
            raise unsupported("floor_divide", value)
    return _quotient(input, other, "floor")


def _quotient(input, other, rounding_mode):
    if not isinstance(input, SparseTensor):
        raise RuntimeError(
            "div: a dense tensor cannot be divided by a sparse one; call to_dense() first"
        )
    if not _is_scalar(other):
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{list(other.shape)} for divisor)"
        )
    if rounding_mode is not None:
        source = coalesced(input) if input.format is COO else input
        return assemble(source, values_of(source).div(other, rounding_mode=rounding_mode))
    made = with_values(input.detach(), input._storage.values / without_history(other))

    def rule(needs, grad, input, other):
        left = grad / conjugate(other) if needs[0] else None
        right = None
        if needs[1]:
            right = -(grad * conjugate(input / (other * other))).sum()
        return left, right

    return record("Div", made, (input, other), rule, input, other)


@implements("sum_to_size")
def sum_to_size(input: SparseTensor, *size) -> Tensor:
    """Return the dense sum over what was broadcast from `size`."""
    return dense_of(input).sum_to_size(*size)
