"""A sparse tensor as rows of values at slots of a grid, whatever its layout.

The grid is the leading dimensions that indices tell (for blocks, the grid of blocks): a slot is a
position in it, row-major. A row is what is kept there: a number, a dense element or a block. So
the layouts differ only in how they write down the slots.
"""

from __future__ import annotations

import numpy as np

from ..._core.tensor import Tensor
from . import positions
from .rows import add_up, take
from .tensor import COO, Format, SparseTensor, as_index, build, host


def grid_size(tensor: SparseTensor) -> tuple:
    """Return the lengths of the grid's dimensions."""
    size = tuple(tensor.shape)
    if tensor.format is COO:
        return size[: tensor.sparse_dim()]
    return block_grid(size, tensor.batch_dim(), tensor.block_size())


def block_grid(size: tuple, batch: int, block: tuple) -> tuple:
    """Return the grid of blocks that matrices of `size` after `batch` dimensions consist of."""
    return (*size[:batch], size[batch] // block[0], size[batch + 1] // block[1])


def coordinates(tensor: SparseTensor) -> np.ndarray:
    """Return the indices (dims of the grid, n) of every row, on the host."""
    parts = tensor._storage
    if tensor.format is COO:
        return host(parts.indices[0], "indices")
    compressed, plain = (host(part, "indices") for part in parts.indices)
    batch, row = positions.expand_batches(compressed)
    column = plain.reshape(-1).astype(np.int64)
    pair = (row, column) if tensor.format.by_rows else (column, row)
    return np.stack([*positions.unfold(batch, tuple(plain.shape[:-1])), *pair])


def slots(tensor: SparseTensor) -> np.ndarray:
    """Return the slot of every row, on the host."""
    return positions.keys(coordinates(tensor), grid_size(tensor))


def rows_of(tensor: SparseTensor, values: Tensor | None = None) -> Tensor:
    """Return the values as (n, *), n counting those of all batches."""
    values = tensor._storage.values if values is None else values
    batch = tensor.batch_dim()
    if not batch:
        return values
    return values.reshape((positions.count(values.shape[: batch + 1]), *values.shape[batch + 1:]))


def to_grid(dense: Tensor, batch: int, block: tuple | None, leading: int) -> Tensor:
    """Return a dense tensor as rows, one for each slot; `leading` counts the grid's dimensions."""
    size = tuple(dense.shape)
    if block is None:
        return dense.reshape((positions.count(size[:leading]), *size[leading:]))
    grid = block_grid(size, batch, block)
    rows, columns = (grid[-2], block[0]), (grid[-1], block[1])
    apart = dense.reshape((*size[:batch], *rows, *columns, *size[batch + 2:]))
    blocks = apart.transpose(batch + 1, batch + 2)
    return blocks.reshape((positions.count(grid), *block, *size[batch + 2:]))


def from_grid(rows: Tensor, size: tuple, batch: int, block: tuple | None) -> Tensor:
    """Return the dense tensor of `size` whose rows, one for each slot, are given."""
    if block is None:
        return rows.reshape(size)
    grid = block_grid(size, batch, block)
    apart = rows.reshape((*grid, *block, *size[batch + 2:]))
    return apart.transpose(batch + 1, batch + 2).reshape(size)


def _geometry(tensor):
    block = tensor.block_size() if tensor.format.blocks else None
    return tensor.batch_dim(), block


def densify(tensor: SparseTensor, values: Tensor | None = None) -> Tensor:
    """Return the dense tensor; `values` take the place of the tensor's own."""
    size = grid_size(tensor)
    rows = add_up(rows_of(tensor, values), slots(tensor), positions.count(size))
    return from_grid(rows, tuple(tensor.shape), *_geometry(tensor))


def pick(dense: Tensor, pattern: SparseTensor) -> Tensor:
    """Return the elements of a dense tensor that `pattern` keeps, in the shape of its values."""
    batch, block = _geometry(pattern)
    rows = to_grid(dense, batch, block, len(grid_size(pattern)))
    return take(rows, slots(pattern)).reshape(_values_size(pattern, rows))


def _values_size(pattern, rows):
    lead = pattern._storage.values.shape[: pattern.batch_dim() + 1]
    return (*lead, *rows.shape[1:])


# ----- back into a layout -----


def from_slots(
    format: Format, size: tuple, found: np.ndarray, rows: Tensor, batch: int = 0, dense: int = 0,
    index=np.int64,
) -> SparseTensor:
    """Return the tensor of `format` that keeps `rows` at the different slots `found`.

    `batch` and `dense` count the batch and dense dimensions of `size`. Raises RuntimeError if the
    batches of a compressed layout keep different numbers.
    """
    if format is COO:
        grid = tuple(size[: len(size) - dense])
        if not positions.is_increasing(found):
            order = np.argsort(found, kind="stable")
            found, rows = found[order], take(rows, order)
        return build(COO, (as_index(positions.unfold(found, grid), rows),), rows, size, True)
    block = tuple(rows.shape[1:3]) if format.blocks else (1, 1)
    grid = block_grid(size, batch, block)
    batches, height, width = positions.count(grid[:-2]), *grid[-2:]
    which, row, column = positions.unfold(found, (batches, height, width))
    major, minor, lines = (row, column, height) if format.by_rows else (column, row, width)
    key = (which * lines + major) * (width if format.by_rows else height) + minor
    if not positions.is_increasing(key):
        order = np.argsort(key, kind="stable")
        which, major, minor = which[order], major[order], minor[order]
        rows = take(rows, order)
    counts = np.bincount(which, minlength=batches)
    if batches and (counts != counts[0]).any():
        raise RuntimeError(
            "Expect the same number of specified elements per batch, but got "
            f"{', '.join(map(str, counts))}"
        )
    nnz = int(counts[0]) if batches else 0
    lengths = np.bincount(which * lines + major, minlength=batches * lines).reshape(batches, lines)
    starts = np.zeros((batches, lines + 1), np.int64)
    np.cumsum(lengths, axis=1, out=starts[:, 1:])
    lead = tuple(size[:batch])
    indices = (
        _index(starts.reshape(*lead, lines + 1), rows, index),
        _index(minor.reshape(*lead, nnz), rows, index),
    )
    values = rows.reshape((*lead, nnz, *rows.shape[1:])) if batch else rows
    return build(format, indices, values, size)


def _index(array, rows, kind):
    made = as_index(array, rows)
    return made.int() if kind == np.int32 else made
