"""`torch.cond`. https://docs.pytorch.org/docs/2.13/cond.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight.utils._pytree import tree_leaves


def cond(
    pred: bool | int | float | Tensor, true_fn: Callable, false_fn: Callable,
    operands: tuple | list = (),
) -> Any:  # fmt: skip
    """Return `true_fn(*operands)` if `pred` is true, else `false_fn(*operands)`. Reads `pred`.

    Raises RuntimeError for a `pred` of several elements, and for operands that are not tensors.
    """
    if isinstance(pred, Tensor):
        if pred.numel() != 1:
            raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
        if not callable(true_fn) or not callable(false_fn):
            raise RuntimeError("Expect both branches to be callable.")
        if not isinstance(operands, (tuple, list)) or not all(
            isinstance(leaf, Tensor) for leaf in tree_leaves(operands)
        ):
            raise RuntimeError(
                "Expect operands to be a tuple of possibly nested dict/list/tuple that only "
                f"consists of tensor leaves, but got {operands}."
            )
    return true_fn(*operands) if pred else false_fn(*operands)
