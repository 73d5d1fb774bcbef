"""Derivatives along directions, as `torch.func.jvp`.

The gradient is linear in its cotangent, and the derivative of that linear map is the one wanted:
so each is two walks back over the recorded history. Operations must be differentiable twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight._core.evaluation import local
from flashlight.utils._pytree import tree_flatten, tree_unflatten

from ._reverse import check_tensors, split_aux
from ._scope import Scope, gradients, zeros_for


class Linear:
    """The derivative at one point: from tangents of inputs to those of outputs."""

    def __init__(self, scope: Scope, inputs: list[Tensor], outputs: list[Tensor]):
        self.outputs = outputs
        self.dummies: list = [
            scope.source(zeros_for(o)) if o.dtype.category >= 2 else None for o in outputs
        ]
        pairs = [
            (o, d) for o, d in zip(outputs, self.dummies) if d is not None and o._node is not None
        ]
        self.products = gradients(
            [o for o, _ in pairs], [d for _, d in pairs], inputs, create_graph=True
        )

    def along(self, tangents: list[Tensor], create_graph: bool, retain_graph: bool) -> list:
        """Return the tangents of the outputs; None where they are zero."""
        found: list = [None] * len(self.outputs)
        places = [i for i, dummy in enumerate(self.dummies) if dummy is not None]
        pairs = [(p, t) for p, t in zip(self.products, tangents) if p is not None]
        grads = gradients(
            [p for p, _ in pairs], [t for _, t in pairs], [self.dummies[i] for i in places],
            create_graph, retain_graph,
        )  # fmt: skip
        for place, tangent in zip(places, grads):
            found[place] = tangent
        return found


def _check_tangents(primals, tangents, name: str) -> tuple[list, list]:
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{name}: Expected primals to be a tuple. E.g. it should be valid to "
                           "call f(*primals).")
    flat, spec = tree_flatten(primals)
    given, structure = tree_flatten(tangents)
    if spec != structure:
        raise RuntimeError(
            f"{name}: Expected primals and tangents to have the same python structure. For example, "
            f"if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure "
            f"{spec} and tangents with structure {structure}"
        )
    if not flat:
        raise RuntimeError(f"{name}: Expected at least one Tensor in primals")
    for primal, tangent in zip(flat, given):
        if isinstance(primal, Tensor) and isinstance(tangent, Tensor):
            check_tangent(primal, tangent)
    return flat, given


def check_tangent(primal: Tensor, tangent: Tensor) -> None:
    """Raise RuntimeError unless `tangent` has the shape and dtype of `primal`."""
    if primal.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(primal.shape)} while the given "
            f"forward gradient is of size {list(tangent.shape)}."
        )
    if primal.dtype is not tangent.dtype:
        raise RuntimeError(
            f"Expected tangent to have the same dtype as the primal, {primal.dtype}, but got "
            f"{tangent.dtype}"
        )


def jvp(
    func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple:
    """Return (`func(*primals)`, its derivative along `tangents`[, aux]).

    Raises RuntimeError if tangents do not fit, or with `strict` for outputs that do not depend on
    the inputs.
    """
    name = "jvp(f, primals, tangents)"
    _, directions = _check_tangents(primals, tangents, name)
    with Scope() as scope:
        given = scope.sources(primals)
        outputs = func(*given)
        aux = None
        if has_aux:
            outputs, aux = split_aux(outputs, name)
        made = check_tensors(outputs, f"{name}: expected f(*args) to return only tensors")
        spec = tree_flatten(outputs)[1]
        linear = Linear(scope, tree_flatten(given)[0], made)
        keep = scope.keeps([*made, *directions])
        found = linear.along(directions, keep, keep)
        if strict and any(tangent is None for tangent in found):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is "
                               "independent of the inputs. This is not allowed with strict=True.")
        filled = [zeros_for(o) if t is None else t for o, t in zip(made, found)]
        results = scope.out((outputs, tree_unflatten(filled, spec), aux))
    return results if has_aux else results[:2]


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """Return (`func(*primals)`, its derivative there: a function of tangents like the primals)."""
    with Scope() as scope:
        given = scope.sources(primals)
        outputs = func(*given)
        made = check_tensors(outputs, "linearize(f, *primals): expected f to return only tensors")
        spec = tree_flatten(outputs)[1]
        inputs, in_spec = tree_flatten(given)
        linear = Linear(scope, inputs, made)
        leads_out = scope.keeps(made)
        results = scope.out(outputs)

    def derivative(*tangents):
        """Return the derivative along `tangents`."""
        flat, structure = tree_flatten(tangents)
        if structure != in_spec:
            raise RuntimeError(f"Expected the tangents {structure} to have the same argspec as the "
                               f"primals {in_spec}")
        for primal, tangent in zip(inputs, flat):
            check_tangent(primal, tangent)
        keep = local.grad_enabled and (leads_out or any(t._node is not None for t in flat))
        found = linear.along(flat, keep, True)
        filled = [zeros_for(o) if t is None else t for o, t in zip(made, found)]
        return tree_unflatten(filled, spec)

    return results, derivative
