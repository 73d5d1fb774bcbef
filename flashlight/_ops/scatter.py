"""Elements chosen or written by an index tensor along a dimension."""

from __future__ import annotations

import math
import operator

import mlx.core as mx
import numpy as np

from .._core.dtype import FROM_MLX, SCALAR_TYPE_NAME, bool_, int32, int64
from .._core.errors import not_implemented_for, wrap_dim
from .._core.evaluation import evaluate, is_traced
from .._core.tensor import Tensor, read, wrap
from .._kernels.precision import combine_at
from .kinds import composite, primitive


class OutOfRange(IndexError, RuntimeError):
    """An index that is not there; PyTorch raises one or the other class, by operation."""


def check_index(name: str, index: mx.array, size: int, negative: bool = False) -> mx.array:
    """Return `index`, in range. Raises IndexError (RuntimeError where PyTorch does) if it is not.
    """
    if index.size and not is_traced(index):
        low, high = int(mx.min(index).item()), int(mx.max(index).item())
        if low < (-size if negative else 0) or high >= size:
            bad = high if high >= size else low
            raise OutOfRange(f"{name}: index {bad} is out of bounds for dimension with size {size}")
    return mx.where(index < 0, index + size, index) if negative else index


def _integer_index(name, index):
    if index.size and FROM_MLX[index.dtype] not in (int64, int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    return index


def _along(name, input, index, dim, other=None):
    """Check the shapes of gather and scatter; return the dimension counted from the front."""
    dim = wrap_dim(dim, input.ndim)
    _integer_index(name, index)
    if index.size == 0:
        return dim
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as "
                           f"{'input' if name == 'gather' else 'self'} tensor")
    for d in range(index.ndim):
        if d != dim and input.ndim and index.shape[d] > input.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be "
                f"no larger than self {list(input.shape)} apart from dimension {dim}"
            )
    if other is not None:
        if max(other.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        for d in range(index.ndim):
            if other.ndim and index.shape[d] > other.shape[d]:
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self "
                    f"{list(input.shape)} apart from dimension {dim} and to be no larger size "
                    f"than src {list(other.shape)}"
                )
    return dim


def _one(array):
    return array.reshape(1) if array.ndim == 0 else array


def _crop(array, shape, but=None):
    """Return the leading corner of `array` in `shape`, except along `but`."""
    if all(d == but or n == m for d, (n, m) in enumerate(zip(array.shape, shape))):
        return array
    return array[tuple(slice(None) if d == but else slice(0, m) for d, m in enumerate(shape))]


@primitive(strict_out=True)
def gather(input: mx.array, dim, index: mx.array, *, sparse_grad=False) -> mx.array:
    """The elements of `input` at `index` along `dim`; the result has the size of `index`."""
    dim = _along("gather", input, index, dim)
    shape = tuple(index.shape)
    if index.size == 0:
        return mx.zeros(shape, input.dtype)
    index = check_index("gather", index, input.shape[dim] if input.ndim else 1)
    source, at = _one(input), _one(index)
    return mx.take_along_axis(_crop(source, at.shape, dim), at, axis=dim).reshape(shape)


def _gather_rule(grad, input_shape, dim, index, sparse_grad):
    if sparse_grad:
        from .sparse import gather_gradient

        return gather_gradient(grad, input_shape, dim, index)
    return grad.new_zeros(input_shape).scatter_add(dim, index, grad)


gather.gradients(input=_gather_rule)

_REDUCERS = {
    "sum": "add",
    "add": "add",
    "prod": "multiply",
    "multiply": "multiply",
    "amax": "maximum",
    "amin": "minimum",
}


def _positions(index, dim):
    """Return index arrays for all dimensions, of which `index` is that for `dim`."""
    made = []
    for d in range(index.ndim):
        if d == dim:
            made.append(index)
        else:
            shape = [1] * index.ndim
            shape[d] = index.shape[d]
            made.append(mx.arange(index.shape[d]).reshape(shape))
    return tuple(made)


def scatter_array(
    input: mx.array, dim: int, index: mx.array, src: mx.array, reducer: str | None,
    in_turn: bool = False,
) -> mx.array:
    """Return `input` with `src` written at (or combined with what is at) `index` along `dim`.

    Sums and products of half types are rounded once, or `in_turn`, after each step.
    """
    shape = tuple(input.shape)
    target, at = _one(input), _one(index)
    src = _crop(_one(src), at.shape) if src.ndim else mx.broadcast_to(src, at.shape)
    where = _positions(at, dim)
    if reducer is None:
        made = mx.array(target)
        made[where] = src
        return made.reshape(shape)
    if target.dtype == mx.bool_ and reducer != "set":
        wide = scatter_array(target.astype(mx.int32), dim, at, src.astype(mx.int32), reducer)
        return (wide != 0).reshape(shape)
    combine = getattr(target.at[where], reducer)
    once = not in_turn and reducer in ("add", "multiply")
    return (combine_at(target, where, src, reducer) if once else combine(src)).reshape(shape)


