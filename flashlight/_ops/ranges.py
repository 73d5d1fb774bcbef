"""Evenly spaced numbers: arange, linspace, logspace."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._core.device import META, resolve
from .._core.dtype import TO_COMPLEX, check_supported, complex64, get_default_dtype, int64
from .._core.evaluation import ensure_memory
from .._core.exact import cast
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
    count = (
        max(0, math.ceil((end - start) / step))
        if not all(isinstance(v, int) for v in (start, end, step))
        else max(0, -((start - end) // step))
    )
    check_supported(dtype)
    if dtype.category < 2 and int(step) == 0:
        raise ValueError("step must be nonzero")
    where = resolve(device)
    ensure_memory(_bytes_of((count,), dtype))
    if where is META:
        made = filled((count,), 0, dtype, where)
    elif dtype.category < 2:
        host = np.arange(count, dtype=np.int64) * int(step) + int(start)
        made = finish(mx.array(host.astype(dtype.numpy), dtype.mlx), where)
    else:
        host = np.arange(count, dtype=np.float64) * step + start
        made = finish(_cast_host(host, dtype), where)
    return _deliver(made, out, requires_grad)


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
    if kind.category < 2:
        host = _even_integers(start, end, steps, kind)
    else:
        host = _even(start, end, steps)
    return _deliver(finish(_cast_host(host, kind), resolve(device)), out, requires_grad)


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


def _even_integers(start, end, steps, kind):
    step = np.float32((float(end) - float(start)) / (steps - 1)) if steps > 1 else 0
    index = np.arange(steps)
    low, high = int(start), int(end)
    return np.where(
        index < steps / 2, np.trunc(low + step * index), np.trunc(high - step * (steps - 1 - index))
    )


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
