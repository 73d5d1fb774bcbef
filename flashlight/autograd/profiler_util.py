"""What a profiler found: events, averages of them, and tables."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from typing import Any

__all__ = [
    "DeviceType",
    "EventList",
    "FormattedTimesMixin",
    "FunctionEvent",
    "FunctionEventAvg",
    "Interval",
]


class DeviceType(Enum):
    """Where an event took place."""

    CPU = 0
    CUDA = 1
    MPS = 13


class ProfilerActivity(Enum):
    """What can be recorded."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


@dataclass(frozen=True)
class Interval:
    """A time range in microseconds since the profiler started."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """Return the length."""
        return self.end - self.start


def _format_time(time_us: float) -> str:
    """Return a time with its unit."""
    if time_us >= 1_000_000:
        return f"{time_us / 1_000_000:.3f}s"
    if time_us >= 1000:
        return f"{time_us / 1000:.3f}ms"
    return f"{time_us:.3f}us"


def _format_time_in(time_us: float, unit: str | None) -> str:
    if unit is None:
        return _format_time(time_us)
    scales = {"s": 1_000_000, "ms": 1000, "us": 1}
    if unit not in scales:
        raise ValueError(f"Unsupported time_unit: {unit}; use 's', 'ms' or 'us'")
    return f"{time_us / scales[unit]:.3f}{unit}"


def _format_memory(nbytes: float) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{int(nbytes)} B"


class FormattedTimesMixin:
    """Averages, and times as text."""

    count: int
    cpu_time_total: float
    device_time_total: float
    self_cpu_time_total: float
    self_device_time_total: float

    @property
    def cpu_time(self) -> float:
        """Mean time of a call, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Mean time on the accelerator, in microseconds."""
        return self.device_time_total / self.count if self.count else 0.0

    cpu_time_str = property(lambda self: _format_time(self.cpu_time))
    device_time_str = property(lambda self: _format_time(self.device_time))
    cpu_time_total_str = property(lambda self: _format_time(self.cpu_time_total))
    device_time_total_str = property(lambda self: _format_time(self.device_time_total))
    self_cpu_time_total_str = property(lambda self: _format_time(self.self_cpu_time_total))
    self_device_time_total_str = property(lambda self: _format_time(self.self_device_time_total))


@dataclass(eq=False)
class FunctionEvent(FormattedTimesMixin):
    """One call: when, in which thread, inside of which other, and what it took.

    Its time has two parts: Python's, until MLX has the operation in its graph, and the evaluation
    of that. The evaluation counts as time of the device on which it ran.
    """

    id: int
    name: str
    thread: int
    start_us: float
    end_us: float = 0.0
    evaluation_us: float = 0.0
    on_device: bool = False
    use_device: str | None = None
    input_shapes: list = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    memory: int = 0
    flops: int = 0
    is_user_annotation: bool = False
    cpu_parent: FunctionEvent | None = None
    cpu_children: list[FunctionEvent] = field(default_factory=list)

    count = 1
    node_id = -1
    is_async = False
    is_remote = False
    is_legacy = False
    device_type = DeviceType.CPU
    scope = 0

    def __post_init__(self) -> None:
        #: The name in traces; steps are summed under one.
        self.trace_name = self.name
        if self.name.startswith("ProfilerStep#"):
            self.name = "ProfilerStep*"

    @property
    def key(self) -> str:
        """The name under which averages collect the event."""
        return self.name

    @property
    def time_range(self) -> Interval:
        """Start and end."""
        return Interval(self.start_us, self.end_us)

    @property
    def _elapsed(self) -> float:
        return self.end_us - self.start_us

    @property
    def evaluation_time_total(self) -> float:
        """Time of evaluation, that of calls inside included."""
        inner = sum(child.evaluation_time_total for child in self.cpu_children)
        return self.evaluation_us + inner

    @property
    def device_time_total(self) -> float:
        """Time on the accelerator, that of calls inside included."""
        own = self.evaluation_us if self.on_device else 0.0
        return own + sum(child.device_time_total for child in self.cpu_children)

    @property
    def self_device_time_total(self) -> float:
        """Time on the accelerator."""
        return self.evaluation_us if self.on_device else 0.0

    @property
    def cpu_time_total(self) -> float:
        """Time on the CPU, that of calls inside included."""
        return self._elapsed - self.device_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """Time on the CPU without that of calls inside."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def cpu_memory_usage(self) -> int:
        """Bytes that the call left allocated on the CPU."""
        return 0 if self.use_device else self.memory

    @property
    def device_memory_usage(self) -> int:
        """Bytes that the call left allocated on the accelerator."""
        return self.memory if self.use_device else 0

    @property
    def self_cpu_memory_usage(self) -> int:
        """The same for the CPU, without calls inside."""
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    @property
    def self_device_memory_usage(self) -> int:
        """The same for the accelerator, without calls inside."""
        inner = sum(child.device_memory_usage for child in self.cpu_children)
        return self.device_memory_usage - inner

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"start_us={self.start_us:.3f} end_us={self.end_us:.3f} "
            f"cpu_children={[child.id for child in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


