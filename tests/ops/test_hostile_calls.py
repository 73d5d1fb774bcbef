"""Broken calls end in an error or a result: no crash, no hang, no memory that is not ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import flashlight

from .hostile import hostile_calls
from .side_by_side import check, check_error

#: `FLASHLIGHT_HOSTILE_CALLS=20000 pytest tests/ops/test_hostile_calls.py` runs many more.
CALLS = int(os.environ.get("FLASHLIGHT_HOSTILE_CALLS", "500"))
SEED = int(os.environ.get("FLASHLIGHT_HOSTILE_SEED", "0"))


def test_hostile_calls():
    wrong = [f"{index} {kind}: {text}\n    {call[:300]}"
             for index, call, kind, text in hostile_calls(CALLS, SEED)]
    assert not wrong, f"--seed {SEED}, calls:\n" + "\n".join(wrong)


def test_watching_finds_what_mlx_must_not_do():
    program = """
import mlx.core as mx
from tests.ops import watched_mlx
watched_mlx._caller = lambda: "here"
watched_mlx.watch()
x, far = mx.zeros((3,)), mx.array([5])
x[far]; x[-4]; mx.take(x, far); x.at[far].add(1); mx.sum(mx.zeros((0, 2)), 0)
x[mx.array([2])]; x[1:]; x[...]; x[None, 2]; mx.sum(x)
print(len(watched_mlx.noted))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "5", done.stderr


GIANT = 1 << 40


@pytest.mark.parametrize("call", [
    lambda t: t.zeros(1).expand(GIANT).sum(),
    lambda t: t.zeros(1).expand(GIANT).unbind(),
    lambda t: t.zeros(1).expand(GIANT).split(1),
    lambda t: t.tensor_split(t.zeros(3), GIANT),
    lambda t: t.linalg.det(t.zeros(()).expand(1 << 20, 1 << 20)),
    lambda t: t.zeros(1).resize_(GIANT),
    lambda t: t.special.multigammaln(t.full((5,), 1e13), 10**12),
    lambda t: t.eye(1 << 30),
    lambda t: t.rand(GIANT),
])  # fmt: skip
def test_more_than_the_memory_raises(call):
    with pytest.raises(RuntimeError, match="allocate"):
        call(flashlight)


def test_degrees_that_would_take_forever_raise():
    with pytest.raises(RuntimeError, match="degrees over"):
        flashlight.special.legendre_polynomial_p(flashlight.ones(2), 1e38)


@pytest.mark.parametrize("call", [
    lambda t: t.sin(t.ones(2), out=3),
    lambda t: t.amax(t.ones(2), dim=0, keepdim=7),
    lambda t: t.full((2,), None),
    lambda t: t.full((2,), 1, dtype=3),
    lambda t: t.ones(2).type(-1.5),
    lambda t: t.ones(2).is_set_to(1),
    lambda t: t.zero_(3),
    lambda t: t.combinations(3.0),
    lambda t: t.broadcast_tensors(t.ones(2), "x"),
    lambda t: t.linalg.eigh(t.eye(2), UPLO=t.tensor(True)),
    lambda t: t.nn.functional.softplus(t.ones(2), beta="x"),
    lambda t: t.ones(2, 2).tril([]),
    lambda t: t.ones(2).index_put_(3, t.ones(2)),
    lambda t: t.ones(2).index_put_((t.tensor([1]),), 3),
    lambda t: t.ones(2).view_as(3),
    lambda t: t.zeros(2, device=3),
    lambda t: t.linalg.vander(t.tensor(2.0), N=1),
    lambda t: t.narrow_copy(t.ones(2, 2), 2, 0, 1),
])  # fmt: skip
def test_wrong_kinds_raise_what_pytorch_raises(call):
    check_error(call, text=False)


@pytest.mark.parametrize("call", [
    lambda t: t.nn.functional.avg_pool3d(t.ones(0, 2, 3, 3, 3), 3),
    lambda t: t.nn.functional.group_norm(t.ones(0, 4, 3), 2),
    lambda t: t.trapz(t.ones(0, 3)),
    lambda t: t.zeros(3).masked_scatter(t.zeros(0, 3, dtype=t.bool), t.zeros(0)),
    lambda t: t.special.multigammaln(t.tensor([3.0, 4.5, 30.0]), 5),
    lambda t: t.linalg.vander(t.tensor(2.0), N=3),
    lambda t: t.linalg.householder_product(t.ones(3, 2), t.ones(0)),
])  # fmt: skip
def test_odd_but_allowed(call):
    check(call)


@pytest.mark.parametrize("call", [
    lambda t, i: t.ones(3)[i], lambda t, i: t.ones(3).index_select(0, i),
    lambda t, i: t.ones(3).take(i), lambda t, i: t.ones(3).gather(0, i),
    lambda t, i: t.ones(3).scatter(0, i, t.ones(1)), lambda t, i: t.ones(3).put(i, t.ones(1)),
    lambda t, i: t.ones(3).index_add(0, i, t.ones(1)), lambda t, i: t.ones(3).index_fill(0, i, 1.0),
    lambda t, i: t.ones(3).index_copy(0, i, t.ones(1)),
    lambda t, i: t.ones(3).scatter_add(0, i, t.ones(1)),
    lambda t, i: t.ones(3).index_put((i,), t.ones(1)),
    lambda t, i: t.nn.functional.embedding(i, t.ones(3, 2)),
    lambda t, i: t.nn.functional.cross_entropy(t.ones(1, 3), i),
    lambda t, i: t.nn.functional.one_hot(i, 3), lambda t, i: t.ones(3, 2).select(0, int(i)),
    lambda t, i: t.ones(3).scatter_reduce(0, i, t.ones(1), "amax"),
    lambda t, i: t.index_reduce(t.ones(3), 0, i, t.ones(1), "prod"),
])  # fmt: skip
@pytest.mark.parametrize("index", [3, -4, 1 << 40, -(1 << 62)])
def test_indices_out_of_range_raise(call, index):
    with pytest.raises((IndexError, RuntimeError)) as theirs:
        call(torch, torch.tensor([index]))
    with pytest.raises(theirs.type):
        call(flashlight, flashlight.tensor([index]))
