"""Rows of values gathered and summed by position: what every sparse operation does to values.

Positions were made or checked by the caller: these do not look at them again.
"""

from __future__ import annotations

import mlx.core as mx

from ..._core.tensor import Tensor
from ..kinds import primitive
from .tensor import as_index


@primitive(name="index_select")
def _take(values: mx.array, index: mx.array) -> mx.array:
    if not values.shape[0]:
        return mx.zeros((index.size, *values.shape[1:]), values.dtype)
    return mx.take(values, index, axis=0)


@primitive(name="index_add")
def _sum(values: mx.array, index: mx.array, count) -> mx.array:
    shape = (count, *values.shape[1:])
    kind = values.dtype
    if not values.size or not count:
        return mx.zeros(shape, kind)
    if kind == mx.bool_:
        return mx.zeros(shape, mx.int32).at[index].add(values.astype(mx.int32)) != 0
    if kind in (mx.float16, mx.bfloat16):
        return mx.zeros(shape, mx.float32).at[index].add(values.astype(mx.float32)).astype(kind)
    return mx.zeros(shape, kind).at[index].add(values)


_take.gradients(
    values=lambda grad, values_shape, index: _sum(grad, index, values_shape[0]),
)
_sum.gradients(values=lambda grad, index: _take(grad, index))


def take(values: Tensor, index) -> Tensor:
    """Return rows of `values` (n, *) by position: (k, *)."""
    return _take(values, as_index(index, values))


def add_up(values: Tensor, index, count: int) -> Tensor:
    """Return (count, *), row i the sum of the rows of `values` whose position is i.

    Half precision is summed in single.
    """
    return _sum(values, as_index(index, values), count)


def spread(factors: Tensor, values: Tensor) -> Tensor:
    """Return `factors` (n,) in a shape that multiplies the rows of `values` (n, *)."""
    return factors.reshape((-1,) + (1,) * (values.ndim - 1))
