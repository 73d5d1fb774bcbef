"""What methods of Tensor do on sparse ones where no declared operation stands behind them."""

from __future__ import annotations

import copy as copying
from typing import Any

from ..._autograd.history import adopt, check_inplace, edge_of, meta_of
from ..._core.device import resolve
from ..._core.evaluation import local
from ..._core.tensor import Tensor
from ..conversion import CASTS, LEGACY_NAME
from ..creation import full_like as dense_full_like
from ..creation import zeros
from .construction import empty
from .dispatch import become, implements
from .elementwise import clone
from .history import record
from .shape import t, transpose, unsqueeze
from .tensor import COO, FORMATS, SparseTensor, build, coo, like, unsupported

METHODS: dict[str, Any] = {}


def method(function):
    """Make a function the method of SparseTensor of its name."""
    METHODS["type" if function.__name__ == "type_" else function.__name__] = function
    return function


# ----- dtype and device -----


@method
def to(self, *args, **kwargs):
    """Return this tensor as another dtype or on another device; itself if nothing changes."""
    parts = self._storage
    values = Tensor.to(parts.values, *args, **kwargs)
    if values is parts.values:
        return self
    where = values._layout.device
    indices = tuple(Tensor.to(part, where) for part in parts.indices)
    made = build(self.format, indices, values, self.shape, parts.coalesced)
    dtype, device = self.dtype, self.device
    rule = lambda needs, grad: grad.to(device, dtype)
    return record("ToCopy", made, (self,), rule)


def _caster(name, cast):
    def run(self, memory_format=None):
        return self.to(cast(self._storage.values[:0]).dtype)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = cast.__doc__
    return run


@method
def type_(self, dtype=None, non_blocking=False):
    """Return the name of the tensor's legacy type, or the tensor as `dtype`."""
    if dtype is None:
        if self.format is not COO:
            raise RuntimeError("Unimplemented backend SparseCsrCPU")
        return f"torch.sparse.{LEGACY_NAME[self.dtype]}Tensor"
    return self.to(self._storage.values[:0].type(dtype).dtype)


@method
def _dimI(self):
    """Return how many dimensions indices tell."""
    if self.format is not COO:
        raise unsupported("_dimI", self)
    return self.sparse_dim()


@method
def _dimV(self):
    """Return how many dimensions are dense."""
    if self.format is not COO:
        raise unsupported("_dimV", self)
    return self.dense_dim()


# ----- writing -----


def _checked(self):
    if local.grad_enabled and self._node is not None:
        check_inplace(self)


@method
def zero_(self):
    """Keep no element any more."""
    _checked(self)
    block = self.block_size() if self.format.blocks else None
    none = empty(self.format, self.shape, self.dtype, self.device, self.dense_dim(), block)
    become(self, none, False)
    if local.grad_enabled and self._node is not None:
        node = record("Zero", none, (self,), lambda needs, grad: grad * 0)
        adopt(self, edge_of(node))
    return self


@method
def copy_(self, src, non_blocking=False):
    """Take over the elements of another sparse tensor of this layout."""
    if not isinstance(src, SparseTensor):
        raise RuntimeError(
            "copy_() between dense and sparse Tensors is not implemented! Found self type = "
            f"{self.layout} and src type = {src.layout}; convert one of them first"
        )
    if src.format is not self.format:
        raise RuntimeError(
            f"copy_(): a tensor of layout {src.layout} cannot be copied into one of layout "
            f"{self.layout}; convert it first"
        )
    if src.shape != self.shape:
        raise RuntimeError(
            f"copy_(): expected sizes to be equal, but got {list(self.shape)} and "
            f"{list(src.shape)}"
        )
    _checked(self)
    if self is src:
        return self
    return become(self, clone(src.to(self.device, self.dtype)))


@method
def fill_(self, value):
    """Set the kept values of a compressed tensor. Raises NotImplementedError for COO."""
    if self.format is COO:
        raise unsupported("fill_", self)
    _checked(self)
    self._storage.values.fill_(value)
    return self


@method
def t_(self):
    """Transpose a COO matrix in place."""
    return _geometry(self, "t_", t(self))


