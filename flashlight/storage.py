"""`TypedStorage`: the data behind tensors as numbers of one dtype, seen without a shape.

https://docs.pytorch.org/docs/stable/storage.html
"""

from __future__ import annotations

import collections.abc
import copy
import warnings
from typing import Any

import flashlight as torch

from ._core.device import CPU, META, device
from ._core.dtype import check_supported, dtype
from ._core.storage import Storage
from ._serialization.storage_types import STORAGE_DTYPES, STORAGE_NAMES
from ._untyped_storage import (
    Conversions,
    StorageBase,
    UntypedStorage,
    _load_from_bytes,
    listed,
    untyped_storage_of,
)

__all__ = ["StorageBase", "TypedStorage", "UntypedStorage", "_load_from_bytes"]

_warned = False


def _warn_typed_storage_removal(stacklevel: int = 2) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will "
            "be the only storage class. This should only matter to you if you are using storages "
            "directly. To access UntypedStorage directly, use tensor.untyped_storage() instead of "
            "tensor.storage()",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


class TypedStorage(Conversions):
    """An untyped storage read as elements of one dtype; deprecated in PyTorch.

    `TypedStorage(size_or_sequence, dtype=, device=)` or `TypedStorage(wrap_storage=, dtype=)`.
    Raises RuntimeError or TypeError for other arguments.
    """

    dtype: dtype
    _untyped_storage: UntypedStorage

    def __init__(
        self,
        *args: Any,
        wrap_storage: UntypedStorage | None = None,
        dtype: dtype | None = None,
        device: Any = None,
        _internal: bool = False,
    ):
        if not _internal:
            _warn_typed_storage_removal()
        if wrap_storage is not None:
            if args or device is not None:
                raise RuntimeError(
                    "TypedStorage(wrap_storage=...) takes no other arguments than dtype"
                )
            if dtype is None:
                raise RuntimeError("TypedStorage(wrap_storage=...) needs argument 'dtype'")
            if not isinstance(dtype, torch.dtype):
                raise TypeError(f"Argument 'dtype' must be torch.dtype, not {type(dtype)}")
            if not isinstance(wrap_storage, UntypedStorage):
                raise TypeError(
                    f"Argument 'wrap_storage' must be UntypedStorage, but got {type(wrap_storage)}"
                )
            self.dtype, self._untyped_storage = dtype, wrap_storage
            return
        if len(args) > 1:
            raise RuntimeError("TypedStorage() takes one positional argument at most")
        self.dtype = check_supported(torch.get_default_dtype() if dtype is None else dtype)
        content = args[0] if args else 0
        where = CPU if device is None else device
        if hasattr(content, "__index__"):
            made = torch.zeros(int(content), dtype=self.dtype, device=where)
        elif isinstance(content, collections.abc.Sequence):
            made = torch.tensor(content, dtype=self.dtype, device=where)
        else:
            raise TypeError(f"Argument type not recognized: {type(content)}")
        self._untyped_storage = untyped_storage_of(made)

    @property
    def device(self) -> device:
        """The device of the storage."""
        return self._untyped_storage.device

    @property
    def _cdata(self) -> int:
        return self._untyped_storage._cdata

    @property
    def _storage(self) -> Storage:
        return self._untyped_storage._storage

    @property
    def filename(self) -> str | None:
        """The file behind the storage, if writes reach it."""
        return self._untyped_storage.filename

    def untyped(self) -> UntypedStorage:
        """The storage without its type."""
        return self._untyped_storage

    def _flat_tensor(self) -> torch.Tensor:
        check_supported(self.dtype)
        return self._untyped_storage._flat_tensor(self.dtype)

    def _wrap(self, untyped: UntypedStorage) -> TypedStorage:
        return TypedStorage(wrap_storage=untyped, dtype=self.dtype, _internal=True)

    def __len__(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    _size = __len__

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Where the bytes are until the next write; 0 for an empty storage."""
        return self._untyped_storage.data_ptr()

    def tolist(self) -> list:
        """The elements as Python numbers."""
        self._untyped_storage._need_data()
        return self._flat_tensor().tolist()

    def __getitem__(self, index: Any) -> Any:
        self._untyped_storage._need_data()
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._flat_tensor()[self._position(index)].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, TypedStorage):
            value = value._flat_tensor()
        self._flat_tensor()[index if isinstance(index, slice) else self._position(index)] = value

    def _position(self, index: Any) -> int:
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} out of range for storage of size {len(self)}")
        return index % len(self)

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self._flat_tensor().fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Copy the bytes of another storage, whatever their type."""
        self._untyped_storage.copy_(source)
        return self

    def resize_(self, size: int) -> None:
        """Change the number of elements; new ones are zero."""
        self._untyped_storage.resize_(int(size) * self.dtype.itemsize)

    def clone(self) -> TypedStorage:
        """A copy."""
        return self._wrap(self._untyped_storage.clone())

    def __deepcopy__(self, memo: dict) -> TypedStorage:
        return self._wrap(copy.deepcopy(self._untyped_storage, memo))

    def to(self, *, device: Any, non_blocking: bool = False) -> TypedStorage:
        """This storage on `device`."""
        return self._wrap(self._untyped_storage.to(device=device))

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the legacy class of this type, or a copy of another type."""
        if dtype is not None:
            return self._to(dtype)
        name = STORAGE_NAMES.get(self.dtype)
        if name is None:
            return "torch.storage.TypedStorage"
        return f"torch.{'cuda.' if self.is_cuda else ''}{name}"

    def _to(self, dtype: dtype) -> TypedStorage:
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"Argument 'dtype' must be torch.dtype, not {type(dtype)}")
        converted = self._flat_tensor().to(dtype)
        if converted._storage is self._untyped_storage._storage:
            converted = converted.clone()
        return converted._typed_storage()

    def pickle_storage_type(self) -> str:
        """The name of the legacy class of this type. Raises KeyError if there is none."""
        try:
            return STORAGE_NAMES[self.dtype]
        except KeyError:
            raise KeyError(f"dtype {self.dtype} is not recognized") from None

    def share_memory_(self) -> TypedStorage:
        """Move to memory that forked processes share."""
        self._untyped_storage.share_memory_()
        return self

    def is_shared(self) -> bool:
        """Whether other processes may share the memory."""
        return self._untyped_storage.is_shared()

    @classmethod
    def from_buffer(cls, *args: Any, dtype: dtype | None = None, **kwargs: Any) -> TypedStorage:
        """A copy of a buffer's elements; see `UntypedStorage.from_buffer`."""
        legacy = getattr(cls, "_legacy_dtype", None)
        found: torch.dtype = legacy or dtype or torch.get_default_dtype()
        made = UntypedStorage.from_buffer(*args, dtype=found, **kwargs)
        return TypedStorage(wrap_storage=made, dtype=found, _internal=True)

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, size: int = 0) -> TypedStorage:
        """`size` elements of a file, mapped. Raises RuntimeError on `TypedStorage` itself."""
        dtype = getattr(cls, "_legacy_dtype", None)
        if dtype is None:
            raise RuntimeError("from_file can only be called on derived classes")
        made = UntypedStorage.from_file(filename, shared, size * dtype.itemsize)
        return TypedStorage(wrap_storage=made, dtype=dtype, _internal=True)

    def __repr__(self) -> str:
        size = f"{self.device}) of size {len(self)}]"
        info = f"[torch.storage.TypedStorage(dtype={self.dtype}, device={size}"
        if self.device is META:
            return "...\n" + info
        return listed(self.tolist()) + info

    __str__ = __repr__


