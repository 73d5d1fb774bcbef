"""Automatic differentiation, as `torch.autograd`."""

from __future__ import annotations

from .._autograd.engine import Captures, run
from .._autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .._autograd.history import edge_of
from .._core.tensor import Tensor
from . import graph
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, NestedIOFunction
from .variable import Variable

__all__ = [
    "Function", "NestedIOFunction", "Variable", "backward", "detect_anomaly", "enable_grad",
    "forward_ad", "functional", "grad", "grad_mode", "gradcheck", "gradgradcheck", "graph",
    "inference_mode", "no_grad", "is_grad_enabled", "profiler", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


def _roots(outputs, grads, is_grads_batched=False):
    """Return the graph edges of `outputs` and a gradient for each."""
    if grads is None:
        grads = (None,) * len(outputs)
    elif isinstance(grads, Tensor):
        grads = (grads,)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    roots, found = [], []
    for output, grad in zip(outputs, grads):
        if not isinstance(output, Tensor):
            raise TypeError(f"grad(): arguments must be Tensors, not {type(output).__name__}")
        if grad is None:
            if not output.requires_grad:
                raise RuntimeError(
                    "element 0 of tensors does not require grad and does not have a grad_fn"
                )
            if output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if output.dtype.is_complex:
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"{output.dtype}"
                )
            grad = output.detach()._ones()
        elif not isinstance(grad, Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(grad).__name__}"
            )
        elif grad.shape != output.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{len(roots)}] has a shape of {grad.shape} and "
                f"output[{len(roots)}] has a shape of {output.shape}."
            )
        elif grad.dtype.is_complex != output.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same "
                f"dtype. Mismatch in dtype: grad_output[{len(roots)}] has a dtype of {grad.dtype} "
                f"and output[{len(roots)}] has a dtype of {output.dtype}."
            )
        edge = edge_of(output)
        if edge is None:
            raise RuntimeError(
                f"element {len(roots)} of tensors does not require grad and does not have a grad_fn"
            )
        roots.append(edge)
        found.append(grad)
    return roots, found


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
):
    """Add to `grad` of the leaves (or of `inputs`) the gradients of `tensors`, as
    `torch.autograd.backward`.

    Raises RuntimeError for tensors without history, or of several elements without `grad_tensors`.
    """
    if isinstance(tensors, Tensor):
        tensors = (tensors,)
    if grad_variables is not None and grad_tensors is None:
        grad_tensors = grad_variables
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    roots, grads = _roots(tuple(tensors), grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, grads, retain, create_graph)
        return
    edges = [edge_of(tensor) for tensor in inputs]
    if None in edges:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    captures = Captures(edges, accumulate=True)
    run(roots, grads, retain, create_graph, captures)
    for tensor, found in zip(inputs, captures.results):
        if found is not None and not tensor.is_leaf and not tensor.retains_grad:
            meta = tensor._meta
            if meta is None or meta.grad is None:
                tensor.grad = found
            else:
                tensor.grad = meta.grad + found


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """Return the gradients of `outputs` with respect to `inputs`, as `torch.autograd.grad`.

    Raises RuntimeError for an input that was not used, unless `allow_unused`.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    allow_unused = bool(materialize_grads) if allow_unused is None else allow_unused
    if is_grads_batched:
        grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
        return _batched(
            outputs, inputs, grad_outputs, create_graph, allow_unused, materialize_grads
        )
    roots, grads = _roots(outputs, grad_outputs)
    edges = [edge_of(tensor) for tensor in inputs]
    if None in edges:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    captures = Captures(edges, accumulate=False)
    run(
        roots, grads, create_graph if retain_graph is None else retain_graph, create_graph, captures
    )
    results = captures.results
    for position, found in enumerate(results):
        if found is None:
            if materialize_grads:
                results[position] = inputs[position].detach()._zeros()
            elif not allow_unused:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. "
                    "Set allow_unused=True if this is the desired behavior."
                )
    return tuple(results)


def _batched(outputs, inputs, grad_outputs, create_graph, allow_unused, materialize_grads):
    rows = [
        grad(
            outputs,
            inputs,
            [g[i] for g in grad_outputs],
            True,
            create_graph,
            True,
            allow_unused,
            False,
            materialize_grads,
        )
        for i in range(grad_outputs[0].shape[0])
    ]
    return tuple([None if column[0] is None else _stack(column) for column in zip(*rows)])


def _stack(tensors):
    import flashlight
    return flashlight.stack(tensors)


def _backward_method(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add to `grad` of the leaves (or of `inputs`) the gradients of this tensor."""
    backward(
        (self,),
        None if gradient is None else (gradient,),
        retain_graph,
        create_graph,
        inputs=inputs,
    )


_backward_method.__name__ = _backward_method.__qualname__ = "backward"
Tensor.backward = _backward_method

from . import grad_mode
