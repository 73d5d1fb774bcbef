"""How a layout reads and writes the array of a storage: recipes of MLX's own slices.

A storage's array is row-major. A layout over it is, nearly always, "reshape to a grid, take
a slice of it, transpose, reshape, broadcast"; `recipe` finds that form once for a pair of
layouts and remembers it. What has no such form (diagonals, overlapping windows) is read by
`mx.as_strided` and written through explicit indices.
"""

from __future__ import annotations

import functools
import math

import mlx.core as mx
import numpy as np

from .layout import Layout


class Recipe:
    """The steps from a storage's array to a layout's; a step that would do nothing is None."""

    __slots__ = ("grid", "slices", "split", "permutation", "unsqueezed", "broadcast", "shape",
                 "sliced", "sorted", "inverse", "squeezed", "whole")

    def read(self, array: mx.array) -> mx.array:
        """Return the layout's elements; lazy."""
        if self.grid is not None:
            array = mx.reshape(array, self.grid)
        if self.slices is not None:
            array = array[self.slices]
        if self.split is not None:
            array = mx.reshape(array, self.split)
        if self.permutation is not None:
            array = mx.transpose(array, self.permutation)
        if self.unsqueezed is not None:
            array = mx.reshape(array, self.unsqueezed)
        if self.broadcast is not None:
            array = mx.broadcast_to(array, self.broadcast)
        return array

    def write(self, array: mx.array, values: mx.array) -> mx.array:
        """Return `array` with the layout's elements replaced; lazy. Not for broadcast layouts."""
        shape = array.shape
        values = mx.reshape(values, self.squeezed)
        if self.inverse is not None:
            values = mx.transpose(values, self.inverse)
        if self.slices is None:
            return mx.reshape(values, shape)
        target = mx.reshape(array, shape if self.grid is None else self.grid)
        target[self.slices] = mx.reshape(values, self.sliced)
        return mx.reshape(target, shape)


class Gather:
    """A layout without recipe: strided reads, writes through indices."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.indices = None

    def index(self) -> mx.array:
        """Return the position in the storage of each element."""
        if self.indices is None:
            total = np.full((), self.layout.offset, np.int64)
            for n, step in zip(self.layout.size, self.layout.stride):
                total = total[..., None] + np.arange(n, dtype=np.int64) * step
            narrow = self.layout.extent() < 2**31
            self.indices = mx.array(total.astype(np.int32) if narrow else total)
        return self.indices

    def read(self, array: mx.array) -> mx.array:
        """Return the layout's elements; lazy."""
        flat = mx.reshape(array, (-1,))
        if gathering[0]:
            return mx.take(flat, self.index())
        # Broadcast arrays (mx.zeros is one) have no memory to step through.
        flat = mx.contiguous(flat)
        return mx.as_strided(flat, tuple(self.layout.size), self.layout.stride, self.layout.offset)

    def write(self, array: mx.array, values: mx.array) -> mx.array:
        """Return `array` with the layout's elements replaced; lazy."""
        flat = mx.reshape(array, (-1,))
        flat[mx.reshape(self.index(), (-1,))] = mx.reshape(values, (-1,))
        return mx.reshape(flat, array.shape)


gathering = [False]  # mx.as_strided has no vmap rule: torch.func.vmap sets this


class Empty:
    """A layout of no elements."""

    def __init__(self, layout: Layout):
        self.shape = tuple(layout.size)

    def read(self, array: mx.array) -> mx.array:
        """Return an empty array."""
        return mx.zeros(self.shape, array.dtype)

    def write(self, array: mx.array, values: mx.array) -> mx.array:
        """Return `array`."""
        return array


