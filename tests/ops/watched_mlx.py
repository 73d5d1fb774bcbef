"""MLX with its undefined behaviour made visible: reductions of nothing, indices out of range.

MLX reads and writes memory that is not its own there, mostly without a sign of it. While it is
watched, every such call is noted, with the line of the package that made it.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import mlx.core as mx

#: Reductions and scans, which walk over at least one element of their input.
OVER_ELEMENTS = ("sum", "prod", "any", "all", "max", "min", "mean", "var", "std", "cumsum",
                 "cumprod", "cummax", "cummin", "logcumsumexp", "logsumexp", "argmax",
                 "argmin")  # fmt: skip
#: What was done that must not be, since the list was last cleared.
noted: list = []


def watch() -> None:
    """Replace MLX's functions and methods, for the rest of the process, by ones that look first."""
    for name in OVER_ELEMENTS:
        for owner in (mx, mx.array):
            if hasattr(owner, name):
                setattr(owner, name, _not_empty(name, getattr(owner, name)))
    for name in ("take", "take_along_axis", "put_along_axis"):
        setattr(mx, name, _in_range(name, getattr(mx, name)))
    mx.array.__getitem__ = _indexed("[]", mx.array.__getitem__)
    mx.array.__setitem__ = _indexed("[] =", mx.array.__setitem__)
    at: Any = mx.array.at
    mx.array.at = property(lambda array: _At(array, at.__get__(array)))


def _caller() -> str:
    frame: Any = sys._getframe(2)
    while "flashlight" not in frame.f_code.co_filename:
        frame = frame.f_back
        if frame is None:
            return ""
    return f"{frame.f_code.co_filename.rpartition('flashlight/')[2]}:{frame.f_lineno}"


def _not_empty(name, function):
    @functools.wraps(function)
    def call(array, *args, **kwargs):
        if isinstance(array, mx.array) and not array.size and (where := _caller()):
            noted.append(f"{name} of nothing at {where}")
        return function(array, *args, **kwargs)
    return call


def _outside(index, length) -> bool:
    """Tell whether an index array is known to reach beyond a dimension."""
    if not isinstance(index, mx.array) or not index.size or index.dtype == mx.bool_:
        return False
    try:
        low, high = (f(mx.reshape(index, (-1,)).astype(mx.int64)).item() for f in _EXTREMES)
    except (ValueError, RuntimeError):  # inside a trace
        return False
    return low < -length or high >= length


_EXTREMES = mx.min, mx.max


def _in_range(name, function):
    @functools.wraps(function)
    def call(array, indices, *args, **kwargs):
        axis = kwargs.get("axis", args[-1] if args else None)
        length = array.size if axis is None else array.shape[axis]
        if _outside(indices, length) and (where := _caller()):
            noted.append(f"{name} out of range at {where}")
        return function(array, indices, *args, **kwargs)
    return call


def _check(name, array, index):
    parts = index if isinstance(index, tuple) else (index,)
    given = [part for part in parts if part is not None]
    axis = 0
    for position, part in enumerate(given):
        if part is Ellipsis:
            axis = array.ndim - (len(given) - position - 1)
            continue
        whole = isinstance(part, int) and not isinstance(part, bool)
        length = array.shape[axis] if axis < array.ndim else 0
        if whole and not -length <= part < length or _outside(part, length):
            where = _caller()
            if where:
                noted.append(f"{name} out of range at {where}")
        axis += 1


def _indexed(name, function):
    def call(array, index, *rest):
        _check(name, array, index)
        return function(array, index, *rest)
    return call


class _At:
    def __init__(self, array, original):
        self.array, self.original = array, original

    def __getitem__(self, index):
        _check("at[]", self.array, index)
        return self.original[index]
