"""`Layout`: everything about a tensor but its data. Integers only, no arrays.

Layouts are immutable and interned, so two tensors of one size, stride, offset, dtype and
device share one object, and `is` answers most questions that an operation asks.
"""

from __future__ import annotations

import math

from .device import CANONICAL, META, NATIVE, device
from .dtype import dtype, float64
from .size import Size, size_of

_INTERNED: dict = {}
_CONTIGUOUS: dict = {}
_MOST = 100_000  # a program with ever new shapes must not grow without bound


class Layout:
    """How a tensor reads its storage: size, stride, offset (in elements), dtype and device."""

    __slots__ = ("size", "stride", "offset", "dtype", "device", "ndim", "numel", "contiguous",
                 "plain", "dense", "order")

    def __init__(self, size: Size, stride: tuple, offset: int, dtype: dtype, device: device):
        self.size = size
        self.stride = stride
        self.offset = offset
        self.dtype = dtype
        self.device = CANONICAL.get(device.type, device)  # whoever comes first decides for all
        self.ndim = len(size)
        self.numel = math.prod(size)
        self.contiguous = is_contiguous(size, stride)
        self.dense = self.contiguous or _is_dense(size, stride)
        # What lets an operation run on the whole array of a storage, on the default stream.
        self.plain = (self.dense and offset == 0 and device.type == NATIVE
                      and (dtype is not float64 or NATIVE == "cpu"))
        self.order = None

    def __repr__(self):
        return (f"Layout({tuple(self.size)}, stride={self.stride}, offset={self.offset}, "
                f"{self.dtype.name}, {self.device})")

    def view(self, size, stride, offset=None) -> Layout:
        """Return the layout of a view with another geometry."""
        return layout(tuple(size), tuple(stride), self.offset if offset is None else offset,
                      self.dtype, self.device)

    def replace(
        self, dim: int, size: int, stride: int | None = None, offset: int | None = None
    ) -> Layout:
        """Return this layout with one dimension changed."""
        sizes, strides = list(self.size), list(self.stride)
        sizes[dim] = size
        if stride is not None:
            strides[dim] = stride
        return self.view(sizes, strides, offset)

    def with_dtype(self, dtype: dtype) -> Layout:
        """Return this geometry for another dtype (of the same item size)."""
        return layout(self.size, self.stride, self.offset, dtype, self.device)

    def with_device(self, device: device) -> Layout:
        """Return this geometry on another device."""
        return layout(self.size, self.stride, self.offset, self.dtype, device)

    def compact(self) -> Layout:
        """Return the row-major layout of the same size, at offset 0."""
        return contiguous(self.size, self.dtype, self.device)

    def extent(self) -> int:
        """Return how many elements a storage must hold for this layout."""
        if self.numel == 0:
            return self.offset
        return self.offset + 1 + sum((n - 1) * step for n, step in zip(self.size, self.stride))

    def is_dense(self) -> bool:
        """Tell whether the elements fill a block of memory without gaps or overlap."""
        return self.dense

    def memory_order(self) -> list[int]:
        """Return the dimensions from the outermost in memory to the innermost."""
        if self.order is None:
            self.order = sorted(range(self.ndim), key=lambda d: -self.stride[d])
        return self.order

    def overlaps(self) -> bool:
        """Tell whether two indices may reach one element (as PyTorch decides, conservatively)."""
        if self.dense:
            return False
        return any(step == 0 and n > 1 for n, step in zip(self.size, self.stride))


def is_contiguous(size: tuple, stride: tuple) -> bool:
    """Tell whether `stride` is row-major for `size`."""
    expected = 1
    for n, step in zip(reversed(size), reversed(stride)):
        if n == 1:
            continue
        if step != expected:
            return 0 in size
        expected *= n
    return True


def _is_dense(size, stride):
    if 0 in size:
        return True
    expected = 1
    for step, n in sorted((step, n) for n, step in zip(size, stride) if n != 1):
        if step != expected:
            return False
        expected *= n
    return True


def row_major(size: tuple) -> tuple:
    """Return the strides of a contiguous tensor (lengths of 0 count as 1, as in PyTorch)."""
    strides = [1] * len(size)
    for i in range(len(size) - 2, -1, -1):
        strides[i] = strides[i + 1] * max(size[i + 1], 1)
    return tuple(strides)


def layout(size: tuple, stride: tuple, offset: int, dtype: dtype, device: device) -> Layout:
    """Return the one layout with these properties."""
    key = (size, stride, offset, dtype, device.type)
    found = _INTERNED.get(key)
    if found is None:
        if len(_INTERNED) > _MOST:
            _INTERNED.clear()
            _CONTIGUOUS.clear()
        found = Layout(size_of(size), stride, offset, dtype, device)
        found = _INTERNED.setdefault(key, found)
    return found


def contiguous(size: tuple, dtype: dtype, device: device) -> Layout:
    """Return the one row-major layout at offset 0 with these properties."""
    key = (size, dtype, device.type)
    found = _CONTIGUOUS.get(key)
    if found is None:
        found = _CONTIGUOUS[key] = layout(tuple(size), row_major(size), 0, dtype, device)
    return found


def overriding(original: Layout) -> Layout:
    """Return an equal layout that is nobody else's, so that no fast path recognises its tensor."""
    twin = Layout(original.size, original.stride, original.offset, original.dtype, original.device)
    twin.plain = False
    return twin


def is_meta(which: Layout) -> bool:
    """Tell whether tensors of this layout have no data."""
    return which.device is META
