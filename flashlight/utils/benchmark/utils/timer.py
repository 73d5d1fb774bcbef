"""`Timer`: times a statement, evaluation included."""

from __future__ import annotations

import enum
import textwrap
import timeit
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

import flashlight as torch
from flashlight._ops import memory
from flashlight.utils.benchmark.utils import common

__all__ = ["Language", "Timer", "timer"]


def timer() -> float:
    """Finish all work, and return the time in seconds."""
    memory.synchronize()
    return timeit.default_timer()


class Language(enum.Enum):
    """The language of a statement; only Python's can be timed."""

    PYTHON = 0
    CPP = 1


_TEMPLATE = """
def run(_count, _timer, _finish):
{setup}
    _start = _timer()
    for _ in range(_count):
{stmt}
        _finish()
    return _timer() - _start
"""


class Timer:
    """Times a statement given as text.

    Results are evaluated after each execution, used or not: otherwise MLX would leave out what
    nobody reads. Raises ValueError for statements that are no text, or in other languages.
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Language | str = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Invalid language `{language}`: only Python can be timed.")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. Most likely this code can simply "
                "be moved to `setup`."
            )
        stmt = textwrap.dedent(stmt).strip("\n")
        setup = textwrap.dedent(setup).strip("\n")
        self._globals = {"torch": torch, **(globals or {})}
        self._clock = timer
        self._task_spec = common.TaskSpec(
            stmt=stmt,
            setup=setup,
            label=label,
            sub_label=sub_label,
            description=description,
            env=env,
            num_threads=num_threads,
        )
        source = _TEMPLATE.format(
            setup=textwrap.indent(setup or "pass", " " * 4),
            stmt=textwrap.indent(stmt or "pass", " " * 8),
        )
        namespace = dict(self._globals)
        exec(compile(source, "<timed statement>", "exec"), namespace)
        self._run = namespace["run"]

    def _timeit(self, number: int) -> float:
        # Work from before the measurement must not count.
        memory.synchronize()
        return max(self._run(number, self._clock, memory.evaluate_pending), 1e-9)

    def timeit(self, number: int = 1000000) -> common.Measurement:
        """Execute the statement `number` times, after some executions to warm up."""
        with common.set_torch_threads(self._task_spec.num_threads):
            self._timeit(max(int(number // 100), 2))
            return self._measurement(number, [self._timeit(number)])

    def _measurement(self, number: int, times: list[float]) -> common.Measurement:
        return common.Measurement(number_per_run=number, raw_times=times, task_spec=self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> NoReturn:
        """Raise NotImplementedError: `blocked_autorange` does this better."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> NoReturn:
        """Raise NotImplementedError: `blocked_autorange` does this better."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _estimate_block_size(self, min_run_time: float) -> int:
        """Return how many executions make the cost of a block negligible."""
        with common.set_torch_threads(self._task_spec.num_threads):
            overhead = float(np.median([self._timeit(0) for _ in range(5)]))
            number = 1
            while True:
                taken = self._timeit(number)
                if overhead / taken <= 1e-4 and taken >= min_run_time / 1000:
                    return number
                if taken > min_run_time or number * 10 > 2147483647:
                    return number
                number *= 10

    def _measure(
        self,
        number: int,
        enough: Callable[[list[float]], bool],
        min_run_time: float,
        max_run_time: float | None,
        callback: Callable[[int, float], Any] | None,
    ) -> common.Measurement:
        times: list[float] = []
        with common.set_torch_threads(self._task_spec.num_threads):
            while sum(times) < min_run_time or not enough(times):
                times.append(self._timeit(number))
                if callback:
                    callback(number, times[-1])
                if max_run_time and sum(times) > max_run_time:
                    break
        return self._measurement(number, times)

    def blocked_autorange(
        self,
        callback: Callable[[int, float], Any] | None = None,
        min_run_time: float = 0.2,
    ) -> common.Measurement:
        """Time blocks of executions for at least `min_run_time` seconds."""
        number = self._estimate_block_size(min_run_time)
        return self._measure(number, bool, min_run_time, None, callback)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> common.Measurement:
        """Time blocks until they vary by less than `threshold` of the median."""
        number = self._estimate_block_size(min_run_time=0.05)

        def enough(times: list[float]) -> bool:
            return len(times) > 3 and self._measurement(number, times).meets_confidence(threshold)

        return self._measure(number, enough, min_run_time, max_run_time, callback)

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise RuntimeError: Valgrind would not see MLX's thread."""
        raise RuntimeError(
            "collect_callgrind is not available: MLX computes in a thread of its own, which "
            "Callgrind's wrapper does not follow; use blocked_autorange"
        )
