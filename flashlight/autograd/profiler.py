"""The older interface to the profiler, and the ranges that programs mark."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flashlight.autograd import _collector
from flashlight.autograd.profiler_util import EventList, FunctionEvent, FunctionEventAvg

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "emit_itt",
    "emit_nvtx",
    "profile",
    "record_function",
]


class record_function:
    """A range with a name in what a profiler records; a context manager and a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._open: list[list] = []

    def __enter__(self) -> record_function:
        if _collector.active:
            self._open.append([(each, each.begin(self.name)) for each in tuple(_collector.active)])
        else:
            self._open.append([])
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        for collector, event in self._open.pop():
            collector.end(event)

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return inside


class profile:
    """Record the operations inside of a `with`.

    `with profile() as prof: ...; print(prof.key_averages().table(sort_by="cpu_time_total"))`
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
        custom_trace_id_callback: Callable[[], str] | None = None,
    ) -> None:
        self.enabled = enabled
        self.entered = False
        self._collector = _collector.Collector(
            record_shapes=record_shapes or with_flops,
            profile_memory=profile_memory,
            with_stack=with_stack,
            with_flops=with_flops,
        )

    def __enter__(self) -> profile:
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        if self.enabled:
            self._collector.start()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> bool:
        self._collector.stop()
        return False

    @property
    def function_events(self) -> EventList:
        """Every event. Raises RuntimeError before the `with` has ended."""
        if not self.entered or self._collector.running:
            raise RuntimeError("Profiler didn't finish running")
        return self._collector.results()

    def __repr__(self) -> str:
        finished = self.entered and not self._collector.running
        return repr(self.function_events) if finished else "<unfinished torch.autograd.profile>"

    def __str__(self) -> str:
        finished = self.entered and not self._collector.running
        return str(self.function_events) if finished else "<unfinished torch.autograd.profile>"

    def table(self, *args: Any, **kwargs: Any) -> str:
        """Return the events as a table, empty before there are any."""
        if not self.entered:
            return ""
        return self.function_events.table(*args, **kwargs)

    def key_averages(self, *args: Any, **kwargs: Any) -> EventList:
        """Return the sums of the events by name."""
        return self.function_events.key_averages(*args, **kwargs)

    def total_average(self) -> FunctionEventAvg:
        """Return the sum of all events."""
        return self.function_events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The CPU time of all events."""
        return self.function_events.self_cpu_time_total

    def export_chrome_trace(self, path: str) -> None:
        """Write the events in the format of chrome://tracing and Perfetto."""
        self.function_events.export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the call stacks for a flame graph."""
        self.function_events.export_stacks(path, metric)


class _Emitter:
    """A bridge to a vendor's profiler, none of which MLX talks to."""

    tool = ""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled

    def __enter__(self):
        if self.enabled:
            raise RuntimeError(
                f"{type(self).__name__} needs {self.tool}, with which MLX was not built; "
                "use torch.profiler.profile and its Chrome trace"
            )
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> bool:
        return False


class emit_nvtx(_Emitter):
    """Marks operations for NVIDIA's profilers. Raises RuntimeError when entered."""

    tool = "NVTX"


class emit_itt(_Emitter):
    """Marks operations for Intel's VTune. Raises RuntimeError when entered."""

    tool = "ITT"
