"""In which precision a kernel computes, whatever the dtype it is given.

MLX's CPU functions of float64 are double precision only in part, and its float32 `exp` and `erf`
miss PyTorch's tolerances; on Metal and CUDA the float32 functions are accurate, and there is no
float64. So kernels ask `on_accelerator()` which of the two they are on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import mlx.core as mx

HALF = (mx.float16, mx.bfloat16)


def on_accelerator() -> bool:
    """Whether new operations go to Metal or CUDA rather than to the CPU."""
    return mx.default_device().type == mx.gpu


def through_float32(kernel: Callable) -> Callable:
    """`kernel` for float16 and bfloat16 too: computed in float32 and rounded once."""

    @functools.wraps(kernel)
    def widened(x: mx.array, *args, **kwargs) -> mx.array:
        dtype = x.dtype
        if dtype not in HALF:
            return kernel(x, *args, **kwargs)
        return kernel(*_cast((x, *args), mx.float32), **kwargs).astype(dtype)

    return widened


def in_double(kernel: Callable) -> Callable:
    """`kernel` computed in float64 on the CPU, in float32 on an accelerator, and rounded once.

    For functions whose formulas lose digits: with double inside, float32 results are exact to
    the last place.
    """

    @functools.wraps(kernel)
    def widened(x: mx.array, *args, **kwargs) -> mx.array:
        dtype = x.dtype
        inner = mx.float32 if dtype != mx.float64 and on_accelerator() else mx.float64
        if dtype == inner:
            return kernel(x, *args, **kwargs)
        return kernel(*_cast((x, *args), inner), **kwargs).astype(dtype)

    return widened


def combine_at(target: mx.array, where, values: mx.array, reducer: str = "add") -> mx.array:
    """`target` with `values` combined with what is at `where`; half types are rounded once,
    however many meet.
    """
    dtype = target.dtype
    if dtype in HALF:
        target, values = target.astype(mx.float32), values.astype(mx.float32)
    return getattr(target.at[where], reducer)(values).astype(dtype)


def _cast(args: tuple, dtype: mx.Dtype) -> tuple:
    return tuple(a.astype(dtype) if isinstance(a, mx.array) else a for a in args)
