"""The order of products in einsum, which MLX chooses by itself."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

enabled: bool = True
strategy: str | None = "auto"


def is_available() -> bool:
    """Return False: the package opt_einsum is not used."""
    return False


def get_opt_einsum() -> Any:
    """Return None: the package opt_einsum is not used."""
    return None


def set_flags(_enabled: bool | None = None, _strategy: str | None = None) -> tuple:
    """Set what is not None; return the settings before."""
    settings = globals()
    before = (settings["enabled"], settings["strategy"])
    if _enabled is not None:
        settings["enabled"] = _enabled
    if _strategy is not None:
        settings["strategy"] = _strategy
    return before


def flags(enabled: bool | None = None, strategy: str | None = None) -> AbstractContextManager:
    """Return a context with other settings."""
    from flashlight.backends import set_for_a_while

    return set_for_a_while(sys.modules[__name__], enabled=enabled, strategy=strategy)
