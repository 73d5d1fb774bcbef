"""Tools around tensors and modules."""

from __future__ import annotations

from typing import Any

from ._swap import swap_tensors

__all__ = ["set_module", "swap_tensors"]


def set_module(obj: Any, mod: str) -> None:
    """Set the name of the module that an object says it is from."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod
