"""Arguments of `to`, and buffers of several tensors."""

from __future__ import annotations

from flashlight._utils import _flatten_dense_tensors as flatten_dense_tensors
from flashlight._utils import _unflatten_dense_tensors as unflatten_dense_tensors
from flashlight.nn._arguments import _parse_to as _parse

__all__ = ["flatten_dense_tensors", "unflatten_dense_tensors"]


def _parse_to(*args, **kwargs) -> tuple:
    """Return device, dtype, non_blocking and memory format from the arguments of `Module.to`.

    Raises RuntimeError for `copy`.
    """
    if "copy" in kwargs:
        raise RuntimeError(".to() does not accept copy argument")
    return _parse(*args, **kwargs)
