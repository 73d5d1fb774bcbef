"""What `grad_fn` is called, and which graphs may be walked twice, as in PyTorch."""

from __future__ import annotations

import pytest
import torch

import flashlight

CALLS = {
    "sum": lambda t, x: x.sum(),
    "sum over": lambda t, x: x.sum(0),
    "mean": lambda t, x: x.mean(),
    "mean over": lambda t, x: x.mean(0, keepdim=True),
    "linear": lambda t, x: t.nn.functional.linear(x[None], t.ones(2, 3), t.ones(2)),
    "linear without bias": lambda t, x: t.nn.functional.linear(x[None], t.ones(2, 3)),
    "linear of batches": lambda t, x: t.nn.functional.linear(
        x[None, None], t.ones(2, 3), t.ones(2)
    ),
    "mm": lambda t, x: x[None] @ t.ones(3, 2),
    "mv": lambda t, x: t.ones(2, 3) @ x,
    "dot": lambda t, x: x @ t.ones(3),
    "bmm": lambda t, x: x[None, None] @ t.ones(1, 3, 2),
    "squeeze": lambda t, x: x[None].squeeze(),
    "squeeze one": lambda t, x: x[None].squeeze(0),
    "squeeze some": lambda t, x: x[None].squeeze((0,)),
    "mse_loss": lambda t, x: t.nn.functional.mse_loss(x, t.ones(3)),
    "smooth_l1_loss": lambda t, x: t.nn.functional.smooth_l1_loss(x, t.ones(3)),
    "huber_loss": lambda t, x: t.nn.functional.huber_loss(x, t.ones(3)),
    "square": lambda t, x: x**2,
    "power": lambda t, x: x ** t.ones(3),
    "power of number": lambda t, x: 2**x,
    "clamp": lambda t, x: x.clamp(0, 1),
    "clamp by tensors": lambda t, x: x.clamp(t.zeros(3), t.ones(3)),
    "log1p": lambda t, x: x.log1p(),
    "times number": lambda t, x: x * 2,
    "over number": lambda t, x: x / 2,
    "number over": lambda t, x: 2 / x,
    "plus number": lambda t, x: x + 2,
    "number minus": lambda t, x: 2 - x,
    "minus": lambda t, x: -x,
    "remainder": lambda t, x: x % t.full((3,), 2.0),
    "lerp": lambda t, x: x.lerp(t.ones(3), 0.5),
    "times number in place": lambda t, x: x.clone().mul_(2),
    "cat": lambda t, x: t.cat([x, x]),
}


def name_and_second_walk(namespace, call) -> tuple[str, bool]:
    x = namespace.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = call(namespace, x)
    name = y.grad_fn.name()
    assert name in repr(y.grad_fn)
    y.sum().backward()
    try:
        y.sum().backward()
    except RuntimeError as error:
        assert "second time" in str(error)
        return name, False
    return name, True


@pytest.mark.parametrize("name", CALLS)
def test_as_in_pytorch(name):
    expected = name_and_second_walk(torch, CALLS[name])
    assert name_and_second_walk(flashlight, CALLS[name]) == expected
