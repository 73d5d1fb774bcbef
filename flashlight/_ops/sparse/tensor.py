"""`SparseTensor`: a tensor of which only some elements are kept, and where they are.

It is a `Tensor` whose storage holds tensors (indices and values) in place of one array. Operations
meet it at the one place where they look for overriding classes, and go on in `dispatch`; what reads
its storage without knowing of it gets an error, never wrong elements.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import mlx.core as mx
import numpy as np

from ..._core.device import META, device
from ..._core.dtype import SCALAR_TYPE_NAME, dtype
from ..._core.evaluation import evaluate
from ..._core.layout import Layout
from ..._core.size import size_of
from ..._core.tensor import Tensor, new, read, wrap
from ..conversion import LAYOUTS


class Format(NamedTuple):
    """One way to keep elements: its name, and PyTorch's for it in messages."""

    name: str
    title: str
    by_rows: bool = True  # of the compressed ones: is it the rows that are compressed?
    blocks: bool = False

    @property
    def compressed_name(self) -> str:
        """The method that gives the compressed indices."""
        return "crow_indices" if self.by_rows else "ccol_indices"

    @property
    def plain_name(self) -> str:
        """The method that gives the other indices."""
        return "col_indices" if self.by_rows else "row_indices"


COO = Format("sparse_coo", "Sparse")
CSR = Format("sparse_csr", "SparseCsr")
CSC = Format("sparse_csc", "SparseCsc", by_rows=False)
BSR = Format("sparse_bsr", "SparseBsr", blocks=True)
BSC = Format("sparse_bsc", "SparseBsc", by_rows=False, blocks=True)
FORMATS = {format.name: format for format in (COO, CSR, CSC, BSR, BSC)}
COMPRESSED = (CSR, CSC, BSR, BSC)
MOST = 1 << 63


class SparseLayout(Layout):
    """A layout without strides that no fast path knows."""

    __slots__ = ("format",)

    def __init__(self, size, dtype: dtype, device: device, format: Format):
        size = tuple(int(n) for n in size)
        if any(n < 0 for n in size) or math.prod(n or 1 for n in size) >= MOST:
            raise RuntimeError("numel: integer multiplication overflow")
        super().__init__(size_of(size), (0,) * len(size), 0, dtype, device)
        self.format = format
        self.plain = self.contiguous = False
        self.dense = True


