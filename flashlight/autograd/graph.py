"""The recorded graph and what is saved in it, as `torch.autograd.graph`."""

from __future__ import annotations

import contextlib
import threading
from typing import NamedTuple

from .._autograd.engine import current_walk
from .._autograd.grad_mode import observers, refresh
from .._autograd.history import edge_of
from .._autograd.node import Node
from .._core.evaluation import local
from .._core.tensor import Tensor

__all__ = ["GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
           "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu",
           "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Inside, `pack_hook(tensor)` says what is saved for backward, `unpack_hook` makes the tensor
    of it.
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self):
        disabled = local.__dict__.get("saved_hooks_disabled")
        if disabled:
            raise RuntimeError(disabled)
        local.__dict__.setdefault("saved_hooks", []).append((self.pack_hook, self.unpack_hook))
        observers.saved_hooks += 1
        refresh()

    def __exit__(self, *exception):
        local.saved_hooks.pop()
        observers.saved_hooks -= 1
        refresh()


class save_on_cpu(saved_tensors_hooks):
    """Inside, what is saved for backward is kept on the CPU; with unified memory that moves
    nothing.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(
            lambda tensor: (tensor.device, tensor.cpu()), lambda packed: packed[1].to(packed[0])
        )


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str):
    """Inside, `saved_tensors_hooks` raises RuntimeError with this message."""
    previous = local.__dict__.get("saved_hooks_disabled")
    local.saved_hooks_disabled = error_message
    try:
        yield
    finally:
        local.saved_hooks_disabled = previous


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Inside, writing to a saved tensor is no error: backward sees the value that was saved."""
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor):
        yield None


class GradientEdge(NamedTuple):
    """A place in the graph: a node and the number of its output; what `grad` takes for a tensor."""

    node: Node
    output_nr: int
    ownership_token: Node | None = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return where the tensor's gradient arrives. Raises RuntimeError if it needs none."""
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(*edge)


def increment_version(tensor) -> None:
    """Count a write that autograd could not see."""
    for item in (tensor,) if isinstance(tensor, Tensor) else tensor:
        item._storage.version += 1


class _Handles:
    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call `fn` in each backward pass that reaches some of the tensors; return a handle.

    With `mode="all"`, once all gradients that this pass computes are there: `fn(grads)`, with None
    for the others. With `"any"`, at the first one: `fn(grad)`. Raises ValueError for other modes.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    edges = [get_gradient_edge(tensor) for tensor in tensors]
    lock = threading.Lock()
    passes: dict = {}  # number of the walk -> [how many gradients are still to come, those there]

    def hook_for(index):
        def hook(grad):
            walk = current_walk()
            with lock:
                found = passes.get(walk.number)
                if found is None:
                    passes.clear()
                    nodes = walk.nodes()
                    expected = sum(edge.node in nodes for edge in edges)
                    found = passes[walk.number] = [expected, [None] * len(edges)]
                first = not any(known is not None for known in found[1])
                found[0] -= 1
                found[1][index] = grad
            if mode == "any":
                if first:
                    fn(grad)
            elif found[0] == 0:
                fn(found[1])
        return hook
    return _Handles([tensor.register_hook(hook_for(i)) for i, tensor in enumerate(tensors)])
