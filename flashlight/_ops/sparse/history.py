"""How results of operations with sparse tensors remember what made them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..._autograd.grad_mode import observers
from ..._autograd.history import edge_of
from ..._autograd.node import Node, sequence
from ..._core.evaluation import local
from ..._core.tensor import Tensor, snapshot
from ..operation import _keep, _unpack
from .tensor import SparseTensor, like


class SparseNode(Node):
    """A recorded operation: `rule(needs, grad, *saved)` returns a gradient for each input."""

    __slots__ = ("rule",)

    def apply(self, grads: list) -> tuple:
        """Return the gradients of the inputs."""
        self.check_not_freed()
        needs = tuple([edge is not None for edge in self.edges])
        saved = [
            item.unpack(self) if isinstance(item, SavedSparse) else _unpack(item, self)
            for item in self.saved
        ]
        found = self.rule(needs, grads[0], *saved)
        return found if isinstance(found, tuple) else (found,)


class SavedSparse:
    """A sparse tensor kept for backward: its parts as they are now."""

    __slots__ = ("tensor", "storage", "version", "node", "index", "is_output")

    def __init__(self, tensor: SparseTensor, is_output: bool = False):
        parts = tensor._storage
        self.tensor = like(tensor, parts.indices, snapshot(parts.values))
        self.storage = parts
        self.version = parts.version
        self.node = None if is_output else tensor._node
        self.index = tensor._index
        self.is_output = is_output

    def unpack(self, owner: Node | None = None) -> SparseTensor:
        """Return the tensor, with its history. Raises RuntimeError if it was modified since."""
        if self.storage.version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: a sparse tensor of size {list(self.tensor.shape)} is at "
                f"version {self.storage.version}; expected version {self.version} instead."
            )
        made = like(self.tensor, self.tensor._storage.indices, self.tensor._storage.values)
        made._node = owner if self.is_output else self.node
        made._index = self.index
        return made


def keep(value, is_output: bool = False):
    """Return `value` as a node keeps it; other than tensors stay as they are."""
    if isinstance(value, SparseTensor) and not local.__dict__.get("saved_hooks"):
        return SavedSparse(value, is_output)
    return _keep(value, is_output) if isinstance(value, Tensor) else value


def needs_history(*inputs) -> bool:
    """Tell whether an operation on these inputs is to be recorded."""
    return local.grad_enabled and any(
        isinstance(item, Tensor) and item._node is not None for item in inputs
    )


def record(name: str, result: Tensor, inputs: tuple, rule: Callable, *saved) -> Tensor:
    """Give `result`, made of `inputs`, a node named `name` and return it.

    `saved` are the rule's arguments after the gradient; `result` among them stands for the result.
    """
    if not needs_history(*inputs) or result._layout.dtype.category < 2:
        return result
    node = node_class(name)()
    node.edges = tuple([edge_of(item) if isinstance(item, Tensor) else None for item in inputs])
    node.outputs = (result._layout,)
    node.sequence = sequence()
    node.rule = rule
    node.saved = tuple([keep(item, item is result) for item in saved])
    result._node, result._index = node, 0
    if observers.anomaly:
        observers.trace(node)
    return result


@functools.cache
def node_class(name: str) -> type:
    """Return the class of nodes that print as `name`."""
    return type(f"{name}Backward0", (SparseNode,), {"__slots__": ()})


def without_history(*tensors):
    """Return the tensors detached, None and numbers as they are."""
    made = [item.detach() if isinstance(item, Tensor) else item for item in tensors]
    return made[0] if len(made) == 1 else made