class _LegacyStorageMeta(type):
    _legacy_dtype: dtype | None = None
    _legacy_device = "cpu"

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls._legacy_dtype is None:
            return type.__instancecheck__(cls, instance)
        return (
            type(instance) is TypedStorage
            and instance.dtype is cls._legacy_dtype
            and instance.device.type == cls._legacy_device
        )


class _LegacyStorage(TypedStorage, metaclass=_LegacyStorageMeta):
    """`FloatStorage` and its kin: calling one makes a `TypedStorage` of its dtype."""

    def __new__(
        cls,
        *args: Any,
        wrap_storage: UntypedStorage | None = None,
        dtype: dtype | None = None,
        device: Any = None,
        _internal: bool = False,
    ) -> TypedStorage:
        if dtype is not None or device is not None:
            raise RuntimeError(f"{cls.__name__} has a dtype and a device: neither can be given")
        if args and wrap_storage is not None:
            raise RuntimeError(f"{cls.__name__}(wrap_storage=...) takes no other arguments")
        if wrap_storage is None and cls._legacy_device != "cpu":
            device = cls._legacy_device
        return TypedStorage(
            *args, wrap_storage=wrap_storage, dtype=cls._legacy_dtype, device=device,
            _internal=_internal,
        )  # fmt: skip


def legacy_storages(device_type: str) -> dict[str, type]:
    """Return the legacy storage classes of a device by name."""
    # PyTorch's checkpoints name these as members of `torch`.
    module = "flashlight" if device_type == "cpu" else f"flashlight.{device_type}"
    made = {}
    for name, kind in STORAGE_DTYPES.items():
        members = {"_legacy_dtype": kind, "_legacy_device": device_type, "__module__": module}
        made[name] = _LegacyStorageMeta(name, (_LegacyStorage,), members)
    return made


LEGACY_CLASSES = legacy_storages("cpu")
DoubleStorage = LEGACY_CLASSES["DoubleStorage"]
FloatStorage = LEGACY_CLASSES["FloatStorage"]
HalfStorage = LEGACY_CLASSES["HalfStorage"]
BFloat16Storage = LEGACY_CLASSES["BFloat16Storage"]
LongStorage = LEGACY_CLASSES["LongStorage"]
IntStorage = LEGACY_CLASSES["IntStorage"]
ShortStorage = LEGACY_CLASSES["ShortStorage"]
CharStorage = LEGACY_CLASSES["CharStorage"]
ByteStorage = LEGACY_CLASSES["ByteStorage"]
BoolStorage = LEGACY_CLASSES["BoolStorage"]
ComplexDoubleStorage = LEGACY_CLASSES["ComplexDoubleStorage"]
ComplexFloatStorage = LEGACY_CLASSES["ComplexFloatStorage"]
