"""Small functions and methods: questions, checks, functions of elements, old names."""

from __future__ import annotations

import pytest
import torch

import flashlight

from .side_by_side import check, check_error


def _table(t):
    return t.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("call", [
    lambda t: t.is_nonzero(t.tensor([2])), lambda t: t.tensor(0.0).is_nonzero(),
    lambda t: t.is_same_size(t.ones(2, 3), t.ones(3, 2)), lambda t: t.ones(2).is_conj(),
    lambda t: t.is_neg(t.ones(2)), lambda t: t.is_distributed(t.ones(2)),
    lambda t: t.hash_tensor(_table(t)), lambda t: t.hash_tensor(_table(t).long(), dim=1),
    lambda t: t.hash_tensor(_table(t).half(), [0, 1], keepdim=True),
    lambda t: t.tensor([True, True, True]).hash_tensor(),
    lambda t: t.hash_tensor(t.zeros(0, 2), dim=1), lambda t: t.hash_tensor(t.tensor(1.5)),
    lambda t: t.unravel_index(t.tensor([[3, 5, -1, 9]]), (2, 3)),
    lambda t: t.unravel_index(t.tensor(4), 6),
    lambda t: _table(t).apply_(lambda x: x * 2),
    lambda t: _table(t).int().apply_(lambda x: x + 0.7),
    lambda t: _table(t).map_(t.ones(3), lambda a, b: a - b),
    lambda t: _table(t).map2_(t.ones(2, 1), t.ones(3), lambda a, b, c: a + b * c),
    lambda t: _table(t).t().dim_order(), lambda t: _table(t).volatile,
    lambda t: t.empty(2, 3, 4, 5, memory_format=t.channels_last).dim_order(),
    lambda t: t.sym_max(1, 2.5), lambda t: t.sym_min(1, 2.0), lambda t: t.sym_ite(True, 1, 2),
    lambda t: t.sym_int(2.7), lambda t: t.sym_sum([1, 2]), lambda t: t.sym_not(0),
    lambda t: isinstance(3, t.SymInt), lambda t: t._is_all_true(t.tensor([True, False])),
    lambda t: t._check(True), lambda t: t._assert(t.tensor(1), "no"),
    lambda t: t.frobenius_norm(_table(t), 1), lambda t: t.nuclear_norm(_table(t)),
    lambda t: _table(t).__array_wrap__(_table(t).numpy()),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:at::", "ignore:volatile was removed")
def test_results(call):
    check(call)


@pytest.mark.parametrize("call", [
    lambda t: t.is_nonzero(t.zeros(0)), lambda t: t.hash_tensor(t.zeros(0)),
    lambda t: t.hash_tensor(t.zeros(0, 2), dim=0), lambda t: t.hash_tensor(t.ones(2) * 1j),
    lambda t: t.hash_tensor(t.ones(2), mode=1),
    lambda t: t.unravel_index(t.tensor([3, 5]), (2, -3)),
    lambda t: t.ones(2, requires_grad=True).apply_(abs),
    lambda t: t._check(False, lambda: "a reason"), lambda t: t._check_index(False, lambda: "x"),
    lambda t: t._check(False, "no function"), lambda t: t._assert(False, "a reason"),
    lambda t: t._assert_async(t.tensor(0)), lambda t: t._check(t.ones(2)),
    lambda t: t.ones(2).__delitem__(0),
])  # fmt: skip
def test_errors(call):
    check_error(call)


@pytest.mark.parametrize("call", [
    lambda t: t.eig(t.ones(2, 2)), lambda t: t.ones(2, 2).symeig(),
    lambda t: t.matrix_rank(t.ones(2, 2)), lambda t: t.ones(2).reinforce(1),
    lambda t: t.unravel_index(t.tensor([3.0]), (2, 3)), lambda t: t.ones(6).resize(4, 2),
    lambda t: t.is_same_size(2, t.ones(2)),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:non-inplace resize")
def test_error_classes(call):
    check_error(call, text=False)


def test_resize_is_reshape():
    with pytest.warns(UserWarning, match="non-inplace resize"):
        assert flashlight.arange(6).resize(3, 2).shape == (3, 2)
    with pytest.warns(UserWarning, match="non-inplace resize"):
        assert flashlight.arange(6).resize_as(flashlight.ones(2, 3)).shape == (2, 3)


def test_modules_of_names():
    for name in torch.functional.__all__:
        assert getattr(flashlight.functional, name) is getattr(flashlight, name)
    assert isinstance(flashlight.Size([1]), flashlight.types.Size)
    assert flashlight.types._dtype is flashlight.dtype


def test_embedding_renorm():
    def run(t):
        weight = _table(t) + 1
        made = t.embedding_renorm_(weight, t.tensor([1, 1]), 2.0, 2.0)
        assert made is weight
        return weight
    check(run)
