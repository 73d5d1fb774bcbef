"""The profiler for training loops, which records some steps and leaves out others."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from flashlight._ops import memory
from flashlight.autograd._collector import Collector
from flashlight.autograd.profiler import record_function
from flashlight.autograd.profiler_util import EventList, ProfilerActivity


class ProfilerAction(Enum):
    """What the profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def kineto_available() -> bool:
    """Return False: operations are watched in Python, without PyTorch's Kineto library."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """Return what can be recorded here."""
    cuda = {ProfilerActivity.CUDA} if memory.accelerator == "cuda" else set()
    return {ProfilerActivity.CPU} | cuda


def _default_schedule_fn(_: int) -> ProfilerAction:
    """Record every step."""
    return ProfilerAction.RECORD


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:
    """Return a schedule: after `skip_first` steps, cycles of waiting, warming up and recording.

    `repeat` is the number of cycles, 0 for no limit; a non-zero `skip_first_wait` leaves out the
    first waiting. Raises AssertionError for lengths out of range.
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments: wait={wait}, warmup={warmup}, repeat={repeat} "
            f"and skip_first={skip_first} must not be negative, active={active} must be positive"
        )
    if warmup == 0:
        warnings.warn(
            "Profiler won't be using warmup, this can skew profiler results", stacklevel=2
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        if repeat and step // length >= repeat:
            return ProfilerAction.NONE
        position = step % length
        if position < wait:
            return ProfilerAction.NONE
        if position < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if position == length - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[profile], None]:  # fmt: skip
    """Return a function that writes a profiler's trace into a folder, under a new name.

    Traces are always written in Python.

    Raises RuntimeError, when called, if there can be no such folder.
    """

    def write(prof: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        name = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        suffix = ".gz" if use_gzip else ""
        file = f"{name}.{time.time_ns()}.pt.trace.json{suffix}"
        prof.export_chrome_trace(os.path.join(dir_name, file))

    return write


class profile:
    """Record operations between `start` and `stop`, or inside of a `with`.

    While it records, every operation is evaluated at once, so that its time is its own. With a
    `schedule`, call ``step`` after each step of the program; `on_trace_ready` is called with the
    profiler after each recorded cycle.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        if post_processing_timeout_s is not None and post_processing_timeout_s < 0:
            raise ValueError("post_processing_timeout_s must be non-negative")
        self.activities = supported_activities() if activities is None else set(activities)
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        self._options = {
            "record_shapes": record_shapes or with_flops,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.with_modules = with_modules
        self.acc_events = acc_events
        self.record_steps = schedule is not None
        self.schedule = schedule or _default_schedule_fn
        self.on_trace_ready = on_trace_ready
        self.custom_trace_id_callback = custom_trace_id_callback
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.profiler: Collector | None = None
        self.step_rec_fn: record_function | None = None
        self._metadata: dict[str, Any] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        if self.current_action in _RECORDING:
            self.start_trace()
        self._begin_step()

    def stop(self) -> None:
        """End, and hand over what has been recorded."""
        self._end_step()
        if self.profiler is not None and self.profiler.running:
            self.stop_trace()
            if self.on_trace_ready:
                self.on_trace_ready(self)

    def step(self) -> None:
        """Tell that a step of the program has ended."""
        self._end_step()
        previous = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        records = self.current_action in _RECORDING
        if previous is ProfilerAction.RECORD_AND_SAVE:
            self.stop_trace()
            if self.on_trace_ready:
                self.on_trace_ready(self)
        elif previous is ProfilerAction.RECORD and not records:
            warnings.warn("Incorrect schedule: RECORD followed by NONE or WARMUP", stacklevel=2)
            self.stop_trace()
        if records and (self.profiler is None or not self.profiler.running):
            self.start_trace()
        self._begin_step()

    def _begin_step(self) -> None:
        if self.record_steps and self.profiler is not None and self.profiler.running:
            self.step_rec_fn = record_function(f"ProfilerStep#{self.step_num}")
            self.step_rec_fn.__enter__()

    def _end_step(self) -> None:
        if self.step_rec_fn is not None:
            self.step_rec_fn.__exit__(None, None, None)
            self.step_rec_fn = None

    def prepare_trace(self) -> None:
        """Make ready to record."""
        if self.profiler is None or not self.acc_events:
            self.profiler = Collector(**self._options)

    def start_trace(self) -> None:
        """Begin to record."""
        self.prepare_trace()
        self.profiler.start()

    def stop_trace(self) -> None:
        """End recording."""
        self._recorded().stop()

    def _recorded(self) -> Collector:
        if self.profiler is None:
            raise AssertionError("Profiler must be initialized before it is read")
        return self.profiler

    def events(self) -> EventList:
        """Return every event that was recorded."""
        return self._recorded().results()

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **ignored: Any
    ) -> EventList:
        """Return the sums of the events by name, and by shape or call stack on request."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Write what was recorded for chrome://tracing and Perfetto; gzipped if so named.

        Traces are always written in Python.
        """
        trace = {
            "schemaVersion": 1,
            "trace_id": self.get_trace_id(),
            "displayTimeUnit": "ms",
            **self._metadata,
            "traceEvents": self.events().chrome_events(),
        }
        open_ = gzip.open if str(path).endswith(".gz") else open
        with open_(path, "wt") as file:
            json.dump(trace, file)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write call stacks for a flame graph. Raises AssertionError without with_stack=True."""
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        self.events().export_stacks(path, metric)

    def toggle_collection_dynamic(
        self, enable: bool, activities: Iterable[ProfilerActivity]
    ) -> None:
        """Pause or resume recording in the middle of it."""
        if ProfilerActivity.CPU not in set(activities) or self.profiler is None:
            return
        if enable and not self.profiler.running:
            self.profiler.start()
        elif not enable:
            self.profiler.stop()

    def preset_metadata_json(self, key: str, value: str) -> None:
        """Add an entry, given as JSON, to the trace."""
        self._metadata[key] = json.loads(value)

    add_metadata_json = preset_metadata_json

    def add_metadata(self, key: str, value: str) -> None:
        """Add an entry to the trace."""
        self._metadata[key] = value

    def set_custom_trace_id_callback(self, callback: Callable[[], str]) -> None:
        """Set the function that names the trace."""
        self.custom_trace_id_callback = callback

    def get_trace_id(self) -> str:
        """Return the trace's name."""
        if self.custom_trace_id_callback is not None:
            return self.custom_trace_id_callback()
        if not hasattr(self, "_trace_id"):
            self._trace_id = uuid.uuid4().hex.upper()
        return self._trace_id
