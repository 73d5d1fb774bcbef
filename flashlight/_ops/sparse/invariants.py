"""What makes indices and values a sparse tensor, and the switch for the costly part of the check.

Indices out of range would reach memory that isn't theirs, so those are always looked for; that
compressed rows are sorted and without duplicates only where `check_invariants` asks.
https://docs.pytorch.org/docs/2.13/generated/torch.sparse.check_sparse_tensor_invariants.html
"""

from __future__ import annotations

import functools

import numpy as np

from ..._core.device import META
from ..._core.evaluation import is_traced
from ..._core.tensor import Tensor, read
from . import positions
from .tensor import BSC, BSR, CSC, CSR, FORMATS, Format, host, legacy_name


class check_sparse_tensor_invariants:
    """Switch full checks of new sparse tensors on or off: by `enable`, in a `with`, on a function.
    """

    _enabled = False

    def __init__(self, enable: bool = True):
        self.state = enable
        self.saved_state: bool | None = None

    @staticmethod
    def is_enabled() -> bool:
        """Tell whether new sparse tensors are checked in full."""
        return check_sparse_tensor_invariants._enabled

    @staticmethod
    def enable() -> None:
        """Check new sparse tensors in full."""
        check_sparse_tensor_invariants._enabled = True

    @staticmethod
    def disable() -> None:
        """Check new sparse tensors only as far as memory is at stake."""
        check_sparse_tensor_invariants._enabled = False

    def __enter__(self):
        if self.saved_state is not None:
            raise RuntimeError(
                "This context manager instance is already activated. Use a different context "
                "manager instance for context nesting."
            )
        self.saved_state = self.is_enabled()
        check_sparse_tensor_invariants._enabled = self.state

    def __exit__(self, *exception):
        check_sparse_tensor_invariants._enabled = bool(self.saved_state)
        self.saved_state = None

    def __call__(self, function):
        """Decorate `function` to run with the switch set."""

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with type(self)(self.state):
                return function(*args, **kwargs)

        return inside


def is_readable(*tensors: Tensor) -> bool:
    """Tell whether the elements can be looked at: not of meta tensors, not inside a trace."""
    return not any(t._layout.device is META for t in tensors) and not any(
        is_traced(read(t)) for t in tensors
    )


def check_coo(indices: Tensor, values: Tensor, size, coalesced=False, full=False) -> None:
    """Raise RuntimeError unless the parts make a COO tensor of `size`."""
    check_coo_shapes(indices, values, size)
    if not indices.shape[1] or not is_readable(indices):
        return
    found = host(indices, "sparse_coo_tensor()")
    check_range(found, size)
    if full and coalesced and not positions.is_increasing(positions.keys(found, size)):
        raise RuntimeError(
            "cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor"
        )


def check_coo_shapes(indices: Tensor, values: Tensor, size) -> None:
    """Raise RuntimeError unless the parts have the shapes of those of a COO tensor of `size`."""
    if indices.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    count = values.shape[0] if values.ndim else 1
    if indices.shape[1] != count or not values.ndim:
        raise RuntimeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{indices.shape[1]}, nnz from values: {count}"
        )
    sparse, dense = indices.shape[0], values.ndim - 1
    if len(size) != sparse + dense:
        raise RuntimeError(
            "'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = "
            f"{len(size)}, sparse_dim = {sparse}, dense_dim = {dense}"
        )
    expected = [count, *size[sparse:]]
    if list(values.shape) != expected:
        raise RuntimeError(
            f"values has incorrect size, expected {expected}, got {list(values.shape)}"
        )


def check_range(indices: np.ndarray, size=None) -> None:
    """Raise RuntimeError for indices (dims, n) that are negative or reach beyond `size`."""
    low, high = indices.min(1), indices.max(1)
    for dim in range(indices.shape[0]):
        if low[dim] < 0:
            raise RuntimeError(f"found negative index {low[dim]} for dim {dim}")
        if size is not None and high[dim] >= size[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size[dim]} but found "
                f"index {high[dim]}"
            )


def check_compressed(
    format: Format, compressed: Tensor, plain: Tensor, values: Tensor, size, full=False
) -> None:
    """Raise RuntimeError unless the parts make a compressed tensor of `size`."""
    lines = check_compressed_shapes(format, compressed, plain, values, size)
    if is_readable(compressed, plain):
        _check_values(format, compressed, plain, *lines, full)


