"""What the transforms that differentiate share: places to differentiate at, and an inside.

A transform gives its function new tensors that share the arguments' memory and start histories
of their own (`Source`). What comes out keeps its history only if that leads to something that
was there before, and if the caller records; so nested transforms, and backward through a
transform, work, and nothing else pays for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flashlight import Tensor
from flashlight._autograd.engine import Captures, run
from flashlight._autograd.grad_mode import _set_grad_enabled
from flashlight._autograd.history import edge_of
from flashlight._autograd.lanes import join_levels
from flashlight._autograd.node import Node, keep_apart, sequence
from flashlight._core.batched_storage import BatchedStorage, storage_for
from flashlight._core.evaluation import local
from flashlight._core.tensor import make, read
from flashlight.utils._pytree import tree_map


class Source(Node):
    """Where a transform differentiates: gradients go on to what the tensor was made of."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Return the gradient as it is."""
        return tuple(grads[: len(self.edges)])

    def release(self) -> None:
        """Nothing is saved."""


class Scope:
    """The inside of a transform: operations are recorded, and histories end at its sources."""

    def __enter__(self) -> Scope:
        self.records = local.grad_enabled
        self.start = sequence()
        local.transforms = local.__dict__.get("transforms", 0) + 1
        _set_grad_enabled(True)
        return self

    def __exit__(self, *exception: Any) -> None:
        local.transforms -= 1
        _set_grad_enabled(self.records)

    def source(self, tensor: Any) -> Tensor:
        """Return `tensor` as a place to differentiate at.

        Raises ValueError for other than tensors, RuntimeError for integers.
        """
        if not isinstance(tensor, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(tensor)}")
        layout = tensor._layout
        if layout.dtype.category < 2:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        made = make(tensor._storage, layout)
        node = Source()
        edge = edge_of(tensor) if self.records else None
        node.edges = () if edge is None else (edge,)
        node.outputs = (layout,)
        node.saved = None
        if local.levels or type(tensor._storage) is BatchedStorage or edge and edge[0].levels:
            if type(made._storage) is not BatchedStorage:
                made._layout = layout if layout.plain else layout.compact()
                made._storage = storage_for(read(tensor), made._layout)
            join_levels(node, (tensor,), (made,), local.levels)
        node.sequence = sequence()
        made._node = node
        keep_apart(made)
        return made

    def sources(self, tree: Any) -> Any:
        """Return a tree of tensors as places to differentiate at."""
        return tree_map(self.source, tree)

    def keeps(self, tensors: Sequence[Tensor | None]) -> bool:
        """Tell whether the caller records and a history leads out of this scope."""
        if not self.records:
            return False
        seen = set()
        stack = [t._node for t in tensors if t is not None and edge_of(t) is not None]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            if node.sequence < self.start:
                return True
            seen.add(node)
            stack.extend(edge[0] for edge in node.edges if edge is not None)
        return False

    def out(self, tree: Any) -> Any:
        """Return results as the caller sees them: without a history that ends in this scope."""
        return tree_map(self._out, tree)

    def _out(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value._node is None or self.keeps([value]):
            return value
        return value.detach()


def gradients(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    inputs: Sequence[Tensor],
    create_graph: bool,
    retain_graph: bool | None = None,
) -> list[Tensor | None]:
    """Return the gradients for `inputs`, None for those without effect."""
    pairs = [(edge_of(o), c) for o, c in zip(outputs, cotangents) if o._node is not None]
    captures = Captures([(t._node, t._index) for t in inputs], accumulate=False)
    if pairs:
        retain = create_graph if retain_graph is None else retain_graph
        run([edge for edge, _ in pairs], [c for _, c in pairs], retain, create_graph, captures)
    return captures.results


def zeros_for(tensor: Tensor) -> Tensor:
    """Return zeros of a tensor's shape and dtype, without history."""
    return tensor.detach()._zeros()
