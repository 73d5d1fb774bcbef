"""The older names of `torch.amp` for the CPU."""

from __future__ import annotations

from flashlight.cpu.amp.autocast_mode import autocast
from flashlight.cpu.amp.grad_scaler import GradScaler

__all__ = ["autocast", "GradScaler"]
