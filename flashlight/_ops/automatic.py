"""Gradients of operations without a rule: MLX differentiates the body.

The derivative is an operation like any other, so it can be differentiated again.
"""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FROM_MLX
from .._core.layout import is_meta
from .._core.storage import stream_for
from .._core.tensor import wrap
from .operation import Operation


def _is_differentiable(array):
    return array is not None and FROM_MLX[array.dtype].category >= 2


def vector_jacobian(
    tensors: list[mx.array], cotangents: list[mx.array], compute, wanted: tuple
) -> list:
    """Return the gradients of the inputs at `wanted`, by running `compute` again under `mx.vjp`."""

    def forward(*chosen):
        filled = list(tensors)
        for position, array in zip(wanted, chosen):
            filled[position] = array
        result = compute(filled)
        results = result if isinstance(result, (tuple, list)) else (result,)
        return [array for array in results if _is_differentiable(array)]

    _, grads = mx.vjp(forward, [tensors[position] for position in wanted], cotangents)
    return grads


_operation = Operation(vector_jacobian, many=True, name="automatic_gradient")


def automatic_gradient(node, tensors: list, grads: list) -> tuple:
    """Return the gradient of each edge of `node` from its saved inputs."""
    wanted = tuple(i for i, edge in enumerate(node.edges) if edge is not None)
    cotangents = []
    for grad, layout in zip(grads, node.outputs):
        if layout is None or layout.dtype.category < 2:
            continue
        if grad is None:
            shape = (1,) * layout.ndim if is_meta(layout) else tuple(layout.size)
            with stream_for(layout):
                grad = wrap(mx.zeros(shape, layout.dtype.mlx), layout.device)
        cotangents.append(grad)
    found = _operation((tensors, cotangents, node.compute, wanted), {})
    outgoing: list = [None] * len(node.edges)
    for position, grad in zip(wanted, found):
        outgoing[position] = grad
    return tuple(outgoing)
