"""Functions of sparse tensors, as `torch.sparse`. https://docs.pytorch.org/docs/2.13/sparse.html"""

from __future__ import annotations

from .._ops.sparse import (
    check_sparse_tensor_invariants,
    log_softmax,
    sampled_addmm,
    softmax,
    spdiags,
    spsolve,
)
from .._ops.sparse import sparse_addmm as addmm
from .._ops.sparse import sparse_mm as mm
from .._ops.sparse import sparse_sum as sum
from .._ops.sparse.legacy import classes as _classes
from ._gradcheck import as_sparse_gradcheck

__all__ = [
    "addmm", "as_sparse_gradcheck", "check_sparse_tensor_invariants", "log_softmax", "mm",
    "sampled_addmm", "softmax", "spdiags", "spsolve", "sum",
]  # fmt: skip

globals().update(_classes)
