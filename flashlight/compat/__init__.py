"""What lets PyTorch programs run unmodified, and the record of where they may notice."""

from __future__ import annotations

from flashlight.compat import deviations, import_hook, missing
from flashlight.compat.import_hook import install, is_installed, uninstall

__all__ = ["deviations", "import_hook", "install", "is_installed", "missing", "uninstall"]
