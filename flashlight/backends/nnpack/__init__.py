"""NNPACK, which MLX does not use."""

from __future__ import annotations


def is_available() -> bool:
    """Return False."""
    return False


_remembered = [True]


def set_flags(_enabled: bool) -> tuple[bool]:
    """Remember whether NNPACK may be used; return what was remembered."""
    before = _remembered[0]
    _remembered[0] = bool(_enabled)
    return (before,)
