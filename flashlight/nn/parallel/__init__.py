"""Modules on several devices. MLX has one, with unified memory: here everything runs on that."""

from __future__ import annotations

import warnings

from . import distributed
from .data_parallel import DataParallel, data_parallel
from .distributed import DistributedDataParallel
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter

__all__ = [
    "replicate",
    "scatter",
    "parallel_apply",
    "gather",
    "data_parallel",
    "DataParallel",
    "DistributedDataParallel",
    "distributed",
]


class DistributedDataParallelCPU(DistributedDataParallel):
    """DistributedDataParallel; deprecated."""

    def __init__(self, *args, **kwargs) -> None:
        warnings.warn(
            "`torch.nn.parallel.DistributedDataParallelCPU` is deprecated, please use "
            "`torch.nn.parallel.DistributedDataParallel` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)
