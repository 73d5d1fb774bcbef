"""Whole Jacobians and Hessians: all rows, or all columns, at once by `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.utils._pytree import tree_flatten, tree_unflatten

from ._forward import linearize
from ._reverse import picked, split_aux, vjp
from ._vmap import vmap


def _basis(tensors: list[Tensor]) -> list[Tensor]:
    """Return the unit vectors of all tensors together: for each, of shape `(count, *its shape)`."""
    count = sum(t.numel() for t in tensors)
    basis, start = [], 0
    for t in tensors:
        part = torch.zeros(count, t.numel(), dtype=t.dtype, device=t.device)
        part[start : start + t.numel()] = torch.eye(t.numel(), dtype=t.dtype, device=t.device)
        basis.append(part.reshape(count, *t.shape))
        start += t.numel()
    return basis


def _partial(func: Callable, argnums, args: tuple, kwargs: dict, has_aux: bool):
    """Return `func` of the chosen arguments alone, these, and a list that receives aux."""
    positions = picked(argnums, args)
    aux: list = []

    def of_chosen(*chosen):
        given = list(args)
        for position, value in zip(positions, chosen):
            given[position] = value
        result = func(*given, **kwargs)
        if has_aux:
            result, extra = split_aux(result, "jacobian(f)(*args)")
            aux[:] = [extra]
        return result

    return of_chosen, tuple(args[position] for position in positions), aux


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False,
    chunk_size: int | None = None, _preallocate_and_copy: bool = False,
) -> Callable:  # fmt: skip
    """Return a function that gives the Jacobian of `func`, of shape `(*output, *input)`.

    In trees as the outputs are, of trees as the inputs are. By one walk back for each element of
    the outputs, `chunk_size` at a time. With `has_aux`, (Jacobian, aux).
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        of_chosen, chosen, aux = _partial(func, argnums, args, kwargs, has_aux)
        # Returned along with the outputs, aux loses its history where they do.
        if has_aux:
            output, pull, extra = vjp(lambda *x: (of_chosen(*x), aux[0]), *chosen, has_aux=True)
        else:
            output, pull = vjp(of_chosen, *chosen)
            extra = None
        outputs, out_spec = tree_flatten(output)
        inputs, in_spec = tree_flatten(chosen if isinstance(argnums, tuple) else chosen[0])
        basis = _basis(outputs)
        many = vmap(
            lambda *cotangents: tree_flatten(pull(tree_unflatten(list(cotangents), out_spec)))[0],
            chunk_size=chunk_size,
        )
        rows = many(*basis) if basis and len(basis[0]) else [
            t.new_zeros((0, *t.shape)) for t in inputs
        ]
        per_output, start = [], 0
        for o in outputs:
            blocks = [
                r[start : start + o.numel()].reshape((*o.shape, *t.shape))
                for r, t in zip(rows, inputs)
            ]
            per_output.append(tree_unflatten(blocks, in_spec))
            start += o.numel()
        result = tree_unflatten(per_output, out_spec)
        return (result, extra) if has_aux else result

    return wrapper


def jacfwd(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *,
    randomness: str = "error",
) -> Callable:  # fmt: skip
    """Return a function that gives the Jacobian of `func`, of shape `(*output, *input)`.

    As `jacrev`, by one derivative for each element of the inputs.
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        of_chosen, chosen, aux = _partial(func, argnums, args, kwargs, has_aux)
        inputs, in_spec = tree_flatten(chosen if isinstance(argnums, tuple) else chosen[0])
        all_spec = tree_flatten(chosen)[1]
        output, derivative = linearize(of_chosen, *chosen)
        outputs, out_spec = tree_flatten(output)
        basis = _basis(inputs)
        many = vmap(
            lambda *tangents: tree_flatten(
                derivative(*tree_unflatten(list(tangents), all_spec))
            )[0],
            randomness=randomness,
        )
        columns = many(*basis) if basis and len(basis[0]) else [
            t.new_zeros((0, *t.shape)) for t in outputs
        ]
        per_output = []
        for o, column in zip(outputs, columns):
            last = column.movedim(0, -1)
            blocks, start = [], 0
            for t in inputs:
                part = last[..., start : start + t.numel()]
                blocks.append(part.reshape((*o.shape, *t.shape)))
                start += t.numel()
            per_output.append(tree_unflatten(blocks, in_spec))
        result = tree_unflatten(per_output, out_spec)
        return (result, _detached(aux[0])) if has_aux else result

    return wrapper


def _detached(tree: Any) -> Any:
    return torch.utils._pytree.tree_map_only(Tensor, lambda t: t.detach(), tree)


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """Return a function that gives the Hessian of `func`, of shape `(*output, *input, *input)`."""
    return jacfwd(jacrev(func, argnums), argnums)
