"""Transposed, selected and joined sparse tensors: work on indices, values follow."""

from __future__ import annotations

import numpy as np

from ..._core.errors import wrap_dim
from ..._core.tensor import Tensor
from ..joining import cat as dense_cat
from . import positions
from .dispatch import implements
from .gradients import assemble, values_of
from .grid import coordinates
from .history import record
from .rows import take
from .tensor import COO, FORMATS, SparseTensor, build, coo, host, unsupported

# ----- order of dimensions -----


@implements("permute")
def permute(input: SparseTensor, *dims) -> SparseTensor:
    """Return the tensor with its dimensions in another order; sparse and dense ones do not mix."""
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    if len(dims) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not "
            f"equal to len(dims) = {len(dims)}"
        )
    order = [wrap_dim(dim, input.ndim) for dim in dims]
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    if input.format is not COO:
        return _permute_compressed(input, order)
    sparse = input.sparse_dim()
    if any((dim < sparse) != (place < sparse) for place, dim in enumerate(order)):
        raise RuntimeError(
            "permute: the sparse dimensions must stay before the dense ones, but got "
            f"{tuple(dims)} for {sparse} sparse dimensions"
        )
    parts = input._storage
    moved = take(parts.indices[0], np.array(order[:sparse])) if sparse else parts.indices[0]
    values = parts.values.permute([0, *(dim - sparse + 1 for dim in order[sparse:])])
    size = [input.shape[dim] for dim in order]
    same = order[:sparse] == list(range(sparse))
    made = coo(moved, values, size, parts.coalesced and same)
    inverse = np.argsort(order).tolist()
    return record("Permute", made, (input,), lambda needs, grad: grad.permute(inverse))


def _permute_compressed(input, order):
    batch = input.batch_dim()
    swapped = list(range(input.ndim))
    swapped[batch], swapped[batch + 1] = batch + 1, batch
    if order == list(range(input.ndim)):
        return input
    if order != swapped:
        raise unsupported("as_strided", input)
    return transpose(input, batch, batch + 1)


@implements("transpose", "swapaxes", "swapdims")
def transpose(input: SparseTensor, dim0, dim1) -> SparseTensor:
    """Return the tensor with two dimensions swapped; of CSR, a CSC one."""
    dim0, dim1 = wrap_dim(dim0, input.ndim), wrap_dim(dim1, input.ndim)
    if dim0 == dim1:
        return input
    if input.format is COO:
        order = list(range(input.ndim))
        order[dim0], order[dim1] = dim1, dim0
        if (dim0 < input.sparse_dim()) != (dim1 < input.sparse_dim()):
            raise RuntimeError(
                f"sparse transpose: transposed dimensions must be sparse Got sparse_dim: "
                f"{input.sparse_dim()}, d0: {dim0}, d1: {dim1}"
            )
        return permute(input, order)
    batch = input.batch_dim()
    if {dim0, dim1} != {batch, batch + 1}:
        raise RuntimeError(
            "transpose(): can only transpose the two sparse dimensions of a compressed tensor, but "
            f"got {dim0} and {dim1}"
        )
    old = input.format
    other = old.name[:-1] + ("c" if old.by_rows else "r")
    parts = input._storage
    values = parts.values.transpose(batch + 1, batch + 2) if old.blocks else parts.values
    size = list(input.shape)
    size[dim0], size[dim1] = size[dim1], size[dim0]
    made = build(FORMATS[other], parts.indices, values, size)
    return record("Transpose", made, (input,), lambda needs, grad: grad.transpose(dim0, dim1))


@implements("t")
def t(input: SparseTensor) -> SparseTensor:
    """Return the transposed matrix."""
    if input.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {input.ndim}D"
        )
    return transpose(input, 0, 1) if input.ndim == 2 else input


@implements("adjoint")
def adjoint(input: SparseTensor) -> SparseTensor:
    """Return the transposed complex conjugate."""
    return transpose(input.conj(), -2, -1)


@implements("unsqueeze")
def unsqueeze(input: SparseTensor, dim) -> SparseTensor:
    """Return a COO tensor with a dimension of length 1 more."""
    if input.format is not COO:
        raise RuntimeError(f"{_title(input)} tensors do not have strides")
    dim = wrap_dim(dim, input.ndim + 1)
    sparse, parts = input.sparse_dim(), input._storage
    size = [*input.shape[:dim], 1, *input.shape[dim:]]
    indices, values = parts.indices[0], parts.values
    if dim <= sparse:
        zeros = indices.new_zeros((1, indices.shape[1]))
        indices = dense_cat([indices[:dim], zeros, indices[dim:]])
    else:
        values = values.unsqueeze(dim - sparse + 1)
    made = coo(indices, values, size, parts.coalesced)
    return record("Unsqueeze", made, (input,), lambda needs, grad: _squeezed(grad, dim))


