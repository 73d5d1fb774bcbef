"""Operations inside nested calls of vmap, on operands that differ over different calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

NAMES = [
    "add", "sub", "mul", "div", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "fmax", "fmin", "pow",
    "atan2", "copysign", "xlogy", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_left_shift", "bitwise_right_shift", "where",
]  # fmt: skip


def pairwise(library, function, first, second, swapped):
    def one(a, b):
        return function(b, a) if swapped else function(a, b)

    inner = library.vmap(one, in_dims=(None, 0))
    return library.vmap(inner, in_dims=(0, None))(first, second)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_all_pairs(name, dtype):
    def program(library, swapped):
        first, second = (
            library.tensor(values).to(getattr(library, dtype))
            for values in ([1, 2, 3, 5, 2, 0], [2, 1, 3, 1])
        )
        function = getattr(library, name)
        if name == "where":
            return pairwise(library, lambda a, b: library.where(a > b, a, 1), first, second, swapped)
        if name in ("remainder", "fmod", "div"):
            first = first + 1
        return pairwise(library, function, first, second, swapped)

    for swapped in (False, True):
        try:
            expected = program(torch, swapped)
        except (RuntimeError, NotImplementedError):
            with pytest.raises((RuntimeError, NotImplementedError)):
                program(flashlight, swapped)
            continue
        actual = program(flashlight, swapped)
        assert str(expected.dtype) == str(actual.dtype)
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=1e-5)


INDICES = {
    "one": lambda t, q, kv: t[q],
    "two": lambda t, q, kv: t[q, kv],
    "reversed": lambda t, q, kv: t[kv, q],
    "after a slice": lambda t, q, kv: t[:, (q - kv) % 3],
    "a vector": lambda t, q, kv: t[q + t.new_tensor([0, 1]).long(), kv],
    "apart": lambda t, q, kv: t[None][0, q, None, kv],
    "negative": lambda t, q, kv: t[-1 - q, kv],
}


@pytest.mark.parametrize("name", INDICES)
def test_a_table_that_all_lanes_share(name):
    def program(library):
        table = library.arange(30.0).reshape(6, 5).sin().requires_grad_()
        places = library.arange(4), library.arange(3)
        found = pairwise(library, lambda q, kv: INDICES[name](table, q, kv).sin(), *places, False)
        (grad,) = library.autograd.grad(found.square().sum(), table)
        return found.detach(), grad

    for expected, actual in zip(program(torch), program(flashlight), strict=True):
        assert expected.shape == tuple(actual.shape)
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_table_is_not_copied_for_each_lane():
    import mlx.core as mx

    table = flashlight.ones(1000, requires_grad=True)
    places = flashlight.arange(500)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    found = pairwise(flashlight, lambda q, kv: table[q + kv], places, places, False)
    (grad,) = flashlight.autograd.grad(found.sum(), table)
    assert grad[:3].tolist() == [1, 2, 3]
    assert mx.get_peak_memory() - before < 100e6


def test_an_index_out_of_range_raises():
    table, places = flashlight.ones(5), flashlight.arange(4)
    with pytest.raises(IndexError):
        pairwise(flashlight, lambda q, kv: table[q + kv], places, places, False)


def test_a_compiled_function_with_vmap_has_a_gradient():
    weight = flashlight.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def function(x):
        return flashlight.vmap(lambda row: (row * weight).sin().sum())(x)

    compiled = flashlight.compile(function, fullgraph=True)
    x = flashlight.arange(6.0).reshape(2, 3)
    (expected,) = flashlight.autograd.grad(function(x).sum(), weight)
    for _ in range(3):
        (found,) = flashlight.autograd.grad(compiled(x).sum(), weight)
        flashlight.testing.assert_close(found, expected)
