"""What happens to arguments of the wrong kind, and to odd but allowed ones: as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from .side_by_side import check, check_error, gradients

FIRST_IS_NO_TENSOR = [
    "eq", "ne", "lt", "le", "gt", "ge", "fmod", "rsub", "isclose", "allclose", "polar", "diff",
    "mv", "dot", "kron", "outer", "vander", "mean", "cdist", "take_along_dim",
]  # fmt: skip


@pytest.mark.parametrize("name", FIRST_IS_NO_TENSOR)
def test_a_number_for_a_tensor(name):
    check_error(lambda t: getattr(t, name)(2, t.tensor([1, 2, 3])), text=False)


@pytest.mark.parametrize("name", ["abs_", "clamp_", "exp_"])
def test_a_number_to_write_into(name):
    check_error(lambda t: getattr(t, name)(2), text=False)


@pytest.mark.parametrize("name", ["__radd__", "__rmul__", "__rand__", "__ror__", "__rxor__"])
def test_reflected_operators_of_numbers(name):
    check_error(lambda t: getattr(t.Tensor, name)(2, t.tensor([1, 2, 3])), text=False)


@pytest.mark.parametrize("call", [
    lambda t: t.flip(t.ones(2, 3), 0), lambda t: t.ones(2, 3).flip(),
    lambda t: t.flip(t.ones(2), (0, 0)), lambda t: t.empty_permuted((2,), (0, 1)),
    lambda t: t.empty_permuted((2, 3), (0, 0)), lambda t: t.polar(2, t.ones(2)),
    lambda t: t.arange(0, 64, 0.5, out=t.zeros(0, dtype=t.int64)),
    lambda t: t.narrow(t.ones(3, 3), 0, t.tensor(True), 1),
    lambda t: t.isclose(t.ones(2), 2),
])  # fmt: skip
def test_errors(call):
    check_error(call)


@pytest.mark.parametrize("call", [
    lambda t: t.flip(t.arange(6).reshape(2, 3), dims=(0, 1)),
    lambda t: t.arange(6).reshape(2, 3).flip(0, 1),
    lambda t: t.nonzero(t.tensor(5)), lambda t: t.argwhere(t.tensor(0)),
    lambda t: t.meshgrid(t.arange(3), t.arange(4), t.arange(2), indexing="xy"),
    lambda t: t.diff(t.arange(4), 0, prepend=t.tensor([9])),
    lambda t: t.masked_fill(t.tensor([True, False]), t.tensor([False, True]), 10),
    lambda t: t.nextafter(t.tensor([1.0, 0.0, -2.0]).bfloat16(), t.tensor([2.0, -1, 0]).bfloat16()),
    lambda t: t.ones(2).new_empty_strided((2, 3), (1, 2), dtype=t.int64).stride(),
    lambda t: t.ones(4).addbmm_(t.ones(2, 3, 5), t.ones(2, 5, 4), beta=2, alpha=0.5),
    lambda t: np.asarray(t.imag(t.tensor(1 + 2j)).numpy()).tolist(),
])  # fmt: skip
def test_results(call):
    check(call)


@pytest.mark.parametrize("call", [
    lambda t, x: t.nextafter(x, x + 1), lambda t, x: t.combinations(x, 5),
    lambda t, x: t.matmul(x.reshape(2, 2)[:0], t.ones(3, 2, 0)),
    lambda t, x: x.index_fill(0, t.tensor([1, 1, 0]), x.sum()),
    lambda t, x: (x * 1).addbmm_(t.ones(2, 3, 5), t.ones(2, 5, 4)),
])  # fmt: skip
def test_gradients(call):
    def run(t):
        x = t.arange(4.0, requires_grad=True)
        return gradients(t, call(t, x), x)
    check(run)
