"""Running one program under PyTorch and under flashlight, and comparing what it returns."""

from __future__ import annotations

import collections
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.attention.bias
import torch.nn.utils.prune

import flashlight
import flashlight.nn.attention.bias


def same(program: Callable, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    """Assert that ``program(torch)`` returns the same with both libraries, from seed 0.

    Tensors are compared by dtype, shape and values; exceptions and warnings by class and text.
    """
    expected, actual = (_result(program, library) for library in (torch, flashlight))
    _compare(expected, actual, rtol, atol, "result")


def both(program: Callable) -> tuple[Any, Any]:
    """Return the plain results under PyTorch and under flashlight."""
    return tuple(_result(program, library) for library in (torch, flashlight))


def raised(call: Callable) -> tuple[str, str]:
    """Return the class and the text of what `call` raises."""
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error).replace("flashlight.", "torch.")
    return "nothing", ""


def warned(call: Callable) -> list[tuple[str, str]]:
    """Return the classes and texts of what `call` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [
        (each.category.__name__, str(each.message).replace("flashlight.", "torch."))
        for each in caught
    ]


def _result(program: Callable, library: Any) -> Any:
    library.manual_seed(0)
    return plain(program(library))


def plain(value: Any) -> Any:
    """Return `value` with tensors as NumPy arrays and library objects as text."""
    if isinstance(value, (torch.Tensor, flashlight.Tensor)):
        value = value.detach()
        name = str(value.dtype)
        if name == "torch.bfloat16":
            value = value.float()
        return collections.namedtuple("Tensor", "dtype array")(name, np.array(value.numpy()))
    if isinstance(value, (torch.Size, flashlight.Size)):
        return tuple(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(item) for name, item in zip(value._fields, value)}
    if isinstance(value, (list, tuple)):
        return (
            type(value)(plain(item) for item in value)
            if type(value) in (list, tuple)
            else [plain(item) for item in value]
        )
    if value is None or isinstance(value, (bool, int, float, str, type(Ellipsis), set)):
        return value
    return str(value).replace("flashlight", "torch")


def _compare(expected: Any, actual: Any, rtol: float, atol: float, where: str) -> None:
    if hasattr(expected, "array"):
        assert hasattr(actual, "array"), f"{where}: {actual} is no tensor"
        assert expected.dtype == actual.dtype, f"{where}: {actual.dtype} is not {expected.dtype}"
        np.testing.assert_allclose(
            actual.array, expected.array, rtol=rtol, atol=atol, err_msg=where, equal_nan=True
        )
        assert expected.array.shape == actual.array.shape, where
        return
    assert type(expected) is type(actual), f"{where}: {actual!r} is not {expected!r}"
    if isinstance(expected, dict):
        assert list(expected) == list(actual), where
        for key in expected:
            _compare(expected[key], actual[key], rtol, atol, f"{where}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(expected) == len(actual), f"{where}: {actual} is not {expected}"
        for index, (one, other) in enumerate(zip(expected, actual)):
            _compare(one, other, rtol, atol, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert actual == expected or abs(actual - expected) <= atol + rtol * abs(expected), where
    else:
        assert expected == actual, f"{where}: {actual!r} is not {expected!r}"
