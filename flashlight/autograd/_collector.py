"""The part of the profilers that watches operations run."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from flashlight._ops import interception, memory
from flashlight.autograd.profiler_util import EventList, FunctionEvent

#: Frames of the package itself, which say nothing about the program.
_OWN = ("/flashlight/_ops/", "/flashlight/autograd/_collector", "/flashlight/_core/")
_PRODUCTS = ("mm", "matmul", "bmm", "addmm", "baddbmm", "linear", "mv", "addmv")

active: list[Collector] = []


class Collector:
    """Collects events from `start` to `stop`.

    While it does, each operation is evaluated at once: its time would otherwise be counted where
    its result is read.
    """

    def __init__(
        self,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
    ) -> None:
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.events: list[FunctionEvent] = []
        self._local = threading.local()
        self._lock = threading.Lock()
        self._origin = perf_counter_ns()
        self.running = False

    def start(self) -> None:
        """Begin to watch."""
        memory.synchronize()
        if not self.events:
            self._origin = perf_counter_ns()
        self.running = True
        active.append(self)
        interception.want(self._observe)

    def stop(self) -> None:
        """End watching."""
        if self.running:
            self.running = False
            active.remove(self)
            interception.release(self._observe)
            end = self.now()
            for event in self.events:
                if not event.end_us:
                    event.end_us = end

    def now(self) -> float:
        """Return the microseconds since the start."""
        return (perf_counter_ns() - self._origin) / 1000

    def results(self) -> EventList:
        """Return the events so far, in the order in which they began."""
        return EventList(
            self.events,
            use_device=memory.accelerator,
            profile_memory=self.profile_memory,
            with_flops=self.with_flops,
        )

    def begin(self, name: str, is_user_annotation: bool = True) -> FunctionEvent:
        """Open an event inside of the one that is open in this thread."""
        stack = self._stack()
        event = FunctionEvent(
            id=0,
            name=name,
            thread=threading.get_ident(),
            start_us=0.0,
            is_user_annotation=is_user_annotation,
            cpu_parent=stack[-1] if stack else None,
        )
        if self.with_stack:
            event.stack = _call_stack()
        if self.profile_memory:
            event.memory = -memory.active_memory()
        with self._lock:
            event.id = len(self.events) + 1
            self.events.append(event)
        if stack:
            stack[-1].cpu_children.append(event)
        stack.append(event)
        event.start_us = self.now()
        return event

    def end(self, event: FunctionEvent) -> None:
        """Close an event, and what is still open inside of it."""
        event.end_us = self.now()
        if self.profile_memory:
            event.memory += memory.active_memory()
        stack = self._stack()
        while stack and stack.pop() is not event:
            pass

    def _stack(self) -> list[FunctionEvent]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack

    def _observe(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        name = function.__name__
        if name.startswith("__"):  # an operator, a name of PyTorch's Python layer only
            name = name.strip("_")
        stack = self._stack()
        if stack and stack[-1].name == f"aten::{name}":
            # The kernel of an operation of the same name, which PyTorch has as one.
            return proceed(args, kwargs)
        event = self.begin(f"aten::{name}", is_user_annotation=False)
        if self.record_shapes:
            event.input_shapes = [list(arg.shape) if hasattr(arg, "shape") else [] for arg in args]
        try:
            result = proceed(args, kwargs)
            issued = self.now()
            memory.evaluate_all(result)
            event.evaluation_us = self.now() - issued
            tensors = memory.tensors_in(result)
            event.on_device = any(tensor.device.type != "cpu" for tensor in tensors)
            if event.on_device:
                event.use_device = memory.accelerator
            if self.with_flops:
                event.flops = _flops(name, args, result)
            return result
        finally:
            self.end(event)


def _call_stack() -> list[str]:
    """Return the program's frames, the innermost first."""
    return [
        f"{frame.filename}({frame.lineno}): {frame.name}"
        for frame in reversed(traceback.extract_stack())
        if not any(part in frame.filename.replace("\\", "/") for part in _OWN)
    ]


def _flops(name: str, args: tuple, result: Any) -> int:
    """Return the multiplications and additions of a product or a convolution."""
    if not hasattr(result, "numel"):
        return 0
    if name in _PRODUCTS:
        left = args[1] if name in ("addmm", "baddbmm", "addmv") and len(args) > 1 else args[0]
        return 2 * result.numel() * left.shape[-1]
    if name.startswith("conv") and "transpose" not in name and len(args) > 1:
        weight = args[1]
        return 2 * result.numel() * (weight.numel() // weight.shape[0])
    return 0
