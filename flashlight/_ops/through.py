"""Reading and writing through a view's layout: the gradient of every view."""

from __future__ import annotations

import mlx.core as mx

from .._core.evaluation import track
from .._core.layout import Layout, contiguous
from .._core.reading import Gather, recipe
from .._core.storage import Storage
from .._core.tensor import Tensor, make, read, wrap
from .kinds import primitive


def _within(source: Layout, target: Layout):
    """Return (shape of a buffer for `source`, its layout, `target`) with offsets relative to the buffer."""
    if source.contiguous:
        low = source.offset
        shape = tuple(source.size)
    else:
        low = source.offset
        shape = (source.extent() - low,)
    if target.numel and target.offset < low or target.extent() - low > _count(shape):
        # the view reaches memory that its base does not show: as_strided can do that
        low = min(low, target.offset)
        shape = (max(source.extent(), target.extent()) - low,)
    own = source.view(source.size, source.stride, source.offset - low)
    return shape, own, target.view(target.size, target.stride, target.offset - low)


def _count(shape):
    total = 1
    for n in shape:
        total *= n
    return total


def _buffer(array, shape, own):
    """Lay `array`, of the size of `own`, out in a buffer of `shape`."""
    if tuple(array.shape) == shape and own.contiguous:
        return array
    return recipe(shape, own).write(mx.zeros(shape, array.dtype), array)


@primitive
def view_read(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return what a view `target` of a base `source` shows of `input`, which has the base's size."""
    shape, own, seen = _within(source, target)
    return recipe(shape, seen).read(_buffer(input, shape, own))


@primitive
def view_write(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return zeros of the base's size with `input`, of the view's size, added through the view."""
    shape, own, seen = _within(source, target)
    zeros = mx.zeros(shape, input.dtype)
    if any(step == 0 and n > 1 for n, step in zip(seen.size, seen.stride)):
        dims = [d for d, (n, step) in enumerate(zip(seen.size, seen.stride)) if step == 0 and n > 1]
        input = mx.sum(input, axis=dims, keepdims=True)
        seen = seen.view(input.shape, seen.stride)
    steps = recipe(shape, seen)
    if isinstance(steps, Gather):
        flat = mx.reshape(zeros, (-1,))
        buffer = flat.at[mx.reshape(steps.index(), (-1,))].add(mx.reshape(input, (-1,))).reshape(shape)
    else:
        buffer = steps.write(zeros, input)
    return recipe(shape, own).read(buffer)


@primitive
def view_clear(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return `input`, of the base's size, with zeros where the view `target` looks."""
    shape, own, seen = _within(source, target)
    buffer = recipe(shape, seen).write(_buffer(input, shape, own), mx.zeros(tuple(seen.size), input.dtype))
    return recipe(shape, own).read(buffer)


view_read.gradients(input=lambda grad, source, target: view_write(grad, source, target))
view_write.gradients(input=lambda grad, source, target: view_read(grad, source, target))
view_clear.gradients(input=lambda grad, source, target: view_clear(grad, source, target))


def private(input: Tensor) -> Tensor:
    """Return a tensor of the same value in a storage of its own; free, since arrays never change."""
    layout = input._layout
    compact = layout if layout.contiguous and layout.offset == 0 else contiguous(
        layout.size, layout.dtype, layout.device)
    storage = Storage(read(input), compact)
    track(storage)
    return make(storage, compact)


Tensor._view_read = view_read
Tensor._view_write = view_write
Tensor._view_clear = view_clear
Tensor._private = private


def _filled_like(value):
    def fill(input: Tensor) -> Tensor:
        layout = input._layout
        return wrap(mx.full(tuple(layout.size), value, layout.dtype.mlx), layout.device)
    return fill


Tensor._zeros, Tensor._ones = _filled_like(0), _filled_like(1)
