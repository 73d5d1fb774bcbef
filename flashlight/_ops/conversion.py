"""Between dtypes, devices and memory formats; copies, and what shares memory without history."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._autograd.history import check_inplace, edge_of, meta_of
from .._autograd.lanes import join_levels
from .._autograd.node import sequence
from .._core.arrangement import channels_last_stride, preserved_stride
from .._core.batch import in_use
from .._core.batched_storage import storage_for
from .._core.device import META, device, resolve
from .._core.dtype import (
    FROM_MLX,
    bfloat16,
    bool_,
    check_supported,
    complex32,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)  # fmt: skip
from .._core.evaluation import local
from .._core.layout import contiguous as contiguous_layout
from .._core.layout import layout as layout_of
from .._core.storage import check_writable
from .._core.tensor import Tensor, make, read, restride
from .creation import filled
from .explained import invalid_combination
from .kinds import (
    Overwritten,
    _any_history,
    adopt_result,
    composite,
    primitive,
    replace,
    store,
)


class memory_format:
    """An order of dimensions in memory, as `torch.memory_format`."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _format_named, (self.name,)


def _format_named(name):
    return FORMATS[name]


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
FORMATS = {f.name: f for f in (contiguous_format, preserve_format, channels_last, channels_last_3d)}


class layout:
    """How a tensor keeps its elements, as `torch.layout`."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _layout_named, (self.name,)


def _layout_named(name):
    return LAYOUTS[name]


LAYOUTS = {
    name: layout(name)
    for name in (
        "strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged",
        "_mkldnn",
    )
}
strided = LAYOUTS["strided"]


def format_stride(size, format: memory_format) -> tuple:
    """Return the strides of a tensor of `size` in a channels-last format.

    Raises RuntimeError for a tensor of another rank.
    """
    ndim = {"channels_last": 4, "channels_last_3d": 5}[format.name]
    if len(size) != ndim:
        raise RuntimeError(f"required rank {ndim} tensor to use {format.name} format")
    return channels_last_stride(tuple(size))


def is_contiguous(input, *, memory_format=contiguous_format) -> bool:
    """Tell whether the elements lie in memory in row-major order, or in that of a memory format."""
    own = input._layout
    if memory_format.name in ("contiguous_format", "preserve_format"):
        return own.contiguous
    if own.ndim != {"channels_last": 4, "channels_last_3d": 5}[memory_format.name]:
        return False
    expected = format_stride(own.size, memory_format)
    return own.numel == 0 or all(
        n == 1 or a == b for n, a, b in zip(own.size, own.stride, expected)
    )


def _as_type(input: mx.array, dtype) -> mx.array:
    """Return the elements as another dtype."""
    if input.dtype == mx.complex64 and not dtype.is_complex:
        if dtype is bool_:
            return input != 0
        import warnings

        warnings.warn(
            "Casting complex values to real discards the imaginary part", UserWarning, stacklevel=5
        )
        input = mx.real(input)
    own = FROM_MLX[input.dtype]
    if own.category == 2 and dtype.category == 1 and dtype.itemsize < 4:
        return input.astype(mx.int32).astype(dtype.mlx)  # out of range wraps, as in PyTorch
    return input.astype(dtype.mlx)


_cast = primitive(_as_type, name="_to_copy")
_cast_on_cpu = primitive(_as_type, name="_to_copy", on_cpu=True)
_cast.gradients(input=lambda grad: grad)
_cast_on_cpu.gradients(input=lambda grad: grad)


def as_dtype(input: Tensor, kind: dtype) -> Tensor:
    """Return `input` as another dtype; itself if it has it already."""
    if input._layout.dtype is kind:
        return input
    check_supported(kind)
    made = _cast_on_cpu(input, kind) if kind is float64 else _cast(input, kind)
    source = input._layout
    return made if source.contiguous else restride(made, preserved_stride(source))


def _as_device(input: Tensor, where: device) -> Tensor:
    own = input._layout
    if own.device is where:
        return input
    if where is META:
        return filled(tuple(own.size), 0, own.dtype, META)
    if own.device is META:
        raise NotImplementedError(
            "Cannot copy out of meta tensor; no data! Please use "
            "torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving "
            "module from meta to a different device."
        )
    return _move(input, where)


@primitive(name="_to_copy")
def _moved(input: mx.array) -> mx.array:
    """Return the same elements; memory is unified, so moving is free."""
    return input


def _move(input, where):
    made = _moved(input)
    made._layout = made._layout.with_device(where)
    made._storage = storage_for(read(made), made._layout)
    return made


_moved.gradients(input=lambda grad: grad)


def to(
    self,
    *args,
    dtype=None,
    device=None,
    non_blocking=False,
    copy=False,
    memory_format=None,
    **kwargs,
):
    """Return this tensor as another dtype or on another device; itself if nothing changes.

    `to(dtype)`, `to(device, dtype)`, `to(other)`. Raises NotImplementedError for meta tensors.
    """
    if args and isinstance(args[0], Tensor) or "other" in kwargs:
        other, *flags = args or (kwargs["other"],)
        dtype, device = other.dtype, other.device
    elif args:
        first, *flags = args
        if isinstance(first, _DTYPE):
            dtype = first
        else:
            device = first if first is not None else device
            if flags and (isinstance(flags[0], _DTYPE) or flags[0] is None):
                dtype, *flags = flags
    else:
        flags = []
    if len(flags) > 1:
        copy = flags[1]
    target = self._layout.device if device is None else resolve(device)
    result = self
    if dtype is not None:
        if not isinstance(dtype, _DTYPE):
            raise TypeError(
                f"to(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}"
            )
        if dtype.mlx is None and not (dtype is complex128 and self.dtype is dtype):
            check_supported(dtype)
        result = as_dtype(result, dtype)
    result = _as_device(result, target)
    if result is self and copy:
        result = self.clone()
    if memory_format is not None and memory_format is not preserve_format:
        result = result.contiguous(memory_format=memory_format)
    return result


_DTYPE = type(float32)


def _caster(name, kind):
    def cast(self, memory_format=preserve_format):
        return as_dtype(self, kind)
    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"Return this tensor as {kind!r}."
    return cast


CASTS = {
    name: _caster(name, kind)
    for name, kind in (
        ("float", float32),
        ("double", float64),
        ("half", float16),
        ("bfloat16", bfloat16),
        ("int", int32),
        ("long", int64),
        ("short", int16),
        ("char", int8),
        ("byte", uint8),
        ("bool", bool_),
        ("cfloat", complex64),
        ("cdouble", complex128),
        ("chalf", complex32),
    )
}


def cpu(self, memory_format=preserve_format):
    """Return this tensor on the CPU's stream; memory is unified, so nothing moves."""
    return self.to("cpu")


