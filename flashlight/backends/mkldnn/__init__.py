"""oneDNN, which MLX does not use. The settings change nothing."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

enabled: bool = False
deterministic: bool = False
allow_tf32: bool = False
fp32_precision: str = "none"

VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2


def is_available() -> bool:
    """Return False."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str | None = "none",
) -> tuple:
    """Set what is not None; return the settings before."""
    names = ("enabled", "deterministic", "allow_tf32", "fp32_precision")
    values = (_enabled, _deterministic, _allow_tf32, _fp32_precision)
    settings = globals()
    before = tuple(settings[name] for name in names)
    settings.update({n: v for n, v in zip(names, values, strict=True) if v is not None})
    return before


def flags(
    enabled: bool = False,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager:
    """Return a context with other settings."""
    from flashlight.backends import set_for_a_while

    return set_for_a_while(
        sys.modules[__name__],
        enabled=enabled,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
    )


class verbose:
    """A context in which oneDNN would report its calls."""

    def __init__(self, level: int) -> None:
        self.level = level

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *exc_info: object) -> bool:
        return False