def _squeezed(grad, dim):
    return select(grad, dim, 0) if isinstance(grad, SparseTensor) else grad.squeeze(dim)


def _title(input):
    return f"Sparse {input.format.name[7:].upper()}"


# ----- parts of dimensions -----


def _kept(input, kept: np.ndarray, indices: np.ndarray, size, coalesced=False) -> Tensor:
    """Return what is left of a COO tensor: entries `kept`, now at `indices`."""
    values = take(values_of(input), kept)
    return assemble(coo(indices, values.detach(), size, coalesced or len(kept) < 2), values)


@implements("select", "select_copy")
def select(input: SparseTensor, dim, index) -> Tensor:
    """Return the slice of `dim` at `index`; dense once no sparse dimension is left."""
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input.ndim)
    length = input.shape[dim]
    if not -length <= index < length:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at "
            f"dimension {dim}"
        )
    index = index + length if index < 0 else index
    if input.format is not COO:
        return _select_compressed(input, dim, index)
    sparse = input.sparse_dim()
    size = [n for d, n in enumerate(input.shape) if d != dim]
    if dim >= sparse:
        values = values_of(input).select(dim - sparse + 1, index)
        pattern = coo(input._storage.indices[0], values.detach(), size, input._storage.coalesced)
        return assemble(pattern, values)
    where = coordinates(input)
    kept = np.flatnonzero(where[dim] == index)
    if sparse == 1:
        return take(values_of(input), kept).sum(0)
    return _kept(input, kept, np.delete(where[:, kept], dim, 0), size)


def _select_compressed(input, dim, index):
    batch, parts = input.batch_dim(), input._storage
    size = [n for d, n in enumerate(input.shape) if d != dim]
    if dim < batch:
        values = values_of(input).select(dim, index)
        indices = tuple(part.select(dim, index) for part in parts.indices)
        return assemble(build(input.format, indices, values.detach(), size), values)
    if batch:
        raise RuntimeError(
            "select(): selecting rows or columns is not implemented for batched sparse compressed "
            "tensors."
        )
    if dim >= 2:
        places = dim - 2 + 1 + 2 * input.format.blocks
        values = values_of(input).select(places, index)
        return assemble(build(input.format, parts.indices, values.detach(), size), values)
    return select(input.to_sparse(), dim, index)


@implements("unbind")
def unbind(input: SparseTensor, dim=0) -> tuple:
    """Return all slices of a dimension."""
    return tuple([select(input, dim, i) for i in range(input.shape[wrap_dim(dim, input.ndim)])])


@implements("index_select")
def index_select(input: SparseTensor, dim, index) -> Tensor:
    """Return the slices of `dim` that a vector names. Raises IndexError for those not there."""
    if not isinstance(input, SparseTensor) or input.format is not COO:
        raise unsupported("index_select", input)
    dim = wrap_dim(dim, input.ndim)
    if index.ndim != 1:
        raise IndexError(
            f"index_select() argument index must be 1-D long-tensor, but got {index.ndim}-D"
        )
    sparse = input.sparse_dim()
    size = list(input.shape)
    wanted = host(index, "index_select()").astype(np.int64)
    length, size[dim] = size[dim], len(wanted)
    if len(wanted) and not -length <= wanted.min() <= wanted.max() < length:
        raise IndexError(
            f"index_select(): index contains an element out of range for dimension {dim} of size "
            f"{length}"
        )
    if dim >= sparse:
        values = values_of(input).index_select(dim - sparse + 1, index)
        pattern = coo(input._storage.indices[0], values.detach(), size, input._storage.coalesced)
        return assemble(pattern, values)
    wanted = np.where(wanted < 0, wanted + length, wanted)
    where = coordinates(input)
    order = np.argsort(where[dim], kind="stable")
    starts = positions.compress(where[dim][order], length)
    counts = (starts[1:] - starts[:-1])[wanted]
    ends = np.cumsum(counts)
    offsets = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
    kept = order[np.repeat(starts[wanted], counts) + offsets]
    indices = where[:, kept]
    indices[dim] = np.repeat(np.arange(len(wanted)), counts)
    return _kept(input, kept, indices, size)


@implements("narrow_copy", "narrow")
def narrow_copy(input: SparseTensor, dim, start, length) -> SparseTensor:
    """Return a copy of a range of `dim`. Raises RuntimeError if it is not there."""
    if input.format is not COO:
        raise unsupported("narrow_copy", input)
    dim = wrap_dim(dim, input.ndim)
    start = int(start)
    whole = input.shape[dim]
    start = start + whole if start < 0 else start
    if length < 0 or start > whole or start + length > whole:
        raise RuntimeError("Invalid start or length for narrow_copy")
    sparse, size = input.sparse_dim(), list(input.shape)
    size[dim] = length
    if dim >= sparse:
        values = values_of(input).narrow(dim - sparse + 1, start, length)
        pattern = coo(input._storage.indices[0], values.detach(), size, input._storage.coalesced)
        return assemble(pattern, values)
    where = coordinates(input)
    kept = np.flatnonzero((where[dim] >= start) & (where[dim] < start + length))
    indices = where[:, kept]
    indices[dim] -= start
    return _kept(input, kept, indices, size, input._storage.coalesced)


