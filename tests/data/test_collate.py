"""How samples become batches, against PyTorch."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest

import flashlight
from flashlight.utils.data import default_collate, default_convert
from tests.data.both import MODULES, plain, raised_in_both

Pair = collections.namedtuple("Pair", "first second")

BATCHES = {
    "numbers": lambda t: [1, 2],
    "floats": lambda t: [1.5, 2.5],
    "booleans": lambda t: [True, False],
    "texts": lambda t: ["a", "b"],
    "bytes": lambda t: [b"a", b"b"],
    "tensors": lambda t: [t.ones(2), t.zeros(2)],
    "arrays": lambda t: [np.ones(2, "float32"), np.zeros(2, "float32")],
    "array scalars": lambda t: [np.float32(1), np.float32(2)],
    "whole array scalars": lambda t: [np.int64(1), np.int64(2)],
    "tuples": lambda t: [(1, 2.0), (3, 4.0)],
    "lists": lambda t: [[1, "a"], [3, "b"]],
    "named tuples": lambda t: [Pair(1, t.ones(1)), Pair(2, t.ones(1))],
    "dictionaries": lambda t: [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    "ordered": lambda t: [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    "defaults": lambda t: [collections.defaultdict(int, a=1), collections.defaultdict(int, a=2)],
    "nested": lambda t: [{"a": (1, [np.ones(1)])}, {"a": (2, [np.ones(1)])}],
    "deques": lambda t: [collections.deque([1, 2]), collections.deque([3, 4])],
}


def described(value):
    if hasattr(value, "dtype"):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {key: described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__, [described(item) for item in value]
    return value


@pytest.mark.parametrize("function", ["default_collate", "default_convert"])
@pytest.mark.parametrize("name", BATCHES)
def test_batches(name, function):
    expected, actual = (
        described(getattr(module.utils.data, function)(BATCHES[name](module))) for module in MODULES
    )
    assert actual == expected


ERRORS = {
    "lengths differ": lambda t: [[1, 2], [3]],
    "sizes differ": lambda t: [t.ones(2), t.ones(3)],
    "texts in arrays": lambda t: [np.array(["a"]), np.array(["b"])],
    "none": lambda t: [None, None],
    "objects": lambda t: [object(), object()],
    "keys differ": lambda t: [{"a": 1}, {"b": 1}],
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    expected, actual = raised_in_both(
        lambda module: module.utils.data.default_collate(ERRORS[name](module))
    )
    assert type(actual) is type(expected)
    assert expected is not None


def test_own_types():
    from flashlight.utils.data._utils.collate import collate, default_collate_fn_map

    @dataclasses.dataclass
    class Point:
        x: int

    def points(batch, *, collate_fn_map=None):
        return [point.x for point in batch]

    assert collate([Point(1), Point(2)], collate_fn_map={Point: points}) == [1, 2]
    assert Point not in default_collate_fn_map


def test_gradients_reach_the_samples():
    sample = flashlight.ones(2, requires_grad=True)
    default_collate([sample, sample]).sum().backward()
    assert plain(sample.grad) == [2, 2]


def test_strings_stay_strings():
    assert default_convert("text") == "text"
