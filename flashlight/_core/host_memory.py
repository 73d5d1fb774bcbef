"""Storages seen as bytes: made from files and buffers, and read back, with no second copy.

What checkpoints and `UntypedStorage` need below tensors.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import mlx.core as mx
import numpy as np

from .address import Address
from .device import STREAMS, device
from .dtype import bool_, check_supported, dtype, uint8
from .evaluation import ensure_memory, evaluate
from .layout import Layout, contiguous
from .storage import HostStorage, Storage, _carrier

SMALL = 1 << 20  # bytes; copying so few is faster than having MLX's thread make an array


def new_storage(numel: int, dtype: dtype, where: device) -> tuple[Storage, memoryview]:
    """Return a storage of `numel` elements and its memory as bytes, to be filled before it is read.

    Raises RuntimeError if there is not that much memory, TypeError for a type MLX lacks.
    """
    check_supported(dtype)
    ensure_memory(numel * dtype.itemsize)
    if numel * dtype.itemsize < SMALL:
        array = mx.array(np.empty(numel, dtype.numpy or np.float32), dtype.mlx)
    else:
        with mx.stream(STREAMS.cpu):
            array = mx.empty((numel,), dtype.mlx)
            mx.eval(array)
    return Storage(array, contiguous((numel,), dtype, where)), writable_bytes(array)


def writable_bytes(array: mx.array) -> memoryview:
    """Return the memory of an evaluated, row-major array."""
    return _view(array).cast("B") if array.size else memoryview(bytearray())


def _view(array: Any) -> memoryview:
    return memoryview(array)


def _host(storage: Any) -> np.ndarray:
    return storage.host


def storage_bytes(storage: Storage, reader: str = "saving") -> memoryview:
    """Return the bytes of a storage, in storage order; not to be written to."""
    if isinstance(storage, HostStorage):
        memory = _host(storage).view(np.uint8)
        return _view(memory) if memory.size else memoryview(b"")
    array = evaluate(storage.rows(), reader)
    if array.size == 0:
        return memoryview(b"")
    view = _view(array)
    if not view.c_contiguous:
        view = _view(evaluate(mx.contiguous(array), reader))
    return view.cast("B")


def copied(storage: Storage, where: device) -> Storage:
    """Return a storage of the same data on `where`; they share it until one is written to."""
    own = storage.layout
    if type(storage) is not Storage:
        own = contiguous(own.size, own.dtype, own.device)
    return Storage(storage.read(own), own.with_device(where))


def as_dtype(storage: Storage, layout: Layout) -> None:
    """Give a storage that nothing has read yet the shape and type of the tensor that covers it.

    Saves that tensor a reshape at every read. Does nothing for layouts that do not cover it.
    """
    own = storage.layout
    if type(storage) is not Storage or own is layout or own.ndim != 1 or storage.version > 0:
        return
    covers = layout.contiguous and layout.offset == 0
    if not covers or layout.numel * layout.dtype.itemsize != storage.nbytes():
        return
    array = storage.array
    if own.dtype is not layout.dtype:
        if bool_ in (own.dtype, layout.dtype):
            return
        mlx_type: Any = layout.dtype.mlx
        array = mx.view(array, mlx_type)
    storage.array = mx.reshape(array, tuple(layout.size))
    storage.layout = contiguous(layout.size, layout.dtype, own.device)


def clear(memory: memoryview) -> None:
    """Make every byte 0."""
    np.frombuffer(memory, np.uint8)[:] = 0


def normalize_bools(memory: memoryview) -> None:
    """Make every byte 0 or 1: MLX may do anything with other bytes in a bool array."""
    values = np.frombuffer(memory, np.uint8)
    if values.size and values.max() > 1:
        np.minimum(values, 1, out=values)


def over_memory(host: np.ndarray, dtype: dtype, where: device) -> Storage:
    """Return a storage that shares the bytes of a flat uint8 array with whoever else holds it."""
    typed = host.view(_carrier(dtype))
    return HostStorage.around(typed, contiguous((typed.size,), dtype, where))


def shared_bytes(storage: Storage) -> np.ndarray:
    """Move a storage to host memory, if it is not there, and return that memory as bytes."""
    return storage.to_host().view(np.uint8)


class MappedStorage(HostStorage):
    """A part of a memory-mapped file that becomes a plain storage when first touched.

    The mapping is private, so nobody else sees writes and none are missed.
    """

    __slots__ = ()

    def read(self, layout: Layout) -> mx.array:
        """Load the file's part and return the elements of `layout`."""
        self._leave_host(layout)
        return Storage.read(self, layout)

    def write(self, layout: Layout, values: mx.array) -> None:
        """Load the file's part and write to the copy."""
        self._leave_host(layout)
        Storage.write(self, layout, values)

    def to_host(self) -> np.ndarray:
        """Return the mapped memory; writes to it are private to this process."""
        _become(self, HostStorage)
        return _host(self)

    def part(self, start: int, stop: int) -> MappedStorage:
        """Return a storage of some of the bytes; the two share the file, not later writes."""
        memory = _host(self).view(np.uint8)[start:stop]
        return _mapped(memory, contiguous((memory.size,), uint8, self.layout.device))

    def _leave_host(self, layout: Layout | None = None):
        own = self.layout
        made, memory = new_storage(own.numel, own.dtype, own.device)
        memory[:] = storage_bytes(self)
        _forget_pages(_host(self))
        if own.dtype is bool_ or (layout is not None and layout.dtype is bool_):
            normalize_bools(memory)
        if layout is not None:
            as_dtype(made, layout)
        self.array, self.layout = made.array, made.layout
        _become(self, Storage)
        self.host = None


