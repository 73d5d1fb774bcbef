"""Metal's own profiling tools, which MLX leaves to Xcode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["start", "stop", "profile", "metal_capture", "is_metal_capture_enabled",
           "is_capturing_metal"]  # fmt: skip


def _unavailable(name: str) -> RuntimeError:
    return RuntimeError(
        f"torch.mps.profiler.{name} marks ranges for Xcode's Instruments, which MLX does not do; "
        "use torch.profiler.profile, or mlx.core.metal.start_capture"
    )


def start(mode: str = "interval", wait_until_completed: bool = False) -> None:
    """Raise RuntimeError with what to use instead."""
    raise _unavailable("start")


def stop() -> None:
    """Raise RuntimeError with what to use instead."""
    raise _unavailable("stop")


@contextmanager
def profile(mode: str = "interval", wait_until_completed: bool = False) -> Iterator[None]:
    """Raise RuntimeError with what to use instead."""
    raise _unavailable("profile")
    yield


def is_metal_capture_enabled() -> bool:
    """Return False: capturing is MLX's."""
    return False


def is_capturing_metal() -> bool:
    """Return False: capturing is MLX's."""
    return False


@contextmanager
def metal_capture(fname: str) -> Iterator[None]:
    """Raise RuntimeError with what to use instead."""
    raise _unavailable("metal_capture")
    yield
