"""The older names of `torch.amp` for CUDA."""

from __future__ import annotations

from flashlight.cuda.amp.autocast_mode import autocast, custom_bwd, custom_fwd
from flashlight.cuda.amp.common import amp_definitely_not_available
from flashlight.cuda.amp.grad_scaler import GradScaler

__all__ = [
    "amp_definitely_not_available",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "GradScaler",
]
