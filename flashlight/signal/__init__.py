"""Signal processing: window functions."""

from flashlight.signal import windows

__all__ = ["windows"]
