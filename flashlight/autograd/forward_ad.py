"""Tensors with tangents, as `torch.autograd.forward_ad`.

A dual tensor starts a history, and a tangent is found when it is asked for: the gradient's
derivative by its cotangent, by two walks back. So there is one set of gradient rules, views and
writes included; operations must be differentiable twice, and inside `no_grad`, where no history is
kept, tangents end. (PyTorch's go on there.) A dual tensor answers True to `requires_grad`.

https://docs.pytorch.org/docs/2.13/autograd.html#forward-mode-automatic-differentiation
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flashlight import Tensor
from flashlight._autograd.engine import Captures, run
from flashlight._autograd.grad_mode import _set_grad_enabled, is_grad_enabled
from flashlight._autograd.history import edge_of
from flashlight._autograd.lanes import join_levels
from flashlight._autograd.node import Node, keep_apart, sequence
from flashlight._core.tensor import make

__all__ = [
    "UnpackedDualTensor",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
    "dual_level",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns; the tangent is None for a tensor that depends on no dual one."""

    primal: Tensor
    tangent: Tensor | None


class MakeDualBackward0(Node):
    """Where a dual tensor starts; gradients go on to the primal."""

    __slots__ = ("tangent",)

    def apply(self, grads: list) -> tuple:
        """Return the gradient as it is."""
        return tuple(grads[: len(self.edges)])

    def release(self) -> None:
        """The tangent is dropped at the end of the level."""


class _Level:
    """The dual tensors of the level that is open."""

    def __init__(self) -> None:
        self.nodes: list[MakeDualBackward0] = []


_levels: list[_Level] = []
_current_level = -1


def enter_dual_level() -> int:
    """Open a level, in which tangents live, and return its number, 0.

    Raises RuntimeError inside another: nest `torch.func.jvp` instead.
    """
    global _current_level
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(_Level())
    _current_level = 0
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the level: its tangents are gone. Raises RuntimeError if it is not the last one."""
    global _current_level
    if level is not None and level != len(_levels) - 1:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    if not _levels:
        raise RuntimeError("Trying to exit a forward AD level when none is open")
    for node in _levels.pop().nodes:
        node.tangent = None
    _current_level = -1


class dual_level:
    """`with dual_level():` opens a level and closes it at the end."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exception: Any) -> None:
        exit_dual_level()

    def __call__(self, function):
        """Decorate `function` to run inside a level of its own."""
        import functools

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with dual_level():
                return function(*args, **kwargs)
        return inside


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return `tensor` with a tangent; it shares memory.

    Raises RuntimeError outside of a level or for a tangent of another shape or dtype, ValueError
    for integers.
    """
    if not _levels:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, "
                           "make sure to enter_dual_level() first.")
    for name, given in (("primal", tensor), ("tangent", tangent)):
        if not (given.dtype.is_floating_point or given.dtype.is_complex):
            raise ValueError(
                f"Expected {name} to be floating point or complex, but got: {given.dtype}"
            )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the given "
            f"forward gradient is of size {list(tangent.shape)}."
        )
    if tensor.dtype is not tangent.dtype:
        raise RuntimeError(
            f"Expected tangent to have the dtype of the primal, {tensor.dtype}, but got "
            f"{tangent.dtype}"
        )
    dual = make(tensor._storage, tensor._layout)
    node = MakeDualBackward0()
    edge = edge_of(tensor)
    node.edges = () if edge is None else (edge,)
    node.outputs = (tensor._layout,)
    node.saved = None
    node.tangent = tangent
    join_levels(node, (tensor, tangent), ())
    node.sequence = sequence()
    dual._node = node
    keep_apart(dual)
    _levels[-1].nodes.append(node)
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return the tensor without tangent, and its tangent, if there is one."""
    if not _levels or tensor._node is None:
        return UnpackedDualTensor(tensor, None)
    node = tensor._node
    if isinstance(node, MakeDualBackward0) and node.tangent is not None:
        return UnpackedDualTensor(_primal(tensor), node.tangent)
    return UnpackedDualTensor(_primal(tensor), _tangent(tensor))


def _primal(tensor: Tensor) -> Tensor:
    """Return the tensor with the history it has besides that of dual tensors."""
    seen, stack = set(), [edge_of(tensor)[0]]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if not node.edges and not isinstance(node, MakeDualBackward0):
            return tensor.view_as(tensor)
        stack.extend(edge[0] for edge in node.edges if edge is not None)
    return tensor.detach()


def _tangent(tensor: Tensor) -> Tensor | None:
    places = [node for node in _levels[-1].nodes if node.tangent is not None]
    recorded = is_grad_enabled()
    dummy = tensor.detach()._zeros()
    dummy_node = MakeDualBackward0()
    dummy_node.edges, dummy_node.saved, dummy_node.tangent = (), None, None
    dummy_node.outputs = (dummy._layout,)
    join_levels(dummy_node, (tensor,), (dummy,))
    dummy_node.sequence = sequence()
    dummy._node = dummy_node
    keep_apart(dummy)
    _set_grad_enabled(True)
    try:
        products = Captures([(node, 0) for node in places], accumulate=False)
        run([edge_of(tensor)], [dummy], True, True, products)
        pairs = [
            (edge_of(product), node.tangent)
            for product, node in zip(products.results, places)
            if product is not None and product._node is not None
        ]
        if not pairs:
            return None
        keep = recorded and any(
            t._node is not None for t in (*(node.tangent for node in places), _primal(tensor))
        )
        found = Captures([(dummy_node, 0)], accumulate=False)
        run([edge for edge, _ in pairs], [t for _, t in pairs], keep, keep, found)
    finally:
        _set_grad_enabled(recorded)
    return found.results[0]
