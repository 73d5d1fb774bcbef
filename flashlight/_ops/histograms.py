"""How often values occur: counts of integers, and histograms."""

from __future__ import annotations

import operator

import mlx.core as mx
import numpy as np

from .._core.dtype import FROM_MLX, float32, float64
from .._core.errors import not_implemented_for
from .._core.tensor import Tensor, read
from .host import from_numpy, to_numpy
from .kinds import composite, primitive
from .operation import write_out
from .return_types import return_type


@primitive(differentiable=False)
def bincount(input: mx.array, weights: mx.array | None = None, minlength=0) -> mx.array:
    """How often each of the numbers 0, 1, ... occurs in a vector, or the sums of their weights.

    Raises RuntimeError for negative numbers and other shapes. Reads the values.
    """
    kind = FROM_MLX[input.dtype]
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if kind.category != 1:
        raise not_implemented_for("bincount_cpu", kind)
    host = to_numpy(input, "bincount")
    if host.ndim == 1 and host.size == 0:
        return mx.zeros((minlength,), mx.int64)
    if host.ndim != 1 or host.min() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return from_numpy(np.bincount(host.astype(np.int64), minlength=minlength), mx.int64)
    if weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if weights.dtype == mx.complex64:
        weights = mx.real(weights)
    result = mx.float32 if weights.dtype == mx.float32 else mx.float64
    with mx.stream(mx.cpu):
        weights = weights.astype(mx.float64)
    counted = np.bincount(host.astype(np.int64), to_numpy(weights, "bincount"), minlength)
    return from_numpy(counted, result)


# ----- histograms -----

Histogram = return_type("histogram", "hist", "bin_edges")
HistogramDD = return_type("histogramdd", "hist", "bin_edges")


@primitive(differentiable=False)
def histc(input: mx.array, bins=100, min=0, max=0) -> mx.array:
    """How many elements fall into each of `bins` equal bins from `min` to `max`.

    If both are 0, into bins from the least to the greatest element. Raises RuntimeError for a range
    that is empty or not finite.
    """
    kind = FROM_MLX[input.dtype]
    if kind.is_complex:
        raise not_implemented_for("aminmax_cpu", kind)
    if not kind.is_floating_point:
        raise not_implemented_for("histogram_cpu", kind)
    bins = _count_of_bins("histc", bins)
    host = to_numpy(input.astype(mx.float32) if kind.itemsize == 2 else input, "histc").reshape(-1)
    low, high = min, max
    if low == high and host.size:
        low, high = host.min(), host.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    # Which bin a value at an edge falls into depends on rounding, so the dtype is kept.
    low, high = mx.array(low, input.dtype), mx.array(high, input.dtype)
    position = (mx.reshape(input, (-1,)) - low) * mx.array(bins, input.dtype) / (high - low)
    low, high = low.item(), high.item()
    inside = (host >= low) & (host <= high)
    position = to_numpy(position.astype(mx.float32) if kind.itemsize == 2 else position, "histc")
    position = np.minimum(position[inside].astype(np.int64), bins - 1)
    return mx.array(np.bincount(position, minlength=bins)).astype(input.dtype)


def _count_of_bins(name, bins):
    try:
        bins = operator.index(bins)
    except TypeError:
        raise TypeError(f"{name}(): argument 'bins' (position 2) must be int, not "
                        f"{type(bins).__name__}") from None
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    return bins


def _even_bins(values, low, high, bins):
    """Return which values lie in the range, and the bin of each; computed in their own dtype."""
    with np.errstate(all="ignore"):
        inside = (values >= low) & (values <= high)
        position = ((values - low) * bins / (high - low))
        position = np.where(inside, position, 0).astype(np.int64)
    return inside, np.minimum(position, bins - 1)


def _nearest_bins(values, edges):
    """As `_even_bins`, corrected by a look at the edges, which have rounding errors."""
    bins = edges.size - 1
    inside, position = _even_bins(values, edges[0], edges[-1], bins)
    position -= (values < edges[position]) & (position > 0)
    position += (values >= edges[position + 1]) & (position < bins - 1)
    return inside, position


def _searched_bins(values, edges):
    inside = (values >= edges[0]) & (values <= edges[-1])
    position = np.searchsorted(edges, values, "right") - 1
    return inside, np.clip(position, 0, max(edges.size - 2, 0))


@composite(out=False)
def histogram(input, bins=100, *, range=None, weight=None, density=False, out=None):
    """Counts (or sums of `weight`, or a density) in bins, and the edges of the bins.

    `bins` is their number or a tensor of edges. Raises RuntimeError for ranges and edges that do
    not fit.
    """
    if isinstance(bins, (list, tuple)):
        raise TypeError("histogram() received an invalid combination of arguments - 'bins' must be "
                        "an int or a Tensor")
    if not isinstance(bins, Tensor):
        bins = _count_of_bins("histogram", bins)
    flat = input.reshape((-1, 1))
    flat_weight = None if weight is None else weight.reshape(-1)
    hist, (edges,) = _histogram(flat, [bins], range, flat_weight, density)
    if out is not None:
        return Histogram(write_out(out[0], hist), write_out(out[1], edges))
    return Histogram(hist, edges)


