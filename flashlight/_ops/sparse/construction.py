"""New sparse tensors from indices and values.

https://docs.pytorch.org/docs/2.13/sparse.html
"""

from __future__ import annotations

import numpy as np

from ..._core.device import resolve
from ..._core.dtype import dtype as dtype_class
from ..._core.dtype import get_default_dtype, int32, int64
from ..._core.evaluation import is_traced
from ..._core.tensor import Tensor, read
from ..conversion import LAYOUTS
from ..creation import as_tensor, filled
from .gradients import values_like
from .history import record
from .invariants import (
    check_compressed,
    check_compressed_shapes,
    check_coo,
    check_coo_shapes,
    check_range,
    check_sparse_tensor_invariants,
)
from .tensor import (
    BSC,
    BSR,
    COMPRESSED,
    COO,
    CSC,
    CSR,
    FORMATS,
    Format,
    SparseTensor,
    build,
    coo,
    host,
)  # fmt: skip


def sparse_coo_tensor(
    indices=None,
    values=None,
    size=None,
    *,
    dtype: dtype_class | None = None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    check_invariants=None,
    is_coalesced=None,
) -> SparseTensor:
    """Return a COO tensor of values (nnz, *dense) at indices (sparse_dim, nnz); duplicates add up.

    `sparse_coo_tensor(size)` keeps nothing. Raises RuntimeError for parts that do not fit together.
    """
    if values is None:
        size = tuple(size if size is not None else indices)
        made = empty(COO, size, dtype or get_default_dtype(), resolve(device))
        return made.requires_grad_() if requires_grad else made
    values = _values(values, dtype, device)
    values = values if values.ndim else values.reshape(1)
    indices = _index_tensor(indices, values).to(int64)
    if size is None:
        size = _least_size(indices, values)
    size = tuple(size)
    if indices.ndim != 2 and len(size) != len(indices) + values.ndim - 1:
        indices_dims = indices.shape[0] if indices.ndim else 0
        raise RuntimeError(
            "'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = "
            f"{len(size)}, sparse_dim = {indices_dims}, dense_dim = {max(values.ndim - 1, 0)}"
        )
    full = check_sparse_tensor_invariants.is_enabled() if check_invariants is None else \
        check_invariants
    check_coo(indices, values, size, bool(is_coalesced), full)
    made = coo(indices._private(), values.detach(), size, bool(is_coalesced))
    record(
        "SparseCooTensorWithDimsAndTensors", made, (values,),
        lambda needs, grad, made: values_like(grad, made), made,
    )  # fmt: skip
    return made.requires_grad_() if requires_grad else made


def rebuild(layout, indices: tuple, values: Tensor, size, coalesced: bool = False) -> SparseTensor:
    """Return a tensor of parts from a file. Raises RuntimeError if their shapes do not fit together.

    What is in them may still have to be read from the file; then `verify` must follow.
    """
    format = FORMATS.get(getattr(layout, "name", None) or "")
    if format is None or len(indices) != (1 if format is COO else 2):
        raise RuntimeError(f"there are no such tensors of layout {layout}")
    check_dense(*indices, values)
    size = tuple(size)
    if format is COO:
        check_coo_shapes(indices[0], values, size)
        if indices[0].dtype is not int64:
            raise RuntimeError("the indices of a COO tensor must be int64")
    else:
        check_compressed_shapes(format, *indices, values, size)
    return build(format, indices, values, size, coalesced)


def verify(tensor: SparseTensor) -> None:
    """Raise RuntimeError if indices reach beyond the size; keep them from being written to."""
    parts = tensor._storage
    if tensor.format is COO:
        check_coo(parts.indices[0], parts.values, tuple(tensor.shape))
    else:
        check_compressed(tensor.format, *parts.indices, parts.values, tuple(tensor.shape))
    parts.indices = tuple(part._private() for part in parts.indices)


def check_dense(*parts) -> None:
    """Raise TypeError unless all are plain tensors."""
    for part in parts:
        if not isinstance(part, Tensor) or isinstance(part, SparseTensor):
            raise TypeError(f"a sparse tensor is made of dense ones, not {type(part).__name__}")


