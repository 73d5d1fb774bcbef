"""`where` and its kin: elements chosen, replaced or written by a mask."""

from __future__ import annotations

import math

import mlx.core as mx

from .._core.dtype import FROM_MLX, SCALAR_TYPE_NAME, bool_
from .._core.errors import broadcast_shapes
from .._core.evaluation import is_traced
from .._core.promotion import result_of
from .._core.tensor import Tensor
from .._kernels.reduction import plain_sum
from .conversion import as_dtype
from .kinds import SAME, Operand, composite, primitive
from .operation import check_apart, write_out


@primitive(promote=SAME, promoted=("input", "other"), name="where", elementwise=True)
def _where(condition: mx.array, input: Operand, other: Operand) -> mx.array:
    """input where the condition holds, other elsewhere."""
    if condition.dtype not in (mx.bool_, mx.uint8):
        raise RuntimeError("expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{FROM_MLX[condition.dtype].name}")
    return mx.where(condition != 0 if condition.dtype == mx.uint8 else condition, input, other)


_where.operation.pointwise = True
_where.gradients(
    input=lambda grad, condition: _where(condition, grad, 0),
    other=lambda grad, condition: _where(condition, 0, grad),
)


@composite
def where(condition, input=None, other=None, *, out=None):
    """input where the condition holds, other elsewhere; alone, the positions where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return (
        _where(condition, input, other) if out is None else _where(condition, input, other, out=out)
    )


def where_method(self, condition, other):
    """Return this tensor where the condition holds, `other` elsewhere."""
    return where(condition, self, other)


@composite
def masked_fill(input, mask, value):
    """Return `input` with `value`, a number or 0-d tensor, where the mask holds."""
    if mask.dtype is not bool_:
        raise RuntimeError("masked_fill only supports boolean masks, but got mask with dtype "
                           f"{mask.dtype.name}")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        if (
            result_of([input._layout, value._layout]).category > input.dtype.category
            and value.dtype is not input.dtype
        ):
            raise RuntimeError(
                f"value cannot be converted to type {input.dtype.name} without overflow"
            )
        value = as_dtype(value, input.dtype)
    elif isinstance(value, complex) and not input.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {input.dtype.name} without overflow")
    elif input.dtype is bool_:
        value = bool(value)
    elif isinstance(value, float) and input.dtype.category < 2:
        value = int(value)
    return _where(mask, value, input)


@composite
def masked_select(input, mask, *, out=None):
    """The elements where the mask holds, in order, as a vector."""
    if out is not None:
        made = masked_select(input, mask)
        check_apart(out, made, (input, mask))
        return write_out(out, made)
    if mask.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    if shape == ():
        return input.reshape(1)[mask.reshape(1)]
    return input.expand(shape)[mask.expand(shape)]


@primitive(name="masked_scatter")
def _masked_scatter(input: mx.array, mask: mx.array, source: mx.array) -> mx.array:
    """Write the elements of `source`, in order, where the mask holds."""
    if mask.dtype != mx.bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks, but got mask with dtype "
                           f"{SCALAR_TYPE_NAME[FROM_MLX[mask.dtype]]}")
    if source.dtype != input.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got "
            f"{SCALAR_TYPE_NAME[FROM_MLX[input.dtype]]} and "
            f"{SCALAR_TYPE_NAME[FROM_MLX[source.dtype]]}"
        )
    input, mask = mx.broadcast_arrays(input, mask)
    if not is_traced(mask) and int(plain_sum(mask.astype(mx.int32)).item()) > source.size:
        raise RuntimeError(
            "masked_scatter: expected the source to have at least as many elements as the mask "
            "has ones"
        )
    if source.size == 0 or input.size == 0:
        return input
    rank = mx.cumsum(mask.reshape(-1).astype(mx.int32)) - 1
    taken = mx.take(source.reshape(-1), mx.clip(rank, 0, source.size - 1)).reshape(mask.shape)
    return mx.where(mask, taken, input)


def _masked_source(grad, mask, source_shape):
    flat = masked_select(grad, mask)
    made = grad.new_zeros(math.prod(source_shape))
    made[:flat.numel()] = flat
    return made.reshape(source_shape)


_masked_scatter.gradients(input=lambda grad, mask: grad.masked_fill(mask, 0), source=_masked_source)
masked_scatter = _masked_scatter

FUNCTIONS = {f.__name__: f for f in (where, masked_fill, masked_select, masked_scatter)}
METHODS = FUNCTIONS | {"where": where_method}
INPLACE = ("masked_fill", "masked_scatter")
