"""Ranges for NVIDIA's profilers, which MLX does not write."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["range_push", "range_pop", "range_start", "range_end", "mark", "range"]


def _unavailable(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError with what to use instead."""
    raise RuntimeError(
        "NVTX functions not installed: MLX was not built with NVTX; use torch.profiler"
    )


range_push = range_pop = range_start = range_end = mark = range = _unavailable
