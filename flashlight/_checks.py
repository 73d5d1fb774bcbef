"""Assertions that PyTorch's own code and packages call as `torch._check` and `torch._assert`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._core.tensor import Tensor

Message = Callable[[], str] | None


def _raise_unless(error: type[Exception], cond: Any, message: Message) -> None:
    if not isinstance(cond, bool):
        hint = " For tensor conditions, use torch._check_tensor_all() to assert that all elements " \
            "are true." if isinstance(cond, Tensor) else ""
        kind = "a Tensor" if isinstance(cond, Tensor) else str(type(cond))
        raise TypeError(f"cond must be a bool, but got {kind}.{hint}")
    if cond:
        return
    if message is None:
        raise error("Expected cond to be True, but got False.")
    if not callable(message):
        raise TypeError("message must be a callable")
    raise error(str(message()))


def _check(cond: Any, message: Message = None) -> None:
    """Raise RuntimeError, with what `message()` returns, unless `cond` is True."""
    _raise_unless(RuntimeError, cond, message)


def _check_with(error_type: type[Exception], cond: Any, message: Message) -> None:
    """Raise `error_type` unless `cond` is True."""
    _raise_unless(error_type, cond, message)


def _check_index(cond: Any, message: Message = None) -> None:
    """Raise IndexError unless `cond` is True."""
    _raise_unless(IndexError, cond, message)


def _check_value(cond: Any, message: Message = None) -> None:
    """Raise ValueError unless `cond` is True."""
    _raise_unless(ValueError, cond, message)


def _check_type(cond: Any, message: Message = None) -> None:
    """Raise TypeError unless `cond` is True."""
    _raise_unless(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Message = None) -> None:
    """Raise NotImplementedError unless `cond` is True."""
    _raise_unless(NotImplementedError, cond, message)


def _check_is_size(i: int, message: Message = None, *, max: int | None = None) -> None:
    """Raise RuntimeError unless `i` can be a size (of at most `max`)."""
    _raise_unless(RuntimeError, i >= 0, message)
    if max is not None:
        _raise_unless(RuntimeError, i <= max, message)


def _check_tensor_all_with(
    error_type: type[Exception], cond: Tensor, message: Message = None
) -> None:
    """Raise `error_type` unless all elements of a bool tensor are True. Reads them."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if str(cond.dtype) != "torch.bool":
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")
    _raise_unless(error_type, bool(cond.all().item()), message)


def _check_tensor_all(cond: Tensor, message: Message = None) -> None:
    """Raise RuntimeError unless all elements of a bool tensor are True. Reads them."""
    _check_tensor_all_with(RuntimeError, cond, message)


def _assert(condition: Any, message: str) -> None:
    """`assert condition, message`, also for a tensor of one element."""
    if not condition:
        raise AssertionError(message)


def _assert_async(input: Tensor, assert_msg: str | None = None) -> None:
    """Raise RuntimeError unless a tensor of one element is other than zero. Reads it."""
    if not bool(input):
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")
