"""Random tensors for tests."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import flashlight as torch


def make_tensor(
    *shape: int | torch.Size | list[int] | tuple[int, ...],
    dtype: torch.dtype,
    device: str | torch.device,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: torch.memory_format | None = None,
) -> torch.Tensor:
    """Return a tensor with values drawn uniformly from [low, high).

    The default is [-9, 9) for floats, and -9 to 9 for integers that have a sign. Raises ValueError
    for bounds that the dtype cannot hold, and options that exclude each other.
    """
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = shape[0]
    shape = tuple(shape)
    inexact = dtype.is_floating_point or dtype.is_complex
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous!r} and memory_format={memory_format!r}"
        )
    if requires_grad and not inexact:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"dtype={dtype!r}"
        )
    noncontiguous = noncontiguous and math.prod(shape) > 1
    if noncontiguous:
        shape = (*shape[:-1], 2 * shape[-1])
    low, high = _bounds(low, high, dtype)
    if inexact:
        result = torch.empty(shape, dtype=dtype, device=device)
        values = torch.view_as_real(result) if dtype.is_complex else result
        if high - low >= torch.finfo(dtype).max:
            # The difference itself overflows.
            values.uniform_(low / 2, high / 2).mul_(2)
        else:
            values.uniform_(low, high)
    else:
        result = torch.randint(low, high, shape, dtype=dtype, device=device)
    if noncontiguous:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = torch.finfo(dtype).tiny if inexact else 1
    if inexact:
        result.requires_grad = requires_grad
    return result


def _bounds(low: float | None, high: float | None, dtype: torch.dtype) -> tuple[float, float]:
    """Return the bounds, by default PyTorch's, cut to what the dtype can hold."""
    if dtype is torch.bool:
        lowest, limit, default = 0, 2, (0, 2)
    elif dtype.is_floating_point or dtype.is_complex:
        info = torch.finfo(dtype)
        lowest, limit, default = info.min, info.max, (-9, 9)
    else:
        info = torch.iinfo(dtype)
        # randint's upper bound of int64 cannot be past the largest int64.
        limit = info.max + (dtype is not torch.int64)
        lowest, default = info.min, (-9, 10)
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    if any(isinstance(value, float) and math.isnan(value) for value in (low, high)):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    inexact = dtype.is_floating_point or dtype.is_complex
    if low == high and inexact:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is "
            "deprecated since 2.1 and will be removed in 2.3. Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=3,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < lowest or low >= limit:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} "
            f"only supports [{lowest}, {limit})"
        )
    low, high = (min(max(value, lowest), limit) for value in (low, high))
    return (low, high) if inexact else (math.ceil(low), math.ceil(high))