@implements("__getitem__")
def getitem(self: SparseTensor, index) -> Tensor:
    """Return slices by numbers, and everything by `:`, `...` and None.

    Raises NotImplementedError for ranges and index tensors.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > self.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    at = next((i for i, item in enumerate(items) if item is Ellipsis), None)
    if at is not None:
        items[at:at + 1] = [slice(None)] * (self.ndim - given)
    made, dim = self, 0
    for item in items:
        if item is None:
            made, dim = made.unsqueeze(dim), dim + 1
        elif isinstance(item, slice):
            if item.indices(made.shape[dim]) != (0, made.shape[dim], 1):
                raise unsupported("as_strided", self)
            dim += 1
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            made = made.select(dim, int(item))
        elif isinstance(item, Tensor) and not item.ndim and item.dtype.category == 1:
            made = made.select(dim, int(item.item()))
        else:
            raise unsupported("index", self)
    return made


@implements("reshape", "flatten", "ravel", "unflatten")
def reshape(input, *shape, **options):
    """Raise RuntimeError: sparse tensors have no other shapes."""
    raise RuntimeError("reshape is not implemented for sparse tensors; call to_dense() first")


@implements("expand", "broadcast_to", "expand_as")
def expand(input: SparseTensor, *size, implicit=False):
    """Raise RuntimeError: sparse tensors do not expand."""
    kind = "Sparse" if input.format is COO else input.format.title
    raise RuntimeError(
        f"expand is unsupported for {kind} tensors; torch._sparse_broadcast_to repeats one"
    )


@implements("contiguous")
def contiguous(input: SparseTensor, memory_format=None):
    """Raise RuntimeError: sparse tensors have no order in memory."""
    if input.format is COO:
        raise RuntimeError("unsupported memory format option Contiguous")
    raise RuntimeError(f"{_title(input)} tensors do not have is_contiguous")


# ----- joining -----


@implements("cat", "concat", "concatenate")
def cat(tensors, dim=0) -> SparseTensor:
    """Return COO tensors one after the other along `dim`."""
    for tensor in tensors:
        if not isinstance(tensor, SparseTensor) or tensor.format is not COO:
            first = next(t for t in tensors if isinstance(t, SparseTensor))
            if first.format is not COO:
                raise RuntimeError(f"{_title(first)} tensors do not have is_contiguous")
            raise RuntimeError("Concatenating sparse tensors, but a dense tensor was found")
    first = tensors[0]
    dim = wrap_dim(dim, first.ndim)
    sparse, size = first.sparse_dim(), list(first.shape)
    for place, tensor in enumerate(tensors):
        if tensor.sparse_dim() != sparse or tensor.dense_dim() != first.dense_dim():
            raise RuntimeError(
                "All tensors must have the same sparse_dim "
                f"({sparse}) and dense_dim ({first.dense_dim()}), but tensor at position {place} "
                f"has {tensor.sparse_dim()}, {tensor.dense_dim()}"
            )
        if any(n != m for d, (n, m) in enumerate(zip(size, tensor.shape)) if d != dim):
            raise RuntimeError(
                "All tensors must have the same shape: "
                f"{size} (except in the concatenating dimension), but found shape: "
                f"{list(tensor.shape)} at position {place}"
            )
    size[dim] = sum(tensor.shape[dim] for tensor in tensors)
    wheres, values, offset = [], [], 0
    for tensor in tensors:
        where, own = tensor._storage.indices[0], values_of(tensor)
        if dim < sparse:
            shift = where.new_zeros((sparse, 1))
            shift[dim] = offset
            where = where + shift
        else:
            at = dim - sparse + 1
            lead = [n if d != at else offset for d, n in enumerate(own.shape)]
            tail = [
                n if d != at else size[dim] - offset - n for d, n in enumerate(own.shape)
            ]
            own = dense_cat([own.new_zeros(lead), own, own.new_zeros(tail)], at)
        offset += tensor.shape[dim]
        wheres.append(where)
        values.append(own)
    joined = dense_cat(values)
    pattern = coo(dense_cat(wheres, 1), joined.detach(), size)
    return assemble(pattern, joined)


@implements("stack")
def stack(tensors, dim=0) -> SparseTensor:
    """Return COO tensors side by side along a new dimension."""
    for tensor in tensors:
        if tensor.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} and "
                f"{list(tensor.shape)}"
            )
    dim = wrap_dim(dim, tensors[0].ndim + 1)
    return cat([unsqueeze(tensor, dim) for tensor in tensors], dim)
