"""The names of `torch.functional`; all of them are in `torch`, too."""

from __future__ import annotations

from . import _ops
from ._ops.distance import cdist
from ._ops.einsum import einsum
from ._ops.indexing import unravel_index
from ._ops.matmul import chain_matmul, tensordot
from ._ops.shape import atleast_1d, atleast_2d, atleast_3d
from ._ops.sorting import unique, unique_consecutive
from ._ops.spectral_transforms import istft, stft
from ._ops.splitting import split

lu, norm, pca_lowrank, svd_lowrank = [
    _ops.FUNCTIONS[name] for name in ("lu", "norm", "pca_lowrank", "svd_lowrank")
]
block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod, meshgrid = [
    _ops.FUNCTIONS[name]
    for name in ("block_diag", "broadcast_shapes", "broadcast_tensors", "cartesian_prod", "meshgrid")
]

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors",
    "cartesian_prod", "block_diag", "cdist", "chain_matmul", "einsum", "istft", "lu", "norm",
    "meshgrid", "pca_lowrank", "split", "stft", "svd_lowrank", "tensordot", "unique",
    "unique_consecutive", "unravel_index",
]  # fmt: skip
