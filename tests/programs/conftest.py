"""Runs programs as a user does, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_python() -> Run:
    """Run Python with the given arguments, flashlight and mlx_compat being importable."""

    # Threads that spin while they wait take turns with whatever else runs on the machine.
    waiting = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}

    def run(*arguments: str | Path, cwd: Path | None = None, check: bool = True):
        finished = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **waiting, "PYTHONPATH": str(ROOT)},
            timeout=300,
        )
        assert not check or finished.returncode == 0, finished.stderr
        return finished

    return run