def check_compressed_shapes(
    format: Format, compressed: Tensor, plain: Tensor, values: Tensor, size
) -> tuple[int, int, int]:
    """Raise RuntimeError unless the parts have the shapes of those of a compressed tensor.

    Returns how many lines are compressed, how long they are, and how much is kept of each batch.
    """
    compressed_name, plain_name = format.compressed_name, format.plain_name
    batch, block = compressed.ndim - 1, 2 if format.blocks else 0
    if compressed.ndim < 1:
        raise RuntimeError(f"{compressed_name} must have dimensionality >= 1 but got 0")
    if compressed.ndim != plain.ndim:
        raise RuntimeError(
            f"{compressed_name} and {plain_name} dimensionalities must be equal but got "
            f"{compressed.ndim} and {plain.ndim}, respectively"
        )
    if values.ndim <= batch + block:
        raise RuntimeError(
            "values must have dimensionality > sum of batch and block dimensionalities "
            f"(={batch} + {block}) but got {values.ndim}"
        )
    dense = values.ndim - batch - block - 1
    if len(size) != batch + 2 + dense:
        raise RuntimeError(
            "tensor dimensionality must be sum of batch, base, and dense dimensionalities "
            f"(={batch} + 2 + {dense}) but got {len(size)}"
        )
    nnz = values.shape[batch]
    if plain.shape[-1] != nnz:
        raise RuntimeError(
            f"{plain_name}.shape[-1] must be equal to nnz (={nnz}) as defined by "
            f"values.shape[{batch}], but got {plain.shape[-1]}"
        )
    batches = [list(part.shape[:batch]) for part in (compressed, plain, values)]
    if any(found != list(size[:batch]) for found in batches):
        raise RuntimeError(
            f"all batch dimensions of {compressed_name} (={batches[0]}), {plain_name} "
            f"(={batches[1]}), and values (={batches[2]}) must be equal to tensor batch dimensions "
            f"(={list(size[:batch])})"
        )
    blocks = tuple(values.shape[batch + 1:batch + 3]) if block else (1, 1)
    for dim in range(2):
        if not blocks[dim] or size[batch + dim] % blocks[dim]:
            raise RuntimeError(
                f"tensor shape[{batch + dim}] (={size[batch + dim]}) must be divisible with "
                f"blocksize[{dim}] (={blocks[dim]}) as defined by values shape"
            )
    grid = size[batch] // blocks[0], size[batch + 1] // blocks[1]
    rows, columns = grid if format.by_rows else grid[::-1]
    row_name = "row" if format.by_rows else "column"
    if compressed.shape[-1] != rows + 1:
        kind = f"{row_name} block" if format.blocks else row_name
        raise RuntimeError(
            f"{compressed_name}.shape[-1] must be equal to the number of {kind}s + 1 "
            f"(={rows + 1}), but got {compressed.shape[-1]}"
        )
    kinds = [legacy_name(compressed.dtype), legacy_name(plain.dtype)]
    if kinds[0] not in ("Int", "Long") or kinds[1] not in ("Int", "Long"):
        raise RuntimeError(
            f"{compressed_name} and {plain_name} must be an int32 or int64 type, but got: "
            f"{kinds[0]}"
        )
    if kinds[0] != kinds[1]:
        raise RuntimeError(
            f"{compressed_name} and {plain_name} must have the same dtype, bot got {kinds[0]} and "
            f"{kinds[1]}, respectively"
        )
    return rows, columns, nnz


def _check_values(format, compressed, plain, rows, columns, nnz, full):
    batches = positions.count(compressed.shape[:-1])
    starts = host(compressed, "sparse_compressed_tensor()").reshape(batches, rows + 1)
    others = host(plain, "sparse_compressed_tensor()").reshape(batches, nnz)
    low, high = ("row", "col") if format.by_rows else ("col", "row")
    names = format.compressed_name, format.plain_name
    counts = np.diff(starts, axis=1)
    rules = (
        ((starts[:, 0] == 0).all(), f"{names[0]}[..., 0] == 0"),
        ((starts[:, -1] == nnz).all(), f"{names[0]}[..., -1] == nnz"),
        (
            ((counts >= 0) & (counts <= columns)).all() if full else (counts >= 0).all(),
            f"0 <= {names[0]}[..., 1:] - {names[0]}[..., :-1] <= n{high}s",
        ),
        (((others >= 0) & (others < columns)).all(), f"0 <= {names[1]} < n{high}s"),
    )
    for holds, rule in rules:
        if not holds:
            raise RuntimeError(f"`{rule}` is not satisfied.")
    if not full or not others.size:
        return
    batch, row = positions.expand_batches(starts)
    if not positions.is_increasing((batch * rows + row) * columns + others.reshape(-1)):
        raise RuntimeError(
            f"`{names[1]}[..., {names[0]}[..., i - 1]:{names[0]}[..., i]] for all i = 1, ..., "
            f"n{low}s are sorted and distinct along the last dimension values` is not satisfied."
        )


# ----- the checks by themselves, as `torch._validate_*` -----


def _validate_sparse_coo_tensor_args(
    indices, values, size, is_coalesced=None, check_pinning=None
) -> None:
    """Raise RuntimeError unless the arguments make a COO tensor."""
    check_coo(indices, values, tuple(size), bool(is_coalesced), True)


def _validate_sparse_compressed_tensor_args(
    compressed_indices, plain_indices, values, size, layout, check_pinning=None
) -> None:
    """Raise RuntimeError unless the arguments make a compressed tensor of this layout."""
    format = FORMATS[layout.name]
    check_compressed(format, compressed_indices, plain_indices, values, tuple(size), True)


def _validator(format):
    def validate(compressed_indices, plain_indices, values, size, check_pinning=None):
        check_compressed(format, compressed_indices, plain_indices, values, tuple(size), True)

    validate.__name__ = validate.__qualname__ = f"_validate_{format.name}_tensor_args"
    validate.__doc__ = f"Raise RuntimeError unless the arguments make a {format.title} tensor."
    return validate


VALIDATORS = {
    f.__name__: f
    for f in (
        _validate_sparse_coo_tensor_args,
        _validate_sparse_compressed_tensor_args,
        *map(_validator, (CSR, CSC, BSR, BSC)),
    )
}
