"""`Storage`: the data that views share. A write swaps the array; arrays are never changed.

So a snapshot (of a saved tensor, say) is the array itself, and costs nothing. `HostStorage`
is the one exception: its memory is NumPy's and the outside world may write to it, so every
read makes a copy.
"""

from __future__ import annotations

import itertools
from sys import getrefcount

import mlx.core as mx
import numpy as np

from .device import META, NATIVE, STREAMS
from .dtype import bfloat16, bool_, dtype, float64
from .evaluation import LARGE, ensure_memory, evaluate, local, ready
from .layout import Layout, contiguous, overriding
from .reading import recipe

_addresses = itertools.count(1)
#: What notes the arrays that writes replace, while a function is traced: the compiler's.
journal: list = [None]


#: What storages made in inference mode count their versions from: however many writes, below 0.
UNTRACKED = -(1 << 40)


class Storage:
    """One `mx.array` in the shape in which it was made, and the layout that describes it.

    That layout has no gaps and begins at 0, but its dimensions may lie in memory in any order:
    the array of a channels-last tensor has its shape (n, c, h, w), too. How MLX itself arranges
    an array's bytes is nobody's business.
    """

    __slots__ = ("array", "layout", "version", "host", "_address", "__weakref__")

    def __init__(self, array: mx.array, layout: Layout):
        self.array = array
        self.layout = layout
        self.version = local.birth

    def read(self, layout: Layout) -> mx.array:
        """Return the elements of `layout`, in its shape; lazy."""
        own = self.layout
        if own is layout:
            return self.array
        if layout.numel > LARGE and layout.numel > own.numel and layout.device is not META:
            # what a few elements are spread over by strides of 0 becomes an array of its own
            ensure_memory(layout.numel * layout.dtype.itemsize)
        ready()
        if NATIVE != "cpu" and float64 in (own.dtype, layout.dtype):
            with mx.stream(STREAMS.cpu):
                return self._look(layout)
        return self._look(layout)

    def rows(self) -> mx.array:
        """Return the array with its dimensions in the order of memory; lazy."""
        own = self.layout
        return self.array if own.contiguous else mx.transpose(self.array, own.memory_order())

    def _keep(self, rows):
        """Replace the array by one whose dimensions are in the order of memory."""
        own = self.layout
        if own.contiguous:
            self.array = mx.reshape(rows, tuple(own.size))
            return
        order = own.memory_order()
        rows = mx.reshape(rows, [own.size[d] for d in order])
        self.array = mx.transpose(rows, [order.index(d) for d in range(own.ndim)])

    def _look(self, layout):
        own, array = self.layout, self.rows()
        if own.dtype is not layout.dtype:
            array = reinterpret(array, own.dtype, layout.dtype)
        return recipe(tuple(array.shape), layout).read(array)

    def write(self, layout: Layout, values: mx.array) -> None:
        """Replace the elements of `layout` by `values` (of its shape and dtype) and count a
        version.
        """
        if journal[0] is not None:
            journal[0].note(self)
        self.version += 1
        own = self.layout
        if own is layout:
            self.array = values
            return
        ready()
        # GPUs have no float64, and do not scatter what has eight bytes.
        if NATIVE != "cpu" and 8 in (own.dtype.itemsize, layout.dtype.itemsize):
            with mx.stream(STREAMS.cpu):
                self._replace(layout, values)
        else:
            self._replace(layout, values)

    def _replace(self, layout, values):
        own, array = self.layout, self.rows()
        if own.dtype is not layout.dtype:
            array = reinterpret(array, own.dtype, layout.dtype)
            array = recipe(tuple(array.shape), layout).write(array, values)
            self._keep(reinterpret(array, layout.dtype, own.dtype))
        elif own.contiguous:
            self.array = recipe(tuple(array.shape), layout).write(array, values)
        else:
            self._keep(recipe(tuple(array.shape), layout).write(array, values))

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self.layout.numel * self.layout.dtype.itemsize

    def address(self) -> int:
        """Return a number that tells storages apart and leaves room for offsets: no real address.
        """
        try:
            return self._address
        except AttributeError:
            # Arrays move at every write, so there is no lasting address to tell.
            self._address = 0 if self.nbytes() == 0 else next(_addresses) << 44
            return self._address

    def resize(self, nbytes: int) -> None:
        """Change the size in bytes; new bytes are zero."""
        own = self.layout
        count = -(-nbytes // own.dtype.itemsize)
        flat = mx.reshape(self.rows(), (-1,))
        if count <= own.numel:
            flat = flat[:count]
        else:
            ensure_memory(count * flat.itemsize)
            flat = mx.concatenate([flat, mx.zeros((count - own.numel,), flat.dtype)])
        self.array = flat
        self.layout = contiguous((count,), own.dtype, own.device)

    def to_host(self) -> np.ndarray:
        """Move the data to memory that NumPy may share, and return it (flat)."""
        own = self.layout
        array = self.rows()
        if own.dtype is bfloat16:
            with mx.stream(STREAMS.cpu):
                array = mx.view(mx.reshape(array, (-1,)), mx.uint16)
        evaluate(array, "numpy()")
        # A copy: MLX's buffer may be shared by other arrays, or given away by the next operation.
        # Its type is named, since PyTorch refuses MLX's way to write uint64, C's `long long`.
        self.host = np.array(array, _carrier(own.dtype), copy=True).reshape(-1)
        self.__class__ = HostStorage
        self.layout = overriding(own)
        self.array = _NOTHING
        return self.host


def stream_for(layout: Layout):
    """Return a context in which MLX computes where numbers of this layout can be computed."""
    if NATIVE == "cpu" or (layout.device.type != "cpu" and layout.dtype is not float64):
        return mx.stream(STREAMS.native)
    return mx.stream(STREAMS.cpu)


def check_writable(storage: Storage) -> None:
    """Raise RuntimeError for a write, outside of inference mode, to a tensor that was made in it.
    """
    if storage.version < 0 and not local.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make "
            "a clone to get a normal tensor before doing inplace update."
        )