@composite(out=False)
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Counts in the bins of several dimensions, (*, D) -> (bins, ...), and the edges of each.

    `bins` is their number, a number for each dimension, or a tensor of edges for each. Raises
    RuntimeError for what does not fit the input.
    """
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    dims = input.shape[-1]
    if isinstance(bins, int):
        bins = [bins] * dims
    if len(bins) != dims:
        if len(bins) and isinstance(bins[0], Tensor):
            raise RuntimeError(f"torch.histogramdd: expected {dims} sequences of bin edges for a "
                               f"{dims}-dimensional histogram but got {len(bins)}")
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension "
                           "of the input.")
    bins = [b if isinstance(b, Tensor) else _count_of_bins("histogramdd", b) for b in bins]
    if weight is not None and tuple(weight.shape) != tuple(input.shape[:-1]):
        raise _wrong_weight(input, weight)
    flat_weight = None if weight is None else weight.reshape(-1)
    hist, edges = _histogram(input.reshape((-1, dims)), bins, range, flat_weight, density)
    return HistogramDD(hist, tuple(edges))


def _wrong_weight(input, weight):
    return RuntimeError(
        "torch.histogramdd: if weight tensor is provided it should have the same shape as the "
        "input tensor excluding its innermost dimension, but got input with shape "
        f"{list(input.shape)} and weight with shape {list(weight.shape)}"
    )


_LONG_NAMES = {"int64": "long int", "float32": "float", "float64": "double"}


def _name(tensor):
    return _LONG_NAMES.get(tensor.dtype.name, tensor.dtype.name)


def _check_histogram(input, bins, weight):
    for dim, edges in enumerate(bins):
        if not isinstance(edges, Tensor):
            continue
        if edges.dtype is not input.dtype:
            raise RuntimeError(
                "torch.histogramdd: input tensor and bins tensors should have the same dtype, but "
                f"got input with dtype {_name(input)} and bins for dimension {dim} with dtype "
                f"{_name(edges)}")
        if edges.ndim != 1:
            raise RuntimeError(
                "torch.histogramdd: bins tensor should have one dimension, but got "
                f"{edges.ndim} dimensions in the bins tensor for dimension {dim}")
        if not edges.numel():
            raise RuntimeError("torch.histogramdd: bins tensor should have at least 1 element, but "
                               f"got 0 elements in the bins tensor for dimension {dim}")
    if weight is not None:
        if weight.dtype is not input.dtype:
            raise RuntimeError(
                "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor "
                f"should have the same dtype, but got input({_name(input)}), and "
                f"weight({_name(weight)})")
        if weight.numel() != input.shape[0]:
            raise _wrong_weight(input, weight)
    if input.dtype not in (float32, float64):
        raise not_implemented_for("histogramdd", input.dtype)


def _histogram(input, bins, range, weight, density):
    """Count the rows of `input`, (N, D), in bins; return the counts and the edges."""
    _check_histogram(input, bins, weight)
    host = to_numpy(read(input), "histogram")
    given = isinstance(bins[0], Tensor)
    if given:
        edges = [np.array(to_numpy(read(b), "histogram")) for b in bins]
    else:
        edges = [np.array(e) for e in _even_edges(host, bins, range)]
    inside = np.ones(len(host), bool)
    flat = np.zeros(len(host), np.int64)
    for column, of_dim in zip(host.T, edges):
        within, position = (_searched_bins if given else _nearest_bins)(column, of_dim)
        inside &= within
        flat = flat * max(of_dim.size - 1, 1) + position
    shape = [e.size - 1 for e in edges]
    size = int(np.prod(shape))
    weights = None if weight is None else to_numpy(read(weight), "histogram")[inside]
    counts = np.bincount(flat[inside], weights, size)[:size].astype(host.dtype).reshape(shape)
    if density:
        counts = counts / counts.sum(dtype=host.dtype)
        for dim, of_dim in enumerate(edges):
            counts = counts / np.diff(of_dim).reshape([-1 if d == dim else 1
                                                       for d in np.arange(len(edges))])
    made = [input.new_tensor(array.astype(host.dtype), dtype=input.dtype)
            for array in (counts, *edges)]
    return made[0], made[1:]


def _even_edges(host, bins, range):
    """Return the edges of equal bins over `range`, or over what the columns span."""
    if range is not None and len(range) != 2 * len(bins):
        raise RuntimeError(
            f"torch.histogramdd: for a {len(bins)}-dimensional histogram range should have "
            f"{2 * len(bins)} elements, but got {len(range)}")
    kind = host.dtype.type
    for dim, count in enumerate(bins):
        if range is not None:
            low, high = range[2 * dim], range[2 * dim + 1]
        elif len(host):
            low, high = host[:, dim].min(), host[:, dim].max()
        else:
            low, high = 0.0, 1.0
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {dim}'s range [{low:g}, {high:g}] is "
                               "not finite")
        if low > high:
            raise RuntimeError("torch.histogramdd: min should not exceed max, but got min "
                               f"{low:g} max {high:g} for dimension {dim}")
        if low == high:
            low, high = low - 0.5, high + 0.5
        yield np.linspace(kind(low), kind(high), count + 1, dtype=kind)


FUNCTIONS = {f.__name__: f for f in (bincount, histc, histogram, histogramdd)}
METHODS = {name: f for name, f in FUNCTIONS.items() if name != "histogramdd"}
INPLACE = ()
