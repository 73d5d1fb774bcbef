"""The backward walk: nodes in descending sequence, gradients summed where paths meet."""

from __future__ import annotations

import heapq
import itertools
from typing import NamedTuple

from .._core.evaluation import local
from .._core.layout import Layout
from .._core.tensor import Tensor
from .grad_mode import _set_grad_enabled
from .node import AccumulateGrad, Node


class Captures:
    """Which gradients a call of `grad` wants: (node, output index) -> positions in its result."""

    def __init__(self, targets: list, accumulate: bool):
        self.positions: dict = {}
        self.results: list = [None] * len(targets)
        self.accumulate = accumulate
        for position, target in enumerate(targets):
            self.positions.setdefault(target[0], {}).setdefault(target[1], []).append(position)

    def take(self, node: Node, grads: list) -> None:
        """Keep the gradients of `node`'s outputs that were asked for."""
        for index, positions in self.positions.get(node, {}).items():
            for position in positions:
                self.results[position] = grads[index]

    def needed(self, roots: list) -> set:
        """Return the nodes on a path from the roots to a target (targets only if they lead on)."""
        needed = set()
        for node in sorted(_reached(roots), key=_sequence):
            for edge in node.edges:
                if edge is not None and (edge[0] in needed or edge[0] in self.positions):
                    needed.add(node)
                    break
        return needed


def _sequence(node):
    return node.sequence


def run(roots: list, grads: list, retain_graph: bool, create_graph: bool,
        captures: Captures | None = None) -> None:
    """Propagate `grads` from `roots` (pairs of node and output index) to the leaves or captures."""
    was_enabled = local.grad_enabled
    outer = current_walk()
    local.walk = Walk(
        next(_walks), captures is None and outer.reaches_leaves, tuple(roots), captures
    )
    _set_grad_enabled(create_graph)
    try:
        _walk(roots, grads, retain_graph, create_graph, captures)
    finally:
        local.walk = outer
        _set_grad_enabled(was_enabled)


_walks = itertools.count()


class Walk(NamedTuple):
    """One backward pass: its number, whether it reaches all leaves, where it starts, what it is
    for.
    """

    number: int
    reaches_leaves: bool
    roots: tuple
    captures: Captures | None

    def nodes(self) -> set:
        """Return the nodes that it will run, or accumulate or capture at."""
        if self.captures is not None:
            return self.captures.needed(list(self.roots)) | set(self.captures.positions)
        return _reached(self.roots)


_OUTSIDE = Walk(-1, True, (), None)


def current_walk() -> Walk:
    """Return this thread's innermost walk; outside of any, one numbered -1.

    Checkpoints ask: what they recompute serves one walk, and the reentrant kind needs the leaves.
    Hooks on several tensors ask which of them will see a gradient.
    """
    return local.__dict__.get("walk", _OUTSIDE)


def _reached(roots):
    seen = set()
    stack = [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge[0] for edge in node.edges if edge is not None)
    return seen


def _walk(roots, grads, retain_graph, create_graph, captures):
    needed = None if captures is None else captures.needed(roots)
    heap: list = []
    waiting: dict = {}  # node -> gradients of its outputs so far
    for (node, index), grad in zip(roots, grads):
        _add(heap, waiting, node, index, grad)
    while heap:
        node = heapq.heappop(heap)[1]
        incoming = waiting.pop(node)
        if node.__dict__:
            _run_tensor_hooks(node, incoming)
        if captures is not None:
            captures.take(node, incoming)
            if type(node) is AccumulateGrad:
                if captures.accumulate and node in captures.positions:
                    accumulate(node, incoming[0], create_graph)
                continue
            if node not in needed:
                continue
        elif type(node) is AccumulateGrad:
            accumulate(node, incoming[0], create_graph)
            continue
        outgoing = _apply(node, incoming)
        if not retain_graph:
            node.release()
        for position, (edge, grad) in enumerate(zip(node.edges, outgoing)):
            if edge is None or grad is None:
                continue
            target, index = edge
            if needed is not None and target not in needed and target not in captures.positions:
                continue
            expected = target.outputs[index]
            own = grad._layout
            if own is not expected and (
                own.size != expected.size
                or own.dtype is not expected.dtype
                or own.device is not expected.device
            ):
                grad = conform(grad, expected, node, position)
            _add(heap, waiting, target, index, grad)


def _add(heap, waiting, node, index, grad):
    found = waiting.get(node)
    if found is None:
        if len(node.outputs) == 1:
            waiting[node] = [grad]
        else:
            found = waiting[node] = [None] * len(node.outputs)
            found[index] = grad
        heapq.heappush(heap, (-node.sequence, node))
    else:
        found[index] = grad if found[index] is None else _added(found[index], grad)


def _added(one, other):
    """Return the sum of two gradients; that of a sparse and a dense one is dense."""
    return other + one if one.is_sparse else one + other


