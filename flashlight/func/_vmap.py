"""`vmap`: a function of one sample made one of a batch, as `torch.func.vmap`.

Tensors inside have lanes (see `_core/batch.py`); each operation runs over all lanes at once. So
the function is called once, whatever it does to Python objects, and gradients cross in both
directions: `vmap(grad(f))` and `grad(vmap(f))` need no rules of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight._autograd.lanes import enter, lanes, leave
from flashlight.utils._pytree import (
    TreeSpec,
    _broadcast_to_and_flatten,
    tree_flatten,
    tree_unflatten,
)

_RANDOMNESS = ("error", "different", "same")


def _is_dim(value: Any) -> bool:
    return value is None or isinstance(value, int)


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """Return a function that maps `func` over one dimension of its tensors.

    `in_dims` and `out_dims` are a dimension, None (not mapped over), or trees of these as the
    arguments and results are. `randomness` is "error", "same" (all lanes draw the same numbers) or
    "different". `chunk_size` lanes are done at a time. Raises ValueError for dimensions that do not
    fit, RuntimeError for values or shapes that would differ between lanes.
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError("Only allowed values for randomness are 'error', 'different', or "
                           f"'same'. Got {randomness}")
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(
            f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})"
        )

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        leaves, dims, spec, size = _mapped(func, in_dims, args)
        if chunk_size is None or chunk_size >= size:
            return _run(func, leaves, dims, spec, size, out_dims, randomness, kwargs)
        return _run_in_chunks(
            func, leaves, dims, spec, size, out_dims, randomness, kwargs, chunk_size
        )

    return wrapped


def _name(func: Callable) -> str:
    return getattr(func, "__name__", None) or repr(func)


def _mapped(func, in_dims, args) -> tuple[list, list, TreeSpec, int]:
    """Return the leaves of the arguments, the dimension of each, their structure, and the size."""
    name = _name(func)
    call = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{call}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        structure = tree_flatten(in_dims)[1]
        raise ValueError(
            f"{call}: in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {structure} but inputs has structure {spec}."
        )
    for position, (leaf, dim) in enumerate(zip(leaves, dims)):
        if not _is_dim(dim):
            raise ValueError(
                f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer "
                "dimension or None."
            )
        if dim is None:
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{call}: Got in_dim={dim} for an input but the input is of type {type(leaf)}. We "
                "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ValueError(
                f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {leaf.ndim} so expected in_dim to satisfy "
                f"-{leaf.ndim} <= in_dim < {leaf.ndim}."
            )
        dims[position] = dim % leaf.ndim
    sizes = [leaf.shape[dim] for leaf, dim in zip(leaves, dims) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(set(sizes)) > 1:
        raise ValueError("vmap: Expected all tensors to have the same size in the mapped "
                         f"dimension, got sizes {sizes} for the mapped dimension")
    return leaves, dims, spec, sizes[0]


def _run(func, leaves, dims, spec, size, out_dims, randomness, kwargs):
    with lanes(size, randomness) as level:
        inside = [
            leaf if dim is None else enter(leaf, level, dim) for leaf, dim in zip(leaves, dims)
        ]
        results = func(*tree_unflatten(inside, spec), **kwargs)
        flat, out_spec = tree_flatten(results)
        places = _out_dims(func, flat, out_spec, out_dims)
        made = [
            value if dim is None else _outside(value, level, dim)
            for value, dim in zip(flat, places)
        ]
    return tree_unflatten(made, out_spec)


def _outside(value: Tensor, level, dim: int) -> Tensor:
    ndim = value.ndim + 1
    if not -ndim <= dim < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, "
                         f"{ndim - 1}], but got {dim})")
    return leave(value, level, dim % ndim)


def _out_dims(func, flat, spec, out_dims) -> list:
    name = _name(func)
    call = f"vmap({name}, ..., out_dims={out_dims})(<inputs>)"
    if isinstance(out_dims, int):
        dims = [out_dims] * len(flat)
    elif isinstance(out_dims, tuple) and len(flat) == 1 and len(out_dims) == 1 and \
            spec.is_leaf():
        dims = list(out_dims)
    else:
        dims = _broadcast_to_and_flatten(out_dims, spec, is_leaf=_is_dim)
        if dims is None:
            structure = tree_flatten(out_dims)[1]
            raise ValueError(
                f"{call}: out_dims is not compatible with the structure of `outputs`. out_dims has "
                f"structure {structure} but outputs has structure {spec}."
            )
    for value, dim in zip(flat, dims):
        if not _is_dim(dim):
            raise ValueError(f"{call}: out_dims must be ints or None, got {dim}")
        if dim is not None and not isinstance(value, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(value)}. Did "
                "you mean to set out_dims= to None for output?"
            )
    return dims


def _run_in_chunks(func, leaves, dims, spec, size, out_dims, randomness, kwargs, chunk_size):
    flat_results, places, out_spec = [], None, None
    for start in range(0, size, chunk_size):
        count = min(chunk_size, size - start)
        part = [
            leaf if dim is None else leaf.narrow(dim, start, count)
            for leaf, dim in zip(leaves, dims)
        ]
        results = _run(func, part, dims, spec, count, out_dims, randomness, kwargs)
        flat, out_spec = tree_flatten(results)
        places = _out_dims(func, flat, out_spec, out_dims)
        flat_results.append(flat)
    assert places is not None and out_spec is not None
    joined = [
        column[0] if dim is None else torch.cat(column, dim)
        for column, dim in zip(zip(*flat_results), places)
    ]
    return tree_unflatten(joined, out_spec)
