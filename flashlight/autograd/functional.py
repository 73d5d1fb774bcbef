"""Products with Jacobians and Hessians, and the matrices, as `torch.autograd.functional`.

https://docs.pytorch.org/docs/2.13/autograd.html#functional-higher-level-api
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flashlight as torch
from flashlight import Tensor

__all__ = ["vjp", "jvp", "jacobian", "hessian", "hvp", "vhp"]


# ----- arguments -----


def _tuple(given: Any, name: str, function: str) -> tuple[bool, tuple]:
    """Return whether `given` is a tuple, and it as one. Raises TypeError for other than tensors."""
    is_tuple = isinstance(given, tuple)
    values = given if is_tuple else (given,)
    for position, value in enumerate(values):
        if not isinstance(value, Tensor):
            what = (f"Value at index {position} of the {name} has type {type(value)}" if is_tuple
                    else f"has type {type(value)}")
            raise TypeError(
                f"The {name} given to {function} must be either a Tensor or a tuple of Tensors but "
                f"{'the ' if is_tuple else 'the given ' + name + ' '}{what}."
            )
    return is_tuple, values


def _inputs(inputs: tuple, create_graph: bool, needs_graph: bool = True) -> tuple:
    """Return the inputs as places to differentiate at: with their history, or cut off from it."""
    return tuple(
        t.view_as(t) if create_graph and t.requires_grad
        else t.detach().requires_grad_(needs_graph)
        for t in inputs
    )


def _cut(values: Any, create_graph: bool) -> Any:
    if create_graph:
        return values
    if isinstance(values, Tensor):
        return values.detach()
    return tuple(_cut(value, create_graph) for value in values)


def _vector(v: Any, like: tuple, is_tuple: bool, function: str) -> tuple:
    """Check that `v` fits the tensors `like`. Raises RuntimeError if it does not."""
    _, vectors = _tuple(v, "v", function)
    if len(vectors) != len(like):
        if is_tuple:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}."
            )
        raise RuntimeError("The given v should contain a single Tensor.")
    for position, (vector, tensor) in enumerate(zip(vectors, like)):
        if vector.shape != tensor.shape:
            entry = f"Entry {position} in " if is_tuple else ""
            raise RuntimeError(
                f"{entry}v has invalid size: should be {tensor.shape} but got {vector.shape}."
            )
    return tuple(t.detach() if not t.requires_grad else t for t in vectors)


def _single(outputs: tuple, is_tuple: bool, what: str) -> None:
    if is_tuple or outputs[0].numel() != 1:
        raise RuntimeError(f"The vector v can only be None if the {what} returns a single Tensor "
                           "with a single element.")


def _scalar(outputs: tuple, is_tuple: bool, function: str) -> None:
    if is_tuple:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {function} should contain a single "
            "element"
        )


# ----- what `strict` asks for -----


def _check_used(outputs: tuple, what: str, strict: bool) -> None:
    if not strict:
        return
    for position, output in enumerate(outputs):
        if output is None:
            raise RuntimeError(f"The {what} of the user-provided function is independent of input "
                               f"{position}. This is not allowed in strict mode.")
        if not output.requires_grad:
            raise RuntimeError(
                f"{what.capitalize()} {position} of the user-provided function does not require "
                "gradients. The outputs must be computed in a differentiable manner from the input "
                "when running in strict mode."
            )


def _filled(grads: tuple, like: tuple, strict: bool, create_graph: bool, what: str) -> tuple:
    """Replace None by zeros, or raise RuntimeError if `strict`."""
    filled = []
    for position, (grad, tensor) in enumerate(zip(grads, like)):
        if grad is None:
            if strict:
                raise RuntimeError(
                    f"The output of the user-provided function is independent of {what} {position}."
                    " This is not allowed in strict mode."
                )
            grad = torch.zeros_like(tensor)
        elif strict and create_graph and not grad.requires_grad:
            raise RuntimeError(
                f"The gradient of the user-provided function is independent of {what} {position}. "
                "This is not allowed in strict mode when create_graph=True."
            )
        filled.append(grad)
    return tuple(filled)


def _gradients(outputs: tuple, inputs: tuple, vectors: tuple | None, create_graph: bool) -> tuple:
    """Return the gradients of the outputs that have a history, None for inputs without effect."""
    vectors = (None,) * len(outputs) if vectors is None else vectors
    pairs = [(o, v) for o, v in zip(outputs, vectors) if o is not None and o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return torch.autograd.grad(
        [o for o, _ in pairs], inputs, [v for _, v in pairs], allow_unused=True,
        create_graph=create_graph,
    )  # fmt: skip


def _shaped(is_tuple: bool, values: tuple) -> Any:
    return values if is_tuple else values[0]


# ----- products -----


def vjp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of `v` with its Jacobian.

    `v` has the shapes of the outputs; None stands for 1 if there is a single number. Raises
    RuntimeError if shapes differ, or with `strict` if an output does not depend on an input.
    """
    with torch.enable_grad():
        is_tuple, given = _tuple(inputs, "inputs", "vjp")
        given = _inputs(given, create_graph)
        outs_tuple, outputs = _tuple(func(*given), "outputs of the user-provided function", "vjp")
        _check_used(outputs, "outputs", strict)
        if v is None:
            _single(outputs, outs_tuple, "user-provided function")
            vectors = None
        else:
            vectors = _vector(v, outputs, outs_tuple, "vjp")
    with torch.set_grad_enabled(create_graph or torch.is_grad_enabled()):
        found = _filled(
            _gradients(outputs, given, vectors, create_graph), given, strict, create_graph, "input"
        )
    return (
        _shaped(outs_tuple, _cut(outputs, create_graph)),
        _shaped(is_tuple, _cut(found, create_graph)),
    )


def jvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of its Jacobian with `v`.

    By differentiating the product of a vector with the Jacobian by that vector, so every operation
    must be differentiable twice. `v` has the shapes of the inputs; None stands for 1 if there is a
    single number. Raises RuntimeError as `vjp` does.
    """
    with torch.enable_grad():
        is_tuple, given = _tuple(inputs, "inputs", "jvp")
        given = _inputs(given, create_graph)
        if v is None:
            if len(given) != 1 or given[0].numel() != 1:
                raise RuntimeError("The vector v can only be None if the input to the "
                                   "user-provided function is a single Tensor with a single "
                                   "element.")
            vectors = (torch.ones_like(given[0]),)
        else:
            vectors = _vector(v, given, is_tuple, "jvp")
        outs_tuple, outputs = _tuple(func(*given), "outputs of the user-provided function", "jvp")
        _check_used(outputs, "outputs", strict)
        dummies = tuple(torch.zeros_like(o).requires_grad_() for o in outputs)
        grads = _gradients(outputs, given, dummies, create_graph=True)
        _check_used(grads, "outputs' gradient", strict)
    with torch.set_grad_enabled(create_graph or torch.is_grad_enabled()):
        found = _filled(
            _gradients(grads, dummies, vectors, create_graph),
            outputs,
            strict,
            create_graph,
            "input",
        )
    return (
        _shaped(outs_tuple, _cut(outputs, create_graph)),
        _shaped(outs_tuple, _cut(found, create_graph)),
    )


def _gradient_of_scalar(func, inputs, create_graph, strict, function):
    is_tuple, given = _tuple(inputs, "inputs", function)
    given = _inputs(given, create_graph)
    outs_tuple, outputs = _tuple(
        func(*given), "outputs of the user-provided function", function
    )
    _scalar(outputs, outs_tuple, function)
    _check_used(outputs, "outputs", strict)
    grads = _gradients(outputs, given, None, create_graph=True)
    _check_used(grads, "jacobian", strict)
    return is_tuple, given, outputs[0], grads


def vhp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the number `func(*inputs)` and the product of `v` with its Hessian.

    `v` has the shapes of the inputs; None stands for 1 if there is a single number. Raises
    RuntimeError as `vjp` does, or if the function returns more than a number.
    """
    with torch.enable_grad():
        is_tuple, given, output, grads = _gradient_of_scalar(
            func, inputs, create_graph, strict, "vhp"
        )
        vectors = _hessian_vector(v, given, is_tuple, "vhp")
    with torch.set_grad_enabled(create_graph or torch.is_grad_enabled()):
        found = _filled(
            _gradients(grads, given, vectors, create_graph), given, strict, create_graph, "input"
        )
    return _cut(output, create_graph), _shaped(is_tuple, _cut(found, create_graph))


