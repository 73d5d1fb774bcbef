"""Rows of values gathered and summed by position: what every sparse operation does to values.

Positions were made or checked by the caller: these do not look at them again.
"""

from __future__ import annotations

import mlx.core as mx

from ..._core.evaluation import is_traced
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


# ----- products -----

#: Elements at a time: more would need memory for all terms of a product at once.
CHUNK = 1 << 22


def _chunks(count: int, width: int, *arrays: mx.array) -> list[slice]:
    """Return ranges of `count` terms of `width` elements each; one range inside a trace."""
    if count * width <= CHUNK or is_traced(*arrays):
        return [slice(0, count)]
    step = max(CHUNK // width, 1)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _wide(kind):
    return mx.float32 if kind in (mx.float16, mx.bfloat16) else kind


@primitive(name="_sparse_mm")
def _weighted(
    dense: mx.array, weights: mx.array, source: mx.array, target: mx.array, count
) -> mx.array:
    """Return (count, n): to row target[k] goes weights[k] * dense[source[k]]."""
    kind = dense.dtype
    made = mx.zeros((count, dense.shape[1]), _wide(kind))
    if not source.size or not made.size:
        return made.astype(kind)
    if kind == mx.bool_:
        terms = mx.take(dense, source, axis=0) & weights[:, None]
        return made.astype(mx.int32).at[target].add(terms.astype(mx.int32)) != 0
    ranges = _chunks(source.size, dense.shape[1], dense, weights, source, target)
    for part in ranges:
        terms = mx.take(dense, source[part], axis=0).astype(made.dtype)
        made = made.at[target[part]].add(terms * weights[part, None])
        if len(ranges) > 1:
            mx.eval(made)
    return made.astype(kind)


@primitive(name="_sampled_mm")
def _dots(left: mx.array, right: mx.array, row: mx.array, column: mx.array) -> mx.array:
    """Return for each k the sum of left[row[k]] * right[column[k]]."""
    kind = left.dtype
    if not row.size or not left.shape[1]:
        return mx.zeros((row.size,), kind)
    found = []
    ranges = _chunks(row.size, left.shape[1], left, right, row, column)
    for part in ranges:
        terms = mx.take(left, row[part], axis=0).astype(_wide(kind)) * mx.take(
            right, column[part], axis=0
        )
        found.append(mx.sum(terms, axis=1))
        if len(ranges) > 1:
            mx.eval(found[-1])
    return mx.concatenate(found).astype(kind)


def conjugate(value):
    """Return the complex conjugate of a tensor or number, what is real as it is."""
    if isinstance(value, Tensor):
        return value.conj() if value.is_complex() else value
    return value.conjugate() if isinstance(value, complex) else value


_weighted.gradients(
    dense=lambda grad, dense_shape, weights, source, target: _weighted(
        grad, conjugate(weights), target, source, dense_shape[0]
    ),
    weights=lambda grad, dense, source, target: _dots(grad, conjugate(dense), target, source),
)
_dots.gradients(
    left=lambda grad, left_shape, right, row, column: _weighted(
        conjugate(right), grad, column, row, left_shape[0]
    ),
    right=lambda grad, left, right_shape, row, column: _weighted(
        conjugate(left), grad, row, column, right_shape[0]
    ),
)


def weighted_sums(dense: Tensor, weights: Tensor, source, target, count: int) -> Tensor:
    """Return (count, n), row i the sum of weights[k] * dense[source[k]] over target[k] == i."""
    source, target = as_index(source, dense), as_index(target, dense)
    return _weighted(dense, weights, source, target, count)


def dots(left: Tensor, right: Tensor, row, column) -> Tensor:
    """Return (k,), the products of rows of `left` and rows of `right`, by position."""
    return _dots(left, right, as_index(row, left), as_index(column, left))


# ----- rows -----


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
