"""The fast path of attention modules, which flashlight does not have."""

from __future__ import annotations

_enabled = [False]


def get_fastpath_enabled() -> bool:
    """Return what was set; results are the same in either case."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Take note of a setting that changes nothing."""
    _enabled[0] = value
