"""Evenly spaced numbers: arange, linspace, logspace."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._core.device import META, resolve
from .._core.dtype import (
    TO_COMPLEX,
    bool_,
    check_supported,
    complex64,
    float32,
    float64,
    get_default_dtype,
    int64,
)
from .._core.errors import not_implemented_for
from .._core.evaluation import ensure_memory
from .._core.exact import cast, fma32, fma64
from .._core.tensor import Tensor
from .creation import _bytes_of, _cast_host, _deliver, filled, finish


def arange(*args, out=None, dtype=None, layout=None, device=None, pin_memory=False,
           requires_grad=False, **kwargs) -> Tensor:
    """Return start, start + step, … up to but without `end`: `arange(end)`, `arange(start, end,
    step)`.
    """
    names = ("end",) if len(args) == 1 else ("start", "end", "step")
    given = dict(zip(names, args)) | kwargs
    start, end, step = given.pop("start", 0), given.pop("end"), given.pop("step", 1)
    if given:
        raise TypeError(f"arange() got an unexpected keyword argument '{next(iter(given))}'")
    start, end, step = (
        v.item() if isinstance(v, (Tensor, np.generic)) else v for v in (start, end, step)
    )
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, end, step))
        dtype = out.dtype if out is not None else int64 if whole else get_default_dtype()
    if not all(math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if not dtype.category % 3:
        raise not_implemented_for("arange_cpu", dtype)
    if dtype is int64:  # PyTorch counts in integers, but only here
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
    whole = all(isinstance(v, int) for v in (start, end, step))
    count = max(0, -((start - end) // step) if whole else math.ceil((end - start) / step))
    check_supported(dtype)
    where = resolve(device)
    ensure_memory(_bytes_of((count,), dtype))
    if where is META:
        made = filled((count,), 0, dtype, where)
    elif dtype.category < 2:
        host = np.arange(count, dtype=np.int64) * int(step) + int(start)
        made = finish(mx.array(host.astype(dtype.numpy), dtype.mlx), where)
    else:
        made = finish(_cast_host(_counted(start, step, count, dtype), dtype), where)
    return _deliver(made, out, requires_grad)


def _counted(start, step, count, kind):
    """Return start + step·i with the roundings of PyTorch's AVX2 kernel: of the first number in
    each register, from which it counts on, and of the result.
    """
    width = 32 // kind.itemsize
    index = np.arange(count)
    in_registers = count - count % (2 * width)
    first = index - np.where(index < in_registers, index % width, 0)
    if kind is float64:
        base = fma64(first.astype(np.float64), float(step), float(start))
        return fma64((index - first).astype(np.float64), float(step), base)
    wide = np.float64 if kind is float32 else np.float32
    step = wide(step)
    base = cast(wide(start) + step * first.astype(wide), kind.name).astype(wide)
    return base + step * (index - first).astype(wide)


def range_(
    start,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Return start, start + step, … up to and with `end` (PyTorch's deprecated `range`)."""
    import warnings

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior "
        "is inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kind = check_supported(dtype or (out.dtype if out is not None else get_default_dtype()))
    count = int((end - start) / step) + 1
    host = np.arange(count, dtype=np.float64) * step + start
    return _deliver(finish(_cast_host(host, kind), resolve(device)), out, requires_grad)


range_.__name__ = range_.__qualname__ = "range"


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False) -> Tensor:
    """Return `steps` evenly spaced values from `start` to `end`, both included."""
    if any(isinstance(v, Tensor) and v.ndim for v in (start, end)):
        raise RuntimeError("linspace only supports 0-dimensional start and end tensors")
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    _check_numbers("linspace", steps, start, end)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    plain = get_default_dtype()
    if isinstance(start, complex) or isinstance(end, complex):
        plain = TO_COMPLEX.get(plain, complex64)
    kind = check_supported(dtype or (out.dtype if out is not None else plain))
    if kind is bool_:
        raise not_implemented_for("linspace_cpu", kind)
    return _deliver(
        finish(_cast_host(_spaced(start, end, steps, kind), kind), resolve(device)),
        out,
        requires_grad,
    )


def _check_numbers(name, steps, *values):
    if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool):
        raise TypeError(
            f"{name}() received an invalid combination of arguments: steps must be int, "
            f"not {type(steps).__name__}"
        )
    for value in values:
        if not isinstance(value, (int, float, complex, np.number)):
            raise TypeError(
                f"{name}() received an invalid combination of arguments: expected numbers, "
                f"got {type(value).__name__}"
            )


def _even(start, end, steps):
    """Count from the nearer end, as PyTorch does, so that both ends are exact."""
    if steps == 1:
        return np.array([start])
    step = (end - start) / (steps - 1) if steps else 0
    index = np.arange(steps)
    return np.where(index < steps // 2, start + step * index, end - step * (steps - 1 - index))


def _spaced(start, end, steps, kind):
    """Return what `_even` does with PyTorch's roundings: multiply-adds are fused (its halves are
    rounded after each step instead), and integers are truncated at the end.
    """
    if kind.is_complex:
        return _even(np.complex64(start), np.complex64(end), steps)
    if kind.category < 2:
        start, end = (float(_as_integer(v, kind)) for v in (start, end))
    elif kind.itemsize == 2:
        return _spaced_halves(start, end, steps, kind.name)
    if steps < 2:
        return np.full(steps, start)
    wide, fused = (np.float32, fma32) if kind is float32 else (np.float64, fma64)
    start, end = wide(start), wide(end)
    step = (end - start) / wide(steps - 1)
    up, down = np.arange(steps // 2), np.arange((steps - 1) // 2, -1, -1)
    return np.concatenate(
        [fused(up.astype(wide), step, start), fused(down.astype(wide), -step, end)]
    )


def _spaced_halves(start, end, steps, name):
    def half(values):
        return cast(np.asarray(values, np.float32), name).astype(np.float32)
    start, end = half([start]), half([end])
    if steps < 2:
        return start[:steps]
    step = half(half(end - start) / half([steps - 1]))
    up, down = half(np.arange(steps // 2)), half(np.arange((steps - 1) // 2, -1, -1))
    return np.concatenate([half(start + half(step * up)), half(end - half(step * down))])


def _as_integer(value, kind):
    """Return a number as PyTorch passes it to a kernel of integers: negative ones may wrap."""
    limits = np.iinfo(kind.numpy)
    low = limits.min if kind.is_signed or isinstance(value, float) else -limits.max
    if not low <= value <= limits.max:
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")
    return int(np.int64(value).astype(kind.numpy))


def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """Return `base` to the power of evenly spaced exponents."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    _check_numbers("logspace", steps, start, end, base)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    plain = get_default_dtype()
    if any(isinstance(v, complex) for v in (start, end, base)):
        plain = TO_COMPLEX.get(plain, complex64)
    kind = check_supported(dtype or (out.dtype if out is not None else plain))
    with np.errstate(all="ignore"):
        # The ends are rounded to the dtype, or truncated, unless there is but one step; what
        # comes after is double.
        if kind.category < 2 and steps > 1:
            start, end = int(start), int(end)
        elif kind.category == 2:
            start, end = cast(np.array([start, end], np.float64), kind.name).astype(np.float64)
        exponents = _even(start, end, steps)
        host = np.power(
            np.asarray(base, np.float64 if not isinstance(base, complex) else None), exponents
        )
    return _deliver(finish(_cast_host(host, kind), resolve(device)), out, requires_grad)

FUNCTIONS = {f.__name__: f for f in (arange, range_, linspace, logspace)}
METHODS = {}
INPLACE = ()