def hvp(
    func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the number `func(*inputs)` and the product of its Hessian with `v`.

    Hessians are symmetric, and `vhp` does one differentiation less. Raises RuntimeError as it does.
    """
    with torch.enable_grad():
        is_tuple, given, output, grads = _gradient_of_scalar(
            func, inputs, create_graph, strict, "hvp"
        )
        vectors = _hessian_vector(v, given, is_tuple, "hvp")
        dummies = tuple(torch.zeros_like(t).requires_grad_() for t in given)
        doubled = _gradients(grads, given, dummies, create_graph=True)
        _check_used(doubled, "hessian", strict)
    with torch.set_grad_enabled(create_graph or torch.is_grad_enabled()):
        found = _filled(
            _gradients(doubled, dummies, vectors, create_graph), given, strict, create_graph,
            "input",
        )  # fmt: skip
    return _cut(output, create_graph), _shaped(is_tuple, _cut(found, create_graph))


def _hessian_vector(v, given, is_tuple, function):
    if v is not None:
        return _vector(v, given, is_tuple, function)
    if len(given) != 1 or given[0].numel() != 1:
        raise RuntimeError("The vector v can only be None if the input to the user-provided "
                           "function is a single Tensor with a single element.")
    return (torch.ones_like(given[0]),)


# ----- matrices -----


def jacobian(
    func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Jacobian of `func`: of shape `(*output, *input)`, in tuples where there are.

    `vectorize` takes all rows (or columns, with `strategy="forward-mode"`) at once. Raises
    ValueError for other strategies and for forward mode without `vectorize`, RuntimeError for
    `strict` together with `vectorize`, or where `strict` finds outputs without gradients.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise ValueError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: '
                         'If your function has more outputs than inputs, "forward-mode" tends to '
                         'be more performant. Otherwise, prefer to use "reverse-mode".')
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError("torch.autograd.functional.jacobian: `create_graph=True` "
                                      'and `strategy="forward-mode"` are not supported together '
                                      "(yet).")
        if not vectorize:
            raise NotImplementedError("strategy='forward-mode' goes with vectorize=True")
        if strict:
            raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and "
                               '`strategy="forward-mode"` are not supported together (yet).')
        return _forward_jacobian(func, inputs)
    if strict and vectorize:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and "
                           "`vectorized=True` are not supported together.")
    with torch.enable_grad():
        is_tuple, given = _tuple(inputs, "inputs", "jacobian")
        given = _inputs(given, create_graph)
        outs_tuple, outputs = _tuple(
            func(*given), "outputs of the user-provided function", "jacobian"
        )
        _check_used(outputs, "outputs", strict)
        rows = _all_rows if vectorize else _each_row
        found = tuple(
            _shaped(is_tuple, tuple(rows(o, position, given, create_graph, strict)))
            for position, o in enumerate(outputs)
        )
    return _cut(_shaped(outs_tuple, found), create_graph)


def _each_row(output, position, given, create_graph, strict):
    rows: list[list[Tensor]] = [[] for _ in given]
    for element in range(output.numel()):
        one = output.reshape(-1)[element]
        grads = (None,) * len(given)
        if one.requires_grad:
            grads = torch.autograd.grad(
                one, given, torch.ones_like(one), retain_graph=True, create_graph=create_graph,
                allow_unused=True,
            )  # fmt: skip
        for number, (column, tensor, grad) in enumerate(zip(rows, given, grads)):
            if grad is None:
                if strict:
                    raise RuntimeError(
                        f"Output {position} of the user-provided function is independent of input "
                        f"{number}. This is not allowed in strict mode."
                    )
                grad = torch.zeros_like(tensor)
            elif strict and create_graph and not grad.requires_grad:
                raise RuntimeError(
                    "The jacobian of the user-provided function is independent of input "
                    f"{number}. This is not allowed in strict mode when create_graph=True."
                )
            column.append(grad)
    return [
        torch.stack(column).reshape(output.shape + t.shape) if column
        else t.new_zeros(output.shape + t.shape)
        for column, t in zip(rows, given)
    ]


def _all_rows(output, position, given, create_graph, strict):
    grads = (None,) * len(given)
    count = output.numel()
    if output.requires_grad and count:
        basis = torch.eye(count, dtype=output.dtype, device=output.device)
        grads = torch.autograd.grad(
            output, given, basis.reshape(count, *output.shape), retain_graph=True,
            create_graph=create_graph, allow_unused=True, is_grads_batched=True,
        )  # fmt: skip
    return [
        t.new_zeros(output.shape + t.shape) if grad is None
        else grad.reshape(output.shape + t.shape)
        for grad, t in zip(grads, given)
    ]


def _forward_jacobian(func, inputs):
    is_tuple, given = _tuple(inputs, "inputs", "jacobian")
    outs_tuple = []

    def outputs(*values):
        found, several = _tuple(
            func(*values), "outputs of the user-provided function", "jacobian"
        )
        outs_tuple.append(found)
        return several

    found = torch.func.jacfwd(outputs, argnums=tuple(range(len(given))))(
        *(t.detach() for t in given)
    )
    return _shaped(outs_tuple[0], tuple(_shaped(is_tuple, tuple(row)) for row in found))


def hessian(
    func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Hessian of a function to a number: of shape `(*input, *input)`, in tuples of
    tuples.

    Raises RuntimeError if the function returns more than a number, and as `jacobian` does.
    """
    is_tuple, given = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def number(*values):
        several, outputs = _tuple(
            func(*values), "outputs of the user-provided function", "hessian"
        )
        _scalar(outputs, several, "hessian")
        return outputs[0].squeeze()

    def gradient(*values):
        if outer_jacobian_strategy == "forward-mode":
            values = tuple(t.requires_grad_() if not t.requires_grad else t for t in values)
        found = jacobian(number, values, create_graph=True)
        if strict:
            for position, grad in enumerate(found):
                if not grad.requires_grad:
                    raise RuntimeError("The jacobian of the user-provided function is independent "
                                       f"of input {position}. This is not allowed in strict mode.")
        return found

    found = jacobian(
        gradient, given, create_graph=create_graph, strict=strict, vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )  # fmt: skip
    return _shaped(is_tuple, tuple(_shaped(is_tuple, row) for row in found))
