"""`UntypedStorage` and `TypedStorage`: the data behind tensors, seen without a shape.

Thin views of the core's storages, whose bytes move when they are written to.
https://docs.pytorch.org/docs/stable/storage.html
"""

from __future__ import annotations

import collections.abc
import copy
import io
import os
import sys
import warnings
import weakref
from typing import Any

import numpy as np

import flashlight as torch

from ._core import host_memory
from ._core.device import CPU, META, device, resolve
from ._core.dtype import bool_, check_supported, dtype, uint8
from ._core.layout import contiguous
from ._core.storage import HostStorage, Storage
from ._core.tensor import make
from ._serialization.storage_types import STORAGE_DTYPES, STORAGE_NAMES

_facades: weakref.WeakValueDictionary[int, UntypedStorage] = weakref.WeakValueDictionary()


def untyped_storage_of(tensor: torch.Tensor) -> UntypedStorage:
    """The storage of `tensor`; the same object as long as somebody holds it."""
    return facade(tensor._storage)


def facade(storage: Storage) -> UntypedStorage:
    """The object that shows a storage of the core to programs."""
    found = _facades.get(id(storage))
    if found is None:
        found = object.__new__(UntypedStorage)
        found._storage = storage
        _facades[id(storage)] = found
    return found


class _Conversions:
    """What both kinds of storage have: copies of another type or on another device."""

    is_sparse = False
    is_sparse_csr = False

    @property
    def is_cuda(self) -> bool:
        """Whether the storage is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def is_hpu(self) -> bool:
        """Always False: there are no such devices."""
        return False

    def size(self) -> int:
        """The number of elements (of bytes, if untyped)."""
        return len(self)

    def get_device(self) -> int | None:
        """Index of the accelerator, None for the CPU."""
        return self.device.index

    def resizable(self) -> bool:
        """Whether `resize_` works, which it does for all storages."""
        return True

    def __iter__(self):
        return iter(self.tolist())

    def __copy__(self):
        return self.clone()

    def __deepcopy__(self, memo: dict) -> Any:
        # One copy for all tensors that share this storage.
        copies = memo.setdefault("torch", {})
        if self._cdata not in copies:
            copies[self._cdata] = self.clone()
        return copies[self._cdata]

    def cpu(self):
        """This storage on the CPU: itself, if it is there."""
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False):
        """This storage on the CUDA device: itself, if it is there."""
        return self.to(device="cuda" if device is None else device)

    def mps(self):
        """This storage on the Metal device: itself, if it is there."""
        return self.to(device="mps")

    def is_pinned(self, device: Any = None) -> bool:
        """Always False: memory is unified, so there is nothing to pin."""
        return False

    def pin_memory(self, device: Any = None):
        """This storage: memory is unified, so there is nothing to pin."""
        return self

    def __reduce__(self):
        buffer = io.BytesIO()
        torch.save(self, buffer, _use_new_zipfile_serialization=False)
        return _load_from_bytes, (buffer.getvalue(),)


def _add_conversions() -> None:
    for method, name in {
        "double": "float64",
        "float": "float32",
        "half": "float16",
        "bfloat16": "bfloat16",
        "long": "int64",
        "int": "int32",
        "short": "int16",
        "char": "int8",
        "byte": "uint8",
        "bool": "bool",
        "complex_double": "complex128",
        "complex_float": "complex64",
    }.items():

        def convert(self, name: str = name) -> TypedStorage:
            return self._to(getattr(torch, name))

        convert.__name__ = method
        convert.__qualname__ = f"_Conversions.{method}"
        convert.__doc__ = f"A copy of the elements as {name}; this storage, if it has that type."
        setattr(_Conversions, method, convert)


_add_conversions()


class UntypedStorage(_Conversions):
    """A block of bytes: `UntypedStorage(size)`, `UntypedStorage(bytes_as_ints)` or empty.

    Raises RuntimeError for a negative size or entries that are no integers.
    """

    _storage: Storage

    def __init__(self, *args: Any, device: Any = None):
        where = CPU if device is None else resolve(device)
        if len(args) > 1:
            raise TypeError("UntypedStorage() takes a size or a sequence of bytes")
        content = args[0] if args else 0
        if hasattr(content, "__index__"):
            size = int(content)
            if size < 0:
                raise RuntimeError(f"can't allocate a storage of negative size {size}")
            data = None
        elif isinstance(content, collections.abc.Sequence):
            for item in content:
                if not hasattr(item, "__index__"):
                    raise RuntimeError(
                        "torch.UntypedStorage(): tried to construct a storage from a sequence "
                        f"({type(content).__name__}), but one of the items was of type "
                        f"{type(item).__name__} instead of int"
                    )
            size = len(content)
            data = bytes(int(item) % 256 for item in content)
        else:
            raise TypeError(f"UntypedStorage() of a {type(content).__name__}")
        if where is META:
            self._storage = torch.empty(size, dtype=uint8, device=META)._storage
        else:
            self._storage, memory = host_memory.new_storage(size, uint8, where)
            host_memory.clear(memory)
            if data is not None:
                memory[:] = data
        _facades[id(self._storage)] = self

    @property
    def device(self) -> device:
        """The device of the storage."""
        return self._storage.layout.device

    @property
    def _cdata(self) -> int:
        return id(self._storage)

    @property
    def filename(self) -> str | None:
        """The file behind a storage made by `from_file`, if writes reach it."""
        base = self._storage.host if isinstance(self._storage, HostStorage) else None
        while base is not None:
            if isinstance(base, np.memmap) and base.mode == "r+":
                return str(base.filename)
            base = getattr(base, "base", None)
        return None

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._storage.nbytes()

    def __len__(self) -> int:
        return self._storage.nbytes()

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """1: the elements are bytes."""
        return 1

    def data_ptr(self) -> int:
        """Where the bytes are until the next write; equal for tensors of one storage.

        0 for an empty storage.
        """
        return 0 if self.device is META else host_memory.address(self._storage)

    def untyped(self) -> UntypedStorage:
        """This storage."""
        return self

    def _flat_tensor(self, dtype: dtype = uint8) -> torch.Tensor:
        """All of the storage as a tensor that shares it."""
        count = self.nbytes() // dtype.itemsize
        return make(self._storage, contiguous((count,), dtype, self.device))

    def tolist(self) -> list[int]:
        """The bytes as a list of integers."""
        self._need_data()
        return list(host_memory.storage_bytes(self._storage, "tolist()"))

    def _need_data(self) -> None:
        if self.device is META:
            raise NotImplementedError("Not available for 'meta' device type")

    def __getitem__(self, index: Any) -> int | UntypedStorage:
        self._need_data()
        if isinstance(index, slice):
            start, stop, step = index.indices(self.nbytes())
            if step != 1:
                raise RuntimeError(
                    f"Trying to slice with a step of {step}, but only a step of 1 is supported"
                )
            if isinstance(self._storage, host_memory.MappedStorage):
                return facade(self._storage.part(start, max(start, stop)))
            # A part that shares: only memory outside of MLX has parts.
            memory = host_memory.shared_bytes(self._storage)[start : max(start, stop)]
            return facade(host_memory.over_memory(memory, uint8, self.device))
        return host_memory.storage_bytes(self._storage, "reading a byte")[self._position(index)]

    def __setitem__(self, index: Any, value: int) -> None:
        self._need_data()
        if isinstance(index, slice):
            self._flat_tensor()[index] = value
        else:
            self._flat_tensor()[self._position(index)] = value

    def _position(self, index: Any) -> int:
        if not hasattr(index, "__index__"):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        position = int(index)
        if position < 0:
            position += self.nbytes()
        if not 0 <= position < self.nbytes():
            raise IndexError(f"index {int(index)} out of range for storage of size {self.nbytes()}")
        return position

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._flat_tensor().fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Copy the bytes of another storage of the same size."""
        source = source.untyped()
        if source.nbytes() != self.nbytes():
            raise RuntimeError(
                f"size does not match, self was {self.nbytes()} bytes but src was "
                f"{source.nbytes()} bytes"
            )
        self._flat_tensor().copy_(source._flat_tensor())
        return self

    def resize_(self, size: int) -> UntypedStorage:
        """Change the number of bytes; new ones are zero, up to whole elements."""
        self._storage.resize(int(size))
        return self

    def clone(self) -> UntypedStorage:
        """A copy."""
        if self.device is META:
            return UntypedStorage(self.nbytes(), device=META)
        return facade(host_memory.copied(self._storage, self.device))

    def new(self) -> UntypedStorage:
        """An empty storage on the same device."""
        return UntypedStorage(device=self.device)

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """This storage if it is on `device`, else a copy there (memory is unified)."""
        where = resolve(device)
        if where == self.device:
            return self
        if where is META:
            return UntypedStorage(self.nbytes(), device=META)
        self._need_data()
        return facade(host_memory.copied(self._storage, where))

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the class, or a typed copy."""
        return "torch.storage.UntypedStorage" if dtype is None else self._to(dtype)

    def _to(self, dtype: dtype) -> TypedStorage:
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"Argument 'dtype' must be torch.dtype, not {type(dtype)}")
        converted = self._flat_tensor().to(dtype)
        if converted._storage is self._storage:
            converted = converted.clone()
        return converted._typed_storage()

    def byteswap(self, dtype: dtype) -> None:
        """Reverse the bytes of each element of `dtype`, in place; complex ones by their parts."""
        memory = bytearray(host_memory.storage_bytes(self._storage, "byteswap()"))
        host_memory.byteswap(memoryview(memory), dtype.to_real().itemsize)
        self._flat_tensor().copy_(torch.frombuffer(memory, dtype=uint8))

    def share_memory_(self) -> UntypedStorage:
        """Move to memory that forked processes share."""
        if self.device.type in ("cpu", "cuda", "mps"):
            host_memory.share_between_processes(self._storage)
        return self

    def is_shared(self) -> bool:
        """Whether other processes may share the memory."""
        return host_memory.is_shared(self._storage)

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str = "native",
        count: int = -1,
        offset: int = 0,
        *,
        dtype: dtype = uint8,
    ) -> UntypedStorage:
        """A copy of `count` elements of a buffer, from byte `offset` on, in native byte order.

        Raises ValueError if the buffer is too short or the byte order unknown.
        """
        data = memoryview(buffer).cast("B")
        if byte_order not in ("native", "little", "big"):
            raise ValueError(
                f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')"
            )
        itemsize = check_supported(dtype).itemsize
        if offset < 0 or offset > data.nbytes:
            raise ValueError(
                f"offset must be non-negative and no greater than buffer length ({data.nbytes}), "
                f"but got {offset}"
            )
        if count < 0:
            if (data.nbytes - offset) % itemsize:
                raise ValueError(
                    f"buffer size ({data.nbytes}) must be a multiple of element size ({itemsize})"
                )
            count = (data.nbytes - offset) // itemsize
        if offset + count * itemsize > data.nbytes:
            raise ValueError(
                f"buffer has only {data.nbytes - offset} bytes after offset {offset}, but "
                f"specified a size of {count}"
            )
        storage, memory = host_memory.new_storage(count, dtype, CPU)
        memory[:] = data[offset : offset + count * itemsize]
        if byte_order not in ("native", sys.byteorder):
            host_memory.byteswap(memory, dtype.to_real().itemsize)
        if dtype is bool_:
            host_memory.normalize_bools(memory)
        return facade(storage)

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The first `nbytes` of a file, mapped; with `shared` it is created and written to."""
        path = os.fspath(filename)
        if shared and (not os.path.exists(path) or os.path.getsize(path) < nbytes):
            with open(path, "ab") as file:
                file.truncate(nbytes)
        memory = host_memory.map_file(path, shared)
        if memory.size < nbytes:
            raise RuntimeError(
                f"unable to mmap {nbytes} bytes from file <{path}>: it has {memory.size}"
            )
        part = memory[:nbytes] if nbytes else memory
        return facade(host_memory.mapped_storage(part, uint8, CPU, shared))

    def __repr__(self) -> str:
        head = "...\n" if self.device is META else _listed(self.tolist())
        return f"{head}[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    __str__ = __repr__


