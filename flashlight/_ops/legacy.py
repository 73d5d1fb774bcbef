"""PyTorch's first constructors: `Tensor(2, 3)`, `FloatTensor([1, 2])`, `x.new(3)`.

https://docs.pytorch.org/docs/2.13/tensors.html
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._core.device import ACCELERATOR, CPU, resolve
from .._core.dtype import dtype, get_default_dtype
from .._core.layout import contiguous
from .._core.tensor import Tensor, TensorMeta, make
from .conversion import LEGACY, strided
from .creation import empty, tensor


def _construct(args: tuple, kwargs: dict, kind: dtype, device, keeps_dtype: bool) -> Tensor:
    """Return what the legacy constructor of `kind` makes of its arguments.

    Integers are lengths, sequences are data, tensors and storages are shared. Raises TypeError
    for anything else.
    """
    where = resolve(kwargs.pop("device", device))
    if "data" in kwargs and not args:
        args = (kwargs.pop("data"),)
    if kwargs:
        raise TypeError("new() received an invalid combination of arguments: unexpected keyword "
                        f"'{next(iter(kwargs))}'; torch.tensor and torch.empty take more")
    if not args:
        return empty((0,), dtype=kind, device=where)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, Tensor):
            return _shared(first, kind, keeps_dtype)
        if hasattr(first, "_storage"):
            return _around(first, kind)
        if type(first).__name__ != "Size" and not _is_length(first):
            return _from_data(first, kind, where)
    sizes = first if len(args) == 1 and isinstance(first, tuple) else args
    for position, length in enumerate(sizes):
        if not _is_length(length):
            raise TypeError("new(): argument 'size' must be tuple of ints, but found element of "
                            f"type {type(length).__name__} at pos {position}")
        if length < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {length}: {list(sizes)}"
            )
    return empty(tuple(map(int, sizes)), dtype=kind, device=where)


def _is_length(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _shared(other, kind, keeps_dtype):
    if not keeps_dtype and other.dtype is not kind:
        raise TypeError(f"expected a tensor of dtype {kind} (got {other.dtype}); use to()")
    return other.detach()


def _around(storage, kind):
    inner = storage._storage
    size = (inner.nbytes() // kind.itemsize,)
    return make(inner, contiguous(size, kind, inner.layout.device))


def _from_data(data, kind, where):
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    if not isinstance(data, (Sequence, np.ndarray)) and not hasattr(data, "__array__"):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return tensor(data, dtype=kind, device=where)


def _new(cls, *args, **kwargs):
    """Return a tensor of the default dtype, as `torch.Tensor(...)`."""
    made = _construct(args, kwargs, get_default_dtype(), None, keeps_dtype=True)
    return made if cls is Tensor else made.as_subclass(cls)


Tensor.__new__ = staticmethod(_new)


def new(self, *args, **kwargs):
    """Return a tensor of this one's dtype and device from lengths, a sequence or a storage."""
    return _construct(args, kwargs, self.dtype, self.device, keeps_dtype=False)


class tensortype(TensorMeta):
    """The class of the legacy tensor types: an instance is any tensor of that dtype and device."""

    def __instancecheck__(cls, instance) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance.layout is cls.layout
            and instance.dtype is cls.dtype
            and instance.device.type == cls.device_type
        )

    def __call__(cls, *args, **kwargs):
        if cls.device_type not in ("cpu", ACCELERATOR):
            raise TypeError(f"type {cls.__module__}.{cls.__name__} not available. Torch not "
                            f"compiled with {cls.device_type.upper()} enabled.")
        given = kwargs.get("device")
        if given is not None and resolve(given).type != cls.device_type:
            raise RuntimeError(f"legacy constructor expects device type: {cls.device_type} but "
                               f"device type: {resolve(given).type} was passed")
        device = CPU if cls.device_type == "cpu" else cls.device_type
        return _construct(args, kwargs, cls.dtype, device, keeps_dtype=False)


def _legacy_class(name: str, kind: dtype, device_type: str) -> type:
    module = "torch" if device_type == "cpu" else f"torch.{device_type}"
    members = {
        "__doc__": f"Makes {kind.name} tensors; `isinstance` asks for one.",
        "__module__": module,
        "dtype": kind,
        "device_type": device_type,
        "layout": strided,
        "is_cuda": device_type == "cuda",
        "is_sparse": False,
    }
    return tensortype(f"{name}Tensor", (), members)


def legacy_classes(device_type: str) -> dict[str, type]:
    """Return the legacy tensor types of a device by name."""
    return {
        f"{name}Tensor": _legacy_class(name, kind, device_type)
        for name, kind in LEGACY.items()
        if name in _NAMES
    }


_NAMES = (
    "Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool",
)  # fmt: skip
_cpu = legacy_classes("cpu")
BFloat16Tensor, BoolTensor = _cpu["BFloat16Tensor"], _cpu["BoolTensor"]
ByteTensor, CharTensor, ShortTensor = _cpu["ByteTensor"], _cpu["CharTensor"], _cpu["ShortTensor"]
IntTensor, LongTensor = _cpu["IntTensor"], _cpu["LongTensor"]
HalfTensor, FloatTensor = _cpu["HalfTensor"], _cpu["FloatTensor"]
DoubleTensor = _cpu["DoubleTensor"]

FUNCTIONS: dict = {}
METHODS = {"new": new}
INPLACE = ()
