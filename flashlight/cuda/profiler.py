"""Tells NVIDIA's profilers where to begin and to end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flashlight.cuda._runtime import check_error, cudart

__all__ = ["start", "stop", "profile"]


def start() -> None:
    """Let the profiler that watches this program begin. Raises AssertionError without CUDA."""
    check_error(cudart().cudaProfilerStart())


def stop() -> None:
    """Let the profiler that watches this program end. Raises AssertionError without CUDA."""
    check_error(cudart().cudaProfilerStop())


@contextlib.contextmanager
def profile() -> Iterator[None]:
    """Let the profiler watch what is in the `with`."""
    start()
    try:
        yield
    finally:
        stop()
