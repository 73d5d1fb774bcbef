"""The vocabulary of optimizer rules, on arrays.

Each function rounds to its first argument's dtype once, as the PyTorch function of that name
does: half-precision parameters are updated in float32. Numbers come as 0-d arrays of the
accumulation dtype, so that a compiled rule does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx

_NARROW = (mx.float16, mx.bfloat16)


def _wide(x: mx.array) -> mx.array:
    return x.astype(mx.float32) if x.dtype in _NARROW else x


def _rounded(function: Callable[..., mx.array]) -> Callable[..., mx.array]:
    """Let `function` compute in the accumulation dtype and round to its first argument's."""

    def call(x: mx.array, *others: mx.array) -> mx.array:
        if x.dtype not in _NARROW:
            return function(x, *others)
        return function(_wide(x), *map(_wide, others)).astype(x.dtype)

    return call


neg = mx.negative
abs = mx.abs
sqrt = _rounded(mx.sqrt)
square = _rounded(mx.square)
sign = mx.sign
maximum = mx.maximum
mul = _rounded(lambda x, y: x * y)
div = _rounded(lambda x, y: x / y)
lerp = _rounded(lambda x, end, weight: x + weight * (end - x))
addcmul = _rounded(lambda x, y, z, value=None: x + (y * z if value is None else value * y * z))
addcdiv = _rounded(lambda x, y, z, value=None: x + (y / z if value is None else value * y / z))
clamp = _rounded(lambda x, lowest, highest: mx.minimum(mx.maximum(x, lowest), highest))


def add(x: mx.array, y: mx.array, alpha: mx.array | None = None) -> mx.array:
    """x + alpha·y. PyTorch's `add`, alone of all, rounds the factor to the dtype as well."""
    if alpha is None:
        return _sum(x, y)
    return _sum_scaled(x, y, like(alpha, x))


_sum = _rounded(lambda x, y: x + y)
_sum_scaled = _rounded(lambda x, y, alpha: x + alpha * y)


def detach(x: mx.array) -> mx.array:
    """`x` itself: arrays carry no gradients."""
    return x


def like(number: mx.array, x: mx.array) -> mx.array:
    """A number rounded to the dtype of `x`."""
    return number.astype(x.dtype) if x.dtype in _NARROW else number


def where(condition: mx.array | bool, x: mx.array, y: mx.array) -> mx.array:
    """`x` where the condition holds, else `y`; a Python condition chooses between them."""
    if isinstance(condition, bool):
        return x if condition else y
    return mx.where(condition, x, y).astype(x.dtype)


def zero_where(condition: mx.array, x: mx.array) -> mx.array:
    """`x` with zeros where the condition holds."""
    return mx.where(condition, mx.zeros((), x.dtype), x)
