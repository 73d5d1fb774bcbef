"""The older name of autocast for the CPU."""

from __future__ import annotations

import warnings

import flashlight as torch
from flashlight.amp import autocast_mode

__all__ = ["autocast"]


class autocast(autocast_mode.autocast):
    """`torch.amp.autocast` for the CPU, deprecated."""

    def __init__(
        self,
        enabled: bool = True,
        dtype: torch.dtype = torch.bfloat16,
        cache_enabled: bool = True,
    ) -> None:
        warnings.warn(
            "`torch.cpu.amp.autocast(args...)` is deprecated. Please use "
            "`torch.amp.autocast('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
