"""Reading and writing through a view's layout: the gradient of every view."""

from __future__ import annotations

import mlx.core as mx

from .._core.batched_storage import storage_for
from .._core.evaluation import track
from .._core.layout import Layout, contiguous
from .._core.reading import Gather, recipe
from .._core.tensor import Tensor, make, read
from .._kernels.reduction import plain_sum
from .creation import filled
from .kinds import primitive


def _within(source: Layout, target: Layout):
    """Return (shape of a buffer for `source`, its layout, `target`) with offsets relative to the
    buffer.
    """
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


def _added(input, shape, seen):
    """Return zeros of `shape` with `input` added through the layout `seen`."""
    zeros = mx.zeros(shape, input.dtype)
    repeated = _repeated(seen)
    if repeated:
        input = plain_sum(input, repeated, True)
        seen = seen.view(input.shape, seen.stride)
    steps = recipe(shape, seen)
    if isinstance(steps, Gather):
        flat = mx.reshape(zeros, (-1,))
        return (
            flat.at[mx.reshape(steps.index(), (-1,))].add(mx.reshape(input, (-1,))).reshape(shape)
        )
    return steps.write(zeros, input)


def _repeated(layout):
    return [d for d, (n, step) in enumerate(zip(layout.size, layout.stride)) if step == 0 and n > 1]


def _may_overlap(shape, own):
    return bool(_repeated(own)) or isinstance(recipe(shape, own), Gather)


def _shared(input, shape, own):
    """Return how many elements of the base, of layout `own`, each element of the buffer stands for.
    """
    return mx.maximum(_added(mx.ones(tuple(own.size), input.dtype), shape, own), 1)


@primitive
def view_read(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return what a view `target` of a base `source` shows of `input`, which has the base's size.
    """
    shape, own, seen = _within(source, target)
    if _may_overlap(shape, own):
        return recipe(shape, seen).read(_added(input, shape, own) / _shared(input, shape, own))
    return recipe(shape, seen).read(_buffer(input, shape, own))


@primitive(scatters=True)
def view_write(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return zeros of the base's size with `input`, of the view's size, added through the view.

    Elements of the base that are one in memory share what is added to it: the view that made
    them one adds it up again.
    """
    shape, own, seen = _within(source, target)
    buffer = _added(input, shape, seen)
    if _may_overlap(shape, own):
        buffer = buffer / _shared(input, shape, own)
    return recipe(shape, own).read(buffer)


@primitive
def view_clear(input: mx.array, source: Layout, target: Layout) -> mx.array:
    """Return `input`, of the base's size, with zeros where the view `target` looks."""
    shape, own, seen = _within(source, target)
    buffer = recipe(shape, seen).write(
        _buffer(input, shape, own), mx.zeros(tuple(seen.size), input.dtype)
    )
    return recipe(shape, own).read(buffer)


view_read.gradients(input=lambda grad, source, target: view_write(grad, source, target))
view_write.gradients(input=lambda grad, source, target: view_read(grad, source, target))
view_clear.gradients(input=lambda grad, source, target: view_clear(grad, source, target))


def private(input: Tensor) -> Tensor:
    """Return a tensor of the same value in a storage of its own; free, since arrays never change.
    """
    layout = input._layout
    compact = layout if layout.contiguous and layout.offset == 0 else contiguous(
        layout.size, layout.dtype, layout.device)
    storage = storage_for(read(input), compact)
    track(storage)
    return make(storage, compact)


Tensor._view_read = view_read
Tensor._view_write = view_write
Tensor._view_clear = view_clear
Tensor._private = private


def _filled_like(value):
    def fill(input: Tensor) -> Tensor:
        layout = input._layout
        return filled(tuple(layout.size), value, layout.dtype, layout.device)
    return fill


Tensor._zeros, Tensor._ones = _filled_like(0), _filled_like(1)
