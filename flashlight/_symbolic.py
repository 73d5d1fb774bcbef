"""Arithmetic on sizes that PyTorch's tracers may make symbolic; here they are always numbers."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import Any, NoReturn


class _NeverMade:
    """A class of which there are no instances, so that `isinstance` is False."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__}: sizes are never symbolic, since nothing is traced "
                        "without its shapes; use a plain number")


class SymInt(_NeverMade):
    """A symbolic int of PyTorch's tracers; never made here."""


class SymFloat(_NeverMade):
    """A symbolic float of PyTorch's tracers; never made here."""


class SymBool(_NeverMade):
    """A symbolic bool of PyTorch's tracers; never made here."""


def sym_int(a: Any) -> int:
    """int(a)."""
    return builtins.int(a)


def sym_float(a: Any) -> float:
    """float(a)."""
    return builtins.float(a)


def sym_not(a: Any) -> bool:
    """not a."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The greater number; a float if one of the two is."""
    return _common(builtins.max(a, b), a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller number; a float if one of the two is."""
    return _common(builtins.min(a, b), a, b)


def _common(value, a, b):
    return builtins.float(value) if isinstance(a, float) or isinstance(b, float) else value


def sym_sum(args: Iterable) -> Any:
    """The sum of several numbers."""
    return builtins.sum(args)


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """`t` if `b`, else `f`. Raises AssertionError if they are of two types."""
    if not isinstance(b, bool) or type(t) is not type(f):
        raise AssertionError("sym_ite takes a bool and two values of one type")
    return t if b else f


def sym_sqrt(a: float) -> float:
    """The square root."""
    return math.sqrt(a)