@method
def transpose_(self, dim0, dim1):
    """Swap two dimensions of a COO tensor in place."""
    return _geometry(self, "transpose_", transpose(self, dim0, dim1))


@method
def unsqueeze_(self, dim):
    """Insert a dimension of length 1 into a COO tensor in place."""
    return _geometry(self, "unsqueeze_", unsqueeze(self, dim))


def _geometry(self, name, result):
    if self.format is not COO:
        raise RuntimeError(
            f"torch.{name}: in-place transposition is not supported for {self.format.title} layout"
        )
    _checked(self)
    return self if result is self else become(self, result)


@method
def sparse_resize_(self, size, sparse_dim, dense_dim):
    """Change the size of a COO tensor in place. Raises RuntimeError if kept elements would be lost.
    """
    if self.format is not COO:
        raise unsupported("sparse_resize_", self)
    if sparse_dim + dense_dim != len(size):
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {sparse_dim}, dense_dim = {dense_dim}"
        )
    parts, count = self._storage, self._nnz()
    if count:
        old = (self.sparse_dim(), self.dense_dim())
        if (sparse_dim, dense_dim) != old:
            which = "sparse" if sparse_dim != old[0] else "dense"
            raise RuntimeError(
                f"changing the number of {which} dimensions (from {old[which == 'dense']} to "
                f"{(sparse_dim, dense_dim)[which == 'dense']}) on a non-empty sparse tensor is not "
                "supported."
            )
        if any(n < m for n, m in zip(size, self.shape)):
            raise RuntimeError(
                f"shrinking the size of dimensions (from {list(self.shape)} to {list(size)}) on a "
                "non-empty sparse tensor is not supported."
            )
    old_dense, new_dense = parts.values.shape[1:], tuple(size[sparse_dim:])
    if not count:
        made = empty(COO, size, self.dtype, self.device, dense_dim)
    elif tuple(old_dense) == new_dense:
        made = coo(parts.indices[0], parts.values, size, parts.coalesced)
    else:
        values = parts.values.new_zeros((count, *new_dense))
        values[(slice(None), *(slice(0, n) for n in old_dense))] = parts.values
        made = coo(parts.indices[0], values, size, parts.coalesced)
    self._storage.indices, self._storage.values = made._storage.indices, made._storage.values
    self._storage.coalesced = made._storage.coalesced
    self._storage.version += 1
    self._layout = made._layout
    return self


@method
def sparse_resize_and_clear_(self, size, sparse_dim, dense_dim):
    """Change the size of a COO tensor in place and keep no element."""
    if self.format is not COO:
        raise unsupported("sparse_resize_and_clear_", self)
    if sparse_dim + dense_dim != len(size):
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {sparse_dim}, dense_dim = {dense_dim}"
        )
    return become(self, empty(COO, size, self.dtype, self.device, dense_dim), False)


@method
def resize_(self, *size, memory_format=None):
    """Change the size of a compressed tensor in place by its number of lines."""
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if size == tuple(self.shape):
        return self
    if self._node is not None:
        raise RuntimeError("cannot resize variables that require grad")
    raise unsupported("resize_", self)


@method
def resize_as_(self, the_template, *, memory_format=None):
    """Take over the size of another tensor of this layout. Raises RuntimeError if kept elements
    would be lost.
    """
    if not isinstance(the_template, SparseTensor):
        raise unsupported("resize_as_", self)
    if the_template.format is not self.format:
        raise RuntimeError(
            f"resize_as_: expected a tensor of layout {self.layout}, but got {the_template.layout}"
        )
    if self.format is not COO:
        return resize_(self, the_template.shape)
    if the_template.shape == self.shape:
        return self
    return sparse_resize_(
        self, the_template.shape, the_template.sparse_dim(), the_template.dense_dim()
    )


resize_as_sparse_ = METHODS["resize_as_sparse_"] = resize_as_


# ----- new ones beside it -----


def _new_size(size):
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    return tuple(size)


@method
def new_zeros(self, *size, dtype=None, device=None, requires_grad=False, layout=None, **options):
    """Return a sparse tensor that keeps no element."""
    size = _new_size(size or (options.pop("size"),))
    where = self.device if device is None else resolve(device)
    made = empty(FORMATS[layout.name] if layout else self.format, size, dtype or self.dtype, where)
    return made.requires_grad_() if requires_grad else made