class HostStorage(Storage):
    """A storage whose memory NumPy shares; a plain one again once nobody else holds it."""

    __slots__ = ()

    @classmethod
    def around(cls, host: np.ndarray, layout: Layout) -> HostStorage:
        """Return a storage over the flat array `host`, described by the flat `layout`."""
        made = cls(_NOTHING, overriding(layout))
        made.host = host
        return made

    def read(self, layout: Layout) -> mx.array:
        """Return a copy of the elements of `layout`."""
        if getrefcount(self.host) <= 2 and self.host.base is None:
            self._leave_host()
            return Storage.read(self, layout)
        source = self._window(layout)
        return _copy_in(np.ascontiguousarray(source), layout.dtype).reshape(layout.size)

    def write(self, layout: Layout, values: mx.array) -> None:
        """Write `values` into the shared memory, now."""
        self.version += 1
        if layout.dtype is bfloat16:
            with mx.stream(STREAMS.cpu):
                values = mx.view(values, mx.uint16)
        evaluate(values, "writing to memory shared with NumPy")
        self._window(layout)[...] = np.asarray(values)

    def window(self, layout: Layout) -> np.ndarray:
        """Return a writable NumPy view of the shared memory."""
        _check_numpy(layout.dtype)
        return self._window(layout)

    def _window(self, layout):
        host = self.host
        carrier = _carrier(layout.dtype)
        if host.dtype != carrier:
            host = host.view(carrier)
        if layout.numel == 0:
            return np.empty(tuple(layout.size), host.dtype)
        if layout.extent() > host.size:
            raise RuntimeError(
                f"a view of {layout.extent()} elements does not fit a storage of {host.size}"
            )
        size = layout.dtype.itemsize
        return np.lib.stride_tricks.as_strided(
            host[layout.offset:], tuple(layout.size), [step * size for step in layout.stride])

    def to_host(self) -> np.ndarray:
        """Return the shared memory."""
        return self.host

    def resize(self, nbytes: int) -> None:
        """Move out of the shared memory and change the size in bytes."""
        self._leave_host()
        Storage.resize(self, nbytes)

    def _leave_host(self):
        own = self.layout
        self.__class__ = Storage
        self.array = _copy_in(self.host, own.dtype).reshape(own.size)
        self.layout = contiguous(own.size, own.dtype, own.device)
        self.host = None


def _carrier(which: dtype) -> np.dtype:
    # NumPy has no bfloat16: memory outside of MLX holds its bits.
    return np.dtype(np.uint16) if which is bfloat16 else which.numpy


def _copy_in(source: np.ndarray, which: dtype) -> mx.array:
    if which is bfloat16:
        with mx.stream(STREAMS.cpu):
            return mx.view(mx.array(source), mx.bfloat16)
    return mx.array(source, which.mlx)


def _check_numpy(which: dtype) -> None:
    if which is bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16: NumPy has no such type; "
                        "use tensor.float().numpy()")


def reinterpret(array: mx.array, old: dtype, new: dtype) -> mx.array:
    """Return the bytes of `array` as a flat array of another dtype."""
    flat = mx.reshape(array, (-1,))
    with mx.stream(STREAMS.cpu):
        if old is bool_:
            flat = mx.view(flat, mx.uint8)
        if new is bool_:
            return mx.view(flat, mx.uint8) != 0 if new.itemsize == 1 else flat
        return mx.view(flat, new.mlx)


_NOTHING = mx.zeros((0,))
mx.eval(_NOTHING)
