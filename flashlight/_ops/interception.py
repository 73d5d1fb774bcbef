"""What sees every call of an operation: autocast, profilers, function modes.

An interceptor is called as `interceptor(function, proceed, args, kwargs)` and returns what
`proceed(args, kwargs)` gives, or something else. The list is process-wide, so that a call costs one
look at it; who is active in which thread is for the interceptors to know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

#: The interceptors in use, the last one outermost.
interceptors: list = []
#: The same interceptor may be wanted several times (nested contexts, several threads).
_wanted: dict = {}
#: What must happen when the list becomes empty or ceases to be: set by `kinds`.
on_change: list = []


def intercepted(function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
    """Send a call through all interceptors."""
    for interceptor in tuple(interceptors):
        proceed = partial(interceptor, function, proceed)
    return proceed(args, kwargs)


def watched(function: Callable) -> Callable:
    """Return `function` with its calls sent through the interceptors, unless it does so itself."""
    if not hasattr(function, "__code__") or getattr(function, "is_watched", False):
        return function

    @wraps(function)
    def call(*args, **kwargs):
        if interceptors:
            return intercepted(call, proceed, args, kwargs)
        return function(*args, **kwargs)

    def proceed(args, kwargs):
        return function(*args, **kwargs)

    call.is_watched = True
    return call


def want(interceptor: Callable) -> None:
    """Put an interceptor to use, until it is released as often as it was wanted."""
    _wanted[interceptor] = _wanted.get(interceptor, 0) + 1
    if _wanted[interceptor] == 1:
        interceptors.append(interceptor)
        _changed()


def release(interceptor: Callable) -> None:
    """Take back one `want`."""
    _wanted[interceptor] -= 1
    if not _wanted[interceptor]:
        del _wanted[interceptor]
        interceptors.remove(interceptor)
        _changed()


def _changed() -> None:
    for listener in on_change:
        listener(bool(interceptors))