@primitive(name="scatter", node="Scatter", scatters=True)
def _scatter(input: mx.array, dim, index: mx.array, src: mx.array) -> mx.array:
    """Write `src` at `index` along `dim`."""
    if src.dtype != input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    dim = _along("scatter", input, index, dim, src if src.ndim or not index.ndim else None)
    if index.size == 0:
        return input
    return scatter_array(
        input, dim, check_index("scatter", index, input.shape[dim] if input.ndim else 1), src, None
    )


_scatter.gradients(
    input=lambda grad, dim, index: (
        _scatter(grad, dim, index, grad.new_zeros(())) if index.numel() else grad
    ),
    src=lambda grad, dim, index, src_shape: _pad_to(
        gather(grad, dim, index), src_shape, index.shape
    ),
)


def _pad_to(grad, shape, index_shape):
    """Return the gradient for a source of which only a corner was used."""
    if not len(shape):
        return grad.sum() if grad.ndim else grad
    if tuple(shape) == tuple(index_shape):
        return grad
    made = grad.new_zeros(shape)
    region = made
    for d, n in enumerate(index_shape):
        region = region.narrow(d, 0, n)
    region.copy_(grad)
    return made


@primitive(name="scatter_add", node="ScatterAdd", scatters=True)
def scatter_add(input: mx.array, dim, index: mx.array, src: mx.array) -> mx.array:
    """Add `src` to the elements at `index` along `dim`."""
    if src.dtype != input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    dim = _along("scatter", input, index, dim, src)
    if index.size == 0:
        return input
    index = check_index("scatter_add", index, input.shape[dim] if input.ndim else 1)
    return scatter_array(input, dim, index, src, "add")


scatter_add.gradients(
    input=lambda grad: grad,
    src=lambda grad, dim, index, src_shape: _pad_to(
        gather(grad, dim, index), src_shape, index.shape
    ),
)


@composite
def scatter(input, dim, index, src=None, *, reduce=None, value=None, out=None):
    """Return `input` with `src` (a tensor or number) at `index` along `dim`; `reduce`: "add" or
    "multiply".
    """
    source = value if src is None else src
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if not isinstance(source, Tensor):
            source = input.new_full(index.shape, source)
        made = _reduce(input, dim, index, source, "sum" if reduce == "add" else "prod", True)
    else:
        if not isinstance(source, Tensor):
            source = input.new_full((), source)
        elif source.ndim == 0 and index.ndim:
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        made = _scatter(input, dim, index, source)
    if out is not None:
        from .operation import write_out
        return write_out(out, made)
    return made


@composite
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """Return `input` combined with `src` at `index`: "sum", "prod", "mean", "amax" or "amin"."""
    return _reduce(input, dim, index, src, reduce, include_self)


def _reduce(input, dim, index, src, reduce, include_self, in_turn=False):
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}")
    if input.dtype is not src.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    start = input
    if not include_self and index.numel():
        neutral = {"sum": 0, "mean": 0, "prod": 1, "amax": _limit(input.dtype, False),
                   "amin": _limit(input.dtype, True)}[reduce]
        start = scatter(input, dim, index, value=neutral)
    if reduce == "sum":
        return scatter_add(start, dim, index, src)
    if reduce == "mean":
        return _mean(start, dim, index, src, include_self, in_turn)
    return _combine(start, dim, index, src, reduce, in_turn)


def _limit(kind, high):
    from .._core.dtype import iinfo
    if kind.category >= 2:
        return math.inf if high else -math.inf
    if kind is bool_:
        return high
    return iinfo(kind).max if high else iinfo(kind).min


def _mean(start, dim, index, src, include_self, in_turn):
    total = _combine(start, dim, index, src, "sum", in_turn)
    ones = (start.new_ones if include_self else start.new_zeros)(start.shape)
    count = scatter_add(ones, dim, index, src.new_ones(src.shape)).detach()
    count = count.masked_fill(count < 1, 1)
    return total / count if total.dtype.category >= 2 else total.div(count, rounding_mode="floor")


