"""Transforms of functions: gradients, derivatives, batching; as `torch.func`.

https://docs.pytorch.org/docs/2.13/func.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight._core.batched_storage import BatchedStorage
from flashlight._core.tensor import wrap

from ._forward import jvp, linearize
from ._jacobians import hessian, jacfwd, jacrev
from ._modules import functional_call, replace_all_batch_norm_modules_, stack_module_state
from ._rearrange import rearrange
from ._reverse import grad, grad_and_value, vjp
from ._vmap import vmap

__all__ = [
    "grad",
    "grad_and_value",
    "vmap",
    "replace_all_batch_norm_modules_",
    "functionalize",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "vjp",
    "functional_call",
    "stack_module_state",
    "debug_unwrap",
]


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """Return `func` itself: writes swap arrays, which never change, so there is nothing to remove.

    Raises RuntimeError for other values of `remove` than PyTorch's.
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            "functionalize(f, remove='mutations'): received invalid argument for remove=. Valid "
            "options are:\n     remove='mutations': all inplace and out= operators will be removed\n"
            "     remove='mutations_and_views': all inplace, out= and view operators"
        )
    return func


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """Return the values of a tensor inside vmap with the lanes as leading dimensions."""
    storage: Any = tensor._storage
    if type(storage) is not BatchedStorage:
        return tensor.detach()
    return wrap(storage.read(tensor._layout).array, tensor.device)
