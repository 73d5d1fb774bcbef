"""Histories inside and outside of `torch.vmap`: where gradients gain and lose lanes.

A node is inside a call of vmap (its `levels`) if what it computes belongs to one lane. The
gradient that it gets is then a lane's too, whether or not it differs between lanes; a node
outside gets the sum over all lanes. Three nodes lie on the border: `EnterLanes` and `LeaveLanes`
where a tensor is mapped over or returned, and `ShareOverLanes` where an operation inside uses a
tensor from outside.
"""

from __future__ import annotations

import mlx.core as mx

from .._core.batch import Batch, Level, sort_levels
from .._core.batched_storage import BatchedStorage, storage_for
from .._core.evaluation import local, track
from .._core.layout import Layout, contiguous, overriding
from .._core.tensor import Tensor, make, read
from .node import Node, keep_apart, sequence


class EnterLanes(Node):
    """A tensor one of whose dimensions became the lanes of a level."""

    __slots__ = ("place",)

    def apply(self, grads: list) -> tuple:
        """Return the lanes' gradients, side by side."""
        level, dim = self.place
        return (leave(grads[0], level, dim),)

    def release(self) -> None:
        """Nothing is saved."""


class LeaveLanes(Node):
    """A tensor whose lanes became one of its dimensions."""

    __slots__ = ("place",)

    def apply(self, grads: list) -> tuple:
        """Return each lane's part of the gradient."""
        level, dim = self.place
        return (enter(grads[0], level, dim),)

    def release(self) -> None:
        """Nothing is saved."""


class ShareOverLanes(Node):
    """A tensor from outside, used in each lane."""

    __slots__ = ("inner",)

    def apply(self, grads: list) -> tuple:
        """Return the sum of the lanes' gradients."""
        grad = grads[0]
        for level in self.inner:
            grad = leave(grad, level, 0).sum(0)
        return (grad,)

    def release(self) -> None:
        """Nothing is saved."""


def _border(kind: type, tensor: Tensor, made: Tensor, levels, place: tuple) -> None:
    from .history import edge_of

    if tensor._node is None or not local.grad_enabled:
        return
    node = kind()
    node.edges = (edge_of(tensor),)
    node.levels = sort_levels(levels)
    node.outputs = (made._layout,)
    node.saved = None
    node.place = place
    node.sequence = sequence()
    made._node = node
    keep_apart(made)


def enter(tensor: Tensor, level: Level, dim: int) -> Tensor:
    """Return the tensor inside `level`: dimension `dim` (not negative) becomes its lanes."""
    array = read(tensor)
    plain, own = (array.array, array.levels) if type(array) is Batch else (array, ())
    levels = sort_levels((*own, level))
    plain = mx.moveaxis(plain, len(own) + dim, levels.index(level))
    layout = tensor._layout
    size = (*layout.size[:dim], *layout.size[dim + 1:])
    lane = contiguous(size, layout.dtype, layout.device)
    made = _tracked(Batch(plain, levels), lane)
    if tensor._node is not None:
        levels = (*levels_of(tensor), level)
        _border(EnterLanes, tensor, made, levels, (level, dim))
    return made


def leave(tensor: Tensor, level: Level, dim: int) -> Tensor:
    """Return the tensor outside `level`: its lanes, or copies of it, become dimension `dim`."""
    array = read(tensor)
    own = array.levels if type(array) is Batch else ()
    inside = tensor._node is not None and level in tensor._node.levels
    if level not in own and not inside:
        shape = list(tensor.shape)
        shape.insert(dim, level.size)
        return tensor.unsqueeze(dim).expand(shape)
    if level in own:
        rest = tuple(known for known in own if known is not level)
        plain = mx.moveaxis(array.array, own.index(level), len(rest) + dim)
    else:
        rest = own
        plain = array.array if type(array) is Batch else array
        at = len(rest) + dim
        plain = mx.expand_dims(plain, at)
        plain = mx.broadcast_to(plain, (*plain.shape[:at], level.size, *plain.shape[at + 1:]))
    layout = tensor._layout
    size = (*layout.size[:dim], level.size, *layout.size[dim:])
    whole = contiguous(size, layout.dtype, layout.device)
    made = _tracked(Batch(plain, rest) if rest else plain, whole)
    if tensor._node is not None:
        levels = [known for known in levels_of(tensor) if known is not level]
        _border(LeaveLanes, tensor, made, levels, (level, dim))
    return made


def _tracked(array, layout: Layout) -> Tensor:
    storage = storage_for(array, layout)
    track(storage)
    return make(storage, layout)


def levels_of(tensor: Tensor) -> tuple:
    """Return the levels that the tensor is inside of, by value or by history."""
    storage, node = tensor._storage, tensor._node
    by_value = storage.levels if type(storage) is BatchedStorage else ()
    return by_value if node is None else (*by_value, *node.levels)


def join_levels(node: Node, inputs, results, levels: tuple = ()) -> None:
    """Put a new node inside `levels` and those of its inputs; share what comes from outside of them.

    To be called before the node gets its sequence number.
    """
    inside = set(levels)
    for tensor in inputs:
        inside.update(levels_of(tensor))
    for edge in node.edges:
        if edge is not None:
            inside.update(edge[0].levels)
    if not inside:
        return
    node.levels = sort_levels(inside)
    node.edges = tuple([edge and _shared(edge, inside) for edge in node.edges])
    node.sequence = sequence()
    for tensor in results:
        if tensor is not None and type(tensor._storage) is not BatchedStorage and \
                tensor._storage.layout is tensor._layout:
            tensor._storage.layout = overriding(tensor._layout)


def _shared(edge: tuple, levels: set) -> tuple:
    source, index = edge
    missing = levels.difference(source.levels)
    if not missing:
        return edge
    share = ShareOverLanes()
    share.edges = (edge,)
    share.outputs = (source.outputs[index],)
    share.saved = None
    share.inner = sort_levels(missing)
    share.levels = sort_levels(levels)
    share.sequence = sequence()
    return share, 0


class lanes:
    """Inside, the thread is in one more call of vmap; `with lanes(3) as level`."""

    def __init__(self, size: int, randomness: str = "error"):
        self.level = Level(size, randomness)

    def __enter__(self) -> Level:
        local.levels = (*local.levels, self.level)
        return self.level

    def __exit__(self, *exception) -> None:
        local.levels = local.levels[:-1]
