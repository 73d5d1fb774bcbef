"""How this installation is put together, as `torch.__config__`."""

from __future__ import annotations

import platform

from flashlight import version
from flashlight._core import blas
from flashlight._core.device import ACCELERATOR

__all__ = ["parallel_info", "show"]


def show() -> str:
    """Versions, devices and the BLAS under MLX's CPU stream, one a line."""
    status = blas.status()
    lines = [
        "flashlight built with:",
        f"  - flashlight {version.flashlight}, following PyTorch {version.__version__}",
        f"  - MLX {version.mlx}, accelerator: {ACCELERATOR or 'none'}",
        f"  - Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"  - BLAS and LAPACK of the CPU: {status.provider}",
    ]
    if status.functions:
        lines.append(f"    {status.functions} functions redirected to {status.version}")
    if status.reason:
        lines.append(f"    no OpenBLAS: {status.reason}")
    return "\n".join(lines) + "\n"


def parallel_info() -> str:
    """How many threads the CPU's work may use."""
    return (
        f"BLAS threads: {blas.get_num_threads()} ({blas.status().provider})\n"
        f"Physical cores: {blas.physical_cores()}\n"
        "MLX's other CPU kernels: one thread a stream\n"
    )
