"""KleidiAI, which MLX does not use."""

from __future__ import annotations


def is_available() -> bool:
    """Return False."""
    return False
