"""Functions with an underscore, PyTorch's own, that packages call all the same."""

from __future__ import annotations

from .._core.dtype import int32, int64
from .creation import tensor
from .joining import cat, stack
from .kinds import composite
from .matmul import mm
from .ranges import arange


@composite(out=False)
def _shape_as_tensor(self):
    """The lengths of the dimensions, as a tensor."""
    return tensor(tuple(self.shape), dtype=int64, device="cpu")


@composite
def _softmax_backward_data(grad_output, output, dim, input_dtype):
    """The gradient of softmax's input, from that of its output and the output."""
    product = grad_output * output
    return (product - output * product.sum(dim, keepdim=True)).to(input_dtype)


@composite
def _log_softmax_backward_data(grad_output, output, dim, input_dtype):
    """The gradient of log_softmax's input, from that of its output and the output."""
    return (grad_output - output.exp() * grad_output.sum(dim, keepdim=True)).to(input_dtype)


@composite
def _convert_indices_from_coo_to_csr(self, size, *, out_int32=False):
    """Where each of `size` rows begins in sorted row numbers, and where the last one ends."""
    counts = self.bincount(minlength=size)
    return cat([counts[:0].new_zeros(1), counts.cumsum(0)]).to(int32 if out_int32 else int64)


@composite
def _convert_indices_from_csr_to_coo(crow_indices, col_indices, *, out_int32=False,
                                     transpose=False):
    """Row and column numbers, (2, n), from where rows begin and the column numbers."""
    lengths = crow_indices.diff()
    rows = arange(lengths.numel(), device=crow_indices.device).repeat_interleave(lengths)
    parts = (col_indices, rows) if transpose else (rows, col_indices)
    kind = int32 if out_int32 else int64
    return stack([part.to(kind) for part in parts])


FUNCTIONS = {
    f.__name__: f
    for f in (
        _shape_as_tensor, _softmax_backward_data, _log_softmax_backward_data,
        _convert_indices_from_coo_to_csr, _convert_indices_from_csr_to_coo,
    )
} | {"dsmm": mm}  # fmt: skip
METHODS: dict = {}
INPLACE = ()