def empty(format: Format, size, dtype: dtype_class, where, dense: int = 0, block=None):
    """Return a sparse tensor of `size` that keeps no element."""
    size = tuple(size)
    if format is COO:
        sparse = len(size) - dense
        values = filled((0, *size[sparse:]), 0, dtype, where)
        return coo(filled((sparse, 0), 0, int64, where), values, size, True)
    if len(size) < 2:
        raise RuntimeError(
            "torch.empty: Only batched sparse compressed (non-block) tensors are supported, but "
            f"got size {list(size)}"
        )
    if format.blocks and block is None:
        raise RuntimeError(
            "empty_sparse_compressed expected sparse compressed (non-block) tensor layout but got "
            f"{format.title}"
        )
    batch = len(size) - 2 - dense
    lines = size[batch + (not format.by_rows)] // (block or (1, 1))[not format.by_rows]
    lead = size[:batch]
    values = filled((*lead, 0, *(block or ()), *size[batch + 2:]), 0, dtype, where)
    indices = filled((*lead, lines + 1), 0, int64, where), filled((*lead, 0), 0, int64, where)
    return build(format, indices, values, size)


def _values(values, dtype, device) -> Tensor:
    if isinstance(values, SparseTensor):
        raise RuntimeError(f"values must be a dense tensor, but got layout {values.layout}")
    return as_tensor(values, dtype=dtype, device=device)


def _index_tensor(indices, values) -> Tensor:
    made = indices if isinstance(indices, Tensor) else as_tensor(
        np.asarray(indices, np.int64) if isinstance(indices, (list, tuple)) else indices
    )
    return made.detach().to(values._layout.device)


def _least_size(indices, values):
    if indices.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    if is_traced(read(indices)):
        raise RuntimeError("sparse_coo_tensor(): the size must be given inside a trace")
    found = host(indices, "sparse_coo_tensor()")
    dense = values.shape[1:]
    if not found.shape[1]:
        return (0,) * found.shape[0] + tuple(dense)
    check_range(found)
    return tuple(int(n) + 1 for n in found.max(1)) + tuple(dense)


# ----- compressed -----


def sparse_compressed_tensor(
    compressed_indices,
    plain_indices,
    values,
    size=None,
    *,
    dtype: dtype_class | None = None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    check_invariants=None,
) -> SparseTensor:
    """Return a tensor of a compressed layout: `compressed_indices` (*batch, lines + 1) tell where
    each line begins in `plain_indices` (*batch, nnz) and `values` (*batch, nnz, *block, *dense).

    Raises RuntimeError for parts that do not fit together.
    """
    format = FORMATS.get(getattr(layout, "name", None) or "")
    if format not in COMPRESSED:
        got = "none" if layout is None else "Sparse" if format is COO else layout.name.capitalize()
        raise RuntimeError(
            f"sparse_compressed_tensor expected sparse compressed tensor layout but got {got}"
        )
    return _compressed(
        format, compressed_indices, plain_indices, values, size, dtype, device, requires_grad,
        check_invariants,
    )  # fmt: skip


def _compressed(
    format, compressed, plain, values, size, dtype, device, requires_grad, check_invariants
):
    values = _values(values, dtype, device)
    compressed, plain = _index_tensor(compressed, values), _index_tensor(plain, values)
    if size is None:
        size = _least_compressed_size(format, compressed, plain, values)
    full = check_sparse_tensor_invariants.is_enabled() if check_invariants is None else \
        check_invariants
    check_compressed(format, compressed, plain, values, tuple(size), full)
    made = build(format, (compressed._private(), plain._private()), values.detach(), size)
    record(
        "SparseCompressedTensor", made, (values,),
        lambda needs, grad, made: values_like(grad, made), made,
    )  # fmt: skip
    return made.requires_grad_() if requires_grad else made


def _least_compressed_size(format, compressed, plain, values):
    if plain.dtype not in (int32, int64):
        raise NotImplementedError(
            "\"estimate_sparse_compressed_tensor_size\" not implemented for "
            f"'{plain.dtype.name.capitalize().replace('32', '')}'"
        )
    batch = compressed.ndim - 1
    if values.ndim <= batch + 2 * format.blocks:
        raise RuntimeError(
            "values must have dimensionality > sum of batch and block dimensionalities "
            f"(={batch} + {2 * format.blocks}) but got {values.ndim}"
        )
    block = values.shape[batch + 1:batch + 3] if format.blocks else (1, 1)
    lines = compressed.shape[-1] - 1
    others = int(host(plain, "sparse_compressed_tensor()").max()) + 1 if plain.numel() else 0
    pair = (lines, others) if format.by_rows else (others, lines)
    dense = values.shape[batch + 1 + (2 if format.blocks else 0):]
    return (*compressed.shape[:batch], pair[0] * block[0], pair[1] * block[1], *dense)