@functools.lru_cache(maxsize=65536)
def recipe(shape: tuple, target: Layout) -> Recipe | Gather | Empty:
    """Return how `target` reads a row-major array of `shape` (of `target`'s dtype)."""
    if target.numel == 0:
        return Empty(target)
    total = math.prod(shape)
    if target.extent() > total:
        raise RuntimeError(
            f"setStorage: sizes {list(target.size)}, strides {list(target.stride)}, storage offset "
            f"{target.offset} require a storage of {target.extent()} elements, but it has {total}")
    kept = [d for d in range(target.ndim) if target.size[d] != 1]
    dims = [d for d in kept if target.stride[d] != 0]
    order = sorted(dims, key=lambda d: -target.stride[d])
    merged = []  # runs of dimensions that one axis serves: [size, stride]
    for d in order:
        n, step = target.size[d], target.stride[d]
        if merged and merged[-1][1] == n * step:
            merged[-1] = [merged[-1][0] * n, step]
        else:
            merged.append([n, step])
    if any(above[1] == below[1] for above, below in zip(merged, merged[1:])):
        return Gather(target)
    for pitches in _candidates(shape, merged, total):
        found = _slices(pitches, merged, target.offset, total)
        if found is not None:
            return _assemble(shape, target, kept, dims, order, *found)
    return Gather(target)


def _candidates(shape, merged, total):
    """Yield grids, as descending pitches ending in 1, in which the layout may be a slice."""
    own, pitch = [], 1
    for n in reversed(shape):
        if n != 1:
            own.append(pitch)
            pitch *= n
    own = own[::-1] or [1]
    yield tuple(own)
    strides = [step for _, step in merged]
    yield tuple(sorted({*strides, 1}, reverse=True))
    yield tuple(sorted({*strides, *own}, reverse=True))
    spans = {n * step for n, step in merged if n * step <= total}
    yield tuple(sorted({*strides, *spans, 1} - {total}, reverse=True) or [1])


def _slices(pitches, merged, offset, total):
    """Return the grid's lengths and a (start, count, step) for each axis, or None."""
    if total % pitches[0] or any(a % b for a, b in zip(pitches, pitches[1:])):
        return None
    lengths = [total // pitches[0]] + [a // b for a, b in zip(pitches, pitches[1:])]
    starts = []
    for pitch in pitches:
        starts.append(offset // pitch)
        offset %= pitch
    picks = [(start, 1, 1) for start in starts]
    free = list(range(len(pitches)))
    for n, stride in merged:
        for axis in free:
            step, rest = divmod(stride, pitches[axis])
            if rest == 0 and step > 0 and starts[axis] + (n - 1) * step < lengths[axis]:
                picks[axis] = (starts[axis], n, step)
                free = [a for a in free if a > axis]
                break
        else:
            return None
    return lengths, picks


def _assemble(shape, target, kept, dims, order, lengths, picks):
    made = Recipe()
    grid = tuple(lengths)
    made.grid = None if grid == tuple(shape) else grid
    full = all(pick == (0, n, 1) for pick, n in zip(picks, lengths))
    made.slices = None if full else tuple(
        slice(start, start + (count - 1) * step + 1, step) for start, count, step in picks)
    made.sliced = tuple(count for _, count, _ in picks)
    made.sorted = tuple(target.size[d] for d in order)
    made.split = None if made.sorted == made.sliced else made.sorted
    permutation = [order.index(d) for d in dims]
    identity = permutation == list(range(len(dims)))
    made.permutation = None if identity else permutation
    made.inverse = None if identity else [dims.index(d) for d in order]
    made.squeezed = tuple(target.size[d] for d in dims)
    unsqueezed = tuple(n if d in dims else 1 for d, n in enumerate(target.size))
    made.unsqueezed = None if unsqueezed == made.squeezed else unsqueezed
    made.shape = tuple(target.size)
    made.broadcast = None if made.shape == unsqueezed else made.shape
    made.whole = full and made.permutation is None and made.broadcast is None
    if made.whole:  # one reshape does it all, if any is needed
        made.grid = None if made.shape == tuple(shape) else made.shape
        made.split = made.unsqueezed = None
    return made