def cuda(self, device=None, non_blocking=False, memory_format=preserve_format):
    """Return this tensor on CUDA's stream. Raises RuntimeError without MLX for CUDA."""
    return self.to("cuda" if device is None else device)


def mps(self):
    """Return this tensor on Metal's stream. Raises RuntimeError without MLX on Metal."""
    return self.to("mps")


LEGACY = {
    "Float": float32, "Double": float64, "Half": float16, "BFloat16": bfloat16, "Int": int32,
    "Long": int64, "Short": int16, "Char": int8, "Byte": uint8, "Bool": bool_,
    "ComplexFloat": complex64,
}  # fmt: skip
LEGACY_NAME = {kind: name for name, kind in LEGACY.items()}


def type_(self, dtype=None, non_blocking=False):
    """Return the name of the tensor's legacy type, or the tensor as `dtype` (a dtype, name or
    class).
    """
    if dtype is None:
        prefix = "torch." if self.device.type in ("cpu", "meta") else f"torch.{self.device.type}."
        return f"{prefix}{LEGACY_NAME[self.dtype]}Tensor"
    if isinstance(dtype, str):
        kind = LEGACY.get(dtype.rpartition(".")[2].removesuffix("Tensor"))
        if kind is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = kind
    elif not isinstance(dtype, _DTYPE):
        if not isinstance(dtype, type):
            raise TypeError("dtype must be a type, str, or dtype object")
        dtype = dtype.dtype
    return as_dtype(self, dtype)


type_.__name__ = type_.__qualname__ = "type"


def type_as(self, other):
    """Return this tensor as the dtype, and on the device, of `other`."""
    if not isinstance(other, Tensor):
        raise invalid_combination("type_as", (other,), {})
    return self.to(dtype=other.dtype, device=other.device)


@primitive(name="clone")
def _clone(input: mx.array) -> mx.array:
    """Return the same elements."""
    return input


_clone.gradients(input=lambda grad: grad)


@composite
def clone(input, *, memory_format=preserve_format):
    """Return a copy with the same history, strides preserved; free until one of the two is written.
    """
    made = _clone(input)
    if memory_format is preserve_format:
        return made if input._layout.contiguous else restride(made, preserved_stride(input._layout))
    if memory_format is contiguous_format:
        return made
    return restride(made, format_stride(made.shape, memory_format))


