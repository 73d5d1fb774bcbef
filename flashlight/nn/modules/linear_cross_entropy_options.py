"""How `linear_cross_entropy` may divide its work."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import flashlight as torch

__all__ = ["LinearCrossEntropyOptions"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """Chunking and accumulation of the fused linear map and cross entropy.

    They trade memory for speed and do not change the result beyond rounding. Raises ValueError
    for values that PyTorch refuses.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        method = self.chunking_method
        if method not in (None, "auto"):
            matched = re.fullmatch(r"aspect_ratio(?::(\d+))?", method)
            if not matched or int(matched[1] or 1) == 0:
                raise ValueError(f"invalid chunking_method: {method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        supported = (None, torch.float16, torch.bfloat16, torch.float32, torch.float64)
        if self.acc_dtype not in supported:
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {self.acc_dtype!r}. Pass acc_dtype=None to let the op "
                "pick automatically."
            )

    def _dtype_for(self, dtype: torch.dtype) -> torch.dtype:
        """Return the dtype in which to compute for an input of `dtype`."""
        if self.acc_dtype is not None:
            return self.acc_dtype
        half = dtype in (torch.float16, torch.bfloat16)
        return torch.float32 if half and self.acc_policy == "auto" else dtype
