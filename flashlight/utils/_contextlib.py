"""Contexts that are decorators, too."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["context_decorator"]


def context_decorator(ctx: Any, func: Callable) -> Callable:
    """Return `func` so that each call runs inside of `ctx`, or of what calling `ctx` returns.

    Generators are inside while they run, not while they wait. Raises RuntimeError for classes.
    """
    if callable(ctx) and hasattr(ctx, "__enter__"):
        raise AssertionError(
            f"{ctx} can be called and be entered: pass `lambda: ctx()` or `lambda: ctx` to say "
            "which is meant"
        )
    if inspect.isclass(func):
        raise RuntimeError(
            "Cannot decorate classes; it is ambiguous whether or not only the constructor or all "
            "methods should have the context manager applied"
        )
    enter: Callable[[], Any] = ctx if callable(ctx) else lambda: ctx
    if inspect.isgeneratorfunction(func):
        return _wrap_generator(enter, func)

    @functools.wraps(func)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with enter():
            return func(*args, **kwargs)

    return inside


def _wrap_generator(enter: Callable, func: Callable) -> Callable:
    @functools.wraps(func)
    def inside(*args: Any, **kwargs: Any) -> Any:
        generator = func(*args, **kwargs)
        resume, value = generator.send, None
        while True:
            try:
                with enter():
                    made = resume(value)
            except StopIteration as end:
                return end.value
            try:
                value = yield made
                resume = generator.send
            except GeneratorExit:
                with enter():
                    generator.close()
                raise
            except BaseException:
                resume, value = generator.throw, sys.exc_info()[1]

    return inside


class _DecoratorContextManager:
    """A context that also decorates functions. One with arguments overrides `clone`."""

    def __call__(self, orig_func: Callable) -> Callable:
        """Return the function so that each call runs inside of a clone of this context."""
        if inspect.isclass(orig_func):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You "
                "should only decorate functions or methods.",
                FutureWarning,
                stacklevel=2,
            )
            return context_decorator(self.clone, lambda *a, **k: orig_func(*a, **k))
        return context_decorator(self.clone, orig_func)

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        raise NotImplementedError

    def clone(self) -> _DecoratorContextManager:
        """Return another context like this one."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One that decorates without parentheses as well: `@no_grad`."""

    def __new__(cls, orig_func: Callable | None = None) -> Any:
        made = super().__new__(cls)
        return made if orig_func is None else made(orig_func)
