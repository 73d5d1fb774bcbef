"""`torch.jit.script` and its classes, switched off."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from flashlight.nn import Module


class ScriptWarning(Warning):
    """A warning of TorchScript's compiler."""


class ScriptFunction:
    """A compiled function, of which there are none: for isinstance."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("ScriptFunction: No constructor defined!")


class ScriptModule(Module):
    """A module whose `script_method`s stay Python."""

    def __init__(self, arg: Any = None) -> None:
        super().__init__()


class RecursiveScriptModule(ScriptModule):
    """A compiled module, of which there are none: for isinstance."""


def Attribute(value: Any, type: Any) -> Any:
    """Return the value; the type is for TorchScript's compiler."""
    return value


def warn_deprecated(name: str) -> None:
    """Warn as PyTorch does, also where compiling is switched off."""
    warnings.warn(
        f"`torch.jit.{name}` is deprecated, and compiles nothing here: it returns what it is "
        "given. Please switch to `torch.compile`.",
        DeprecationWarning,
        stacklevel=2,
    )


def script(
    obj: Any, optimize: None = None, _frames_up: int = 0,
    _rcb: Callable[[str], Any] | None = None, example_inputs: Any = None,
) -> Any:  # fmt: skip
    """Return the function, class or module itself."""
    warn_deprecated("script")
    return obj


def script_method(fn: Callable) -> Callable:
    """Return the method."""
    return fn


def interface(obj: Any) -> Any:
    """Return the class. Raises RuntimeError for anything else."""
    if not inspect.isclass(obj):
        raise RuntimeError("interface must be applied to a class")
    return obj