def conform(grad: Tensor, expected, node: Node, position: int = 0) -> Tensor:
    """Return `grad` summed to the expected size, as its dtype. Raises RuntimeError if it does not
    fit.
    """
    if grad._layout.size != expected.size:
        ndim = len(expected.size)
        tail = grad._layout.size[grad._layout.ndim - ndim:]
        if grad._layout.ndim < ndim or any(m != n and n != 1 for m, n in zip(tail, expected.size)):
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {position} - got "
                f"{list(grad._layout.size)} but expected shape compatible with "
                f"{list(expected.size)}"
            )
        grad = grad.sum_to_size(expected.size)
    if grad._layout.dtype is not expected.dtype:
        if grad._layout.dtype.is_complex and not expected.dtype.is_complex:
            grad = grad.real
        grad = grad.to(expected.dtype)
    if grad._layout.device != expected.device:
        grad = grad.to(expected.device)
    return grad


def _apply(node, incoming):
    if node.prehooks:
        for hook in list(node.prehooks.values()):
            changed = hook(tuple(incoming))
            if changed is not None:
                incoming = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    outgoing = node.apply(incoming) if node.trace is None else _apply_traced(node, incoming)
    if node.posthooks:
        for hook in list(node.posthooks.values()):
            changed = hook(tuple(outgoing), tuple(incoming))
            if changed is not None:
                outgoing = changed if isinstance(changed, (tuple, list)) else (changed,)
    return outgoing


def _apply_traced(node, incoming):
    """Anomaly mode: name the forward line of a node that fails or returns NaN."""
    try:
        outgoing = node.apply(incoming)
    except Exception:
        _tell(node)
        raise
    if node.check_nan:
        for position, grad in enumerate(outgoing):
            if grad is not None and grad.dtype.category >= 2 and bool(grad.isnan().any()):
                _tell(node)
                raise RuntimeError(
                    f"Function '{node.name()}' returned nan values in its {position}th output."
                )
    return outgoing


def _tell(node):
    import warnings
    warnings.warn(
        f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
        f"{''.join(node.trace)}", stacklevel=4)


def _run_tensor_hooks(node, incoming):
    hooks = node.tensor_hooks
    if not hooks:
        return
    for index, registered in list(hooks.items()):
        grad = incoming[index]
        if grad is None:
            continue
        for hook in list(registered.values()):
            changed = hook(grad)
            if changed is not None:
                _check_hooked(hook, grad, changed)
                grad = changed
        incoming[index] = grad


def _check_hooked(hook, grad, changed):
    if not isinstance(changed, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(changed).__name__}'")
    name = getattr(hook, "__name__", type(hook).__name__)
    if changed._layout.size != grad._layout.size:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if changed._layout.dtype is not grad._layout.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {grad.dtype}, got {changed.dtype})"
        )


def accumulate(leaf: AccumulateGrad, grad: Tensor, create_graph: bool) -> None:
    """Add `grad` to the leaf's, in place where PyTorch does, and call its hooks."""
    meta = leaf.meta
    if meta.leaf is leaf:  # requires_grad was switched off since
        return
    existing = meta.grad
    if leaf.prehooks:
        for hook in list(leaf.prehooks.values()):
            changed = hook((grad,))
            if changed is not None:
                grad = changed[0] if isinstance(changed, (tuple, list)) else changed
    if existing is None:
        if create_graph:
            meta.grad = grad if grad._node is not None else grad.clone()
        else:
            meta.grad = own_copy(grad) if leaf.layout.contiguous else _laid_out(grad, leaf)
    elif create_graph:
        meta.grad = _added(existing, grad)
    elif existing._layout is grad._layout and existing._storage.layout is existing._layout:
        existing.add_(grad)
    elif existing.is_sparse and not grad.is_sparse:
        meta.grad = grad + existing
    else:
        existing.add_(grad)
    if leaf.posthooks:
        for hook in list(leaf.posthooks.values()):
            hook((), (grad,))
    if meta.accumulated_hooks:
        for hook in list(meta.accumulated_hooks.values()):
            hook(leaf.variable)


#: Whether a new gradient gets the strides of its leaf: `enforce_grad_layout_policy`.
keeps_strides = [True]


def _laid_out(grad: Tensor, leaf: AccumulateGrad) -> Tensor:
    """Return a copy of `grad` with the strides of a leaf whose memory has no gaps."""
    strided = type(leaf.layout) is type(grad._layout) is Layout
    if not (strided and keeps_strides[0] and leaf.layout.is_dense()):
        return own_copy(grad)
    made = leaf.variable.detach().clone()
    return made.copy_(grad)


def own_copy(grad: Tensor) -> Tensor:
    """Return a tensor of `grad`'s value in a storage of its own; free, since arrays never change.
    """
    return grad._private()
