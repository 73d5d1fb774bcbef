"""The CPU's instruction set."""

from __future__ import annotations

import numpy as np

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """Return "AVX512", "AVX2", "NEON" or "DEFAULT", as NumPy finds it."""
    try:
        features = np._core._multiarray_umath.__cpu_features__
    except AttributeError:
        return "DEFAULT"
    for name, capability in (("AVX512F", "AVX512"), ("AVX2", "AVX2"), ("NEON", "NEON")):
        if features.get(name):
            return capability
    return "DEFAULT"
