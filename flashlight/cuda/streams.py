"""Streams and events of CUDA. All streams are one queue: work is done in the order of issue."""

from __future__ import annotations

from typing import Any

from flashlight.accelerator import streams as _streams
from flashlight.cuda._utils import is_available

__all__ = ["Event", "Stream"]


class Stream(_streams.Stream):
    """A queue of work on the CUDA device. Raises RuntimeError without CUDA."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        if not is_available():
            raise RuntimeError("torch.cuda.Stream requires CUDA support, which MLX has none of here")
        super().__init__("cuda", priority=priority)

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"

    def record_event(self, event: Any = None) -> Event:
        """Record an event, and return it."""
        return super().record_event(event or Event())


class Event(_streams.Event):
    """A point in the work on the CUDA device, for timing. Raises RuntimeError without CUDA."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
        external: bool = False,
    ) -> None:  # fmt: skip
        if not is_available():
            raise RuntimeError("torch.cuda.Event requires CUDA support, which MLX has none of here")
        super().__init__(enable_timing=enable_timing)

    def __repr__(self) -> str:
        return "<torch.cuda.Event uninitialized>" if self._time is None else "<torch.cuda.Event>"
