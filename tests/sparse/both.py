"""Sparse tensors of every layout, and what a result of either library comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import flashlight
from tests.ops.side_by_side import assert_same

ERRORS = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)
_COMPRESSED = {
    "sparse_csr": ("crow_indices", "col_indices"), "sparse_bsr": ("crow_indices", "col_indices"),
    "sparse_csc": ("ccol_indices", "row_indices"), "sparse_bsc": ("ccol_indices", "row_indices"),
}  # fmt: skip


def table(l, *size, dtype=None):
    """Return a dense tensor about half of whose elements are zero."""
    size = size or (4, 6)
    values = np.arange(1, 1 + np.prod(size)).reshape(size) % 7 - 2.0
    values[(np.arange(values.size) * 5 % 11 > 4).reshape(size)] = 0
    return l.tensor(values, dtype=dtype or l.float32)


def coo(l):
    return table(l).to_sparse()


def uncoalesced(l):
    indices = [[0, 3, 0, 2, 3], [5, 1, 5, 0, 1]]
    return l.sparse_coo_tensor(indices, [1.0, 2.0, 3.0, -4.0, 5.0], (4, 6))


def hybrid(l):
    return table(l, 4, 6).to_sparse(1)


def cube(l):
    return table(l, 2, 3, 4).to_sparse()


def hybrid_cube(l):
    return table(l, 4, 6, 2).to_sparse(2)


def empty(l):
    return l.sparse_coo_tensor(size=(4, 6))


def vector(l):
    return table(l, 6).to_sparse()


def csr(l):
    return table(l).to_sparse_csr()


def csc(l):
    return table(l).to_sparse_csc()


def bsr(l):
    return table(l).to_sparse_bsr((2, 3))


def bsc(l):
    return table(l).to_sparse_bsc((2, 3))


def batched(l):
    """Return two CSR matrices that keep as many elements."""
    one = table(l, 3, 4)
    return l.stack([one, one * 2 + (one != 0)]).to_sparse_csr()


def csr_of_rows(l):
    return table(l, 4, 6, 2).to_sparse_csr(dense_dim=1)


COO = (coo, uncoalesced, hybrid, cube, hybrid_cube, empty, vector)
COMPRESSED = (csr, csc, bsr, bsc, batched, csr_of_rows)
EVERY = COO + COMPRESSED


def content(value: Any) -> Any:
    """A result as plain values: for a tensor layout, size and the parts of it."""
    if isinstance(value, (torch.Tensor, flashlight.Tensor)):
        layout = str(value.layout).rpartition(".")[2]
        value = value.detach()
        if layout == "strided":
            parts = [value]
        elif layout == "sparse_coo":
            parts = _of_coo(value)
        else:
            parts = [*(getattr(value, name)() for name in _COMPRESSED[layout]), value.values()]
        return [layout, list(value.shape), *map(_array, parts)]
    if isinstance(value, (list, tuple)):
        return [content(item) for item in value]
    return value


def _of_coo(value):
    """The parts in order: whether a result is already so is told apart less often by PyTorch."""
    if value.is_coalesced():
        where = [*zip(*value._indices().tolist())]
        assert where == sorted(set(where)), "said to be coalesced"
    value = value.coalesce()
    return [value.indices(), value.values()]


def _array(part):
    part = part.resolve_conj().resolve_neg()
    kind = str(part.dtype).rpartition(".")[2]
    return kind, (part.float() if kind == "bfloat16" else part).numpy()


def outcome(call: Any, library: Any) -> Any:
    """Return what a call gives, or the class of what it raises with its text."""
    try:
        return None, content(call(library))
    except ERRORS as error:
        return error, None


def check(call: Any, make: Any, tolerance: float | None = None) -> None:
    """Assert that `call` of a library and `make`'s tensor gives, or raises, the same with both.

    What PyTorch refuses may work here if it gives what the dense tensor gives.
    """
    problem, expected = outcome(lambda l: call(l, make(l)), torch)
    ours, actual = outcome(lambda l: call(l, make(l)), flashlight)
    if problem is None:
        if ours is not None:
            raise ours
        assert_same(actual, expected, tolerance)
    elif ours is not None:
        kin = isinstance(ours, type(problem)) or isinstance(problem, type(ours))
        assert kin, f"{ours!r} is not {problem!r}"
    else:
        refused, expected = outcome(lambda l: dense(call(l, make(l).to_dense())), torch)
        assert refused is None, f"PyTorch: {problem!r}"
        assert_same(content(dense(call(flashlight, make(flashlight)))), expected, tolerance)


def dense(value: Any) -> Any:
    """A result with dense tensors in place of sparse ones."""
    if isinstance(value, (list, tuple)):
        return [dense(item) for item in value]
    is_sparse = hasattr(value, "layout") and str(value.layout) != "torch.strided"
    return value.to_dense() if is_sparse else value