@primitive(name="scatter_reduce", node="ScatterReduce", scatters=True)
def _combine(
    input: mx.array, dim, index: mx.array, src: mx.array, reduce, in_turn=False
) -> mx.array:
    """Combine by sum, product, largest or smallest."""
    dim = _along("scatter", input, index, dim, src)
    if index.size == 0:
        return input
    index = check_index("scatter_reduce", index, input.shape[dim] if input.ndim else 1)
    return scatter_array(input, dim, index, src, _REDUCERS[reduce], in_turn)


def _combine_rule(grad, input, dim, index, src, result, reduce):
    """Products divide by the element; extremes share the gradient among those that attain it."""
    if index.numel() == 0:
        return grad, src.new_zeros(src.shape)
    if reduce == "sum":
        return grad, _pad_to(gather(grad, dim, index), src.shape, index.shape)
    corner = src
    for d, n in enumerate(index.shape):
        corner = corner.narrow(d, 0, n) if corner.shape[d] != n else corner
    if reduce == "prod":
        return _product_rule(grad, input, dim, index, corner, src.shape)
    hit_self = (input == result).to(grad.dtype)
    hit_src = (corner == gather(result, dim, index)).to(grad.dtype)
    count = scatter_add(hit_self, dim, index, hit_src)
    share = grad / count
    return share * hit_self, _pad_to(gather(share, dim, index) * hit_src, src.shape, index.shape)


def _product_rule(grad, input, dim, index, src, src_shape):
    zero = (src == 0).to(src.dtype)
    zeros = scatter_add((input == 0).to(src.dtype), dim, index, zero)
    filled_src = src.masked_fill(src == 0, 1)
    filled_input = input.masked_fill(input == 0, 1)
    product = _combine(filled_input, dim, index, filled_src, "prod")
    # The product of all others: without the zeros if there is none besides, else zero.
    others_self = (product / filled_input) * (zeros - (input == 0).to(src.dtype) == 0).to(src.dtype)
    others_src = (gather(product, dim, index) / filled_src) * (
        gather(zeros, dim, index) - zero == 0
    ).to(src.dtype)
    return grad * others_self, _pad_to(
        gather(grad, dim, index) * others_src, src_shape, index.shape
    )


_combine.joint_gradient(
    lambda grad, input, dim, index, src, result, reduce: (lambda pair: (pair[0], None, pair[1]))(
        _combine_rule(grad, input, dim, index, src, result, reduce)
    )
)


# ----- whole slices -----


@primitive(strict_out=True)
def index_select(input: mx.array, dim, index: mx.array) -> mx.array:
    """The slices of `dim` that a vector of positions names."""
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    _integer_index("index_select", index)
    dim = wrap_dim(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if index.size and not is_traced(index):
        low, high = int(mx.min(index).item()), int(mx.max(index).item())
        if low < 0 or high >= size:
            raise IndexError("index out of range in self")
    if not input.ndim:
        return input
    return mx.take(input, index.reshape(-1), axis=dim)


index_select.gradients(
    input=lambda grad, input_shape, dim, index: (
        grad.new_zeros(input_shape).index_add(dim, index, grad)
        if len(input_shape)
        else grad.reshape(())
    )
)


def _index_slices(name, input, dim, index, source):
    """Check the arguments of index_add and its kin; return the dimension counted from the front."""
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{SCALAR_TYPE_NAME[FROM_MLX[index.dtype]]}"
        )
    _integer_index(name, index)
    if source is not None:
        if source.dtype != input.dtype:
            raise RuntimeError(
                f"{name}(): self and source expected to have the same dtype, but got (self) "
                f"{SCALAR_TYPE_NAME[FROM_MLX[input.dtype]]} and (source) "
                f"{SCALAR_TYPE_NAME[FROM_MLX[source.dtype]]}"
            )
        count = source.shape[dim] if source.ndim else 1
        if count != index.size:
            raise (IndexError if name == "index_copy" else RuntimeError)(
                f"{name}(): Number of indices ({index.size}) should be equal to source.size(dim): "
                f"({count}), for dim: {dim}"
            )
        for d in range(min(input.ndim, source.ndim)):
            if d != dim and input.shape[d] != source.shape[d]:
                raise RuntimeError(
                    "source tensor shape must match self tensor shape, excluding the specified "
                    f"dimension. Got self.shape = {list(input.shape)} source.shape = "
                    f"{list(source.shape)}"
                )
        if source.ndim != input.ndim and source.ndim and input.ndim:
            raise RuntimeError(
                "source tensor shape must match self tensor shape, excluding the specified "
                f"dimension. Got self.shape = {list(input.shape)} source.shape = "
                f"{list(source.shape)}"
            )
    if index.size:
        check_index(name, index, input.shape[dim] if input.ndim else 1)
    return dim


def _slices(dim, index):
    return (*[slice(None)] * dim, index.reshape(-1))


