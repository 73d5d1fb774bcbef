"""Whether operations are recorded: `no_grad`, `enable_grad`, `inference_mode`, … (per thread)."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .._core.evaluation import local
from .._core.storage import UNTRACKED


class observers:
    """Counts of what must see every recorded operation; process-wide, as a mere slow-path switch.
    """

    anomaly = 0
    saved_hooks = 0


def refresh() -> None:
    """Recompute this thread's fast-path flag."""
    local.recording = local.grad_enabled and not (
        observers.anomaly or local.__dict__.get("saved_hooks")
    )


def is_grad_enabled() -> bool:
    """Tell whether operations are recorded for backward in this thread."""
    return local.grad_enabled


def _set_grad_enabled(mode: bool) -> None:
    local.grad_enabled = mode
    refresh()


def is_inference_mode_enabled() -> bool:
    """Tell whether inference mode is on in this thread."""
    return local.inference


class _Mode:
    """A context manager that is a decorator too, for functions, generators and classes."""

    def clone(self):
        """Return a fresh manager of the same kind."""
        return type(self)()

    def __call__(self, function):
        """Decorate `function` to run inside the mode."""
        if inspect.isclass(function):
            function.__init__ = self(function.__init__)
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)
        return inside

    def _wrap_generator(self, function):
        @functools.wraps(function)
        def inside(*args, **kwargs):
            generator = function(*args, **kwargs)
            resume, value = generator.send, None
            try:
                while True:
                    with self.clone():
                        produced = resume(value)
                    try:
                        value = yield produced
                        resume = generator.send
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:
                        resume, value = generator.throw, error
            except StopIteration as stop:
                return stop.value
        return inside


class _GradMode(_Mode):
    _enabled = False

    def __new__(cls, orig_func=None, *args) -> Any:
        made = object.__new__(cls)
        if orig_func is None or cls is set_grad_enabled:
            return made
        return cls.__call__(made, orig_func)

    def __enter__(self):
        self._previous = local.grad_enabled
        _set_grad_enabled(self._enabled)

    def __exit__(self, *exception):
        _set_grad_enabled(self._previous)


class no_grad(_GradMode):
    """Operations inside are not recorded."""


class enable_grad(_GradMode):
    """Operations inside are recorded, also within `no_grad`."""

    _enabled = True


class set_grad_enabled(_GradMode):
    """Switch recording on or off: at once when called, until the end of the block in a `with`."""

    def __init__(self, mode: bool):
        self._previous = local.grad_enabled
        self._enabled = self.mode = bool(mode)
        _set_grad_enabled(self._enabled)

    def __call__(self, function):
        """Decorate `function`; the mode set by the constructor is undone."""
        _set_grad_enabled(self._previous)
        return super().__call__(function)

    def __enter__(self):
        _set_grad_enabled(self._enabled)

    def clone(self):
        """Return a fresh manager of the same mode."""
        made = object.__new__(set_grad_enabled)
        made._previous = local.grad_enabled
        made._enabled = made.mode = self.mode
        return made

    def __repr__(self):
        return f"{type(self).__name__}(mode={self.mode})"


class inference_mode(_Mode):
    """Like `no_grad`, and tensors made inside stay out of autograd for good.

    Outside, saving one for backward or writing to it raises RuntimeError; a clone is a normal one.
    """

    def __new__(cls, mode=True) -> Any:
        made = object.__new__(cls)
        if isinstance(mode, bool):
            made.mode = mode
            return made
        made.mode = True
        return made(mode)

    def __init__(self, mode=True):
        pass

    def clone(self):
        """Return a fresh manager of the same mode."""
        return inference_mode(self.mode)

    def __enter__(self):
        self._previous = local.inference, local.grad_enabled
        local.inference = self.mode
        local.birth = UNTRACKED if self.mode else 0
        _set_grad_enabled(not self.mode)

    def __exit__(self, *exception):
        local.inference, enabled = self._previous
        local.birth = UNTRACKED if local.inference else 0
        _set_grad_enabled(enabled)
