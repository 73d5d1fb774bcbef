"""Streams and events. All streams are one queue, in which work is done in the order of issue."""

from __future__ import annotations

import time
from typing import Any

from flashlight import device as _device
from flashlight._ops import memory as _memory


class Stream:
    """A queue of work. What one stream is asked to wait for has always been issued before."""

    def __init__(self, device: Any = None, *, priority: int = 0, **ignored: Any) -> None:
        self.device = _device(device if device is not None else _memory.accelerator or "cpu")
        self.priority = priority

    device_index = 0
    stream_id = 0
    cuda_stream = 0

    def query(self) -> bool:
        """Finish all work, and return True."""
        _memory.synchronize()
        return True

    def synchronize(self) -> None:
        """Wait until all work is done."""
        _memory.synchronize()

    def wait_event(self, event: Event) -> None:
        """Do nothing: work is done in order."""

    def wait_stream(self, stream: Stream) -> None:
        """Do nothing: work is done in order."""

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event, and return it."""
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.device == other.device

    def __hash__(self) -> int:
        return hash(self.device)

    def __repr__(self) -> str:
        return f"torch.Stream device_type={self.device.type}, device_index=0, stream_id=0"


class Event:
    """A point in the work, for timing.

    Recording one waits for the work before it: MLX does not say when a piece of work has ended.
    """

    def __init__(
        self,
        device: Any = None,
        *,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
        external: bool = False,
    ) -> None:
        self.enable_timing = enable_timing
        self._time: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Finish the work issued so far and note the time."""
        _memory.synchronize()
        self._time = time.perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        """Do nothing: work is done in order."""

    def query(self) -> bool:
        """Return True: the work before a recorded event is done."""
        return True

    def synchronize(self) -> None:
        """Do nothing: the work before a recorded event is done."""

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds between two events. Raises for events not recorded for timing."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time is None or end_event._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time - self._time) * 1000

    def __repr__(self) -> str:
        return "torch.Event"
