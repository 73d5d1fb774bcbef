"""The profiler: what ran, for how long, and how much memory it took.

https://docs.pytorch.org/docs/2.13/profiler.html
"""

from __future__ import annotations

from flashlight.autograd.profiler import record_function
from flashlight.autograd.profiler_util import DeviceType
from flashlight.profiler.profiler import (
    ProfilerAction,
    ProfilerActivity,
    kineto_available,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = [
    "profile",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "DeviceType",
    "record_function",
]
