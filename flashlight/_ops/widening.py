"""Gradient rules that compute float16 and bfloat16 in float32 and round once.

PyTorch's backward kernels do so, where a rule written in tensors rounds after each operation.
What PyTorch's own rules write in tensors rounds as often there, and stays as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from .._core.dtype import bfloat16, float16, float32
from .._core.tensor import Tensor

HALF = (float16, bfloat16)


def rounded_once(rule: Callable) -> Callable:
    """Return `rule` with its half-precision arguments in float32.

    The engine rounds the gradient to the dtype of the input.
    """

    @functools.wraps(rule)
    def wide(grad, *saved):
        if grad.dtype not in HALF:
            return rule(grad, *saved)
        return rule(grad.to(float32), *map(widened, saved))

    return wide


def widened(value):
    """Return a half-precision tensor in float32, anything else as it is."""
    return value.to(float32) if isinstance(value, Tensor) and value.dtype in HALF else value
