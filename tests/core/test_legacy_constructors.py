"""`torch.Tensor(2, 3)`, `torch.FloatTensor([1])`, `x.new(3)`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight
from tests.nn.both import raised, same

CALLS = {
    "nothing": lambda l: l.Tensor(),
    "list": lambda l: l.Tensor([[1, 2], [3, 4]]),
    "tuple": lambda l: l.Tensor((1, 2)),
    "range": lambda l: l.Tensor(range(3)),
    "array": lambda l: l.Tensor(np.array([1.5, 2.5])),
    "data=": lambda l: l.Tensor(data=[1.0]),
    "storage": lambda l: l.Tensor(l.ones(2).untyped_storage()),
    "other dtype": lambda l: l.Tensor(l.tensor([1, 2])),
    "LongTensor": lambda l: l.LongTensor([1, 2]),
    "LongTensor of reals": lambda l: l.LongTensor([1.5]),
    "FloatTensor of a tensor": lambda l: l.FloatTensor(l.ones(2)),
    "BoolTensor": lambda l: l.BoolTensor([1, 0]),
    "HalfTensor": lambda l: l.HalfTensor([0.1]),
    "type": lambda l: l.tensor([1]).type(l.FloatTensor),
    "new": lambda l: l.ones(2, dtype=l.float64).new([1, 2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_values(name):
    same(CALLS[name])


def test_shapes_and_dtypes():
    same(lambda l: [
        (tuple(t.shape), str(t.dtype))
        for t in (
            l.Tensor(2, 3), l.Tensor(l.Size([2, 1])), l.LongTensor(3), l.Tensor(np.int64(2)),
            l.DoubleTensor(2, 2), l.ones(2, dtype=l.int64).new(4), l.ones(2).new(),
        )
    ])  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda l: l.Tensor(2.5),
        lambda l: l.Tensor(None),
        lambda l: l.Tensor("a"),
        lambda l: l.Tensor(True),
        lambda l: l.Tensor(-1),
        lambda l: l.Tensor([[1], [2, 3]]),
        lambda l: l.FloatTensor(l.ones(2, dtype=l.float64)),
        lambda l: l.FloatTensor(2, device="meta"),
        lambda l: l.Tensor(2, dtype=l.int64),
    ],
)
def test_errors(call):
    assert raised(lambda: call(flashlight))[0] == raised(lambda: call(torch))[0] != "nothing"


def test_memory_is_shared_with_a_tensor():
    x = flashlight.zeros(2)
    flashlight.Tensor(x)[0] = 1
    assert x[0] == 1


def test_isinstance_asks_for_dtype_and_device():
    def answers(l):
        kinds = (l.FloatTensor, l.LongTensor, l.cuda.FloatTensor)
        return [[isinstance(t, k) for k in kinds] for t in (l.ones(2), l.tensor([1]))]
    assert answers(flashlight) == answers(torch)
    assert repr(flashlight.FloatTensor) == repr(torch.FloatTensor)


def test_subclasses():
    def program(l):
        class Marked(l.Tensor):
            def __new__(cls, data, mark):
                made = super().__new__(cls, data)
                made.mark = mark
                return made

            def __init__(self, data, mark):
                pass

        made = Marked([1, 2], "yes")
        return type(made).__name__, made.mark, made.sum().item()
    assert program(flashlight) == program(torch)
