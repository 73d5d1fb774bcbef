"""The versions that programs ask for: that of the API, and our own."""

from __future__ import annotations

__all__ = ["__version__", "debug", "flashlight", "git_version", "hip", "xpu"]

# What `torch.__version__` reads: packages parse it to decide which of PyTorch's features to use.
__version__ = "2.13.0"

# flashlight's own; pyproject.toml has the same.
flashlight = "0.1.0"

debug = False
git_version = "unknown"
hip = None
xpu = None


def _installed(distribution: str) -> str | None:
    # Local: importing it takes as long as a tenth of the package, and few programs ask.
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def __getattr__(name: str) -> str | None:
    """`mlx`, the installed version, and `cuda`, the toolkit that MLX was built for (or None)."""
    if name == "mlx":
        found = _installed("mlx")
    elif name == "cuda":
        builds = (toolkit for toolkit in ("12", "13") if _installed(f"mlx-cuda-{toolkit}"))
        found = next(builds, None)
    else:
        raise AttributeError(f"module 'torch.version' has no attribute '{name}'")
    globals()[name] = found
    return found
