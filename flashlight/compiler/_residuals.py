"""The gradient of a compiled function, compiled too.

What the function's graph saves comes out of the forward call as extra results (residuals); the
walk back over that graph, from residuals and cotangents to gradients, is traced right after it.
"""

from __future__ import annotations

import weakref
from typing import Any

import mlx.core as mx

from flashlight import Tensor
from flashlight._autograd.engine import Captures, run
from flashlight._autograd.history import edge_of
from flashlight._autograd.node import FREED, AccumulateGrad, Node, sequence
from flashlight._core.batch import Batch
from flashlight._core.batched_storage import storage_for
from flashlight._core.evaluation import local
from flashlight._core.layout import Layout
from flashlight._core.storage import Storage
from flashlight._core.tensor import make, read, wrap

from ._discovery import Untraceable


class Recorder:
    """Takes the place of the thread's list of pending storages, and notes all that are made."""

    def __init__(self):
        self.made: dict[int, weakref.ref] = {}

    def append(self, storage: Storage) -> None:
        """Note a storage that was made or written."""
        self.made.setdefault(id(storage), weakref.ref(storage))

    def clear(self) -> None:
        """Keep everything: nothing is evaluated in a trace."""

    def __len__(self) -> int:
        return 0

    def __iter__(self):
        return iter(())


class Residual:
    """What stands in the graph for a saved tensor."""

    __slots__ = ("__weakref__", "layout", "levels", "place")

    def __init__(self, place: int, layout: Layout, levels: tuple):
        self.place = place
        self.layout = layout
        self.levels = levels


class Residuals:
    """The arrays that a graph saves."""

    def __init__(self):
        self.arrays: list = []
        self._places: dict[int, int] = {}
        self._made: list[weakref.ref] = []

    def pack(self, tensor: Tensor) -> Residual:
        """Keep a tensor's array."""
        array, levels = read(tensor), ()
        if type(array) is Batch:
            array, levels = array.array, array.levels
        place = self._places.get(id(array))
        if place is None:
            place = self._places[id(array)] = len(self.arrays)
            self.arrays.append(array)
        residual = Residual(place, tensor._layout.compact(), levels)
        self._made.append(weakref.ref(residual))
        return residual

    def unpack(self, residual: Residual) -> Tensor:
        """Return a tensor of the array that is kept now."""
        array = self.arrays[residual.place]
        array = Batch(array, residual.levels) if residual.levels else array
        return make(storage_for(array, residual.layout), residual.layout)

    def needed(self) -> list[int]:
        """Return the places that a graph still refers to."""
        alive = {r.place for r in (ref() for ref in self._made) if r is not None}
        return sorted(alive)


def _nodes(roots: list[Node]) -> set[Node]:
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge[0] for edge in node.edges if edge is not None)
    return seen


def is_spent(node: Node) -> bool:
    """Tell whether a backward pass has used up what some node of this history saved."""
    return any(n.saved is FREED or getattr(n, "kept", None) is FREED for n in _nodes([node]))


class Spent(Node):
    """The history of a result through which the function itself has called backward."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Raise RuntimeError."""
        self.check_not_freed()
        return ()


def spent_node(layout: Layout) -> Node:
    """Return a node that says that its graph was freed."""
    node = Spent()
    node.edges, node.outputs, node.saved, node.sequence = (), (layout,), FREED, sequence()
    return node


class CompiledFunctionBackward(Node):
    """The node of all results of one compiled call."""

    __slots__ = ("call",)

    def apply(self, grads: list) -> tuple:
        """Return the gradients of the tensors that the function differentiated at."""
        self.check_not_freed()
        if local.grad_enabled:
            raise RuntimeError(
                "torch.compile does not differentiate twice: create_graph=True goes through "
                "functions that are not compiled"
            )
        return self.call(self.saved, grads)


class Backward:
    """The compiled gradient of the results that have a history."""

    def __init__(self, inside, live: list):
        self.positions = [position for _, position in live]
        self.layouts = [value._layout for value, _ in live]
        self.roots = [edge_of(value) for value, _ in live]
        nodes = _nodes([node for node, _ in self.roots])
        self.targets, self.nodes = [], []
        for position, tensor in enumerate(inside.call.tensors):
            node = inside.borders.get(position, tensor._node)
            if node is not None and node in nodes and node not in self.nodes:
                self.targets.append(position)
                self.nodes.append(node)
        known = set(self.nodes)
        for node in nodes:
            if type(node) is AccumulateGrad and node not in known:
                raise Untraceable("a gradient would go to a tensor that the function hides")
        self.residuals = inside.residuals
        self.needed = self.residuals.needed()
        self.arrived: list[bool] = []
        self.compiled: Any = None

    def residual_arrays(self) -> list[mx.array]:
        """Return the arrays that the forward call must give out."""
        return [self.residuals.arrays[place] for place in self.needed]

    def trace(self, residuals: list[mx.array]) -> None:
        """Compile the walk back; afterwards the traced graph is not needed any more.

        Raises Untraceable for a graph that keeps arrays which no saved-tensor hook sees.
        """
        hooks = [(node, node.__dict__.pop("tensor_hooks", None)) for node in self.nodes]
        compiled = mx.compile(self._walk)
        try:
            compiled([*residuals, *[self._zeros(layout) for layout in self.layouts]])
        except ValueError as error:
            raise Untraceable(f"its gradient cannot be traced ({error})") from None
        finally:
            for node, own in hooks:
                if own is not None:
                    node.__dict__["tensor_hooks"] = own
        self.compiled = compiled
        self.roots, self.nodes = [], []
        self.residuals = Residuals()

    def _walk(self, arrays: list) -> list[mx.array]:
        if not self.roots:
            raise RuntimeError("a compiled gradient was asked to trace again")
        table = self.residuals.arrays
        for place, array in zip(self.needed, arrays):
            table[place] = array
        cotangents = arrays[len(self.needed):]
        pending, local.pending = local.pending, Recorder()
        try:
            captures = Captures([(node, 0) for node in self.nodes], accumulate=False)
            grads = [
                wrap(array, layout.device) for array, layout in zip(cotangents, self.layouts)
            ]
            run(self.roots, grads, True, False, captures)
        finally:
            local.pending = pending
        self.arrived = [grad is not None for grad in captures.results]
        return [read(grad) for grad in captures.results if grad is not None]

    def _zeros(self, layout: Layout) -> mx.array:
        return mx.zeros(tuple(layout.size), layout.dtype.mlx)

    def attach(self, call, results: list, residuals: list[mx.array]) -> None:
        """Give the results of a call their history."""
        node = CompiledFunctionBackward()
        node.edges = tuple([edge_of(call.tensors[target]) for target in self.targets])
        node.outputs = tuple(self.layouts)
        node.saved = residuals
        node.call = self._gradients
        node.sequence = sequence()
        for index, position in enumerate(self.positions):
            results[position]._node, results[position]._index = node, index
        self._devices = [call.tensors[target]._layout.device for target in self.targets]

    def _gradients(self, residuals: list[mx.array], grads: list) -> tuple:
        cotangents = [
            self._zeros(layout) if grad is None else read(grad)
            for grad, layout in zip(grads, self.layouts)
        ]
        found = iter(self.compiled([*residuals, *cotangents]))
        return tuple([
            wrap(next(found), where) if there else None
            for there, where in zip(self.arrived, self._devices)
        ])


