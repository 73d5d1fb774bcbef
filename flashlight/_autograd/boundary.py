"""Where a recorded computation uses tensors that were not given to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mlx.core as mx

from .._core.storage import Storage, stream_for
from .._core.tensor import Tensor, make
from .history import edge_of
from .node import AccumulateGrad, Node, sequence


def captured(function: Callable[..., Tensor], args: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors with a history that `function(*args)` uses besides its arguments.

    They are found by running it: whatever of the recorded graph is older than the call came from
    outside. For a tensor that was computed, what is returned has its history and shape only.
    """
    start = sequence()
    edge = edge_of(function(*args))
    own = {edge_of(tensor) for tensor in args} | {None}
    found: dict[tuple[Node, int], None] = {}
    seen = set()
    stack = [] if edge is None else [edge]
    while stack:
        edge = stack.pop()
        if edge in own or edge in seen:
            continue
        seen.add(edge)
        if edge[0].sequence < start:
            found[edge] = None
        else:
            stack.extend(edge[0].edges)
    return [_at(*edge) for edge in found]


def _at(node: Node, index: int) -> Tensor:
    """Return a tensor with the history of an output of `node`."""
    if type(node) is AccumulateGrad:
        return node.variable
    layout = node.outputs[index].compact()
    with stream_for(layout):
        values = mx.broadcast_to(mx.zeros((), layout.dtype.mlx), layout.size)
    tensor = make(Storage(values, layout), layout)
    tensor._node, tensor._index = node, index
    return tensor