class SparseStorage:
    """What a sparse tensor consists of.

    COO: `indices` is one tensor (sparse_dim, nnz), `values` (nnz, *dense). Compressed: `indices`
    are the compressed (*batch, lines + 1) and the plain ones (*batch, nnz), `values`
    (*batch, nnz, *block, *dense). None of them has a history: the sparse tensor as a whole has.
    """

    __slots__ = ("indices", "values", "coalesced", "version", "__weakref__")

    # No layout is this storage's own, so that reading goes through `read`.
    layout = None
    tensor_class: type

    def __init__(self, indices: tuple, values: Tensor, coalesced: bool = False):
        self.indices = indices
        self.values = values
        self.coalesced = coalesced
        self.version = 0

    def read(self, layout: Layout) -> NoReturn:
        """Raise NotImplementedError: there is no array of all elements."""
        raise NotImplementedError(
            "this needs the elements of a dense tensor, but got one of layout "
            f"torch.{layout.format.name}; call to_dense() first"
        )

    def write(self, layout: Layout, values: mx.array) -> NoReturn:
        """Raise NotImplementedError: there is no array of all elements."""
        self.read(layout)

    def address(self) -> NoReturn:
        """Raise RuntimeError: there is no memory of its own."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def nbytes(self) -> NoReturn:
        """Raise NotImplementedError: there is no memory of its own."""
        raise NotImplementedError("Cannot access storage of SparseTensorImpl")


class SparseTensor(Tensor):
    """A tensor in one of the sparse layouts."""

    __slots__ = ()
    _storage: Any
    _layout: Any

    @property
    def format(self) -> Format:
        """How the elements are kept."""
        return self._layout.format

    layout = property(lambda self: LAYOUTS[self._layout.format.name], doc="How elements are kept.")
    is_sparse = property(lambda self: self._layout.format is COO, doc="In the COO layout?")
    is_sparse_csr = property(lambda self: self._layout.format is CSR, doc="In the CSR layout?")

    @property
    def nbytes(self):
        """The bytes of all elements. Raises RuntimeError for COO tensors: ask the parts."""
        if self._layout.format is not COO:
            return self._layout.numel * self._layout.dtype.itemsize
        raise RuntimeError(
            "nbytes is not defined for sparse tensors.  If you want the size of the constituent "
            "tensors, add the nbytes of the indices and values.  If you want the size of the  "
            "equivalent dense tensor, multiply numel() by element_size()"
        )

    def stride(self, dim=None):
        """Return zeros for COO tensors. Raises RuntimeError for the compressed layouts."""
        self._no("strides")
        stride = self._layout.stride
        return stride if dim is None else stride[self._wrap(dim)]

    def is_contiguous(self, *, memory_format=None) -> bool:
        """Return False for COO tensors. Raises RuntimeError for the compressed layouts."""
        self._no("is_contiguous")
        return False

    def _no(self, what):
        format = self._layout.format
        if format is not COO:
            raise RuntimeError(f"Sparse {format.name[7:].upper()} tensors do not have {what}")

    def _nnz(self) -> int:
        """Return how many elements (rows of dense elements, blocks) are kept, of each batch."""
        return self._storage.indices[-1].shape[-1]

    def sparse_dim(self) -> int:
        """Return how many dimensions the indices tell."""
        return self._storage.indices[0].shape[0] if self._layout.format is COO else 2

    def dense_dim(self) -> int:
        """Return how many dimensions each kept element has."""
        return self._storage.values.ndim - 1 - self.batch_dim() - 2 * self._layout.format.blocks

    def batch_dim(self) -> int:
        """Return how many leading dimensions are batches of compressed matrices."""
        return 0 if self._layout.format is COO else self._storage.indices[0].ndim - 1

    def block_size(self) -> tuple[int, int]:
        """Return the size of the blocks; (1, 1) for layouts without."""
        if not self._layout.format.blocks:
            return 1, 1
        batch = self.batch_dim()
        return tuple(self._storage.values.shape[batch + 1:batch + 3])

    def sparse_size(self) -> tuple:
        """Return the lengths of the dimensions that the indices tell."""
        batch = self.batch_dim()
        return tuple(self._layout.size[batch:batch + self.sparse_dim()])

    def dense_size(self) -> tuple:
        """Return the lengths of the dimensions of each kept element."""
        return tuple(self._layout.size[self._layout.ndim - self.dense_dim():])

    def _indices(self) -> Tensor:
        """Return the indices of a COO tensor, coalesced or not."""
        self._only_coo("_indices")
        return self._storage.indices[0].detach()

    def _values(self) -> Tensor:
        """Return the values of a COO tensor, without history; writing to them changes it."""
        self._only_coo("_values")
        return self._storage.values.detach()

    def _only_coo(self, name):
        if self._layout.format is not COO:
            raise unsupported(name, self)

    def is_coalesced(self) -> bool:
        """Tell whether the indices are known to be sorted and to be all different."""
        if self._layout.format is not COO:
            raise wrong_layout("is_coalesced", "coordinate", self)
        return self._storage.coalesced

    def _coalesced_(self, coalesced: bool) -> SparseTensor:
        """State whether the tensor is coalesced, unchecked."""
        self._only_coo("_coalesced_")
        self._storage.coalesced = bool(coalesced)
        return self

    def _private(self) -> SparseTensor:
        parts = self._storage
        return like(self, parts.indices, parts.values._private())

    def _read(self, reader="this") -> NoReturn:
        raise unsupported(reader.removesuffix("()"), self)

    def item(self) -> Any:
        """Return the value of a tensor of one element as a Python number."""
        if self.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        return self.detach().to_dense().item()

    def tolist(self) -> NoReturn:
        """Raise RuntimeError: there are no nested lists of a sparse tensor."""
        raise RuntimeError(
            "Cannot access data pointer of Tensor that doesn't have storage; call to_dense() first"
        )

    def numpy(self, *, force: bool = False) -> NoReturn:
        """Raise TypeError: NumPy has no sparse arrays."""
        raise TypeError(
            f"can't convert {self._layout.format.title} layout tensor to numpy. Use "
            "Tensor.to_dense() first."
        )

    def __array__(self, dtype=None, copy=None) -> NoReturn:
        self.numpy()

    def untyped_storage(self) -> NoReturn:
        """Raise NotImplementedError: there is no memory of its own."""
        kind = "SparseTensorImpl" if self._layout.format is COO else "SparseCsrTensorImpl"
        raise NotImplementedError(f"Cannot access storage of {kind}")

    storage = _typed_storage = storage_type = share_memory_ = untyped_storage

    def data_ptr(self) -> NoReturn:
        """Raise RuntimeError: there is no memory of its own."""
        self._storage.address()

    def is_shared(self) -> bool:
        """Tell whether other processes may share the memory: never."""
        return False

    def is_set_to(self, tensor: Tensor) -> bool:
        """Tell whether both tensors are of the same parts."""
        return self._storage is tensor._storage


SparseStorage.tensor_class = SparseTensor


def unsupported(name: str, tensor: Tensor) -> NotImplementedError:
    """What an operation raises that has no form for a tensor's layout."""
    sparse = isinstance(tensor, SparseTensor)
    backend = "CPU" if not sparse else "SparseCPU" if tensor.format is COO else "SparseCsrCPU"
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the '{backend}' backend: there is no "
        f"such operation on tensors of layout {tensor.layout}; "
        f"{'call to_dense() first' if sparse else 'call to_sparse() first'}"
    )


