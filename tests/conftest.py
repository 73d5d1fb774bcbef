"""Settings for every test: one thread a worker, and PyTorch as the reference."""

from __future__ import annotations

import os

# Two pytest workers share the cores; more threads than cores slow both sides down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings

torch.set_num_threads(1)

# Times vary a lot on shared machines, so no deadline; the same examples on every run.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
