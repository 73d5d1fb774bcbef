"""Events of the Metal queue."""

from __future__ import annotations

from flashlight._ops import memory as _memory
from flashlight.accelerator import streams as _streams


class Event(_streams.Event):
    """A point in the work on the Metal device, for timing. Raises RuntimeError without Metal."""

    def __init__(self, enable_timing: bool = False) -> None:
        if _memory.accelerator != "mps":
            raise RuntimeError("torch.mps.Event: this build of MLX does not run on Metal")
        super().__init__(enable_timing=enable_timing)
