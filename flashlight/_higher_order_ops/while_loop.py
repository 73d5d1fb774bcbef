"""`torch.while_loop`, a prototype in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight.utils._pytree import tree_flatten


def while_loop(cond_fn: Callable, body_fn: Callable, carried_inputs: tuple | list) -> Any:
    """Call `body_fn(*carried)` on its own results while `cond_fn(*carried)` is true. Reads that.

    Raises RuntimeError for a condition of several elements, and if the body changes the number,
    shapes or dtypes of what is carried.
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("Expect cond_fn and body_fn to be callable.")
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(
            f"Expect carried_inputs to be a tuple or list but got {type(carried_inputs)}."
        )
    result: Any = tuple(carried_inputs)
    carried = result
    while _is_true(cond_fn(*carried)):
        result = body_fn(*carried)
        following = tuple(result) if isinstance(result, (tuple, list)) else (result,)
        _check_same(carried, following)
        carried = following
    return result


def _is_true(condition: Any) -> bool:
    if isinstance(condition, Tensor) and condition.numel() != 1:
        raise RuntimeError(
            f"cond_fn must return a bool or a tensor of one element, but got {condition}"
        )
    return bool(condition)


def _check_same(before: tuple, after: tuple) -> None:
    (old, structure), (new, changed) = tree_flatten(before), tree_flatten(after)
    same = structure == changed and all(map(_are_alike, old, new))
    if not same:
        raise RuntimeError(
            "Expected body_fn_output and carried_inputs to have same metadata but found: "
            f"{[_described(leaf) for leaf in new]} vs {[_described(leaf) for leaf in old]}"
        )


def _are_alike(a: Any, b: Any) -> bool:
    return _described(a) == _described(b)


def _described(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else type(leaf).__name__
