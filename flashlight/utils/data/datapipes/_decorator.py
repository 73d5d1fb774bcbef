"""Decorators for classes of pipes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args, get_origin, get_type_hints

from flashlight.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe


class functional_datapipe:
    """Make the decorated class a method, of this name, of all pipes of its kind."""

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls: type) -> type:
        if issubclass(cls, IterDataPipe):
            IterDataPipe.register_datapipe_as_function(
                self.name, cls, enable_df_api_tracing=self.enable_df_api_tracing
            )
        elif issubclass(cls, MapDataPipe):
            MapDataPipe.register_datapipe_as_function(self.name, cls)
        return cls


class _Switch:
    """A process-wide switch, thrown when an instance is made and back when its `with` ends."""

    on: bool
    thrown: bool

    def __init__(self) -> None:
        self.prev = type(self).on
        type(self).on = self.thrown

    def __enter__(self) -> None:
        pass

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        type(self).on = self.prev


class guaranteed_datapipes_determinism(_Switch):
    """Forbid pipes that are marked as non-deterministic."""

    on = False
    thrown = True


class runtime_validation_disabled(_Switch):
    """Let `runtime_validation` check nothing."""

    on = False
    thrown = True


class non_deterministic:
    """Mark a class of pipes as non-deterministic: always, or for the arguments a function says."""

    def __init__(self, arg: type[IterDataPipe] | Callable[..., bool]) -> None:
        self.cls: type | None = None
        self.deterministic_fn: Callable[..., bool] = lambda *args, **kwargs: True
        if isinstance(arg, type):
            self._set(arg)
        elif callable(arg):
            self.deterministic_fn = arg
        else:
            raise TypeError(f"{arg} can not be decorated by non_deterministic")

    def _set(self, cls: Any) -> None:
        if not (isinstance(cls, type) and issubclass(cls, IterDataPipe)):
            name = getattr(cls, "__name__", cls)
            raise TypeError(f"Only `IterDataPipe` can be decorated, but {name} is found")
        self.cls = cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.cls is None:
            self._set(args[0])
            return self.deterministic_wrapper_fn
        return self.deterministic_wrapper_fn(*args, **kwargs)

    def deterministic_wrapper_fn(self, *args: Any, **kwargs: Any) -> IterDataPipe:
        """Return a pipe, or raise TypeError if it is non-deterministic and that is forbidden."""
        random = self.deterministic_fn(*args, **kwargs)
        if not isinstance(random, bool):
            raise TypeError(
                "deterministic_fn of `non_deterministic` decorator is required to return a boolean "
                f"value, but {type(random)} is found"
            )
        if guaranteed_datapipes_determinism.on and random:
            raise TypeError(
                f"{self.cls.__name__} is non-deterministic, but you set "
                "'guaranteed_datapipes_determinism'"
            )
        return self.cls(*args, **kwargs)


def argument_validation(f: Callable) -> Callable:
    """Check that arguments annotated as pipes are pipes."""
    signature = inspect.signature(f)
    hints = get_type_hints(f)

    @wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            hint = get_origin(hints.get(name)) or hints.get(name)
            wants_pipe = isinstance(hint, type) and issubclass(hint, IterDataPipe)
            if wants_pipe and not isinstance(value, IterDataPipe):
                raise TypeError(
                    f"Expected argument '{name}' as a IterDataPipe, but found {type(value)}"
                )
        return f(*args, **kwargs)

    return wrapper


def runtime_validation(f: Callable) -> Callable:
    """Check each sample of an ``__iter__`` against the class that the pipe was declared to give."""
    if f.__name__ != "__iter__":
        raise TypeError(f"Can not decorate function {f.__name__} with 'runtime_validation'")

    @wraps(f)
    def wrapper(self: IterDataPipe):
        declared = _declared_type(type(self))
        for sample in f(self):
            if not runtime_validation_disabled.on and not isinstance(sample, declared):
                raise RuntimeError(
                    f"Expected an instance as subtype of {declared}, but found "
                    f"{sample}({type(sample)})"
                )
            yield sample

    return wrapper


def _declared_type(cls: type) -> type:
    """Return the class in the brackets of ``IterDataPipe[...]``."""
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in get_args(base):
            kind = get_origin(argument) or argument
            if isinstance(kind, type):
                return kind
    return object
