"""Programs whose results, or errors, must be the same under PyTorch and under flashlight."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

import flashlight
from tests.nn.both import both, raised, same

TITLE = "program"


def check(program: Callable) -> None:
    """Run `program(torch)` and `program(flashlight)`; compare results, or what they raise."""
    expected = raised(lambda: program(torch))
    if expected[0] == "nothing":
        same(program)
        return
    actual = raised(lambda: program(flashlight))
    assert actual[0] == expected[0], f"{actual} is not {expected}"
    if not getattr(program, "own_words", False):
        assert actual[1].split("Hint:")[0] == expected[1].split("Hint:")[0]


def own_words(program: Callable) -> Callable:
    """Mark a program whose error need only be of PyTorch's class."""
    program.own_words = True
    return program


def programs_of(namespace: dict) -> list:
    """Return the functions of a module with a single parameter `l`, the library."""
    return [
        f
        for f in namespace.values()
        if inspect.isfunction(f) and list(inspect.signature(f).parameters) == ["l"]
    ]


def leaf(l):
    """Return a leaf of shape (2, 3)."""
    return l.tensor([[1.0, 2, 3], [4, 5, 6]], requires_grad=True)


__all__ = ["both", "check", "flashlight", "leaf", "own_words", "programs_of", "torch"]