def wrong_layout(name: str, wanted: str, tensor: Tensor) -> RuntimeError:
    """What asking a tensor of another layout for its indices raises."""
    got = tensor.format.title if isinstance(tensor, SparseTensor) else "Strided"
    wanted = f"{wanted} " if wanted else ""
    return RuntimeError(f"{name} expected sparse {wanted}tensor layout but got {got}")


# ----- making -----


def build(format: Format, indices: tuple, values: Tensor, size, coalesced=False) -> SparseTensor:
    """Return a sparse tensor of parts without history that are known to fit together."""
    made = new(SparseTensor)
    made._storage = SparseStorage(indices, values, coalesced)
    made._layout = SparseLayout(size, values._layout.dtype, values._layout.device, format)
    made._node = made._meta = None
    made._index = 0
    return made


def coo(indices, values: Tensor, size, coalesced: bool = False) -> SparseTensor:
    """Return a COO tensor; `indices` (sparse_dim, nnz) are a tensor or NumPy's."""
    return build(COO, (as_index(indices, values),), values, size, coalesced)


def like(tensor: SparseTensor, indices: tuple, values: Tensor) -> SparseTensor:
    """Return a tensor of another's size and format, coalesced if the other is."""
    return build(tensor.format, indices, values, tensor.shape, tensor._storage.coalesced)


def with_values(tensor: SparseTensor, values: Tensor) -> SparseTensor:
    """Return a tensor of the same pattern (its very indices) and size with other values."""
    return like(tensor, tensor._storage.indices, values)


def alias(tensor: SparseTensor) -> SparseTensor:
    """Return a tensor of the same parts, without history."""
    return with_values(tensor, tensor._storage.values)


def as_index(indices, values: Tensor) -> Tensor:
    """Return NumPy's indices as a tensor beside `values`."""
    if isinstance(indices, Tensor):
        return indices
    return wrap(mx.array(np.ascontiguousarray(indices, np.int64)), values._layout.device)


def host(tensor: Tensor, reader: str = "this") -> np.ndarray:
    """Return a tensor's elements as a NumPy array, not to be written to; waits for them."""
    if tensor._layout.device is META:
        raise NotImplementedError(f"{reader} needs values, which meta tensors do not have")
    return np.asarray(evaluate(read(tensor), reader))


def legacy_name(kind: dtype) -> str:
    """Return PyTorch's older name for a dtype, as messages say it."""
    return SCALAR_TYPE_NAME.get(kind, kind.name)
