"""Automatic mixed precision: autocast and the gradient scaler.

https://docs.pytorch.org/docs/2.13/amp.html
"""

from __future__ import annotations

from flashlight.amp.autocast_mode import (
    _enter_autocast,
    _exit_autocast,
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from flashlight.amp.grad_scaler import GradScaler

__all__ = [
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
    "GradScaler",
]
