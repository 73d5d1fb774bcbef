"""Layers, losses and tools for neural networks."""
# ruff: noqa: F403  The imports are what this package is.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import (
    attention,
    common_types,
    functional,
    grad,
    init,
    modules,
    parallel,
    parameter,
    quantized,
    utils,
)
from .modules import *
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter


def factory_kwargs(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what of `kwargs` to give to functions such as torch.empty: device, dtype, ….

    They may also stand in ``kwargs["factory_kwargs"]``. Raises TypeError for other keys and for
    those given twice.
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    unknown = kwargs.keys() - simple - {"factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for key in simple & kwargs.keys():
        if key in result:
            raise TypeError(f"{key} specified twice, in **kwargs and in factory_kwargs")
        result[key] = kwargs[key]
    return result
