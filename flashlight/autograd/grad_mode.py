"""Switches for recording, as `torch.autograd.grad_mode`."""

from .._autograd.engine import keeps_strides
from .._autograd.grad_mode import (
    _Mode,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


class enforce_grad_layout_policy(_Mode):
    """Choose whether a new `grad` gets the strides of its leaf: at once, or in a `with`."""

    def __init__(self, enable: bool = True):
        self.enable = enable
        self._previous = keeps_strides[0]
        keeps_strides[0] = enable

    def clone(self):
        """Return a fresh manager of the same choice."""
        previous = keeps_strides[0]
        made = type(self)(self.enable)
        keeps_strides[0] = previous
        return made

    def __call__(self, function):
        """Decorate `function`; the choice made by the constructor is undone."""
        keeps_strides[0] = self._previous
        return super().__call__(function)

    def __enter__(self):
        keeps_strides[0] = self.enable

    def __exit__(self, *exception):
        keeps_strides[0] = self._previous


class set_multithreading_enabled:
    """Accepted for compatibility: backward runs in the calling thread."""

    def __init__(self, mode: bool):
        self.mode = mode

    def __enter__(self):
        return None

    def __exit__(self, *exception):
        return None
