"""Order: sort, topk, medians and quantiles, and what is found by it."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._core.dtype import FROM_MLX, SCALAR_TYPE_NAME, bool_, int32, int64
from .._core.errors import not_implemented_for, wrap_dim
from .._core.evaluation import evaluate, is_traced
from .._core.tensor import Tensor, read, wrap
from .._kernels import selection
from .._kernels.precision import on_accelerator
from .arithmetic import REAL
from .composite import as_method, composite
from .kinds import primitive
from .pointwise import isnan, where
from .reduction import to_position
from .return_types import ALL
from .scatter import gather

Sort, Topk, Kthvalue, Median, Nanmedian, Mode = (ALL[name] for name in (
    "sort", "topk", "kthvalue", "median", "nanmedian", "mode"))


#: How many rows with equal elements are looked at one by one.
FEW_ROWS = 256
#: Up to here integers are sorted with PyTorch's order of equal elements, unless stably.
FEW_ELEMENTS = 1 << 13


def argsorted(input: mx.array, dim: int, descending: bool) -> mx.array:
    """Return the stable order along `dim`; NaN counts as the largest."""
    if not descending:
        return mx.argsort(input, axis=dim)
    # Stable in descending order: sort the reversed array, then reverse the order.
    n = input.shape[dim]
    backwards = (slice(None),) * dim + (slice(None, None, -1),)
    return (n - 1 - mx.argsort(input[backwards], axis=dim))[backwards]


def _retraced(
    pick, input: mx.array, order: mx.array, dim: int, low: int, high: int, descending=False
) -> mx.array:
    """Return `order` from `low` to `high` along `dim`, of equal elements those that PyTorch takes.

    `pick` finds a row's positions. Inside traces, on accelerators and where many rows have equal
    elements, these stay in order.
    """
    order = mx.moveaxis(order, dim, -1)
    wanted = order[..., low:high].astype(mx.int64)
    if not on_accelerator() and not is_traced(input, order):
        values = input.astype(mx.float32) if input.dtype == mx.bfloat16 else input
        rows = np.asarray(evaluate(mx.moveaxis(values, dim, -1), "this")).reshape(-1, input.shape[dim])
        near = np.asarray(evaluate(order[..., max(low - 1, 0):high + 1], "this"))
        found = np.take_along_axis(rows, near.reshape(len(rows), -1).astype(np.int64), 1)
        tied = found[:, 1:] == found[:, :-1]
        if rows.dtype.kind == "f":
            tied |= np.isnan(found[:, 1:]) & np.isnan(found[:, :-1])
        tied = np.flatnonzero(tied.any(1))
        if 0 < tied.size <= FEW_ROWS:
            chosen = np.array(evaluate(wanted, "this")).reshape(len(rows), -1)
            for row in tied:
                ranks = np.unique(rows[row], return_inverse=True)[1].reshape(-1)
                chosen[row] = pick(-ranks if descending else ranks)
            wanted = mx.array(chosen).reshape(wanted.shape)
    return mx.moveaxis(wanted, -1, dim)


@primitive(name="sort", returns=Sort, dtypes=REAL, kernel="sort_stable", elementwise=True)
def _sort(input: mx.array, dim=-1, descending=False, stable=True) -> mx.array:
    """Sort along a dimension."""
    dim = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return input, mx.zeros((), mx.int64)
    if not input.size:
        return input, mx.zeros(input.shape, mx.int64)
    order = argsorted(input, dim, descending)
    n = input.shape[dim]
    whole = FROM_MLX[input.dtype].category < 2
    if whole and not stable and n > selection.INSERTION and input.size <= FEW_ELEMENTS:
        order = _retraced(selection.sort, input, order, dim, 0, n, descending)
    return mx.take_along_axis(input, order, axis=dim), order.astype(mx.int64)


_sort.gradients(
    input=lambda grad, input_shape, dim, indices: _unsort(grad, input_shape, dim, indices)
)


def _unsort(grad, input_shape, dim, indices):
    if not len(input_shape) or not indices.numel():
        return grad
    return grad.new_zeros(input_shape).scatter(dim, indices, grad)


@composite
def sort(input, dim=-1, descending=False, stable=False, *, out=None):
    """The elements in order along `dim`, and where they were."""
    if isinstance(dim, bool):
        dim, descending = -1, dim
    return _sort(input, dim, descending, bool(stable), out=out)


@composite
def argsort(input, dim=-1, descending=False, stable=False):
    """The positions of the elements in order along `dim`."""
    return _sort(input, dim, descending, bool(stable)).indices


@composite
def msort(input):
    """The elements in order along the first dimension."""
    return _sort(input, 0).values


@primitive(
    name="topk", returns=Topk, dtypes=tuple(d for d in REAL if d is not bool_), kernel="topk_impl"
)
def topk(input: mx.array, k, dim=-1, largest=True, sorted=True) -> mx.array:
    """The k largest (or smallest) elements along `dim`, in order, and where they are."""
    dim = wrap_dim(dim, input.ndim)
    n = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError("selected index k out of range")
    if not input.ndim:
        return input, mx.zeros((), mx.int64)
    shape = [k if d == dim else m for d, m in enumerate(input.shape)]
    if not input.size or not k:
        return mx.zeros(shape, input.dtype), mx.zeros(shape, mx.int64)
    order = argsorted(input, dim, largest)
    order = _retraced(lambda ranks: selection.first(ranks, k), input, order, dim, 0, k, largest)
    return mx.take_along_axis(input, order, axis=dim), order


topk.gradients(
    input=lambda grad, input_shape, dim, indices: _unsort(grad, input_shape, dim, indices)
)


@primitive(
    name="kthvalue",
    returns=Kthvalue,
    dtypes=tuple(d for d in REAL if d is not bool_),
    kernel="kthvalue_cpu",
    strict_out=True,
)
def kthvalue(input: mx.array, k, dim=-1, keepdim=False) -> mx.array:
    """The k-th smallest element along `dim`, and where it is."""
    dim = wrap_dim(dim, input.ndim)
    n = input.shape[dim] if input.ndim else 1
    if n == 0 and input.ndim:
        raise IndexError(f"kthvalue(): Expected reduction dim {dim} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError("selected number k out of range for dimension " + str(dim))
    if not input.ndim:
        return input, mx.zeros((), mx.int64)
    if not input.size:
        return _entry(input, dim, k - 1, keepdim)
    order = mx.argsort(input, axis=dim)
    at = _retraced(lambda ranks: selection.kth(ranks, k - 1), input, order, dim, k - 1, k)
    values = mx.take_along_axis(input, at, axis=dim)
    return (values, at) if keepdim else (values.squeeze(dim), at.squeeze(dim))


def _entry(input, dim, position, keepdim):
    """Return the element at `position` (a number, or an array for each slice) of the order along
    `dim`.
    """
    if not input.size:
        shape = [1 if d == dim else m for d, m in enumerate(input.shape)]
        shape = shape if keepdim else [m for d, m in enumerate(input.shape) if d != dim]
        return mx.zeros(shape, input.dtype), mx.zeros(shape, mx.int64)
    order = mx.argsort(input, axis=dim)
    if isinstance(position, int):
        at = order[(slice(None),) * dim + (slice(position, position + 1),)]
    else:
        at = mx.take_along_axis(order, position, axis=dim)
    values = mx.take_along_axis(input, at, axis=dim)
    if not keepdim:
        values, at = values.squeeze(dim), at.squeeze(dim)
    return values, at.astype(mx.int64)


kthvalue.gradients(input=to_position)


def _medians(name, returns, skip_nan):
    def body(input: mx.array, dim, keepdim=False) -> mx.array:
        dim = wrap_dim(dim, input.ndim)
        if not input.ndim:
            return input, mx.zeros((), mx.int64)
        n = input.shape[dim]
        if n == 0:
            raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
        if FROM_MLX[input.dtype].category < 2:
            return _entry(input, dim, (n - 1) // 2, keepdim)
        missing = mx.isnan(input).astype(mx.int32).sum(dim, keepdims=True)
        if skip_nan:  # NaNs are last in the order
            position = mx.maximum(n - missing - 1, 0) // 2
        else:  # the first NaN, if there is one
            position = mx.where(missing > 0, n - missing, mx.full((), (n - 1) // 2, mx.int32))
        return _entry(input, dim, position, keepdim)
    body.__name__, body.__module__ = name, __name__
    body.__doc__ = "The lower median along `dim`, and where it is."
    made = primitive(
        body, returns=returns, dtypes=tuple(d for d in REAL if d is not bool_), kernel="median_out"
    )
    made.gradients(input=to_position)

    def median(input, dim=None, keepdim=False, *, out=None):
        if dim is not None:
            return made(input, dim, keepdim) if out is None else made(input, dim, keepdim, out=out)
        if input.numel() == 0:
            if input.dtype.category < 2:
                return input.new_full(
                    (), -(2 ** (8 * input.itemsize - 1)) if input.dtype.is_signed else 0
                )
            return input.new_full((), math.nan)
        return made(input.reshape(-1), 0).values
    median.__name__ = median.__qualname__ = name
    median.__doc__ = (
        f"The {'median without NaNs' if skip_nan else 'median'}, of all elements or (with "
        "positions) along `dim`; the lower one of two."
    )
    return composite(median)


median, nanmedian = _medians("median", Median, False), _medians("nanmedian", Nanmedian, True)


@primitive(name="mode", returns=Mode, dtypes=REAL, kernel="mode")
def _mode(input: mx.array, dim=-1, keepdim=False) -> mx.array:
    """The most frequent element along a dimension."""
    dim = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return input, mx.zeros((), mx.int64)
    n = input.shape[dim]
    if n == 0:
        raise IndexError(f"mode(): Expected reduction dim {dim} to have non-zero size.")
    if not input.size:
        return _entry(input, dim, 0, keepdim)
    moved = mx.moveaxis(input, dim, -1)
    order = mx.argsort(moved, axis=-1)
    if n > selection.INSERTION:
        order = _retraced(selection.sort, moved, order, moved.ndim - 1, 0, n)
    ranked = mx.take_along_axis(moved, order, axis=-1)
    same = mx.concatenate(
        [mx.zeros((*ranked.shape[:-1], 1), mx.bool_), ranked[..., 1:] == ranked[..., :-1]], -1
    )
    positions = mx.arange(n)
    start = mx.cummax(mx.where(same, mx.zeros_like(positions), positions), axis=-1)
    length = positions - start
    best = mx.argmax(
        length, axis=-1, keepdims=True
    )  # the end of the first longest run: the smallest value
    at = mx.take_along_axis(order, best, axis=-1)
    values = mx.take_along_axis(ranked, best, axis=-1)
    if keepdim:
        return mx.moveaxis(values, -1, dim), mx.moveaxis(at, -1, dim).astype(mx.int64)
    return values.squeeze(-1), at.squeeze(-1).astype(mx.int64)


_mode.gradients(input=to_position)
mode = _mode


# ----- quantiles -----


def _quantiles(name, skip_nan):
    def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
        made = _quantile(name, input, q, dim, keepdim, interpolation, skip_nan)
        if out is not None:
            from .operation import write_out
            if out.dtype is not input.dtype:
                raise RuntimeError(f"{name}() out tensor must be same dtype as the input tensor")
            return write_out(out, made)
        return made
    quantile.__name__ = quantile.__qualname__ = name
    quantile.__doc__ = (
        "The q-quantiles of all elements or along `dim`, interpolated between neighbours."
    )
    return composite(quantile)


def _quantile(name, input, q, dim, keepdim, interpolation, skip_nan):
    if input.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    else:
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = input.new_full((), q)
    if q.numel() and not bool(((q >= 0) & (q <= 1)).all().item()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if dim is None:
        if input.numel() == 0:
            raise RuntimeError(f"{name}() input tensor must be non-empty")
        source, d = input.reshape(-1), 0
    else:
        d = wrap_dim(dim, input.ndim)
        source = input if input.ndim else input.reshape(1)
        if source.shape[d] == 0:
            raise RuntimeError(f"{name}() input tensor must be non-empty")
    ranked = _sort(source.transpose(d, -1), -1).values
    n = ranked.shape[-1]
    if skip_nan:
        count = isnan(ranked).logical_not().sum(-1, keepdim=True)
        rank = q.reshape(-1) * (count - 1).clamp(min=0).to(q.dtype)
    else:
        rank = (q.reshape(-1) * (n - 1)).expand((*ranked.shape[:-1], q.numel()))
        rank = where(isnan(ranked).any(-1, True), n - 1, rank).to(q.dtype)  # NaNs are last, and win
    if interpolation == "lower":
        rank = rank.floor()
    elif interpolation == "higher":
        rank = rank.ceil()
    elif interpolation == "nearest":
        rank = rank.round()
    below = rank.long()
    values = gather(ranked, -1, below)
    if interpolation in ("linear", "midpoint"):
        weight = rank - below if interpolation == "linear" else (rank != below).to(rank.dtype) * 0.5
        above = gather(ranked, -1, rank.ceil().long())
        values = values.lerp(above, weight)
    # The quantiles go in front if there are several, else away.
    values = values.transpose(-1, d) if values.ndim else values
    if q.ndim:
        values = values.movedim(d, 0)
        if keepdim:
            shape = (
                [1] * input.ndim
                if dim is None
                else [1 if i == d else m for i, m in enumerate(input.shape)]
            )
            return values.reshape((q.numel(), *shape))
        return values
    values = values.select(d, 0)
    if keepdim:
        shape = (
            [1] * input.ndim
            if dim is None
            else [1 if i == d else m for i, m in enumerate(input.shape)]
        )
        return values.reshape(shape)
    return values.reshape(()) if input.ndim == 0 else values


quantile, nanquantile = _quantiles("quantile", False), _quantiles("nanquantile", True)


# ----- searching -----


@primitive(name="searchsorted", differentiable=False)
def _search(boundaries: mx.array, values: mx.array, right) -> mx.array:
    """Count, row by row, the boundaries below each value."""
    if boundaries.size == 0 or values.size == 0:
        return mx.zeros(values.shape, mx.int64)
    kind = mx.result_type(boundaries, values) if hasattr(mx, "result_type") else values.dtype
    boundaries, values = boundaries.astype(kind), values.astype(kind)
    n = boundaries.shape[-1]
    low = mx.zeros(values.shape, mx.int32)
    high = mx.full(values.shape, n, mx.int32)
    flat = boundaries.reshape(-1)
    rows = 0
    if boundaries.ndim > 1:
        rows = (mx.arange(flat.size // n) * n).reshape((*boundaries.shape[:-1], 1)).astype(mx.int32)
    for _ in range(max(1, n.bit_length())):
        middle = (low + high) // 2
        found = mx.take(flat, mx.minimum(middle, n - 1) + rows)
        if right:  # NaN is above everything
            goes_up = mx.logical_not(_less(values, found))
        else:
            goes_up = _less(found, values)
        goes_up = goes_up & (low < high)
        low, high = mx.where(goes_up, middle + 1, low), mx.where(goes_up, high, middle)
    return low.astype(mx.int64)


def _less(a, b):
    below = a < b
    if FROM_MLX[a.dtype].category == 2:
        below = below | (mx.isnan(b) & mx.logical_not(mx.isnan(a)))
    return below


@composite
def searchsorted(
    sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None
):
    """Where each value would be inserted into the sorted last dimension of `sorted_sequence`."""
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    if sorted_sequence.ndim == 0:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 "
            "dimension"
        )
    number = not isinstance(input, Tensor)
    values = sorted_sequence.new_full((), input) if number else input
    if number and sorted_sequence.dtype.category < 2 and isinstance(input, float):
        values = sorted_sequence.float().new_full((), input)
    if not number and values.dtype is not sorted_sequence.dtype:
        raise RuntimeError(
            "torch.searchsorted(): input value tensor and boundaries tensor should have same "
            f"dtype, but got boundaries tensor dtype {SCALAR_TYPE_NAME[sorted_sequence.dtype]} "
            f"and input value tensor dtype {SCALAR_TYPE_NAME[values.dtype]}"
        )
    if sorted_sequence.ndim > 1 and (values.ndim != sorted_sequence.ndim
                                     or values.shape[:-1] != sorted_sequence.shape[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(sorted_sequence.shape)} and input value tensor "
            f"{list(values.shape)}"
        )
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got "
                f"boundary tensor {list(sorted_sequence.shape)}and got sorter tensor "
                f"{list(sorter.shape)}"
            )
        if sorter.dtype is not int64:
            raise RuntimeError(
                "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype "
                f"{SCALAR_TYPE_NAME[sorter.dtype]}"
            )
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    made = _search(sorted_sequence.contiguous(), values, right or side == "right")
    made = made.to(int32) if out_int32 else made
    if out is not None:
        from .operation import write_out
        if out.dtype is not made.dtype:
            raise RuntimeError(
                "torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) "
                "or Long(int64) depending on whether out_int32 flag is True, but we got output "
                f"tensor's dtype {SCALAR_TYPE_NAME[out.dtype]} and out_int32 flag is {out_int32}"
            )
        return write_out(out, made)
    return made


@composite
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The bucket between sorted boundaries in which each value lies."""
    if boundaries.ndim != 1:
        raise RuntimeError(
            f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})"
        )
    number = not isinstance(input, Tensor)
    values = boundaries.new_full((), input) if number else input
    made = _search(boundaries, values, right)
    made = made.to(int32) if out_int32 else made
    if out is not None:
        from .operation import write_out
        return write_out(out, made)
    return made


