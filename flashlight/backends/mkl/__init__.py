"""Intel's MKL, which flashlight does not use: BLAS is OpenBLAS, or MLX's own."""

from __future__ import annotations

__all__ = ["VERBOSE_OFF", "VERBOSE_ON", "is_available", "verbose"]

VERBOSE_OFF, VERBOSE_ON = 0, 1


def is_available() -> bool:
    """Return False."""
    return False


class verbose:
    """A context in which MKL would report its calls."""

    def __init__(self, enable: int) -> None:
        self.enable = enable

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *exc_info: object) -> bool:
        return False
