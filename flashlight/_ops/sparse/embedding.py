"""Gradients that keep only the rows and elements that were looked up."""

from __future__ import annotations

import numpy as np

from ..._core.tensor import Tensor
from .gradients import assemble
from .history import record, without_history
from .rows import take
from .tensor import SparseTensor, coo, host


def sparse_embedding(weight, input, padding, scale_grad_by_freq) -> Tensor:
    """Return rows of `weight`; their gradient is a COO tensor of the rows looked up, in order.

    Memory of the gradient grows with the look-ups, not with the table.
    """
    from ..embedding import _embedding

    made = _embedding(without_history(weight), input, padding, False)
    size = tuple(weight.shape)

    def rule(needs, grad, index):
        if scale_grad_by_freq:
            raise RuntimeError(
                "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
            )
        return _rows(grad, index, size, padding)

    return record("Embedding", made, (weight,), rule, input)


def _rows(grad, index, size, padding) -> SparseTensor:
    index = index.reshape(-1).long()
    rows = grad.reshape((index.numel(), size[1]))
    if padding >= 0:
        kept = np.flatnonzero(host(index, "embedding()") != padding)
        if len(kept) != index.numel():
            index, rows = take(index, kept), take(rows, kept)
    return assemble(coo(index.unsqueeze(0), rows.detach(), size), rows)


def gather_gradient(grad, input_shape, dim, index) -> SparseTensor:
    """Return the gradient of gather(sparse_grad=True): each element where it was taken from."""
    size = tuple(input_shape)
    if not size:
        return assemble(coo(np.zeros((0, 1), np.int64), grad.detach().reshape(1), ()),
                        grad.reshape(1))
    shape = tuple(index.shape)
    where = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((1, 1), np.int64)
    where[dim % len(size)] = host(index, "gather()").reshape(-1)
    values = grad.reshape(-1)
    return assemble(coo(where, values.detach(), size), values)
