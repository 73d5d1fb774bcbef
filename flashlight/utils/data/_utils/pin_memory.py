"""Pinning: accepted, and for tensors nothing to do, since memory is unified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flashlight as torch
from flashlight.utils.data._utils.containers import rebuild_mapping, rebuild_sequence


def pin_memory(data: Any, device: Any = None) -> Any:
    """Return `data` with everything in it that has a ``pin_memory`` method pinned."""
    if isinstance(data, torch.Tensor) or hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {key: pin_memory(data[key], device) for key in data})
    if isinstance(data, tuple):
        pinned = [pin_memory(item, device) for item in data]
        return type(data)(*pinned) if hasattr(data, "_fields") else type(data)(pinned)
    if isinstance(data, Sequence):
        return rebuild_sequence(data, [pin_memory(item, device) for item in data])
    return data