def _listed(values: list) -> str:
    return " " + "\n ".join(str(value) for value in values) + "\n"


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


class TypedStorage(_Conversions):
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
        dtype = getattr(cls, "_legacy_dtype", None) or dtype or torch.get_default_dtype()
        made = UntypedStorage.from_buffer(*args, dtype=dtype, **kwargs)
        return TypedStorage(wrap_storage=made, dtype=dtype, _internal=True)

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
        return _listed(self.tolist()) + info

    __str__ = __repr__


class _LegacyStorageMeta(type):
    _legacy_dtype: dtype | None = None

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls._legacy_dtype is None:
            return type.__instancecheck__(cls, instance)
        return type(instance) is TypedStorage and instance.dtype is cls._legacy_dtype


class _LegacyStorage(TypedStorage, metaclass=_LegacyStorageMeta):
    """`FloatStorage` and its kin: calling one makes a `TypedStorage` of its dtype."""

    def __new__(cls, *args: Any, wrap_storage: UntypedStorage | None = None) -> TypedStorage:
        dtype = cls._legacy_dtype
        if wrap_storage is not None:
            return TypedStorage(wrap_storage=wrap_storage, dtype=dtype)
        return TypedStorage(*args, dtype=dtype)


def _legacy_class(name: str, dtype: dtype) -> type:
    # PyTorch's checkpoints name these as members of `torch`.
    members = {"_legacy_dtype": dtype, "__module__": "flashlight"}
    return _LegacyStorageMeta(name, (_LegacyStorage,), members)


LEGACY_CLASSES = {name: _legacy_class(name, dtype) for name, dtype in STORAGE_DTYPES.items()}
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


def _load_from_bytes(data: bytes) -> Any:
    # How plain pickles hold storages.
    return torch.load(io.BytesIO(data), weights_only=False)