def _become(storage: Any, kind: type) -> None:
    storage.__class__ = kind


def _mapped(host: np.ndarray, layout: Layout) -> Any:
    return MappedStorage.around(host, layout)


def _forget_pages(host: np.ndarray) -> None:
    # What has been copied need not stay in memory twice. Nobody has written to these pages:
    # whoever wants to gets a HostStorage. Pages that other parts share are left alone.
    base = _owner(host)
    if not isinstance(base, mmap.mmap) or not hasattr(base, "madvise") or not host.size:
        return
    whole = np.frombuffer(base, np.uint8)
    start = host.ctypes.data - whole.ctypes.data
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + host.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        base.madvise(mmap.MADV_DONTNEED, first, last - first)


def map_file(path: str, shared: bool) -> np.ndarray:
    """Return the bytes of a file, mapped; writes reach the file only if `shared`."""
    size = os.path.getsize(path)
    if size == 0:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, "r+" if shared else "c", shape=(size,))


def mapped_storage(memory: np.ndarray, dtype: dtype, where: device, shared: bool) -> Storage:
    """Return a storage over a part of `map_file`'s result."""
    check_supported(dtype)
    if shared:
        return over_memory(memory, dtype, where)
    typed = np.asarray(memory).view(_carrier(dtype))
    return _mapped(typed, contiguous((typed.size,), dtype, where))


def share_between_processes(storage: Storage) -> None:
    """Move a storage to memory that forked children see and change in place."""
    if is_shared(storage) or storage.nbytes() == 0:
        return
    pages = mmap.mmap(-1, storage.nbytes())
    host = np.frombuffer(pages, np.uint8)
    host[:] = np.frombuffer(storage_bytes(storage, "share_memory_()"), np.uint8)
    made = over_memory(host, storage.layout.dtype, storage.layout.device)
    storage.host, storage.array, storage.layout = made.host, made.array, made.layout
    _become(storage, HostStorage)


def address(storage: Storage) -> Address | int:
    """Return where the bytes of a storage are; 0 if there are none. Evaluates them."""
    place = storage.address()
    if place == 0:
        return 0
    if isinstance(storage, HostStorage):
        return Address(_host(storage).ctypes.data, place)
    try:
        array = evaluate(storage.rows(), "data_ptr()")
    except RuntimeError:
        return Address(place, place)  # in a trace there is no memory yet
    if not _view(array).c_contiguous:
        storage._keep(evaluate(mx.contiguous(array), "data_ptr()"))
    return Address(np.frombuffer(storage_bytes(storage), np.uint8).ctypes.data, place)


def is_shared(storage: Storage) -> bool:
    """Tell whether other processes may share the storage's memory."""
    if not isinstance(storage, HostStorage) or isinstance(storage, MappedStorage):
        return False
    return isinstance(_owner(_host(storage)), mmap.mmap)


def _owner(memory: object) -> object:
    """Return the object whose memory an array shows, in the end."""
    while isinstance(memory, (np.ndarray, memoryview)):
        memory = memory.base if isinstance(memory, np.ndarray) else memory.obj
    return memory


def byteswap(memory: memoryview, itemsize: int) -> None:
    """Reverse the bytes of each item, in place."""
    if itemsize > 1 and memory.nbytes:
        np.frombuffer(memory, f"u{itemsize}").byteswap(inplace=True)


def byte_layout(storage: Storage) -> Layout:
    """Return the layout of a storage's bytes."""
    return contiguous((storage.nbytes(),), uint8, storage.layout.device)


def load_gguf(path: str) -> dict[str, mx.array]:
    """Return the arrays of a GGUF file, read by MLX."""
    arrays: Any = mx.load(path, format="gguf")
    return arrays


def numpy_values(array: mx.array, reader: str) -> np.ndarray:
    """Return the values of an array without a copy; of bfloat16 the bits.

    Raises RuntimeError inside a trace, where there are no values.
    """
    evaluate(array, reader)
    if array.dtype == mx.bfloat16:
        with mx.stream(STREAMS.cpu):
            array = mx.view(array, mx.uint16) if array.ndim else mx.view(array[None], mx.uint16)[0]
    return np.asarray(array)


def from_bfloat16_bits(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