@primitive(differentiable=False, dtypes=REAL)
def _in(elements: mx.array, test: mx.array) -> mx.array:
    """Whether each element is among the test elements."""
    flat = mx.sort(test.reshape(-1))
    at = _search.operation.body(flat, elements, False)
    found = mx.take(flat, mx.minimum(at, flat.size - 1))
    return found == elements


@composite
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among the test elements."""
    if not isinstance(elements, Tensor):
        elements = test_elements.new_tensor(elements)
    if not isinstance(test_elements, Tensor):
        test_elements = elements.new_full((), test_elements)
    if elements.dtype.is_complex or elements.dtype is bool_:
        raise RuntimeError(
            f"Unsupported input type encountered for isin(): {SCALAR_TYPE_NAME[elements.dtype]}"
        )
    if test_elements.numel() == 0 or elements.numel() == 0:
        made = elements.new_zeros(elements.shape, dtype=bool_)
    else:
        from .._core.promotion import promote_types
        kind = promote_types(elements.dtype, test_elements.dtype)
        made = _in(elements.to(kind), test_elements.to(kind))
    return made.logical_not() if invert else made


# ----- unique -----


@composite
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements (or slices of `dim`) in order; also where each went, and how many of
    each.
    """
    host = _host(input)
    values, inverse, counts = np.unique(
        host, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    shape = input.shape if dim is None else (input.shape[wrap_dim(dim, input.ndim)],)
    return _unique_result(
        input, values, inverse.reshape(shape), counts, return_inverse, return_counts
    )


def _host(input):
    if input._layout.device.type == "meta":
        raise NotImplementedError("unique: the size depends on data, which meta tensors have not")
    if input.dtype.is_complex:
        raise not_implemented_for("unique", input.dtype)
    wide = input.detach().float() if input.dtype.name == "bfloat16" else input.detach()
    return np.asarray(evaluate(read(wide), "unique()"))


def _unique_result(input, values, inverse, counts, return_inverse, return_counts):
    where_ = input.device
    made = [
        wrap(
            mx.array(
                np.ascontiguousarray(values), None if values.dtype != np.float64 else mx.float64
            ).astype(input.dtype.mlx),
            where_,
        )
    ]
    if return_inverse:
        made.append(wrap(mx.array(np.ascontiguousarray(inverse, np.int64)), where_))
    if return_counts:
        made.append(wrap(mx.array(np.ascontiguousarray(counts, np.int64)), where_))
    return made[0] if len(made) == 1 else tuple(made)


@composite
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (or slices of `dim`) without those equal to their predecessor."""
    host = _host(input)
    axis = None if dim is None else wrap_dim(dim, input.ndim)
    rows = host.reshape(-1) if dim is None else np.moveaxis(host, axis, 0)
    n = rows.shape[0]
    if n:
        differs = rows[1:] != rows[:-1]
        differs = differs.reshape(n - 1, -1).any(1) if differs.ndim > 1 else differs
        starts = np.concatenate([[True], differs])
    else:
        starts = np.zeros(0, bool)
    kept = rows[starts]
    inverse = np.cumsum(starts) - 1
    positions = np.flatnonzero(starts)
    counts = np.diff(np.append(positions, n))
    values = kept if dim is None else np.moveaxis(kept, 0, axis)
    shape = input.shape if dim is None else (n,)
    return _unique_result(
        input, values, inverse.reshape(shape), counts, return_inverse, return_counts
    )


FUNCTIONS = {
    f.__name__: f
    for f in (
        sort, argsort, msort, topk, kthvalue, median, nanmedian, mode, quantile, nanquantile,
        searchsorted, bucketize, isin, unique, unique_consecutive,
    )
}
METHODS = {name: f for name, f in FUNCTIONS.items() if name not in ("searchsorted", "bucketize")}
METHODS |= {f.__name__: as_method(f) for f in (unique, unique_consecutive)}
INPLACE = ()
