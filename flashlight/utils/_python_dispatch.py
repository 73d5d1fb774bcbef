"""Subclasses that wrap other tensors."""

from __future__ import annotations

from flashlight import Tensor

__all__ = ["is_traceable_wrapper_subclass", "is_traceable_wrapper_subclass_type"]


def is_traceable_wrapper_subclass_type(t: type) -> bool:
    """Tell whether a subclass of Tensor says what it wraps, by the two methods for that."""
    return (
        issubclass(t, Tensor)
        and t is not Tensor
        and hasattr(t, "__tensor_flatten__")
        and hasattr(t, "__tensor_unflatten__")
    )


def is_traceable_wrapper_subclass(t: object) -> bool:
    """Tell whether `t` is of such a subclass."""
    return is_traceable_wrapper_subclass_type(type(t))
