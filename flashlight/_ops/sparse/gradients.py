"""What gradients of sparse tensors are made of: values by pattern, patterns by values."""

from __future__ import annotations

from ..._core.tensor import Tensor
from . import positions
from .grid import densify, grid_size, pick, slots
from .history import record
from .rows import add_up, take
from .tensor import COO, SparseTensor, coo, with_values


def assemble(pattern: SparseTensor, values: Tensor) -> SparseTensor:
    """Return a tensor that keeps `values` where `pattern` keeps its own, with their history."""
    made = with_values(pattern, values.detach())
    name = "SparseCooTensorWithDimsAndTensors" if pattern.format is COO else \
        "SparseCompressedTensor"
    rule = lambda needs, grad, made: values_like(grad, made)
    return record(name, made, (values,), rule, made)


def values_of(tensor: SparseTensor) -> Tensor:
    """Return the values of a sparse tensor, with its history."""
    made = tensor._storage.values.detach()
    return record(
        "Values", made, (tensor,), lambda needs, grad, pattern: _each_once(pattern, grad), tensor
    )


def _each_once(pattern, values):
    """Return the gradient of the elements from that of the values.

    Duplicates have equal gradients, and each is the element's: they must not add up.
    """
    if pattern.format is not COO or pattern._storage.coalesced:
        return assemble(pattern, values)
    found = slots(pattern)
    if positions.is_increasing(found):
        return assemble(pattern, values)
    unique, first = positions.first_of_each(found)
    chosen = take(values, first)
    where = positions.unfold(unique, grid_size(pattern))
    return assemble(coo(where, chosen.detach(), pattern.shape, True), chosen)


def dense_of(tensor: Tensor) -> Tensor:
    """Return the dense tensor, with the history of the sparse one."""
    if not isinstance(tensor, SparseTensor):
        return tensor
    made = densify(tensor)
    return record("ToDense", made, (tensor,), _masked_gradient, tensor)


def _masked_gradient(needs, grad, input):
    return masked(grad, coalesced(input) if input.format is COO else input)


def masked(tensor: Tensor, pattern: SparseTensor) -> SparseTensor:
    """Return what `pattern` keeps of a dense or sparse tensor, with its history."""
    return assemble(pattern, values_like(tensor, pattern))


def same_pattern(one: SparseTensor, other: SparseTensor) -> bool:
    """Tell whether two tensors are known to keep the same elements in the same order."""
    ours, theirs = one._storage.indices, other._storage.indices
    return one.format is other.format and all(a is b for a, b in zip(ours, theirs))


def values_like(tensor: Tensor, pattern: SparseTensor) -> Tensor:
    """Return the elements of a dense or sparse tensor that `pattern` keeps, in its values' shape.

    What a sparse tensor does not keep is zero.
    """
    if not isinstance(tensor, SparseTensor):
        return pick(tensor, pattern)
    if same_pattern(tensor, pattern):
        return values_of(tensor)
    if tensor.format is not COO or pattern.format is not COO or \
            tensor.sparse_dim() != pattern.sparse_dim():
        return pick(dense_of(tensor), pattern)
    tensor = coalesced(tensor)
    place, there = positions.find(slots(pattern), slots(tensor))
    found = take(values_of(tensor), place)
    if there.all():
        return found
    absent = pattern._storage.indices[0].new_tensor(~there)
    return found.masked_fill(absent.reshape((-1,) + (1,) * (found.ndim - 1)), 0)


def coalesced(tensor: SparseTensor) -> SparseTensor:
    """Return a COO tensor with its indices sorted and duplicates added up; itself if it is so."""
    parts = tensor._storage
    if parts.coalesced:
        return tensor
    if tensor._nnz() < 2:
        made = coo(parts.indices[0], parts.values, tensor.shape, True)
    else:
        size = grid_size(tensor)
        found = slots(tensor)
        if positions.is_increasing(found):
            made = coo(parts.indices[0], parts.values, tensor.shape, True)
        else:
            unique, place = positions.distinct(found)
            values = add_up(parts.values, place, len(unique))
            made = coo(positions.unfold(unique, size), values, tensor.shape, True)
    return record("Coalesce", made, (tensor,), lambda needs, grad: grad)
