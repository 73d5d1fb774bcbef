"""Arguments that come in several forms."""

from __future__ import annotations

import flashlight as torch
from flashlight import Tensor


def _parse_to(*args, **kwargs) -> tuple:
    """Read the arguments of a `to` method: device, dtype, non_blocking, memory format.

    Accepted are ``(device, dtype, non_blocking)``, ``(dtype, non_blocking)`` and
    ``(tensor, non_blocking)``, each with `copy` and `memory_format`; others raise TypeError.
    """
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    other = kwargs.pop("other", kwargs.pop("tensor", None))
    non_blocking = kwargs.pop("non_blocking", False)
    memory_format = kwargs.pop("memory_format", None)
    kwargs.pop("copy", None)
    if kwargs:
        raise TypeError(f"to() received an invalid keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], torch.dtype):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], torch.dtype)):
            dtype = rest.pop(0)
    if rest:
        non_blocking = rest.pop(0)
    if len(rest) > 1 or not isinstance(non_blocking, (bool, int)):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"({', '.join(type(arg).__name__ for arg in args)})"
        )
    if other is not None:
        device, dtype = other.device, other.dtype
    if device is not None:
        device = torch.device(device)
    return device, dtype, bool(non_blocking), memory_format
