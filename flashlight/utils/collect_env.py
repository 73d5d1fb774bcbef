"""What a bug report should say: `python -m flashlight -m torch.utils.collect_env`."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import flashlight as torch

__all__ = ["get_pretty_env_info", "main"]

_PACKAGES = ("mlx", "mlx-cpu", "mlx-metal", "mlx-cuda-12", "mlx-cuda-13", "numpy",
             "scipy-openblas32", "safetensors", "torch")  # fmt: skip


def get_pretty_env_info() -> str:
    """Return versions and devices, a line each."""
    lines = [
        f"flashlight version: {torch.__version__}",
        f"Python version: {sys.version}",
        f"Platform: {platform.platform()}",
        f"Processor: {platform.processor() or platform.machine()}",
        f"Is Metal available: {torch.backends.mps.is_available()}",
        f"Is CUDA available: {torch.cuda.is_available()}",
        f"CPU capability: {torch.backends.cpu.get_cpu_capability()}",
        "",
        "Versions of relevant libraries:",
    ]
    for package in _PACKAGES:
        try:
            lines.append(f"{package}=={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "\n".join(lines)


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