METHODS["new_empty"] = new_zeros


@method
def new_ones(self, *size, **options):
    """Raise NotImplementedError: a sparse tensor of ones keeps nothing back."""
    raise unsupported("fill_", self)


@method
def new_full(self, size, fill_value, **options):
    """Raise NotImplementedError: a sparse tensor of one value keeps nothing back."""
    raise RuntimeError("full(...) is not implemented for sparse layout")


@method
def new_tensor(self, data, **options):
    """Return a dense tensor of data, of this tensor's dtype."""
    return self._storage.values.new_tensor(data, **options)


@implements("empty_like")
def empty_like(input, *, dtype=None, **options):
    """Return a sparse tensor of the same size: of a compressed one, with its pattern."""
    if input.format is COO or "layout" in options:
        return zeros_like(input, dtype=dtype, **options)
    return like(input, input._storage.indices, input._storage.values.new_zeros(
        input._storage.values.shape, dtype=dtype or input.dtype))


@implements("zeros_like")
def zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False,
               memory_format=None, pin_memory=False):
    """Return a sparse tensor of the same size that keeps no element."""
    where = input.device if device is None else resolve(device)
    kind = dtype or input.dtype
    if layout is not None and layout.name == "strided":
        made = zeros(tuple(input.shape), dtype=kind, device=where)
    else:
        block = input.block_size() if input.format.blocks else None
        made = empty(input.format, input.shape, kind, where, input.dense_dim(), block)
    return made.requires_grad_() if requires_grad else made


@implements("full_like")
def full_like(input, fill_value, *, dtype=None, layout=None, **options):
    """Return a tensor whose kept values, in a compressed layout, or else all elements are one."""
    if input.format is COO or layout is not None:
        return dense_full_like.__wrapped__(input, fill_value, dtype=dtype, **options)
    values = dense_full_like(input._storage.values, fill_value, dtype=dtype)
    return like(input, input._storage.indices, values)


@implements("ones_like")
def ones_like(input, **options):
    """Return `full_like` of 1."""
    return full_like(input, 1, **options)


# ----- copying and saving -----


def _get_data(self):
    made = self.detach()
    meta_of(made).untracked = True
    return made


def _set_data(self, other) -> None:
    if not isinstance(other, SparseTensor):
        raise RuntimeError(
            "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
            "incompatible tensor type."
        )
    self._storage, self._layout = other._storage, other._layout


METHODS["data"] = property(_get_data, _set_data, doc="The tensor without history.")


@method
def __setitem__(self, index, value):
    """Raise TypeError: elements of a sparse tensor cannot be assigned to."""
    raise TypeError("Cannot assign to a sparse tensor")


@method
def as_subclass(self, cls):
    """Return this tensor; a subclass of Tensor cannot be sparse."""
    if issubclass(SparseTensor, cls):
        return self
    raise TypeError(f"a sparse tensor cannot become a {cls.__name__}")


@method
def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; detach() the tensor first"
        )
    if id(self) in memo:
        return memo[id(self)]
    made = memo[id(self)] = clone(self.detach())
    made.__dict__.update(copying.deepcopy(self.__dict__, memo))
    if self.requires_grad:
        made.requires_grad_()
    if self.grad is not None:
        made.grad = copying.deepcopy(self.grad, memo)
    return made


def _zeros(self):
    return zeros_like(self)


def _ones(self):
    return self._storage.values.new_ones(tuple(self.shape))


def _view_write(self, source, target):
    return self.to_dense()._view_write(source, target)


def _view_read(self, source, target):
    return self.to_dense()._view_read(source, target)


def _view_clear(self, source, target):
    return self.to_dense()._view_clear(source, target)


for _function in (_zeros, _ones, _view_write, _view_read, _view_clear):
    METHODS[_function.__name__] = _function
for _name, _cast in CASTS.items():
    METHODS[_name] = _caster(_name, _cast)
for _name, _function in METHODS.items():
    setattr(SparseTensor, _name, _function)