@composite
def contiguous(input, memory_format=contiguous_format):
    """Return the tensor in row-major (or a channels-last) order; itself if it is."""
    if memory_format is preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if is_contiguous(input, memory_format=memory_format):
        return input
    return clone(input, memory_format=memory_format)


@composite
def detach(input):
    """Return a tensor that shares the storage and has no history."""
    made = make(input._storage, input._layout)
    if input._meta is not None and input._meta.untracked:
        meta_of(made).untracked = True
    return made


def detach_(self):
    """Forget the history. Raises RuntimeError for views."""
    if self._meta is not None and self._meta.base is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
            "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
            "these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
            "function in torch/optim/optimizer.py as a solution."
        )
    self._node = None
    return self


def _get_data(self):
    made = make(self._storage, self._layout)
    meta_of(made).untracked = True
    return made


def _set_data(self, other) -> None:
    if not isinstance(other, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
    if other.dtype is not self.dtype and self._node is not None and not other.dtype.category >= 2:
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype"
        )
    self._storage, self._layout = other._storage, other._layout
    if self._node is not None and not self._node.edges and hasattr(self._node, "variable"):
        leaf = self._node
        leaf.storage, leaf.layout, leaf.outputs = other._storage, other._layout, (other._layout,)


Tensor.data = property(
    _get_data, _set_data, doc="The tensor without history; writes do not count as versions."
)


def copy_(self, src, non_blocking=False):
    """Write `src`, broadcast and cast, into this tensor, with its history."""
    if not isinstance(src, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
        )
    recorded = local.grad_enabled
    history = recorded and _any_history(self, (src,), {})
    if recorded and (
        self._node is not None or self._meta is not None and self._meta.creation is not None
    ):
        check_inplace(self, history)
    own = self._layout
    if own.overlaps():
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    if own.device is META:
        return self
    value = src
    if src._layout.dtype is not own.dtype or src._layout.device is not own.device:
        value = src.to(own.device, own.dtype)
    if value._layout.size != own.size:
        try:
            value = value.expand(own.size)
        except RuntimeError:
            raise RuntimeError(
                f"The size of tensor a ({_first(own.size)}) must match the size of tensor b "
                f"({_first(src.shape)}) at non-singleton dimension 0; copy_ of {list(src.shape)} "
                f"into {list(own.size)}"
            ) from None
    if not history:
        store(self, read(value))
        return self
    # A view's base remembers by itself what it was around the view.
    is_view = self._meta is not None and self._meta.base is not None
    before, source = None if is_view else edge_of(self), edge_of(value)
    written = value.detach()
    if source is not None:
        node = CopyBackwards()
        node.edges, node.outputs, node.saved = (before, source), (own,), None
        node.sequence = sequence()
        if in_use[0]:
            join_levels(node, (self, value), (written,))
        written._node = node
    return replace(self, written, recorded, CopyBackwards)


class CopyBackwards(Overwritten):
    """The node of a tensor that was copied into: all of the gradient belongs to the source."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Return zeros for what was overwritten, and the gradient for the source."""
        if len(self.edges) == 1:
            return Overwritten.apply(self, grads)
        before, _ = self.edges
        return (None if before is None else grads[0]._zeros()), grads[0]


class FillBackward0(Overwritten):
    """The node of a tensor that was filled with a number."""

    __slots__ = ()


class ZeroBackward0(Overwritten):
    """The node of a tensor that was set to zero."""

    __slots__ = ()


def _first(size):
    return size[0] if size else 1


