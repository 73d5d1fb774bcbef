"""The versions that programs ask for: that of the API, and our own."""

from __future__ import annotations

from importlib import metadata

__all__ = ["__version__", "cuda", "debug", "flashlight", "git_version", "hip", "mlx", "xpu"]

# What `torch.__version__` reads: packages parse it to decide which of PyTorch's features to use.
__version__ = "2.13.0"

# flashlight's own; pyproject.toml has the same.
flashlight = "0.1.0"


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


mlx = _installed("mlx") or "unknown"
cuda = "12" if _installed("mlx-cuda-12") else "13" if _installed("mlx-cuda-13") else None
debug = False
git_version = "unknown"
hip = None
xpu = None
