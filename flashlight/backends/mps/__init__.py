"""Metal, as MLX sees it."""

from __future__ import annotations

import platform

from flashlight._ops import memory as _memory

__all__ = [
    "get_core_count",
    "get_name",
    "is_available",
    "is_built",
    "is_macos13_or_newer",
    "is_macos_or_newer",
]


def is_built() -> bool:
    """Tell whether this build of MLX runs on Metal."""
    return _memory.accelerator == "mps"


def is_available() -> bool:
    """Tell whether there is a Metal device."""
    return _memory.accelerator == "mps"


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Tell whether this is macOS of at least a version."""
    version = platform.mac_ver()[0]
    if not version:
        return False
    return tuple(map(int, version.split(".")[:2])) >= (major, minor)


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Tell whether this is macOS 13 or newer."""
    return is_macos_or_newer(13, minor)


def get_name() -> str:
    """Return the name of the GPU. Raises RuntimeError without Metal."""
    if not is_available():
        raise RuntimeError("there is no Metal device")
    return str(_memory.device_info().get("device_name", "Apple GPU"))


def get_core_count() -> int:
    """Raise RuntimeError: MLX does not tell the number of cores."""
    raise RuntimeError("MLX does not tell how many cores the GPU has; get_name() tells its model")