def fill_(self, value):
    """Set every element to a number or to the value of a 0-d tensor."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.ndim} dimensions.")
        return copy_(self, value)
    if isinstance(value, _COMPLEX) and not self.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {self.dtype.name} without overflow")
    return _fill(self, value, FillBackward0)


def _fill(self, value, node_class):
    recorded = local.grad_enabled
    if recorded:
        check_inplace(self)
    own = self._layout
    if own.device is META:
        return self
    value = filled((), value, own.dtype, own.device)
    if own.overlaps():  # every element gets the same value, so sharing memory is no harm
        once = own.view(
            [1 if step == 0 else n for n, step in zip(own.size, own.stride)], own.stride
        )
        store(self, mx.broadcast_to(read(value), tuple(once.size)), once)
        if recorded and self._node is not None:
            adopt_result(self, value, node_class)
        return self
    return replace(self, value, recorded, node_class)


_COMPLEX = complex


def zero_(self):
    """Set every element to zero."""
    return _fill(self, 0, ZeroBackward0)


@composite
def fill(input, value):
    """Return a tensor like `input` with every element `value`."""
    return clone(input).fill_(value)


def as_subclass(self, cls):
    """Return this tensor as an instance of a subclass; storage and history are shared."""
    if not issubclass(cls, Tensor):
        raise TypeError(f"cls must be a subclass of Tensor, not {cls}")
    made = object.__new__(cls)
    made._storage, made._layout = self._storage, self._layout
    made._node, made._index, made._meta = self._node, self._index, None
    if made._node is not None and not made._node.edges and hasattr(made._node, "variable"):
        made._node = self.view_as(self)._node
    return made


@staticmethod
def _make_subclass(cls, data, require_grad=False, **options):
    made = object.__new__(cls)
    made._storage, made._layout = data._storage, data._layout
    made._node = made._meta = None
    made._index = 0
    if require_grad:
        made.requires_grad_(True)
    return made


Tensor._make_subclass = _make_subclass


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Take over the storage (and geometry) of `source`, a tensor or a storage."""
    check_writable(self._storage)
    if source is None:
        source = filled((0,), 0, self.dtype, self.device)
    if isinstance(source, Tensor) and size is None:
        self._storage, self._layout = source._storage, source._layout
        return self
    storage = source._storage if isinstance(source, Tensor) else getattr(source, "_storage", source)
    storage = getattr(storage, "_storage", storage)
    if not hasattr(storage, "nbytes"):
        raise invalid_combination("set_", (source,), {})
    if size is None:
        size = (storage.nbytes() // self.dtype.itemsize,)
    target = contiguous_layout(tuple(size), self.dtype, self.device)
    stride = target.stride if stride is None else tuple(stride)
    self._storage = storage
    self._layout = layout_of(tuple(size), stride, storage_offset, self.dtype, self.device)
    needed = self._layout.extent() * self.dtype.itemsize
    if needed > storage.nbytes():
        storage.resize(needed)
    return self


def resize_(self, *sizes, memory_format=contiguous_format):
    """Change the size in place; the storage grows if it must. New elements are zero."""
    from .creation import size_from
    size = size_from("resize_", sizes)
    own = self._layout
    check_writable(self._storage)
    if tuple(own.size) == size:
        return self
    if self._node is not None:
        raise RuntimeError("cannot resize variables that require grad")
    target = contiguous_layout(size, own.dtype, own.device)
    if own.offset:
        target = layout_of(size, target.stride, own.offset, own.dtype, own.device)
    if memory_format.name.startswith("channels_last"):
        target = layout_of(
            size, format_stride(size, memory_format), own.offset, own.dtype, own.device
        )
    if target.extent() * own.dtype.itemsize > self._storage.nbytes():
        self._storage.resize(target.extent() * own.dtype.itemsize)
    self._layout = target
    return self


def resize_as_(self, the_template, *, memory_format=contiguous_format):
    """Change the size in place to that of another tensor."""
    if not isinstance(the_template, Tensor):
        raise invalid_combination("resize_as_", (the_template,), {})
    return resize_(self, the_template.shape, memory_format=memory_format)


def pin_memory(self, device=None):
    """Return this tensor: memory is unified, so none needs pinning."""
    return self


def is_pinned(self, device=None) -> bool:
    """Tell whether the memory is pinned: never, it is unified."""
    return False


def as_array(self, dtype=None, copy=None):
    """Return the elements as a NumPy array (NumPy's protocol)."""
    if self._node is not None:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    host = self.numpy()
    if dtype is not None and host.dtype != dtype:
        return host.astype(dtype, copy=False)
    return np.array(host) if copy else host


FUNCTIONS = {f.__name__: f for f in (clone, detach, fill)}
FUNCTIONS["is_floating_point"] = lambda input: input.is_floating_point()
FUNCTIONS["is_complex"] = lambda input: input.is_complex()
FUNCTIONS["is_signed"] = lambda input: input.is_signed()
FUNCTIONS["numel"] = lambda input: input.numel()
METHODS = {
    f.__name__: f
    for f in (
        to, cpu, cuda, mps, type_, type_as, clone, contiguous, detach, detach_, copy_, fill_,
        zero_, as_subclass, set_, resize_, resize_as_, pin_memory, is_pinned, is_contiguous,
    )
}
METHODS |= CASTS | {"__array__": as_array}
INPLACE = ()
Tensor.layout = property(lambda self: strided, doc="How the elements are kept.")