_SUMMED = (
    "cpu_time_total",
    "device_time_total",
    "self_cpu_time_total",
    "self_device_time_total",
    "evaluation_time_total",
    "cpu_memory_usage",
    "device_memory_usage",
    "self_cpu_memory_usage",
    "self_device_memory_usage",
    "flops",
    "count",
)


class FunctionEventAvg(FormattedTimesMixin):
    """The sum of the events of one name (and of one shape, or one place in the program)."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.input_shapes: list | None = None
        self.stack: list[str] | None = None
        self.cpu_children: list[FunctionEvent] | None = None
        self.cpu_parent: FunctionEvent | None = None
        self.is_user_annotation = False
        self.use_device: str | None = None
        self.node_id = -1
        self.is_async = self.is_remote = self.is_legacy = False
        self.device_type = DeviceType.CPU
        for name in _SUMMED:
            setattr(self, name, 0)

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add an event, or another sum."""
        if self.key is None:
            for name in ("key", "input_shapes", "stack", "cpu_children", "cpu_parent",
                         "is_user_annotation", "use_device"):  # fmt: skip
                setattr(self, name, getattr(other, name))
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} self_device_time={self.self_device_time_total_str} "
            f"device_time={self.device_time_str} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list):
    """Events, or averages, as a table or a trace."""

    def __init__(self, *args: Any, use_device: str | None = None, profile_memory: bool = False,
                 with_flops: bool = False) -> None:  # fmt: skip
        super().__init__(*args)
        self._use_device = use_device
        self._profile_memory = profile_memory
        self._with_flops = with_flops

    def __str__(self) -> str:
        return self.table()

    def _like(self, events: Iterable) -> EventList:
        return EventList(
            events,
            use_device=self._use_device,
            profile_memory=self._profile_memory,
            with_flops=self._with_flops,
        )

    @property
    def self_cpu_time_total(self) -> float:
        """The CPU time of all events."""
        return sum(event.self_cpu_time_total for event in self)

    def total_average(self) -> FunctionEventAvg:
        """Return the sum of all events."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
            total.key = "Total"
        return total

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, **ignored: Any
    ) -> EventList:
        """Return the sums of the events of one name, and of one shape or call stack on request."""
        groups: dict[tuple, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key: tuple = (event.name, event.is_user_annotation)
            if group_by_input_shapes:
                key += (str(event.input_shapes),)
            if group_by_stack_n:
                key += tuple(event.stack[:group_by_stack_n])
            groups[key].add(event)
        averages = self._like(groups.values())
        for average in averages:
            average.stack = average.stack[:group_by_stack_n]
            if not group_by_input_shapes:
                average.input_shapes = ""
        return averages

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """Return a table, sorted by the attribute `sort_by` (largest first).

        Raises AttributeError for an attribute that events do not have.
        """
        if sort_by is not None:
            sort_by = sort_by.replace("cuda", "device")
            events = sorted(self, key=attrgetter(sort_by), reverse=True)
        else:
            events = list(self)
        if top_level_events_only:
            events = [event for event in events if event.cpu_parent is None]
        columns = self._columns(
            events, time_unit, max_name_column_width, max_src_column_width, max_shapes_column_width
        )
        rows = [[render(event) for _, _, render in columns] for event in events[:row_limit]]
        titles = [title for title, _, _ in columns]
        widths = [
            max([len(title), minimum, *(len(row[index]) for row in rows)])
            for index, (title, minimum, _) in enumerate(columns)
        ]
        rule = "  ".join("-" * width for width in widths)
        lines = [] if header is None else ["=" * len(rule), header]
        lines += [rule, "  ".join(t.rjust(w) for t, w in zip(titles, widths, strict=True)), rule]
        lines += ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        total = _format_time_in(self.self_cpu_time_total, time_unit)
        lines += [rule, f"Self CPU time total: {total}"]
        if self._use_device:
            total = sum(event.self_device_time_total for event in self)
            name = self._use_device.upper()
            lines.append(f"Self {name} time total: {_format_time_in(total, time_unit)}")
        return "\n".join(lines) + "\n"

    def _columns(self, events, unit, name_width, src_width, shapes_width) -> list[tuple]:
        """Return the columns: title, least width, and how to write a cell."""
        total_cpu = sum(event.self_cpu_time_total for event in self) or 1.0
        total_device = sum(event.self_device_time_total for event in self) or 1.0

        def cut(text: str, width: int | None) -> str:
            return text if width is None or len(text) <= width else text[: width - 3] + "..."

        def time(name: str) -> tuple:
            return lambda event: _format_time_in(getattr(event, name), unit)

        def share(name: str, total: float) -> tuple:
            return lambda event: f"{100 * getattr(event, name) / total:.2f}%"

        def memory(name: str) -> tuple:
            return lambda event: _format_memory(getattr(event, name))

        columns = [
            ("Name", 20, lambda event: cut(event.key, name_width)),
            ("Self CPU %", 12, share("self_cpu_time_total", total_cpu)),
            ("Self CPU", 12, time("self_cpu_time_total")),
            ("CPU total %", 12, share("cpu_time_total", total_cpu)),
            ("CPU total", 12, time("cpu_time_total")),
            ("CPU time avg", 12, time("cpu_time")),
            ("Evaluation", 12, time("evaluation_time_total")),
        ]
        device = self._use_device
        if device:
            name = device.upper()
            columns += [
                (f"Self {name}", 12, time("self_device_time_total")),
                (f"Self {name} %", 12, share("self_device_time_total", total_device)),
                (f"{name} total", 12, time("device_time_total")),
                (f"{name} time avg", 12, time("device_time")),
            ]
        if self._profile_memory:
            columns += [
                ("CPU Mem", 12, memory("cpu_memory_usage")),
                ("Self CPU Mem", 12, memory("self_cpu_memory_usage")),
            ]
            if device:
                columns += [
                    (f"{device.upper()} Mem", 12, memory("device_memory_usage")),
                    (f"Self {device.upper()} Mem", 12, memory("self_device_memory_usage")),
                ]
        columns.append(("# of Calls", 12, lambda event: str(event.count)))
        if any(event.input_shapes for event in events):
            shapes = lambda event: cut(str(event.input_shapes), shapes_width)
            columns.append(("Input Shapes", 20, shapes))
        if any(event.stack for event in events):
            source = lambda event: cut(event.stack[0] if event.stack else "", src_width)
            columns.append(("Source Location", 20, source))
        if self._with_flops:
            columns.append(("Total FLOPs", 12, lambda event: str(event.flops or "--")))
        return columns

    def export_chrome_trace(self, path: str) -> None:
        """Write the events in the format of chrome://tracing and Perfetto."""
        with open(path, "w") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": self.chrome_events()}, file)

    def chrome_events(self) -> list[dict[str, Any]]:
        """Return the events as entries of a Chrome trace."""
        entries = []
        for event in self:
            details: dict[str, Any] = {"Evaluation (us)": round(event.evaluation_us, 3)}
            if event.input_shapes:
                details["Input Dims"] = event.input_shapes
            if event.stack:
                details["Call stack"] = ";".join(event.stack)
            if self._profile_memory:
                details["Bytes"] = event.memory
            if event.flops:
                details["flops"] = event.flops
            entries.append(
                {
                    "ph": "X",
                    "cat": "user_annotation" if event.is_user_annotation else "cpu_op",
                    "name": event.trace_name,
                    "pid": os.getpid(),
                    "tid": event.thread,
                    "ts": event.start_us,
                    "dur": event.end_us - event.start_us,
                    "args": details,
                }
            )
        return entries

    def supported_export_stacks_metrics(self) -> list[str]:
        """Return what `export_stacks` can count."""
        return ["self_cpu_time_total", "self_device_time_total", "self_cuda_time_total"]

    def export_stacks(self, path: str, metric: str) -> None:
        """Write a line "frame;frame;… count" for each event, as flame graph tools read them.

        Raises ValueError for an unknown metric.
        """
        if metric not in self.supported_export_stacks_metrics():
            raise ValueError(f"metric should be one of: {self.supported_export_stacks_metrics()}")
        metric = metric.replace("cuda", "device")
        table = str.maketrans(" ;\t\n", "____")
        with open(path, "w") as file:
            for event in self:
                value = int(getattr(event, metric))
                if event.stack and value > 0:
                    frames = ";".join(frame.translate(table) for frame in reversed(event.stack))
                    file.write(f"{frames} {value}\n")
