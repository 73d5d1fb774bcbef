"""Timing of statements, with enough repetitions to be believed.

https://docs.pytorch.org/docs/2.13/benchmark_utils.html
"""

from __future__ import annotations

from flashlight.utils.benchmark.utils.common import (
    Measurement,
    TaskSpec,
    ordered_unique,
    select_unit,
    set_torch_threads,
    trim_sigfig,
    unit_to_english,
)
from flashlight.utils.benchmark.utils.compare import Colorize, Compare
from flashlight.utils.benchmark.utils.timer import Language, Timer, timer

__all__ = [
    "Colorize",
    "Compare",
    "Language",
    "Measurement",
    "TaskSpec",
    "Timer",
    "ordered_unique",
    "select_unit",
    "set_torch_threads",
    "timer",
    "trim_sigfig",
    "unit_to_english",
]
