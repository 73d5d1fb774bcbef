"""Splitting the tensors in nested arguments, and putting them together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flashlight as torch
from flashlight import Tensor

__all__ = ["scatter", "scatter_kwargs", "gather"]


def _is_namedtuple(obj: Any) -> bool:
    return isinstance(obj, tuple) and hasattr(obj, "_asdict") and hasattr(obj, "_fields")


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> list:
    """Split tensors in nested tuples, lists and dicts along `dim`, one part for each target.

    Other values are repeated.
    """
    if isinstance(inputs, Tensor):
        return list(inputs.chunk(len(target_gpus), dim))
    if isinstance(inputs, (list, tuple, dict)) and inputs:
        items = inputs.items() if isinstance(inputs, dict) else inputs
        parts = zip(*(scatter(item, target_gpus, dim) for item in items))
        if _is_namedtuple(inputs):
            return [type(inputs)(*part) for part in parts]
        kind = type(inputs) if isinstance(inputs, dict) else list
        kind = tuple if isinstance(inputs, tuple) else kind
        return [kind(part) for part in parts]
    return [inputs for _ in target_gpus]


def scatter_kwargs(
    inputs: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    target_gpus: Sequence[Any],
    dim: int = 0,
) -> tuple[tuple, tuple]:
    """Split positional and keyword arguments; the shorter of both is filled with empty ones."""
    positional = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    positional += [()] * (len(named) - len(positional))
    named += [{}] * (len(positional) - len(named))
    return tuple(positional), tuple(named)


def gather(outputs: Any, target_device: int | torch.device, dim: int = 0) -> Any:
    """Concatenate the tensors of several like outputs along `dim`; scalars become a vector.

    Raises ValueError for dicts of different keys.
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        if all(output.dim() == 0 for output in outputs) and dim == 0:
            return torch.stack(list(outputs))
        return torch.cat(list(outputs), dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if not all(len(first) == len(output) for output in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)(
            (key, gather([output[key] for output in outputs], target_device, dim)) for key in first
        )
    parts = (gather(part, target_device, dim) for part in zip(*outputs, strict=True))
    return type(first)._make(parts) if _is_namedtuple(first) else type(first)(parts)
