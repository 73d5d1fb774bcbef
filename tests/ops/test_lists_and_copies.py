"""Operations on lists of tensors, copies of views, unsafe pieces: against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

from .side_by_side import check, check_error, gradients

A = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(2, 3)
UNARY = [name for name in dir(torch) if name.startswith("_foreach_") and not name.endswith("_")]
COPIES = {
    "alias_copy": (), "as_strided_copy": ((3, 2), (1, 3)), "detach_copy": (), "diagonal_copy": (1,),
    "expand_copy": ((2, 2, 3),), "narrow_copy": (1, 0, 2), "permute_copy": ((1, 0),),
    "select_copy": (1, 2), "slice_copy": (1, 0, 3, 2), "squeeze_copy": (), "t_copy": (),
    "transpose_copy": (0, 1), "unfold_copy": (1, 2, 1), "unsqueeze_copy": (0,),
    "view_copy": ((3, 2),), "split_copy": (2, 1), "split_with_sizes_copy": ((1, 2), 1),
    "unbind_copy": (1,),
}  # fmt: skip


def test_every_name_exists():
    assert [name for name in dir(torch) if name.startswith("_foreach_")
            and not hasattr(flashlight, name)] == []


@pytest.mark.parametrize("name", [
    name for name in UNARY if torch._C._jit_get_schemas_for_operator(f"aten::{name}")[0].arguments
    .__len__() == 1
])  # fmt: skip
def test_unary(name):
    def run(t):
        tensors = [t.tensor(A, requires_grad=True), t.tensor(A[0], requires_grad=True)]
        made = getattr(t, name)(tensors)
        assert isinstance(made, tuple)
        return made, gradients(t, made, *tensors)
    check(run, 1e-4)

    def write(t):
        tensors = [t.tensor(A), t.tensor(A[0])]
        getattr(t, f"{name}_")(tensors)
        return tensors
    if hasattr(torch, f"{name}_"):
        check(write)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "clamp_max"])
@pytest.mark.parametrize("other", [2.0, [2.0, 0.5], "tensors", "tensor"])
def test_binary(name, other):
    def operand(t):
        if other == "tensors":
            return [t.tensor(A + 1), t.tensor(A[1])]
        return t.tensor(2.0) if other == "tensor" else other

    def run(t):
        return getattr(t, f"_foreach_{name}")([t.tensor(A), t.tensor(A[0])], operand(t))

    def write(t):
        tensors = [t.tensor(A), t.tensor(A[0])]
        getattr(t, f"_foreach_{name}_")(tensors, operand(t))
        return tensors
    check(run)
    check(write)


@pytest.mark.parametrize("call", [
    lambda t, a: t._foreach_add(a, a, alpha=3),
    lambda t, a: t._foreach_pow(2.0, a),
    lambda t, a: t._foreach_lerp(a, a, 0.5),
    lambda t, a: t._foreach_lerp(a, [x + 1 for x in a], [x * 2 for x in a]),
    lambda t, a: t._foreach_lerp_(a, [x + 1 for x in a], 0.1),
    lambda t, a: t._foreach_addcdiv(a, a, [x + 1 for x in a], [2.0, 3.0]),
    lambda t, a: t._foreach_addcmul(a, a, a, t.tensor([2.0, 3.0])),
    lambda t, a: t._foreach_addcmul_(a, [x * 1 for x in a], [x * 2 for x in a], 0.5),
    lambda t, a: t._foreach_norm(a, 1),
    lambda t, a: t._foreach_norm(a, dtype=t.float64),
    lambda t, a: t._foreach_powsum(a, 3),
    lambda t, a: t._foreach_max(a),
    lambda t, a: t._foreach_mm([a[0]], [a[0].t()]),
    lambda t, a: t._foreach_clone(a),
    lambda t, a: t._foreach_copy_(a, [x * 2 for x in a]),
    lambda t, a: t._foreach_zero_(a),
    lambda t, a: t._foreach_clamp_min([x.int() for x in a], 1),
])  # fmt: skip
def test_others(call):
    check(lambda t: call(t, [t.tensor(A), t.tensor(A[0])]))


@pytest.mark.parametrize("call", [
    lambda t, a: t._foreach_add(a, [a[0], a[0]]), lambda t, a: t._foreach_add([], []),
    lambda t, a: t._foreach_add(a, [1, 2]), lambda t, a: t._foreach_add(a, t.ones(2)),
    lambda t, a: t._foreach_abs(a[0]), lambda t, a: t._foreach_max([t.zeros(0)]),
    lambda t, a: t._foreach_add_([a[0].int()], 2.5),
])  # fmt: skip
def test_errors(call):
    check_error(lambda t: call(t, [t.tensor(A)]))


@pytest.mark.parametrize("name, arguments", COPIES.items())
def test_copies(name, arguments):
    def run(t):
        input = t.tensor(A, requires_grad=True)
        made = getattr(t, name)(input, *arguments)
        pieces = made if isinstance(made, tuple) else (made,)
        assert all(piece._base is None and piece.is_contiguous() for piece in pieces)
        if name == "detach_copy":  # for which PyTorch has no derivative
            return made
        return made, gradients(t, made, input)
    check(run)


def test_copies_into_out():
    for t in (flashlight, torch):
        out = t.zeros(3, 2)
        assert t.t_copy(t.tensor(A), out=out) is out
        np.testing.assert_array_equal(out.numpy(), A.T)
        pieces = [t.zeros(2, 2), t.zeros(2, 1)]
        t.split_copy(t.tensor(A), 2, 1, out=pieces)
        np.testing.assert_array_equal(pieces[1].numpy(), A[:, 2:])


@pytest.mark.parametrize("name, arguments", [
    ("unsafe_split", (2, 1)), ("unsafe_split_with_sizes", ([1, 2], 1)), ("unsafe_chunk", (2, 1)),
])  # fmt: skip
def test_unsafe_pieces(name, arguments):
    def run(t):
        input = t.tensor(A, requires_grad=True)
        whole = input * 1
        pieces = getattr(t, name)(whole, *arguments)
        assert all(piece._base is None for piece in pieces)
        pieces[0].mul_(3)
        return pieces, whole, gradients(t, pieces, input)
    check(run)
    check(lambda t: getattr(t.tensor(A), name)(*arguments))
