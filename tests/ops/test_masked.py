"""torch.masked against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from .side_by_side import check, check_error, gradients

VALUES = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
MASK = np.random.default_rng(1).random((2, 3, 4)) > 0.4
MASK[0, 1] = False
CALLS = [
    ("sum", ()), ("prod", ()), ("amax", ()), ("amin", ()), ("mean", ()), ("median", ()),
    ("logsumexp", ()), ("norm", (2.0,)), ("norm", (-float("inf"),)), ("norm", (1.0,)), ("var", ()),
    ("std", ()), ("softmax", ()), ("log_softmax", ()), ("softmin", ()), ("normalize", (2.0,)),
    ("cumsum", ()), ("cumprod", ()), ("argmax", ()), ("argmin", ()),
]  # fmt: skip


@pytest.mark.parametrize("name, before", CALLS)
@pytest.mark.parametrize("dim", [-1, 0])
@pytest.mark.parametrize("mask", ["none", "full", "row"])
def test_along_a_dimension(name, before, dim, mask):
    chosen = {"none": None, "full": MASK, "row": MASK[0, 2]}[mask]

    def run(t):
        input = t.tensor(VALUES, requires_grad=True)
        given = None if chosen is None else t.tensor(chosen)
        made = getattr(t.masked, name)(input, *before, dim, mask=given)
        if name.startswith("arg") or mask == "full":
            return made
        return made, gradients(t, made, input)
    check(run, 1e-4)


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "mean", "logsumexp", "norm", "var"])
@pytest.mark.parametrize("dim", [None, (0, 2), ()])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_several_dimensions(name, dim, dtype):
    check(lambda t: getattr(t.masked, name)(
        t.tensor(VALUES), dim=dim, keepdim=dim is not None, mask=t.tensor(MASK),
        dtype=None if dtype is None else getattr(t, dtype)), 1e-4)


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "std", "argmax", "logsumexp"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_integers(name, dtype):
    if (name, dtype) == ("logsumexp", "uint8"):
        return
    check(lambda t: getattr(t.masked, name)(t.tensor([[3, 1, 2]]).to(getattr(t, dtype)), 1,
                                            mask=t.tensor([[True, False, True]])))


@pytest.mark.parametrize("call", [
    lambda t, m: t.masked.logaddexp(t.ones(2, 3), t.zeros(2, 3), input_mask=m, other_mask=~m),
    lambda t, m: t.masked.var(t.arange(6.0).reshape(2, 3), 0, correction=2),
    lambda t, m: t.masked.std(t.arange(6.0).reshape(2, 3) * 1j, 1, unbiased=False),
    lambda t, m: t.masked.argmax(t.arange(6.0), dtype=t.int32),
    lambda t, m: t.masked.sum(t.tensor(1.0), dim=0, mask=t.tensor(False)),
    lambda t, m: t.masked.softmax(t.ones(2, 3).int(), 1, dtype=t.float32, mask=m),
])  # fmt: skip
def test_others(call):
    check(lambda t: call(t, t.tensor([[True, False, True], [True, False, False]])))


@pytest.mark.parametrize("call", [
    lambda t: t.masked.sum(t.ones(2, 3), (0, 0)), lambda t: t.masked.sum(t.ones(2, 3), 5),
    lambda t: t.masked.sum(t.ones(2), mask=t.ones(2, 2)),
    lambda t: t.masked.sum(t.ones(2, 3), mask=t.ones(2)),
    lambda t: t.masked.mean(t.ones(2).int(), 0),
    lambda t: t.masked.median(t.ones(2).int(), 0, mask=t.zeros(2)),
    lambda t: t.masked.var(t.ones(2), 0, True, correction=1),
    lambda t: t.masked.norm(t.ones(2).int(), 2.0, 0),
])  # fmt: skip
def test_errors(call):
    check_error(call)
