"""Gradients of functions, as `torch.func.grad` and its kin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight._core.evaluation import local
from flashlight.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from ._scope import Scope, gradients, zeros_for


def picked(argnums: int | tuple[int, ...], args: tuple) -> tuple[int, ...]:
    """Return the positions that `argnums` names. Raises RuntimeError if there is no such argument."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    several = (argnums,) if isinstance(argnums, int) else argnums
    if not several:
        raise RuntimeError("argnums must be non-empty")
    positions = []
    for number in several:
        if not isinstance(number, int):
            raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {argnums}")
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
        positions.append(number % len(args))
    if len(set(positions)) != len(positions):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple(positions)


def _check_number(output: Any) -> None:
    what = "grad_and_value(f)(*args): Expected f(*args) to return"
    if not isinstance(output, Tensor):
        raise RuntimeError(f"{what} a Tensor, got {type(output)}")
    if output.ndim:
        raise RuntimeError(
            f"{what} a scalar Tensor, got tensor with {output.ndim} dims. Maybe you wanted to use "
            "the vjp or jacrev APIs instead?"
        )
    if output.dtype.is_complex:
        raise RuntimeError(
            f"grad can be implicitly created only for real scalar outputs but got {output.dtype}"
        )


def split_aux(result: Any, what: str) -> tuple[Any, Any]:
    """Return (output, aux). Raises RuntimeError for other than a pair."""
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{what}: output of function f should be a tuple: (output, aux) if "
                           "has_aux is True")
    return result


def grad_and_value(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable:
    """Return a function that gives (gradients of `func`, its value), or (gradients, (value, aux)).

    `func` returns a number, or with `has_aux` a pair of it and anything else. Gradients are for the
    arguments at `argnums`, which may be trees of tensors.
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        positions = picked(argnums, args)
        with Scope() as scope:
            given = list(args)
            for position in positions:
                given[position] = scope.sources(args[position])
            output = func(*given, **kwargs)
            aux = None
            if has_aux:
                output, aux = split_aux(output, "grad_and_value(f)(*args)")
            _check_number(output)
            chosen = given[positions[0]] if isinstance(argnums, int) else \
                tuple(given[position] for position in positions)
            leaves, spec = tree_flatten(chosen)
            keep = scope.keeps([output])
            found = gradients([output], [output.detach()._ones()], leaves, keep)
            grads = [zeros_for(t) if g is None else g for t, g in zip(leaves, found)]
            grads, output, aux = scope.out((tree_unflatten(grads, spec), output, aux))
        return grads, ((output, aux) if has_aux else output)

    return wrapper


def grad(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable:
    """Return a function that gives the gradients of `func`, with `has_aux` (gradients, aux).

    See `grad_and_value`.
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        grads, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapper


def check_tensors(tree: Any, what: str) -> list[Tensor]:
    """Return the leaves. Raises RuntimeError if one is no tensor."""
    leaves = tree_leaves(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{what}, got unsupported type {type(leaf)}")
    return leaves


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """Return (`func(*primals)`, a function from cotangents to those of the primals[, aux]).

    That function returns a tuple as long as `primals`. Cotangents have the structure of the
    outputs.
    """
    with Scope() as scope:
        given = scope.sources(primals)
        outputs = func(*given)
        aux = None
        if has_aux:
            outputs, aux = split_aux(outputs, "vjp(f, *primals)")
        made = check_tensors(outputs, "vjp(f, *primals): expected f(*primals) to return only tensors")
        out_spec = tree_flatten(outputs)[1]
        leaves, spec = tree_flatten(given)
        leads_out = scope.keeps(made)
        results = scope.out((outputs, aux))

    def pull(cotangents, retain_graph=True, create_graph=None):
        """Return the product of cotangents with the Jacobian."""
        flat, structure = tree_flatten(cotangents)
        if structure != out_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {structure}, primal output: {out_spec}"
            )
        for position, (cotangent, output) in enumerate(zip(flat, made)):
            if cotangent.shape != output.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{position}] has a shape of {cotangent.shape} "
                    f"and output[{position}] has a shape of {output.shape}."
                )
        if create_graph is None:
            create_graph = local.grad_enabled and (
                leads_out or any(c._node is not None for c in flat)
            )
        found = gradients(made, flat, leaves, create_graph, retain_graph)
        found = [zeros_for(t) if g is None else g for t, g in zip(leaves, found)]
        return tree_unflatten(found, spec)

    return (results[0], pull, results[1]) if has_aux else (results[0], pull)
