"""`fork` and `wait`, which outside of TorchScript do nothing at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashlight.futures import Future


def fork(func: Callable, *args: Any, **kwargs: Any) -> Future:
    """Call the function now and return a Future of its result; what it raises is raised here."""
    if not callable(func):
        raise TypeError(f"fork() takes a function, not {type(func).__name__}")
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Future) -> Any:
    """Return the result of a Future. Raises TypeError for anything else."""
    if not isinstance(future, Future):
        raise TypeError(f"wait() takes a Future, not {type(future).__name__}")
    return future.wait()
