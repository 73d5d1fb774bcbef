"""cuDNN. MLX's CUDA build calls it as it sees fit; the settings here change nothing."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

import flashlight as torch

enabled: bool = True
benchmark: bool = False
benchmark_limit: int = 10
deterministic: bool = False
allow_tf32: bool = True
fp32_precision: str = "none"

CUDNN_TENSOR_DTYPES = {torch.half, torch.float, torch.double}


def is_available() -> bool:
    """Return False: programs cannot reach the cuDNN inside of MLX."""
    return False


def version() -> int | None:
    """Return None: MLX does not tell."""
    return None


def is_acceptable(tensor: torch.Tensor) -> bool:
    """Return False: whether cuDNN is used is up to MLX."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str | None = "none",
) -> tuple:
    """Set what is not None; return the settings before."""
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32",
             "fp32_precision")  # fmt: skip
    values = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32, _fp32_precision)
    settings = globals()
    before = tuple(settings[name] for name in names)
    settings.update({n: v for n, v in zip(names, values, strict=True) if v is not None})
    return before


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
    **ignored: Any,
) -> AbstractContextManager:
    """Return a context with other settings."""
    from flashlight.backends import set_for_a_while

    return set_for_a_while(
        sys.modules[__name__],
        enabled=enabled,
        benchmark=benchmark,
        benchmark_limit=benchmark_limit,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
    )
