"""Triton, which MLX does not use."""

from __future__ import annotations

import importlib.util

__all__ = ["has_triton", "has_triton_package"]


def has_triton_package() -> bool:
    """Tell whether the package is installed."""
    return importlib.util.find_spec("triton") is not None


def has_triton() -> bool:
    """Return False: Triton's kernels take PyTorch's tensors, not MLX's."""
    return False
