"""`BatchedStorage`: the data of a tensor inside `torch.vmap`, one piece for each lane."""

from __future__ import annotations

import mlx.core as mx

from .batch import Batch, lanes_first
from .layout import Layout, contiguous, overriding
from .storage import Storage, reinterpret, stream_for

_IN_PLACE = (
    "vmap: an in-place operation would write values that differ between lanes into a tensor that "
    "all lanes share. Use the out-of-place form, or make the tensor from one that is mapped over "
    "(x.new_zeros(...) does)."
)


class BatchedStorage(Storage):
    """An array with a dimension in front for each level of vmap; layouts are those of a lane."""

    __slots__ = ("levels",)

    def __init__(self, batch: Batch, layout: Layout):
        self.array = batch.array
        self.levels = batch.levels
        self.layout = overriding(layout)  # so that no fast path takes the array for a lane
        self.version = 0

    def _outer(self, layout: Layout, numel: int) -> Layout:
        """Return `layout` with the lanes' dimensions in front, `numel` elements apart."""
        sizes, strides, step = [], [], numel
        for level in reversed(self.levels):
            sizes.insert(0, level.size)
            strides.insert(0, step)
            step *= level.size
        return layout.view((*sizes, *layout.size), (*strides, *layout.stride), layout.offset)

    def _flat(self) -> mx.array:
        lanes = self.array.shape[:len(self.levels)]
        return mx.reshape(self.array, (*lanes, self.layout.numel))

    def read(self, layout: Layout) -> Batch:
        """Return the elements of `layout` in each lane; lazy."""
        with stream_for(layout):
            return self._look_in_lanes(layout)

    def _look_in_lanes(self, layout):
        own = self.layout
        if own.dtype is not layout.dtype:
            return Batch(self._as_dtype(layout).read(layout).array, self.levels)
        _check_extent(layout, own.numel)
        if layout.contiguous and layout.offset == 0 and layout.numel == own.numel:
            lanes = self.array.shape[:len(self.levels)]
            return Batch(mx.reshape(self.array, (*lanes, *layout.size)), self.levels)
        whole = self._plain(own.numel)
        return Batch(whole.read(self._outer(layout, own.numel)), self.levels)

    def _plain(self, numel: int) -> Storage:
        total = numel
        for level in self.levels:
            total *= level.size
        flat = mx.reshape(self.array, (total,))
        return Storage(flat, contiguous((total,), self.layout.dtype, self.layout.device))

    def write(self, layout: Layout, values) -> None:
        """Replace the elements of `layout` in each lane.

        Raises RuntimeError for values that differ over lanes which this storage does not have.
        """
        if type(values) is Batch and not set(values.levels) <= set(self.levels):
            raise RuntimeError(_IN_PLACE)
        self.version += 1
        with stream_for(layout):
            self._write_in_lanes(layout, values)

    def _write_in_lanes(self, layout, values):
        own = self.layout
        if own.dtype is not layout.dtype:
            other = self._as_dtype(layout)
            other.write(layout, values)
            back = other._as_dtype(own)
            self.array = mx.reshape(back.array, self.array.shape)
            return
        _check_extent(layout, own.numel)
        lanes = lanes_first(values, self.levels)
        if layout.contiguous and layout.offset == 0 and layout.numel == own.numel:
            self.array = mx.reshape(lanes, self.array.shape)
            return
        whole = self._plain(own.numel)
        whole.write(self._outer(layout, own.numel), lanes)
        self.array = mx.reshape(whole.array, self.array.shape)

    def _as_dtype(self, like: Layout) -> BatchedStorage:
        """Return the same bytes seen as the dtype of `like`."""
        own = self.layout
        lanes = self.array.shape[:len(self.levels)]
        count = own.numel * own.dtype.itemsize // like.dtype.itemsize
        flat = mx.reshape(reinterpret(self.array, own.dtype, like.dtype), (*lanes, count))
        return BatchedStorage(
            Batch(flat, self.levels), contiguous((count,), like.dtype, own.device)
        )

    def resize(self, nbytes: int) -> None:
        """Raise RuntimeError: lanes keep their size."""
        raise RuntimeError("vmap: resize_() of a tensor that is mapped over")

    def to_host(self):
        """Raise RuntimeError: NumPy sees no lanes."""
        raise RuntimeError(
            "vmap: NumPy cannot share the memory of a tensor that is mapped over; return it from "
            "the function first"
        )


def _check_extent(layout: Layout, numel: int) -> None:
    if layout.extent() > numel:
        raise RuntimeError(
            f"setStorage: sizes {list(layout.size)}, strides {list(layout.stride)}, storage offset "
            f"{layout.offset} require a storage of {layout.extent()} elements, but it has {numel}"
        )


def check_shared_write(storage: Storage, values) -> None:
    """Raise RuntimeError if `values` have lanes that `storage` does not have."""
    if type(values) is Batch and type(storage) is not BatchedStorage:
        raise RuntimeError(_IN_PLACE)


def storage_for(array, layout: Layout) -> Storage:
    """Return a storage of `layout` around an array, or an array with lanes."""
    if type(array) is not Batch:
        return Storage(array, layout)
    if layout.contiguous:
        return BatchedStorage(array, layout)
    # The lanes' memory is row-major.
    made = BatchedStorage(array, layout.compact())
    made.write(layout, array)
    made.version = 0
    return made
