"""What of quantised networks works on floating point tensors: MLX has no quantised dtypes."""

from __future__ import annotations

from .functional_modules import FloatFunctional, FXFloatFunctional

__all__ = ["FXFloatFunctional", "FloatFunctional"]
