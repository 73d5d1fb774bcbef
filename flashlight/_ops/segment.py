"""Reductions over consecutive runs of rows."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._core.dtype import FLOATING
from .._core.errors import not_implemented_for, wrap_dim
from .._core.tensor import Tensor, read, wrap
from .host import from_numpy, to_numpy
from .kinds import composite, primitive
from .pointwise import where
from .scatter import index_select

_START = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
_NAMES = {"amax": "max", "amin": "min"}


@primitive(name="segment_reduce")
def _reduce_rows(data: mx.array, rows: mx.array, count, reduce, start) -> mx.array:
    """Combine the rows of `data`, (N, ...), into `count` rows; `rows` tells which goes where."""
    made = mx.full((count, *data.shape[1:]), start, data.dtype)
    if not data.size:
        return made
    target = made.at[rows]
    if reduce in ("sum", "mean"):
        return target.add(data)
    if reduce == "prod":
        return target.multiply(data)
    made = target.maximum(data) if reduce == "max" else target.minimum(data)
    # Whether NaN wins a scatter depends on the order of its rows.
    spoilt = mx.zeros(made.shape, mx.bool_).at[rows].maximum(mx.isnan(data))
    return mx.where(spoilt, mx.array(math.nan, data.dtype), made)


def _sum_rows(values, rows, like):
    return like.new_zeros(like.shape).index_add(0, rows, values)


def _rows_rule(grad, data, rows, reduce, start, result):
    if reduce in ("sum", "mean"):
        return index_select(grad, 0, rows)
    if reduce == "prod":
        # The product of the others: of all that are plain, unless one of them is zero or NaN.
        zero, unknown = data == 0, data.isnan()
        plain = where(zero | unknown, 1, data)
        product = _reduce_rows(plain, rows, result.shape[0], "prod", start)

        def elsewhere(found):
            found = found.to(data.dtype)
            return index_select(_sum_rows(found, rows, result), 0, rows) - found > 0
        others = where(elsewhere(zero), 0, index_select(product, 0, rows) / plain)
        others = where(elsewhere(unknown), math.nan, others)
        covered = (rows < result.shape[0] - 1).reshape((-1, *(1,) * (data.ndim - 1)))
        return where(covered, index_select(grad, 0, rows) * others, 0)
    chosen = data.isnan() | (data == index_select(result, 0, rows))
    share = chosen.to(data.dtype)
    ties = _sum_rows(share, rows, result).clamp(min=1)
    return index_select(grad / ties, 0, rows) * share


_reduce_rows.gradients(data=_rows_rule)


@composite
def segment_reduce(
    data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None
):
    """Combine runs along `axis` by "sum", "mean", "max", "min" or "prod".

    The runs are given by `lengths`, (..., runs), or by `offsets`, (..., runs + 1), where the
    leading sizes are those of `data` before `axis`. A run starts from `initial`. Raises
    RuntimeError for runs that do not fit. Reads the lengths.
    """
    reduce = _NAMES.get(reduce, reduce)
    if reduce not in _START:
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}")
    axis = wrap_dim(axis, data.ndim)
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if data.dtype not in FLOATING:
        raise not_implemented_for("_segment_reduce_cpu", data.dtype)
    runs = _lengths(data, lengths, offsets, axis, unsafe)
    batch, rest = tuple(data.shape[:axis]), tuple(data.shape[axis + 1:])
    rows, count = _rows(runs.reshape(math.prod(batch), -1), offsets, data.shape[axis])
    place = data._layout.device
    flat = data.reshape((len(rows), *rest))
    start = _START[reduce] if initial is None else initial
    # One row more, for what no run covers.
    made = _reduce_rows(flat, wrap(from_numpy(rows), place), count + 1, reduce, start)[:count]
    made = made.reshape((*runs.shape, *rest))
    if reduce == "mean":
        sizes = wrap(from_numpy(runs.astype(np.float32)), place).to(data.dtype)
        sizes = sizes.reshape((*runs.shape, *(1,) * len(rest)))
        empty = made if initial is not None else math.nan
        made = where(sizes == 0, empty, made / sizes.clamp(min=1))
    return made


def _lengths(data, lengths, offsets, axis, unsafe):
    """Return the lengths of the runs as an array. Raises RuntimeError if they do not fit."""
    name, given = ("lengths", lengths) if lengths is not None else ("offsets", offsets)
    if not isinstance(given, Tensor):
        raise TypeError(f"segment_reduce(): argument '{name}' must be Tensor, not "
                        f"{type(given).__name__}")
    if given.dtype.category != 1:
        raise not_implemented_for(f"_segment_reduce_{name}_cpu_kernel1", given.dtype)
    if data.ndim < given.ndim:
        raise RuntimeError(f"segment_reduce(): {name} has more dimensions than data")
    if axis != given.ndim - 1:
        raise RuntimeError("segment_reduce(): Expected axis to be the last dimension of "
                           f"{name} but got {axis}.")
    host = to_numpy(read(given), "segment_reduce").astype(np.int64)
    if name == "offsets":
        host = np.diff(host, axis=-1)
        if (host < 0).any():
            raise RuntimeError("segment_reduce(): offsets must not decrease")
        return host
    if not unsafe:
        if host.size == 0:
            raise RuntimeError("min(): Expected reduction dim to be specified for input.numel() == "
                               "0. Specify the reduction dim with the 'dim' argument.")
        if host.min() < 0:
            raise RuntimeError("lengths contains negative value!")
        if (host.sum(-1) != data.shape[axis]).any():
            raise RuntimeError("segment_reduce(): Expected all rows of lengths along axis to sum "
                               "to data.size(lengths.dim()-1) when !unsafe.")
    return np.maximum(host, 0)


def _rows(runs, offsets, size):
    """Return, for each row of the flattened data, the run that it belongs to, and their number."""
    batch, per_batch = runs.shape
    starts = np.zeros(batch, np.int64)
    if offsets is not None:
        starts = to_numpy(read(offsets), "segment_reduce").reshape(batch, -1)[:, 0]
    count = batch * per_batch
    rows = np.full((batch, size), count, np.int32)
    for b in range(batch):
        covered = np.repeat(np.arange(per_batch) + b * per_batch, runs[b])
        if starts[b] < 0 or starts[b] + len(covered) > size:
            raise RuntimeError("segment_reduce(): the runs reach beyond the data")
        rows[b, starts[b]:starts[b] + len(covered)] = covered
    return rows.reshape(-1), count


FUNCTIONS = {"segment_reduce": segment_reduce}
METHODS: dict = {}
INPLACE = ()
