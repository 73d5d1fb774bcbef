"""Whether mixed precision can be used on CUDA."""

from __future__ import annotations

from flashlight._ops import memory

__all__ = ["amp_definitely_not_available"]


def amp_definitely_not_available() -> bool:
    """Tell whether there is no CUDA."""
    return memory.accelerator != "cuda"
