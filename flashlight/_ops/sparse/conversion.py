"""From dense to sparse, back, and between the sparse layouts."""

from __future__ import annotations

import numpy as np

from ..._core.tensor import Tensor
from ..kinds import composite
from . import positions
from .gradients import coalesced, dense_of, masked, same_pattern, values_like, values_of
from .grid import block_grid, densify, from_slots, rows_of, slots, to_grid
from .history import record
from .rows import add_up, take
from .tensor import (
    BSC,
    BSR,
    COO,
    CSC,
    CSR,
    FORMATS,
    Format,
    SparseTensor,
    build,
    coo,
    host,
    unsupported,
    wrong_layout,
)  # fmt: skip

# ----- to dense -----


@composite(out=False)
def to_dense(self, dtype=None, *, masked_grad=None):
    """Return a dense tensor of the same elements, as `dtype` if given.

    The gradient keeps to the elements of `self` unless `masked_grad` is False.
    """
    if not isinstance(self, SparseTensor):
        return self if dtype is None else self.to(dtype)
    made = densify(self)
    result = record("ToDense", made, (self,), _to_dense_gradient, self, masked_grad is not False)
    return result if dtype is None else result.to(dtype)


def _to_dense_gradient(needs, grad, input, keep_pattern):
    if keep_pattern:
        return masked(grad, coalesced(input) if input.format is COO else input)
    if input.format is COO:
        return to_sparse(grad, input.sparse_dim())
    block = input.block_size() if input.format.blocks else None
    return _to_compressed(grad, input.format, block, input.dense_dim())


def _back(needs, grad, pattern):
    """Return a gradient in the layout of the tensor that was converted."""
    if not isinstance(pattern, SparseTensor):
        return dense_of(grad)
    if isinstance(grad, SparseTensor) and grad.format is pattern.format:
        return grad
    if not isinstance(grad, SparseTensor):
        return grad
    if pattern.format is COO:
        return to_sparse(grad)
    block = pattern.block_size() if pattern.format.blocks else None
    return _to_compressed(grad, pattern.format, block, pattern.dense_dim())


# ----- to COO -----


@composite(out=False)
def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """Return this tensor in a sparse layout: COO with `sparse_dim` indexed dimensions, or `layout`.

    Zeros are left out; a tensor in the layout already is returned as it is. Raises RuntimeError for
    options that do not go with the layout.
    """
    if layout is not None and not isinstance(sparse_dim, int):
        return _to_layout(self, FORMATS.get(layout.name), layout, blocksize, dense_dim)
    if sparse_dim is not None and not isinstance(sparse_dim, int):
        return _to_layout(self, FORMATS.get(sparse_dim.name), sparse_dim, blocksize, dense_dim)
    if isinstance(self, SparseTensor) and self.format is COO:
        if sparse_dim is not None and sparse_dim != self.sparse_dim():
            raise RuntimeError(
                "to_sparse: conversion from Sparse to Sparse with sparse_dim argument != "
                "self.sparse_dim() is not supported"
            )
        return self
    ndim = self.ndim
    if sparse_dim is None:
        sparse_dim = ndim - self.dense_dim() if isinstance(self, SparseTensor) else ndim
    elif ndim and not 0 < sparse_dim <= ndim:
        raise RuntimeError(
            f"sparse_dim argument must be in >0 and <={ndim} if tensor is not zero-dimensional"
            if not isinstance(self, SparseTensor) else
            "sparse_dim argument for sparse_compressed_to_sparse must not exceed "
            f"{ndim}, got {sparse_dim}"
        )
    source = self
    if isinstance(self, SparseTensor):
        made = _compressed_to_coo(self, sparse_dim)
    else:
        rows = to_grid(self.detach(), 0, None, sparse_dim)
        found = _kept(rows)
        made = from_slots(
            COO, tuple(self.shape), found, take(rows, found), dense=ndim - sparse_dim
        )
    return record("ToSparse", made, (source,), _back, source)


def _kept(rows: Tensor) -> np.ndarray:
    """Return the places of the rows (n, *) that are not all zero."""
    found = host(rows != 0, "to_sparse()")
    return np.flatnonzero(found.reshape(len(found), -1).any(1) if found.ndim > 1 else found)


def _compressed_to_coo(self, sparse_dim):
    batch, size = self.batch_dim(), tuple(self.shape)
    if sparse_dim not in (2, batch + 2):
        raise RuntimeError(
            f"sparse_compressed_to_sparse: converting to sparse_dim {sparse_dim} is not supported; "
            "use to_dense().to_sparse()"
        )
    sparse_dim = batch + 2
    found, rows = slots(self), rows_of(self)
    if self.format.blocks:
        height, width = self.block_size()
        columns, across = size[batch + 1], size[batch + 1] // width
        inner = np.arange(height)[:, None] * columns + np.arange(width)
        corner = (found // across) * height * columns + (found % across) * width
        found = (corner[:, None, None] + inner).reshape(-1)
        rows = rows.reshape((len(found), *rows.shape[3:]))
    ordered = self.format is CSR and positions.is_increasing(found)
    return coo(positions.unfold(found, size[:sparse_dim]), rows, size, ordered)


def _to_layout(self, format: Format | None, layout, blocksize, dense_dim):
    if format is None:
        if layout.name == "strided":
            return self.to_dense() if isinstance(self, SparseTensor) else self
        raise RuntimeError(f"to_sparse(): {layout} is not a sparse layout")
    if blocksize is not None and not format.blocks:
        raise RuntimeError(
            f"to_sparse for {_source(self)} to {format.title} conversion does not use specified "
            "blocksize"
        )
    if format is COO:
        if dense_dim is not None:
            raise RuntimeError(
                f"to_sparse for {_source(self)} to Sparse conversion does not use dense_dim"
            )
        return to_sparse(self)
    if format.blocks:
        return _to_blocks(self, format, blocksize, dense_dim)
    return _to_compressed(self, format, None, dense_dim)


def _source(tensor):
    return tensor.format.title if isinstance(tensor, SparseTensor) else "Strided"


# ----- to the compressed layouts -----


def _to_compressed(self, format, block, dense_dim=None):
    name = f"to_{format.name}"
    if isinstance(self, SparseTensor):
        if dense_dim is not None and dense_dim != self.dense_dim():
            raise RuntimeError(
                f"{name}: conversion from {_source(self)} to {format.title} for dense_dim "
                f"argument other than {self.dense_dim()} is not supported"
            )
        if self.format is format and (block is None or block == self.block_size()):
            return self
        made = _between(self, format, block)
    else:
        made = _from_dense(self, format, block, dense_dim or 0)
    node = "".join(part.capitalize() for part in name.split("_"))
    return record(node, made, (self,), _back, self)


def _from_dense(self, format, block, dense):
    batch = self.ndim - 2 - dense
    if batch < 0:
        raise RuntimeError(
            f"dense_to_sparse_{format.name[-3:]}: Only tensors with at least 2 dimensions besides "
            f"the dense ones can be converted to the {format.title} layout, but got "
            f"{self.ndim} of which {dense} are dense"
        )
    size = tuple(self.shape)
    if format.blocks:
        _check_blocks(self, size[batch:batch + 2], block)
    rows = to_grid(self.detach(), batch, block if format.blocks else None, batch + 2)
    found = _kept(rows)
    return from_slots(format, size, found, take(rows, found), batch, dense)


def _check_blocks(self, size, block):
    if min(block) < 1:
        raise RuntimeError(f"blocksize must be positive, but got {tuple(block)}")
    if size[0] % block[0] or size[1] % block[1]:
        raise RuntimeError(
            f"tensor sparse size ({size[0]},{size[1]}) must be divisible by given blocksize "
            f"({block[0]},{block[1]})"
        )


def _between(self, format, block):
    """Return a sparse tensor in another sparse layout; only kept elements are looked at."""
    size, batch, dense = tuple(self.shape), self.batch_dim(), self.dense_dim()
    source = coalesced(self.detach())if self.format is COO else self.detach()
    if source.format is COO and source.sparse_dim() != 2:
        if source.sparse_dim() < 2 or dense:
            raise RuntimeError(
                f"to_{format.name}: conversion from Sparse to {format.title} needs a tensor with "
                f"sparse_dim 2, but it is {source.sparse_dim()}; use to_dense() first"
            )
        batch = source.sparse_dim() - 2
    if source.format.blocks and (not format.blocks or block != source.block_size()):
        if not format.blocks:
            raise RuntimeError(
                f"sparse_compressed_to_{format.name}: expected SparseCsr or SparseCsc layout but "
                f"got {source.format.title}; use to_dense() first"
            )
        raise RuntimeError(
            "to_sparse: conversion between block layouts of different blocksize is not supported; "
            "use to_dense() first"
        )
    found, rows = slots(source), rows_of(source)
    if format.blocks and not source.format.blocks:
        _check_blocks(self, size[batch:batch + 2], block)
        found, rows = _gather_blocks(found, rows, size, batch, block)
    index = np.int64
    if source.format is not COO and str(source._storage.indices[0].dtype) == "torch.int32":
        index = np.int32
    return from_slots(format, size, found, rows, batch, dense, index)


def _gather_blocks(found, rows, size, batch, block):
    """Return the slots and rows of the blocks in which elements lie."""
    which, row, column = positions.unfold(
        found, (positions.count(size[:batch]), size[batch], size[batch + 1])
    )
    grid = (positions.count(size[:batch]), *block_grid(size, batch, block)[-2:])
    keys = positions.keys(np.stack([which, row // block[0], column // block[1]]), grid)
    unique, place = positions.distinct(keys)
    inner = (row % block[0]) * block[1] + column % block[1]
    area = block[0] * block[1]
    blocks = add_up(rows, place * area + inner, len(unique) * area)
    return unique, blocks.reshape((len(unique), *block, *rows.shape[1:]))


def _to_blocks(self, format, blocksize, dense_dim=None):
    if blocksize is None:
        if isinstance(self, SparseTensor) and self.format.blocks:
            blocksize = self.block_size()
        else:
            raise RuntimeError(
                f"to_sparse for {_source(self)} to {format.title} conversion requires blocksize"
            )
    blocksize = (blocksize, blocksize) if isinstance(blocksize, int) else tuple(blocksize)
    if len(blocksize) != 2:
        raise RuntimeError(
            f"blocksize needs to be a tuple of size 2, but got {len(blocksize)}"
        )
    return _to_compressed(self, format, blocksize, dense_dim)


@composite(out=False)
def to_sparse_coo(self):
    """Return this tensor in the COO layout."""
    return to_sparse(self)


@composite(out=False)
def to_sparse_csr(self, dense_dim=None):
    """Return this tensor in the CSR layout. Raises RuntimeError for fewer than 2 dimensions."""
    return _to_compressed(self, CSR, None, dense_dim)


@composite(out=False)
def to_sparse_csc(self, dense_dim=None):
    """Return this tensor in the CSC layout. Raises RuntimeError for fewer than 2 dimensions."""
    return _to_compressed(self, CSC, None, dense_dim)


@composite(out=False)
def to_sparse_bsr(self, blocksize, dense_dim=None):
    """Return this tensor in blocks by rows. Raises RuntimeError if they do not fill the size."""
    return _to_blocks(self, BSR, blocksize, dense_dim)


@composite(out=False)
def to_sparse_bsc(self, blocksize, dense_dim=None):
    """Return this tensor in blocks by columns. Raises RuntimeError if they do not fill the size."""
    return _to_blocks(self, BSC, blocksize, dense_dim)


# ----- parts -----


@composite(out=False)
def coalesce(self):
    """Return a COO tensor with sorted indices and duplicates added up; itself if it is so."""
    if not isinstance(self, SparseTensor) or self.format is not COO:
        raise wrong_layout("coalesce", "coordinate", self)
    return coalesced(self)


@composite(out=False)
def values(self):
    """Return the values, (nnz, *dense) for COO. Raises RuntimeError if it is not coalesced."""
    if not isinstance(self, SparseTensor):
        raise wrong_layout("values", "", self)
    if self.format is COO and not self._storage.coalesced:
        raise RuntimeError(
            "Cannot get values on an uncoalesced tensor, please call .coalesce() first"
        )
    return values_of(self)


@composite(out=False)
def indices(self):
    """Return the indices (sparse_dim, nnz). Raises RuntimeError if it is not coalesced."""
    if not isinstance(self, SparseTensor) or self.format is not COO:
        raise wrong_layout("indices", "coordinate", self)
    if not self._storage.coalesced:
        raise RuntimeError(
            "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
        )
    return self._storage.indices[0]._private()


def _index_method(name, part, by_rows):
    def method(self):
        if not isinstance(self, SparseTensor) or self.format is COO or \
                self.format.by_rows is not by_rows:
            raise wrong_layout(name, f"{'row' if by_rows else 'column'} compressed", self)
        return self._storage.indices[part]._private()

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Return indices of a compressed tensor. Raises RuntimeError for others."
    return composite(out=False)(method)


crow_indices = _index_method("crow_indices", 0, True)
col_indices = _index_method("col_indices", 1, True)
ccol_indices = _index_method("ccol_indices", 0, False)
row_indices = _index_method("row_indices", 1, False)


@composite(out=False)
def sparse_mask(self, mask):
    """Return what `mask`, a sparse tensor of the same size, keeps of this tensor.

    Raises RuntimeError for a mask of another size.
    """
    if not isinstance(mask, SparseTensor):
        raise RuntimeError(
            "sparse_mask: expected mask to be a sparse tensor, but got layout Strided"
        )
    if self.shape != mask.shape:
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(self.shape)} but mask has size {list(mask.shape)}"
        )
    if not mask.numel():
        found = mask._storage.values.to(self.dtype)
    elif isinstance(self, SparseTensor) and same_pattern(self, mask):
        return self
    else:
        found = values_like(self.detach(), mask).detach()
    parts = mask._storage
    made = build(mask.format, parts.indices, found, mask.shape, parts.coalesced)

    def rule(needs, grad, mask, source):
        inside = masked(grad, mask)
        return inside if isinstance(source, SparseTensor) else dense_of(inside)

    return record("SparseMask", made, (self,), rule, made, _stub(self))


def _stub(tensor):
    """Return what tells a rule whether a tensor was sparse: it, if so."""
    return tensor if isinstance(tensor, SparseTensor) else None


# ----- what a dense tensor answers -----


def sparse_dim(self) -> int:
    """Return how many dimensions indices tell: none."""
    return 0


def dense_dim(self) -> int:
    """Return how many dimensions are dense: all."""
    return self.ndim


def is_coalesced(self):
    """Raise RuntimeError: only COO tensors can be coalesced."""
    raise wrong_layout("is_coalesced", "coordinate", self)


def _only_sparse(name):
    def method(self, *args):
        raise unsupported(name, self)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Raise NotImplementedError: a dense tensor has no such part."
    return method


METHODS = {
    f.__name__: f
    for f in (
        to_dense, to_sparse, to_sparse_coo, to_sparse_csr, to_sparse_csc, to_sparse_bsr,
        to_sparse_bsc, coalesce, values, indices, crow_indices, col_indices, ccol_indices,
        row_indices, sparse_mask, sparse_dim, dense_dim, is_coalesced,
        *map(_only_sparse, ("_nnz", "_indices", "_values", "_coalesced_", "_dimI", "_dimV")),
    )
}  # fmt: skip

