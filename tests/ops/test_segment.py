"""segment_reduce and cdist against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from .side_by_side import check, check_error, gradients

_random = np.random.default_rng(0)
nan = float("nan")
DATA = _random.standard_normal((5, 3)).astype(np.float32)
TIES = np.array([[1, 0, 2], [1, 0, 2], [0, 3, 2], [1, -1, 0], [4, nan, 0]], np.float32)
REDUCTIONS = ["sum", "mean", "max", "min", "prod"]


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("initial", [None, 1.5])
@pytest.mark.parametrize("values", [DATA, TIES])
@pytest.mark.parametrize("how", [
    {"lengths": [2, 0, 3]}, {"offsets": [0, 1, 5]}, {"offsets": [1, 3]},
    {"lengths": [1, 2], "unsafe": True},
])  # fmt: skip
def test_rows(reduce, initial, values, how):
    def run(t):
        data = t.tensor(values, requires_grad=True)
        given = {k: t.tensor(v) if isinstance(v, list) else v for k, v in how.items()}
        made = t.segment_reduce(data, reduce, initial=initial, **given)
        if "offsets" in how and how["offsets"] == [1, 3]:
            return made
        return made, gradients(t, made, data)
    check(run)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_batches(reduce):
    def run(t):
        data = t.tensor(DATA.reshape(3, 5)[:2], dtype=t.float64, requires_grad=True)
        made = t.segment_reduce(data, reduce, lengths=t.tensor([[1, 4], [5, 0]]), axis=1)
        return made, gradients(t, made.nan_to_num(0, 0, 0), data)
    check(run)


LENGTHS = [1, 2]


@pytest.mark.parametrize("call", [
    lambda t: t.segment_reduce(t.ones(3), "foo", lengths=t.tensor(LENGTHS)),
    lambda t: t.segment_reduce(t.ones(3), "sum"),
    lambda t: t.segment_reduce(t.ones(3), "sum", lengths=t.tensor([1, 1])),
    lambda t: t.segment_reduce(t.ones(3), "sum", lengths=t.tensor([1, -1, 3])),
    lambda t: t.segment_reduce(t.ones(3).int(), "sum", lengths=t.tensor(LENGTHS)),
    lambda t: t.segment_reduce(t.ones(3, 2), "sum", lengths=t.tensor(LENGTHS), axis=1),
    lambda t: t.segment_reduce(t.ones(3), "sum", indices=t.tensor([0, 1, 1])),
    lambda t: t.segment_reduce(t.ones(3), "sum", lengths=t.tensor(LENGTHS), axis=1),
])  # fmt: skip
def test_errors(call):
    check_error(call)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cdist(p, dtype):
    def run(t):
        x1 = t.tensor(_x1, dtype=getattr(t, dtype), requires_grad=True)
        x2 = t.tensor(_x2, dtype=getattr(t, dtype), requires_grad=True)
        made = t.cdist(x1, x2, p)
        return made, gradients(t, made, x1, x2)
    _x1 = _random.standard_normal((2, 1, 3, 4))
    _x2 = _random.standard_normal((5, 6, 4))
    _x2[0, 0] = _x1[0, 0, 0]
    check(run, 1e-5)


@pytest.mark.parametrize("mode", ["use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"])
def test_cdist_modes(mode):
    x = _random.standard_normal((30, 4)).astype(np.float32)

    def run(t):
        x1 = t.tensor(x, requires_grad=True)
        x2 = t.tensor(x[:7] + 1, requires_grad=True)
        made = t.cdist(x1, x2, compute_mode=mode)
        return made, gradients(t, made, x1, x2)
    check(run, 1e-4)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_cdist_second_derivative(p):
    def run(t):
        x1 = t.tensor(_x1, requires_grad=True)
        (grad,) = t.autograd.grad((t.cdist(x1, t.tensor(_x2), p) ** 2).sum(), x1, create_graph=True)
        return grad
    _x1, _x2 = _random.standard_normal((3, 4)), _random.standard_normal((5, 4))
    check(run)


@pytest.mark.parametrize("call", [
    lambda t: t.cdist(t.ones(3), t.ones(3)), lambda t: t.cdist(t.ones(3, 2), t.ones(4, 3)),
    lambda t: t.cdist(t.ones(3, 2), t.ones(4, 2), -1),
    lambda t: t.cdist(t.ones(3, 2).int(), t.ones(4, 2).int()),
    lambda t: t.cdist(t.ones(3, 2), t.ones(4, 2).double()),
    lambda t: t.cdist(t.ones(2, 3, 2), t.ones(5, 4, 2)),
    lambda t: t.cdist(t.ones(3, 2), t.ones(4, 2), compute_mode="foo"),
    lambda t: t.cdist(t.ones(3, 2).half(), t.ones(4, 2).half()),
])  # fmt: skip
def test_cdist_errors(call):
    check_error(call)
