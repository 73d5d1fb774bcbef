"""`UntypedStorage`: the bytes behind tensors, and what it has in common with `TypedStorage`.

A thin view of the core's storage, whose memory moves when it is written to.
"""

from __future__ import annotations

import collections.abc
import io
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

import flashlight as torch

from ._core import host_memory
from ._core.device import CPU, META, device, resolve
from ._core.dtype import bool_, check_supported, dtype, uint8
from ._core.layout import contiguous
from ._core.storage import HostStorage, Storage
from ._core.tensor import make

if TYPE_CHECKING:
    from .storage import TypedStorage

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


class Conversions:
    """What both kinds of storage have: copies of another type or on another device."""

    is_sparse = False
    is_sparse_csr = False

    if TYPE_CHECKING:

        def __len__(self) -> int: ...

        def __getattr__(self, name: str) -> Any: ...

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
        convert.__qualname__ = f"Conversions.{method}"
        convert.__doc__ = f"A copy of the elements as {name}; this storage, if it has that type."
        setattr(Conversions, method, convert)


_add_conversions()


class StorageBase(Conversions):
    """What `UntypedStorage` is made from, for isinstance."""


class UntypedStorage(StorageBase):
    """A block of bytes: `UntypedStorage(size)`, `UntypedStorage(bytes_as_ints)` or empty.

    Raises RuntimeError for a negative size or entries that are no integers.
    """

    __module__ = "flashlight.storage"  # where PyTorch has it, and checkpoints look for it

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
        head = "...\n" if self.device is META else listed(self.tolist())
        return f"{head}[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    __str__ = __repr__


def listed(values: list) -> str:
    return " " + "\n ".join(str(value) for value in values) + "\n"


def _load_from_bytes(data: bytes) -> Any:
    # How plain pickles hold storages.
    return torch.load(io.BytesIO(data), weights_only=False)


_load_from_bytes.__module__ = "flashlight.storage"