@primitive(name="index_add", scatters=True)
def _index_add(input: mx.array, dim, index: mx.array, source: mx.array, *, alpha=1) -> mx.array:
    """Add slices of `source` to those of `input` that `index` names."""
    dim = _index_slices("index_add", input, dim, index, source)
    if index.size == 0 or input.size == 0:
        return input
    if alpha != 1:
        source = source * mx.array(alpha, source.dtype)
    if not input.ndim:
        return combine_at(_one(input), _slices(0, index), _one(source)).reshape(())
    if input.dtype == mx.bool_:
        return (
            _index_add.operation.body(input.astype(mx.int32), dim, index, source.astype(mx.int32))
            != 0
        )
    return combine_at(input, _slices(dim, index), source)


def _source_grad(grad, dim, index, source_shape, scale=1):
    made = index_select(grad, dim, index)
    made = made.reshape(source_shape) if tuple(made.shape) != tuple(source_shape) else made
    return made if scale == 1 else made * scale


_index_add.gradients(input=lambda grad: grad,
                     source=lambda grad, dim, index, source_shape, alpha: _source_grad(
                         grad, dim, index, source_shape, alpha))
index_add = _index_add


@primitive(name="index_copy", scatters=True)
def index_copy(input: mx.array, dim, index: mx.array, source: mx.array) -> mx.array:
    """Replace the slices of `input` that `index` names by those of `source`."""
    dim = _index_slices("index_copy", input, dim, index, source)
    if index.size == 0 or input.size == 0:
        return input
    made = mx.array(_one(input))
    made[_slices(dim, index)] = _one(source)
    return made.reshape(input.shape)


index_copy.gradients(
    input=lambda grad, dim, index: index_fill(grad, dim, index, 0),
    source=lambda grad, dim, index, source_shape: _source_grad(grad, dim, index, source_shape),
)


@primitive(name="index_fill", scatters=True)
def _index_fill(input: mx.array, dim, index: mx.array, value: mx.array) -> mx.array:
    """Fill the slices that `index` names with a value."""
    dim = wrap_dim(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if FROM_MLX[index.dtype] is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    index = check_index("index_fill", index, size, negative=True)
    if index.size == 0 or input.size == 0:
        return input
    made = mx.array(_one(input))
    made[_slices(dim, index)] = value.astype(input.dtype)
    return made.reshape(input.shape)


_index_fill.gradients(
    input=lambda grad, dim, index: _index_fill(grad, dim, index, grad.new_zeros(())),
    # Each place counts once, however often the index names it.
    value=lambda grad, dim, index: (
        grad * _index_fill(grad.new_zeros(grad.shape), dim, index, grad.new_ones(()))
    ).sum(),
)


@composite
def index_fill(input, dim, index, value):
    """Return `input` with the slices that `index` names filled with a number or 0-d tensor."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
    else:
        if isinstance(value, complex) and not input.dtype.is_complex:
            raise RuntimeError(
                "index_fill_(): Converting complex Scalar to non-complex type is not supported"
            )
        value = input.new_full((), value)
    return _index_fill(input, dim, index, value)


@composite
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """Combine slices of `source` with those of `input` that `index` names: "prod", "mean", "amax"
    or "amin".
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    if input.ndim == 0:
        return _reduce(input.reshape(1), 0, index.long().reshape(-1), source.reshape(-1), reduce,
                       include_self, in_turn=True).reshape(())
    d = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"index_reduce(): Index is supposed to be a vector, but got dim: {index.ndim}"
        )
    if index.numel() != source.shape[d]:
        raise RuntimeError(
            f"index_reduce(): Number of indices ({index.numel()}) should be equal to "
            f"self.size(dim): ({source.shape[d]}), for dim: {d}"
        )
    if input.dtype is not source.dtype:
        raise RuntimeError("index_reduce(): self and source expected to have the same dtype")
    spread = (
        index.long().reshape([-1 if i == d else 1 for i in range(input.ndim)]).expand(source.shape)
    )
    return _reduce(input, d, spread, source, reduce, include_self, in_turn=True)


@primitive(strict_out=True)
def take(input: mx.array, index: mx.array) -> mx.array:
    """The elements at positions counted through the whole tensor, in the size of `index`."""
    if FROM_MLX[index.dtype] is not int64:
        raise RuntimeError("take(): Expected a long tensor for index, but got "
                           f"{SCALAR_TYPE_NAME[FROM_MLX[index.dtype]]}")
    if input.size == 0 and index.size:
        raise IndexError("take(): tried to take from an empty tensor")
    index = check_index("take()", index, input.size, negative=True)
    if index.size == 0:
        return mx.zeros(index.shape, input.dtype)
    return mx.take(input.reshape(-1), index)


