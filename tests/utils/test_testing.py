"""assert_close and make_tensor against PyTorch's, to the text of the messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight
import flashlight.testing

MODULES = [torch, flashlight]
NAN = float("nan")

CASES = {
    "equal": lambda t: ((t.tensor([1.0]), t.tensor([1.0])), {}),
    "one differs": lambda t: ((t.tensor([1.0, 2, 3]), t.tensor([1.0, 2, 4])), {}),
    "whole numbers": lambda t: ((t.tensor([1, 2]), t.tensor([1, 3])), {}),
    "scalars": lambda t: ((t.tensor(1.0), t.tensor(2.0)), {}),
    "numbers": lambda t: ((1.0, 1.1), {}),
    "whole and not": lambda t: ((1, 1.0), {}),
    "booleans": lambda t: ((True, False), {}),
    "nothing": lambda t: ((None, 1), {}),
    "tensor and number": lambda t: ((t.tensor([1.0]), 1.0), {}),
    "lists": lambda t: (([1, t.tensor(2.0)], [1, t.tensor(3.0)]), {}),
    "nested": lambda t: (([1, [2, 3]], [1, [2, 4]]), {}),
    "lengths": lambda t: (([1], [1, 2]), {}),
    "keys": lambda t: (({"a": 1}, {"b": 1}), {}),
    "dtypes": lambda t: ((t.tensor([1.0]), t.tensor([1.0], dtype=t.float64)), {}),
    "dtypes unchecked": lambda t: (
        (t.tensor([1.0]), t.tensor([1.5], dtype=t.float64)), {"check_dtype": False}
    ),
    "shapes": lambda t: ((t.tensor([1.0]), t.tensor([1.0, 2])), {}),
    "texts": lambda t: (("a", "b"), {}),
    "nans": lambda t: ((t.tensor([NAN]), t.tensor([NAN])), {}),
    "equal nans": lambda t: ((t.tensor([NAN]), t.tensor([NAN])), {"equal_nan": True}),
    "only rtol": lambda t: ((t.tensor([1.0]), t.tensor([2.0])), {"rtol": 0.1}),
    "no tolerance": lambda t: (
        (t.tensor([[1, 2], [3, 4.0]]), t.tensor([[1, 2], [3, 5.0]])), {"rtol": 0, "atol": 0}
    ),
    "message": lambda t: ((t.tensor([1.0]), t.tensor([2.0])), {"msg": "hi"}),
    "message made": lambda t: ((t.tensor([1.0]), t.tensor([2.0])), {"msg": lambda m: "X" + m}),
    "bits": lambda t: ((t.tensor([True]), t.tensor([False])), {}),
    "complex": lambda t: ((t.tensor([1 + 1j]), t.tensor([1 + 2j])), {}),
    "arrays": lambda t: ((np.array([1.0]), np.array([2.0])), {}),
    "strides": lambda t: (
        (t.tensor([[1.0, 2], [3, 4]]).t(), t.tensor([[1.0, 3], [2, 4]])), {"check_stride": True}
    ),
    "half": lambda t: ((t.tensor([1.0]).half(), t.tensor([1.0005]).half()), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_assert_close(name):
    outcomes = []
    for module in MODULES:
        inputs, options = CASES[name](module)
        try:
            module.testing.assert_close(*inputs, **options)
            outcomes.append("close")
        except Exception as error:
            text = str(error).replace("flashlight._core.tensor", "torch")
            outcomes.append((type(error), text.replace("flashlight", "torch")))
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"low": -3, "high": 4},
        {"noncontiguous": True},
        {"exclude_zero": True, "low": 0, "high": 2},
        {"requires_grad": True},
        {"low": 2, "high": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "dtype", ["float32", "int64", "bool", "bfloat16", "complex64", "uint8", "float16"]
)
def test_make_tensor(dtype, options):
    made = []
    for module in MODULES:
        module.manual_seed(0)
        try:
            tensor = module.testing.make_tensor(
                3, 4, dtype=getattr(module, dtype), device="cpu", **options
            )
            made.append((tensor.tolist(), tuple(tensor.stride()), tensor.requires_grad))
        except Exception as error:
            made.append(type(error))
    assert made[0] == made[1]
