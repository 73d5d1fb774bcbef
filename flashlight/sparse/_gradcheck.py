"""`gradcheck` for functions of sparse tensors, by way of their values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flashlight as torch


def as_sparse_gradcheck(gradcheck: Callable[..., bool]) -> Callable[..., bool]:
    """Return `gradcheck` extended to sparse inputs and outputs.

    The elements that an input keeps vary; all elements do unless `masked=True`.
    https://docs.pytorch.org/docs/2.13/generated/torch.sparse.as_sparse_gradcheck.html
    """

    @functools.wraps(gradcheck)
    def check(func: Callable, inputs: Any, **kwargs: Any) -> bool:
        masked = kwargs.pop("masked", False)
        given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        patterns = [_pattern(item, masked) for item in given]

        def on_values(*values: Any) -> Any:
            restored = [
                value if pattern is None else _restore(pattern, value)
                for pattern, value in zip(patterns, values)
            ]
            return _dense(func(*restored), masked)

        values = tuple(
            item if pattern is None else _values(pattern).detach().clone().requires_grad_()
            for pattern, item in zip(patterns, given)
        )
        return gradcheck(on_values, values, **kwargs)

    return check


def _pattern(item: Any, masked: bool) -> Any:
    """The sparse tensor whose values vary in place of `item`; None if `item` is to stay."""
    is_sparse = isinstance(item, torch.Tensor) and item.layout is not torch.strided
    if not is_sparse or not item.requires_grad:
        return None
    item = item.detach()
    if masked:
        return item
    batch = item.ndim - item.dense_dim() - item.sparse_dim()
    blocks = item.layout in (torch.sparse_bsr, torch.sparse_bsc)
    every = torch.ones(item.shape, dtype=torch.bool).to_sparse(
        layout=item.layout,
        blocksize=tuple(item.values().shape[batch + 1 : batch + 3]) if blocks else None,
        dense_dim=None if item.layout is torch.sparse_coo else item.dense_dim(),
    )
    return item.to_dense().sparse_mask(every)


def _values(pattern: Any) -> Any:
    return pattern._values() if pattern.layout is torch.sparse_coo else pattern.values()


def _restore(pattern: Any, values: Any) -> Any:
    if pattern.layout is torch.sparse_coo:
        return torch.sparse_coo_tensor(
            pattern._indices(), values, pattern.shape, is_coalesced=pattern.is_coalesced()
        )
    by_rows = pattern.layout in (torch.sparse_csr, torch.sparse_bsr)
    names = ("crow_indices", "col_indices") if by_rows else ("ccol_indices", "row_indices")
    indices = [getattr(pattern, name)() for name in names]
    return torch.sparse_compressed_tensor(*indices, values, pattern.shape, layout=pattern.layout)


def _dense(result: Any, masked: bool) -> Any:
    if isinstance(result, (tuple, list)):
        return type(result)(_dense(item, masked) for item in result)
    if isinstance(result, torch.Tensor) and result.layout is not torch.strided:
        return result.to_dense(masked_grad=masked)
    return result
