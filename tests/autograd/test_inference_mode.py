"""Tensors made in inference mode stay out of autograd, as PyTorch's do."""

from __future__ import annotations

import pytest
import torch

import flashlight

WRITES = {
    "add_": lambda m, x: x.add_(1),
    "a view": lambda m, x: x[1:].mul_(2),
    "index": lambda m, x: x.__setitem__(0, 1.0),
    "out": lambda m, x: m.add(m.ones(3), 1, out=x),
    "resize_": lambda m, x: x.resize_(5),
    "set_": lambda m, x: x.set_(m.ones(3)),
    "no_grad": lambda m, x: m.no_grad()(lambda: x.fill_(1))(),
}
REFUSED = {
    "version": lambda m, x: x._version,
    "requires_grad_": lambda m, x: x.requires_grad_(),
    "saved": lambda m, x: x * m.ones(3, requires_grad=True),
}


def made(m):
    with m.inference_mode():
        return m.ones(3) * 2


@pytest.mark.parametrize("name", [*WRITES, *REFUSED])
def test_what_is_refused(name):
    action = {**WRITES, **REFUSED}[name]
    for m in (torch, flashlight):
        x = made(m)
        with pytest.raises(RuntimeError, match=r"[Ii]nference"):
            action(m, x)
    if name in WRITES:
        with flashlight.inference_mode():
            action(flashlight, made(flashlight))


def test_who_is_one():
    answers = []
    for m in (torch, flashlight):
        weight, base = m.ones(3, requires_grad=True), m.ones(3)
        with m.inference_mode():
            x, view, of_weight = m.ones(2), base[1:], weight * 2
            base.add_(1)
            with m.inference_mode(False):
                inner = m.ones(2)
            parameter = m.nn.Linear(2, 2).weight
        tensors = [x, x[:1], x.detach(), x.clone(), view, of_weight, inner, base, parameter]
        answers.append([(t.is_inference(), m.is_inference(t), t.requires_grad) for t in tensors])
        answers[-1].append((base._version, (x + weight[:2]).requires_grad, view.add_(1).tolist()))
    assert answers[0] == answers[1]
