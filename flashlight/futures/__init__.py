"""Values that come later. https://docs.pytorch.org/docs/2.13/futures.html"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Future", "collect_all", "wait_all"]

class Future:
    """A value that is set once, by whichever thread has it, and waited for by others.

    Raises ValueError for `devices` without an index.
    """

    def __init__(self, *, devices: list | None = None) -> None:
        from flashlight import device

        for name in devices or ():
            if device(name).index is None:
                raise ValueError(f"Expected devices to have indices, got {device(name)}")
        self._changed = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[], None]] = []

    def __reduce__(self):
        raise RuntimeError("Can not pickle torch.futures.Future")

    def done(self) -> bool:
        """Tell whether there is a value or an error."""
        return self._done

    def value(self) -> Any:
        """Return the value, or raise the error. Raises RuntimeError if there is neither yet."""
        if not self._done:
            raise RuntimeError("the Future has no value yet: wait() waits for one")
        if self._error is not None:
            raise self._error
        return self._value

    def wait(self) -> Any:
        """Wait for the value and return it, or raise the error."""
        with self._changed:
            self._changed.wait_for(lambda: self._done)
        return self.value()

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """Return a Future of `callback(self)`, which runs as soon as this one is done.

        What it raises becomes a RuntimeError of that Future.
        """
        following = Future()

        def run() -> None:
            try:
                made = callback(self)
            except Exception as error:
                following.set_exception(_in_callback(error))
            else:
                following.set_result(made)

        self._when_done(callback, run)
        return following

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Call `callback(self)` as soon as this one is done; what it raises is logged."""

        def run() -> None:
            try:
                callback(self)
            except Exception as error:
                import logging  # local: few programs come here

                log = logging.getLogger("torch.futures")
                log.error("%s", _in_callback(error), exc_info=error)

        self._when_done(callback, run)

    def set_result(self, result: Any) -> None:
        """Set the value. Raises RuntimeError if there is one."""
        self._finish(result, None)

    def set_exception(self, result: Exception) -> None:
        """Set the error. Raises AssertionError for other objects, RuntimeError if it is done."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def _finish(self, value: Any, error: Exception | None) -> None:
        with self._changed:
            if self._done:
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that a Future "
                    "can only be marked completed once."
                )
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for run in callbacks:
            run()

    def _when_done(self, callback: Any, run: Callable[[], None]) -> None:
        if not callable(callback):
            raise TypeError(f"the callback must be callable, not {type(callback).__name__}")
        with self._changed:
            if not self._done:
                self._callbacks.append(run)
                return
        run()


def _in_callback(error: Exception) -> RuntimeError:
    made = RuntimeError(
        f"Got the following error when running the callback: {type(error).__name__}: {error}"
    )
    made.__cause__ = error
    return made


def collect_all(futures: list[Future]) -> Future:
    """Return a Future of the list, which is done when all of them are."""
    futures = list(futures)
    for future in futures:
        if not isinstance(future, Future):
            raise TypeError(f"collect_all() takes Futures, not {type(future).__name__}")
    together = Future()
    remaining = [len(futures)]
    lock = threading.Lock()

    def count(done: Future) -> None:
        with lock:
            remaining[0] -= 1
            last = remaining[0] == 0
        if last:
            together.set_result(futures)

    for future in futures:
        future.add_done_callback(count)
    if not futures:
        together.set_result(futures)
    return together


def wait_all(futures: Iterable[Future]) -> list:
    """Wait for all of them and return their values, or raise the first one's error."""
    return [future.wait() for future in collect_all(list(futures)).wait()]