take.gradients(
    input=lambda grad, input_shape, index: _put(grad.new_zeros(input_shape), index, grad, True)
)


@primitive(name="put", scatters=True)
def _put(input: mx.array, index: mx.array, source: mx.array, accumulate=False) -> mx.array:
    """Write `source` at positions counted through the whole tensor."""
    if FROM_MLX[index.dtype] is not int64:
        raise RuntimeError("put_(): Expected a long tensor for index, but got "
                           f"{SCALAR_TYPE_NAME[FROM_MLX[index.dtype]]}")
    if source.dtype != input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{SCALAR_TYPE_NAME[FROM_MLX[input.dtype]]} and source.dtype = "
            f"{SCALAR_TYPE_NAME[FROM_MLX[source.dtype]]}"
        )
    if index.size != source.size:
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.size}, index.numel() = {index.size}"
        )
    if input.size == 0 and index.size:
        raise IndexError("put_(): Cannot put elements into an empty tensor")
    index = check_index("put_()", index, input.size, negative=True)
    if index.size == 0:
        return input
    flat, at, src = input.reshape(-1), index.reshape(-1), source.reshape(-1)
    if accumulate:
        return combine_at(flat, at, src).reshape(input.shape)
    made = mx.array(flat)
    made[at] = src
    return made.reshape(input.shape)


_put.gradients(input=lambda grad, index, accumulate: grad if accumulate else _put(
    grad, index, grad.new_zeros(index.shape), False),
    source=lambda grad, index, source_shape: take(grad, index).reshape(source_shape))
put = _put


@composite
def take_along_dim(input, indices, dim=None, *, out=None):
    """The elements at `indices` along `dim`, both broadcast; without `dim` from the flattened
    tensor.
    """
    if indices.dtype is not int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{SCALAR_TYPE_NAME[indices.dtype]}")
    n = input.numel() if dim is None else input.shape[dim] if input.ndim else 1
    indices = indices + n * (indices < 0)  # counted from the end, unlike gather's
    if dim is None:
        made = gather(input.reshape(-1), 0, indices.reshape(-1))
    else:
        if input.ndim != indices.ndim:
            raise RuntimeError(
                "torch.take_along_dim(): input and indices should have the same number of "
                f"dimensions, but got {input.ndim} dimensions for input, and {indices.ndim} "
                "dimensions for indices"
            )
        from .._core.errors import broadcast_shapes
        d = wrap_dim(dim, input.ndim)
        shape = list(broadcast_shapes(
            [1 if i == d else n for i, n in enumerate(input.shape)],
            [1 if i == d else n for i, n in enumerate(indices.shape)]))
        shape[d] = input.shape[d]
        source = input.expand(shape)
        shape[d] = indices.shape[d]
        made = gather(source, d, indices.expand(shape))
    if out is not None:
        from .operation import write_out
        return write_out(out, made)
    return made


# ----- repeats and counts -----


@composite
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Repeat elements one by one, each as often as `repeats` says."""
    if repeats is None:
        counts = np.asarray(evaluate(read(input), "repeat_interleave()"))
        if input.ndim != 1:
            raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
        if (counts < 0).any():
            raise RuntimeError("repeats can not be negative")
        return wrap(
            mx.array(np.repeat(np.arange(len(counts)), counts).astype(counts.dtype)), input.device
        )
    if dim is None:
        input, dim = input.reshape(-1), 0
    d = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        input, d = input.reshape(1), 0
    n = input.shape[d]
    if isinstance(repeats, Tensor):
        counts = np.asarray(evaluate(read(repeats), "repeat_interleave()")).reshape(-1)
        if repeats.ndim > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if repeats.dtype not in (int32, int64):
            raise not_implemented_for("repeat_interleave_cpu", repeats.dtype)
        if counts.size not in (1, n):
            raise RuntimeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{counts.size} and input.size({d}) = {n}"
            )
        counts = np.broadcast_to(counts, (n,))
    else:
        counts = np.full(n, operator.index(repeats))
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return index_select(
        input, d, wrap(mx.array(np.repeat(np.arange(n), counts).astype(np.int64)), input.device)
    )


_SELECTING = (
    gather, scatter, scatter_add, scatter_reduce, index_select, index_add, index_copy, index_fill,
    index_reduce, take, put, take_along_dim, repeat_interleave,
)  # fmt: skip
FUNCTIONS = {f.__name__: f for f in _SELECTING}
METHODS = FUNCTIONS
INPLACE = (
    "scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_fill",
    "index_reduce", "put",
)  # fmt: skip
