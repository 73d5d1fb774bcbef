"""`backward` and `grad`: from tensors to the places of the graph where a walk starts and ends."""

from __future__ import annotations

from collections.abc import Mapping

from .._autograd.engine import Captures, run
from .._autograd.history import edge_of
from .._autograd.lanes import enter, lanes, leave
from .._core.evaluation import local
from .._core.tensor import Tensor
from .._ops.overrides import call_overrides, hooks_in
from .graph import GradientEdge


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
):
    """Add to `grad` of the leaves, or of `inputs`, the gradients of `tensors`.

    As `torch.autograd.backward`: tensors may be places of the graph (`GradientEdge`), and `inputs`
    a dictionary. Raises RuntimeError for tensors without history, or of several elements without
    `grad_tensors`.
    """
    if local.levels or local.__dict__.get("transforms"):
        raise RuntimeError(
            "backward() called inside of a transform of torch.func: use torch.func.grad or vjp "
            "there, or call backward() outside"
        )
    if grad_variables is not None and grad_tensors is None:
        grad_tensors = grad_variables
    roots, grads = _roots(_several(tensors), grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, grads, retain, create_graph)
        return
    inputs = tuple(inputs.values()) if isinstance(inputs, Mapping) else _several(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    captures = Captures(_targets(inputs), accumulate=True)
    run(roots, grads, retain, create_graph, captures)
    for tensor, found in zip(inputs, captures.results):
        if isinstance(tensor, GradientEdge) or found is None:
            continue
        if not tensor.is_leaf and not tensor.retains_grad:
            meta = tensor._meta
            known = None if meta is None else meta.grad
            tensor.grad = found if known is None else known + found


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

    A tuple; for a dictionary of inputs a dictionary. With `is_grads_batched`, `grad_outputs` have
    a leading dimension of their own and so have the gradients. Raises RuntimeError for an input
    that was not used, unless `allow_unused` or `materialize_grads`.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    names = None
    if isinstance(inputs, Mapping):
        names, inputs = list(inputs), tuple(inputs.values())
    outputs, inputs = _several(outputs), _several(inputs)
    overriding = hooks_in((*outputs, *inputs))
    if overriding:
        return call_overrides(grad, overriding, (outputs, inputs), {
            "grad_outputs": grad_outputs, "retain_graph": retain_graph,
            "create_graph": create_graph, "only_inputs": only_inputs, "allow_unused": allow_unused,
            "is_grads_batched": is_grads_batched, "materialize_grads": materialize_grads,
        })  # fmt: skip
    retain = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        results = _batched(outputs, inputs, _several(grad_outputs), retain, create_graph)
    else:
        results = _walk(outputs, inputs, grad_outputs, retain, create_graph)
    if allow_unused is None:
        allow_unused = materialize_grads
    for position, found in enumerate(results):
        if found is None:
            if materialize_grads:
                results[position] = _zeros_like(inputs[position])
            elif not allow_unused:
                raise RuntimeError(
                    f"The differentiated Tensor at index {position} appears to not have been used "
                    "in the graph. Set allow_unused=True if this is the desired behavior."
                )
    return tuple(results) if names is None else dict(zip(names, results))


def _walk(outputs, inputs, grad_outputs, retain, create_graph) -> list:
    roots, grads = _roots(outputs, grad_outputs)
    captures = Captures(_targets(inputs), accumulate=False)
    run(roots, grads, retain, create_graph, captures)
    return captures.results


def _batched(outputs, inputs, grad_outputs, retain, create_graph) -> list:
    sizes = {g.shape[0] for g in grad_outputs if g is not None}
    if len(sizes) != 1:
        raise ValueError(f"grad_outputs must have one leading dimension in common, got {sizes}")
    with lanes(sizes.pop()) as level:
        inside = [None if g is None else enter(g, level, 0) for g in grad_outputs]
        found = _walk(outputs, inputs, inside, retain, create_graph)
        return [None if grad is None else leave(grad, level, 0) for grad in found]


def _several(given) -> tuple:
    return (given,) if isinstance(given, (Tensor, GradientEdge)) else tuple(given)


def _place(tensor):
    if isinstance(tensor, GradientEdge):
        return tensor.node, tensor.output_nr
    if not isinstance(tensor, Tensor):
        raise TypeError(f"grad(): arguments must be Tensors, not {type(tensor).__name__}")
    return edge_of(tensor)


def _targets(inputs) -> list:
    places = [_place(tensor) for tensor in inputs]
    if None in places:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return places


def _layout_of(output):
    return output.node.outputs[output.output_nr] if isinstance(output, GradientEdge) \
        else output._layout


def _zeros_like(output):
    if isinstance(output, Tensor):
        return output.detach()._zeros()
    from .._ops.creation import zeros
    layout = _layout_of(output)
    return zeros(layout.size, dtype=layout.dtype, device=layout.device)


def _roots(outputs: tuple, grads) -> tuple[list, list]:
    """Return the places of `outputs` in the graph, and a gradient for each."""
    if grads is None:
        grads = (None,) * len(outputs)
    elif isinstance(grads, Tensor):
        grads = (grads,)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    places, found = [], []
    for position, (output, given) in enumerate(zip(outputs, grads)):
        place = _place(output)
        layout = _layout_of(output)
        if given is not None:
            _check_gradient(position, given, layout)
        if place is None:
            raise RuntimeError(
                f"element {position} of tensors does not require grad and does not have a grad_fn"
            )
        places.append(place)
        found.append(_one(output, layout) if given is None else given)
    return places, found


def _one(output, layout) -> Tensor:
    if layout.numel != 1:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if layout.dtype.is_complex:
        raise RuntimeError(
            f"grad can be implicitly created only for real scalar outputs but got {layout.dtype}"
        )
    return _zeros_like(output)._ones()


def _check_gradient(position, given, layout) -> None:
    if not isinstance(given, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    if given.shape != layout.size:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{position}] has a shape of {given.shape} and "
            f"output[{position}] has a shape of {layout.size}."
        )
    if given.dtype.is_complex != layout.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same "
            f"dtype. Mismatch in dtype: grad_output[{position}] has a dtype of {given.dtype} and "
            f"output[{position}] has a dtype of {layout.dtype}."
        )


def _backward_method(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add to `grad` of the leaves, or of `inputs`, the gradients of this tensor."""
    overriding = hooks_in((self,))
    if overriding:
        return call_overrides(_backward_method, overriding, (self,), {
            "gradient": gradient, "retain_graph": retain_graph, "create_graph": create_graph,
            "inputs": inputs,
        })  # fmt: skip
    backward(
        (self,), None if gradient is None else (gradient,), retain_graph, create_graph,
        inputs=inputs,
    )  # fmt: skip
    return None


_backward_method.__name__ = "backward"
_backward_method.__qualname__ = "Tensor.backward"
Tensor.backward = _backward_method
