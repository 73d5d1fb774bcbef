"""What an operation raises when its arguments are wrong and its body found out the hard way.

Arguments are not all checked beforehand, which would cost every call. What a body, MLX or NumPy
raises for wrong ones is turned into what PyTorch raises.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .._core.errors import broadcast_shapes
from .._core.tensor import Tensor

#: What bodies, MLX and NumPy raise besides errors that say what they mean.
RAW = (AttributeError, TypeError, ValueError, MemoryError, ZeroDivisionError, OverflowError,
       RuntimeError)  # fmt: skip
_NOT_TENSORS = (int, float, bool, complex, str, bytes, list, tuple, dict, type(None), type)
_WRONG_KIND = ("on an mlx.core.array", "incompatible function arguments", "std::bad_cast", "object cannot be interpreted",
               "not supported between instances", "unsupported operand type")  # fmt: skip


def explain(name: str, names: list, error: Any, args: Any, kwargs: Any = None) -> None:
    """Raise what PyTorch would in place of `error`; return if `error` says what it means.

    `args` and `kwargs` are what the operation `name`, with parameters `names`, was called with.
    """
    told = _explained(name, names, error, args, kwargs or {})
    if told is not error:
        raise told from error


def _explained(name, names, error, args, kwargs):
    given = [*args, *kwargs.values()]
    text = str(error)
    if isinstance(error, AttributeError):
        labels = [*names[:len(args)], *names[-1:] * (len(args) - len(names)), *kwargs]
        return _not_a_tensor(name, error, list(zip(labels, given))) or error
    if isinstance(error, MemoryError) or text.startswith(("[malloc", "std::bad_alloc")):
        return RuntimeError(
            f"{name}: [enforce fail] DefaultCPUAllocator: can't allocate memory ({text}). Use "
            "smaller tensors."
        )
    if any(part in text for part in _WRONG_KIND):
        return invalid_combination(name, args, kwargs)
    if isinstance(error, OverflowError):
        return ValueError(f"{name}: Overflow when unpacking long long: {text}")
    if text.startswith("[broadcast_shapes]"):
        try:
            broadcast_shapes(*[value.shape for value in given if isinstance(value, Tensor)])
        except RuntimeError as told:
            return told
    if type(error) is ValueError and text.startswith("["):
        return RuntimeError(f"{name}({', '.join(map(_described, given))}): {text}")
    if isinstance(error, ZeroDivisionError):
        return RuntimeError(f"{name}({', '.join(map(_described, given))}): {text}")
    return error


def guarded(function: Any) -> Any:
    """Return `function`, which is no declared operation, with its errors explained."""
    names: list = []

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except RAW as error:
            if not names:
                names.extend(inspect.signature(function).parameters)
            explain(function.__name__, names, error, args, kwargs)
            raise
    return call


def invalid_combination(name: str, args, kwargs: dict) -> TypeError:
    """Return the error for arguments of types that the operation does not take."""
    kinds = [_kind(value) for value in args]
    kinds += [f"{key}={_kind(value)}" for key, value in kwargs.items()]
    return TypeError(
        f"{name}() received an invalid combination of arguments - got ({', '.join(kinds)})"
    )


def _not_a_tensor(name, error, labelled):
    """Return a TypeError if an argument lacks an attribute since it is no tensor."""
    if isinstance(error.obj, _NOT_TENSORS) or type(error.obj).__name__ == "ndarray":
        for position, (label, value) in enumerate(labelled, 1):
            several = isinstance(value, (list, tuple)) and any(v is error.obj for v in value)
            if several or value is error.obj:
                wanted = "tuple of Tensors" if several else "Tensor"
                return TypeError(f"{name}(): argument '{label}' (position {position}) must be "
                                 f"{wanted}, not {type(value).__name__}")
    return None


def _kind(value) -> str:
    if isinstance(value, (list, tuple)):
        opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
        some = ", ".join(_kind(v) for v in value[:8])
        return f"{type(value).__name__} of {opening}{some}{closing}"
    return type(value).__name__


def _described(value) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype.name}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_described, value[:8]))}]"
    return repr(value) if isinstance(value, (int, float, str, type(None))) else _kind(value)
