"""Marks that TorchScript would read, and what its questions answer outside of it."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any, Final, Union, get_args, get_origin

from flashlight.futures import Future as Future

__all__ = ["Final", "export", "ignore", "is_scripting", "unused"]


class FunctionModifiers:
    """The marks that decorators leave as `_torchscript_modifier`."""

    UNUSED = "unused (ignored and replaced with raising of an exception)"
    IGNORE = "ignore (leave as a call to Python, cannot be torch.jit.save'd)"
    EXPORT = "export (compile this function even if nothing calls it)"
    DEFAULT = "default (if called from a exported function / forward)"


def is_scripting() -> bool:
    """Return False: no code is ever compiled as TorchScript."""
    return False


def _mark(fn: Any, modifier: str) -> Any:
    target = fn.fget if isinstance(fn, property) else fn
    target._torchscript_modifier = modifier
    return fn


def export(fn: Callable) -> Callable:
    """Return `fn`, marked as TorchScript wants it."""
    return _mark(fn, FunctionModifiers.EXPORT)


def unused(fn: Any) -> Any:
    """Return `fn` (a function or a property), marked as TorchScript wants it."""
    return _mark(fn, FunctionModifiers.UNUSED)


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Return the decorated function, marked as TorchScript wants it.

    Raises RuntimeError for an argument that is neither a bool nor a function.
    """
    if callable(drop):
        return _mark(drop, FunctionModifiers.IGNORE)
    if not isinstance(drop, bool):
        raise RuntimeError(
            f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}"
        )
    drop = drop or kwargs.pop("drop_on_export", False)
    modifier = FunctionModifiers.UNUSED if drop else FunctionModifiers.IGNORE
    return lambda fn: _mark(fn, modifier)


def _drop(fn: Callable) -> Callable:
    """Return `fn`."""
    return fn


def _copy_to_script_wrapper(fn: Callable) -> Callable:
    """Return `fn`."""
    return fn


def _overload(func: Callable) -> Callable:
    """Return the declaration of an overload, which Python replaces by the next one."""
    return func


_overload_method = _overload


def _isinstance(obj: Any, target_type: Any) -> bool:
    """Tell whether `obj` is of a type, its elements looked at for list[int] and the like.

    Raises RuntimeError for containers without the type of their elements.
    """
    if isinstance(target_type, tuple):
        return any(_isinstance(obj, each) for each in target_type)
    origin, inner = get_origin(target_type), get_args(target_type)
    if target_type in (list, tuple, dict) or (origin in (list, tuple, dict) and not inner):
        name = (origin or target_type).__name__
        what = "contained types" if name == "dict" else "a contained type"
        raise RuntimeError(
            f"Attempted to use {name} without {what}. Please add {what.replace('types', 'type')}, "
            f"e.g. {name}[{'int, int' if name == 'dict' else 'int'}]"
        )
    if isinstance(obj, (list, tuple, dict)) and not obj:
        warnings.warn(
            "torch.jit.isinstance goes by the elements, of which an empty container has none",
            UserWarning,
            stacklevel=3,
        )
    if origin is list:
        return isinstance(obj, list) and all(_isinstance(item, inner[0]) for item in obj)
    if origin is dict:
        return isinstance(obj, dict) and all(
            _isinstance(key, inner[0]) and _isinstance(value, inner[1])
            for key, value in obj.items()
        )
    if origin is tuple:
        return (
            isinstance(obj, tuple)
            and len(obj) == len(inner)
            and all(map(_isinstance, obj, inner))
        )
    if origin is Union or origin is types.UnionType:
        return any(obj is None if each is type(None) else _isinstance(obj, each) for each in inner)
    return isinstance(obj, target_type)
