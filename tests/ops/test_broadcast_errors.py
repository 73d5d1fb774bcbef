"""Sizes that do not broadcast: PyTorch's message, which names the last dimension that differs."""

from __future__ import annotations

import pytest
import torch

import flashlight

CALLS = {
    "add": lambda t: t.ones(2) + t.ones(3),
    "mul": lambda t: t.ones(2, 3, 4) * t.ones(5, 6, 4),
    "sub": lambda t: t.ones(2, 3, 4) - t.ones(5, 1, 4),
    "pow": lambda t: t.ones(2) ** t.ones(3),
    "lt": lambda t: t.ones(2) < t.ones(3),
    "where": lambda t: t.where(t.ones(2) > 0, t.ones(3), t.ones(2)),
    "in place": lambda t: t.ones(2).add_(t.ones(3)),
    "lerp": lambda t: t.lerp(t.ones(2), t.ones(3), 0.5),
    "recorded": lambda t: t.ones(2, requires_grad=True) * t.ones(3),
    "masked_fill": lambda t: t.ones(2).masked_fill(t.ones(3) > 0, 0.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_in_pytorch(name):
    with pytest.raises(RuntimeError) as expected:
        CALLS[name](torch)
    with pytest.raises(RuntimeError) as raised:
        CALLS[name](flashlight)
    assert str(raised.value) == str(expected.value)
