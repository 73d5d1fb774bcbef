"""What lets PyTorch programs run unmodified, and the record of where they may notice."""

from __future__ import annotations

from flashlight.compat import deviations, import_hook, missing
from flashlight.compat.import_hook import install, is_installed, uninstall
from flashlight.compat.interop import from_mlx, to_mlx

__all__ = [
    "deviations",
    "from_mlx",
    "import_hook",
    "install",
    "is_installed",
    "missing",
    "to_mlx",
    "uninstall",
]
