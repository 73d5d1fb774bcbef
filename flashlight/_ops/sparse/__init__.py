"""Sparse tensors: COO, CSR, CSC, BSR and BSC. https://docs.pytorch.org/docs/2.13/sparse.html

`tensor` says what one is, `dispatch` how operations come here, `grid` what the layouts have in
common. Index arithmetic is NumPy's (its results decide sizes), values are MLX's.
"""

from __future__ import annotations

from ..kinds import composite
from ..matmul import mm
from . import arithmetic, elementwise, methods, shape
from .construction import (
    empty,
    sparse_bsc_tensor,
    sparse_bsr_tensor,
    sparse_compressed_tensor,
    sparse_coo_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
    spdiags,
)
from .conversion import METHODS as _CONVERSIONS
from .embedding import gather_gradient, sparse_embedding
from .invariants import VALIDATORS, check_sparse_tensor_invariants
from .products import (
    hspmm,
    sampled_addmm,
    smm,
    sparse_addmm,
    sparse_mm,
    spsolve,
    sspaddmm,
)
from .reduction import log_softmax, norm, softmax, sparse_sum
from .tensor import FORMATS, SparseTensor

__all__ = [
    "FUNCTIONS", "INPLACE", "METHODS", "SparseTensor", "arithmetic",
    "check_sparse_tensor_invariants", "elementwise", "empty_of_layout",
    "gather_gradient", "log_softmax", "methods",
    "sampled_addmm", "shape", "softmax", "sparse_addmm", "sparse_embedding", "sparse_mm",
    "sparse_sum", "spdiags", "spsolve",
]  # fmt: skip


@composite(name="_sparse_broadcast_to")
def _sparse_broadcast_to(input, size):
    """Return a COO tensor repeated to a size."""
    return arithmetic.broadcast(input, size)


@composite(name="resize_as_sparse_")
def resize_as_sparse_(input, the_template):
    """Take over the size of another sparse tensor, if nothing kept is lost."""
    return methods.resize_as_(input, the_template)


@composite(name="native_norm", out=False)
def native_norm(input, p=2, dim=(), keepdim=False, dtype=None):
    """The p-norm of all elements of a sparse tensor. Raises NotImplementedError for dense ones."""
    if not isinstance(input, SparseTensor):
        raise not_of_dense("native_norm")
    if dtype is not None:
        raise RuntimeError("norm_sparse currently does not support 'dtype' argument")
    return norm(input, p, dim or None, keepdim)


def not_of_dense(name) -> NotImplementedError:
    """Return what operations raise that only sparse tensors have."""
    return NotImplementedError(f"Could not run 'aten::{name}' with arguments from the 'CPU' "
                               "backend: only sparse tensors have it")


def _only_sparse(name):
    # The method of dense tensors; SparseTensor has its own.
    def refuse(self, *args, **kwargs):
        raise not_of_dense(name)
    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = SparseTensor.__dict__[name].__doc__
    return refuse


def empty_of_layout(layout, size, dtype, device) -> SparseTensor:
    """Return a tensor of a sparse layout that keeps no element."""
    return empty(FORMATS[layout.name], size, dtype, device)


FUNCTIONS = {
    f.__name__: f
    for f in (
        sparse_coo_tensor, sparse_compressed_tensor, sparse_csr_tensor, sparse_csc_tensor,
        sparse_bsr_tensor, sparse_bsc_tensor, hspmm, sspaddmm, smm, _sparse_broadcast_to,
        resize_as_sparse_, native_norm, *VALIDATORS.values(),
    )
}  # fmt: skip
FUNCTIONS |= {"saddmm": sspaddmm, "spmm": mm}
METHODS = _CONVERSIONS | {"sspaddmm": sspaddmm, "smm": smm}
METHODS |= {
    name: _only_sparse(name)
    for name in ("resize_as_sparse_", "sparse_resize_", "sparse_resize_and_clear_")
}
INPLACE = ()