def _constructor(format, compressed_name, plain_name):
    def construct(*args, **kwargs):
        names = (compressed_name, plain_name, "values", "size")
        given = dict(zip(names, args)) | kwargs
        layout = given.pop("layout", None)
        if layout is not None and layout.name != format.name:
            other = FORMATS.get(layout.name)
            raise RuntimeError(
                f"{format.name}_tensor: layout must be {format.title} but got "
                f"{other.title if other else layout.name.capitalize()}"
            )
        given.pop("pin_memory", None)
        options = {
            name: given.pop(name, default)
            for name, default in (
                ("size", None), ("dtype", None), ("device", None), ("requires_grad", False),
                ("check_invariants", None),
            )
        }
        missing = [name for name in names[:3] if name not in given]
        if len(args) > 4 or missing or len(given) > 3:
            unknown = [name for name in given if name not in names]
            raise TypeError(
                f"{format.name}_tensor() takes {', '.join(names)} and keyword arguments: "
                + (f"'{missing[0]}' is missing" if missing else f"got too much: {unknown or args}")
            )
        return _compressed(format, *(given[name] for name in names[:3]), *options.values())

    construct.__name__ = construct.__qualname__ = f"{format.name}_tensor"
    construct.__doc__ = (
        f"Return a tensor of layout {LAYOUTS[format.name]} from {compressed_name}, {plain_name} "
        "and values.\n\n    Raises RuntimeError for parts that do not fit together.\n    "
    )
    return construct


sparse_csr_tensor = _constructor(CSR, "crow_indices", "col_indices")
sparse_csc_tensor = _constructor(CSC, "ccol_indices", "row_indices")
sparse_bsr_tensor = _constructor(BSR, "crow_indices", "col_indices")
sparse_bsc_tensor = _constructor(BSC, "ccol_indices", "row_indices")


def spdiags(diagonals, offsets, shape, layout=None) -> SparseTensor:
    """Return a matrix whose diagonals at `offsets` are the rows of `diagonals`.

    Column j of `diagonals` goes to column j of the matrix. Raises RuntimeError for
    repeated offsets.
    """
    diagonals = diagonals if diagonals.ndim == 2 else diagonals.reshape(1, -1)
    offsets = offsets.reshape(-1) if offsets.ndim == 0 else offsets
    _check_diagonals(diagonals, offsets, shape, layout)
    where = host(offsets, "spdiags()").astype(np.int64)
    height, width = shape
    length = diagonals.shape[1]
    line = np.repeat(np.arange(len(where)), length)
    column = np.tile(np.arange(length), len(where))
    row = column - where[line]
    inside = (row >= 0) & (row < height) & (column < width)
    line, row, column = line[inside], row[inside], column[inside]
    from .rows import take

    values = take(diagonals.reshape(-1), line * length + column)
    made = sparse_coo_tensor(np.stack([row, column]), values, tuple(shape))
    name = getattr(layout, "name", "sparse_coo")
    return made if name == "sparse_coo" else getattr(made, f"to_{name}")()


def _check_diagonals(diagonals, offsets, shape, layout):
    if diagonals.ndim != 2:
        raise RuntimeError("Diagonals must be vector or matrix")
    if len(shape) != 2:
        raise RuntimeError("Output shape must be 2d")
    if offsets.ndim != 1:
        raise RuntimeError("Offsets must be scalar or vector")
    if diagonals.shape[0] != offsets.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({diagonals.shape[0]}) does not match the number of offsets "
            f"({offsets.shape[0]})"
        )
    if layout is not None and layout.name not in ("sparse_coo", "sparse_csr", "sparse_csc"):
        raise RuntimeError(
            "Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got "
            f"{layout.name}"
        )
    if offsets.dtype is not int64:
        raise RuntimeError(f"Offset Tensor must have dtype Long but got {offsets.dtype.name}")
    found = host(offsets, "spdiags()")
    if len(np.unique(found)) != len(found):
        raise RuntimeError("Offset tensor contains duplicate values")
