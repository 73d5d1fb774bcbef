"""GradScaler against PyTorch's on the CPU."""

from __future__ import annotations

import pickle

import pytest
import torch

import flashlight

MODULES = [torch, flashlight]


def weights(module):
    return module.tensor([1.0, 2.0, 3.0], requires_grad=True)


def same(log):
    expected, actual = (log(module) for module in MODULES)
    assert actual == expected


def test_scales_follow_what_is_not_finite():
    def log(module):
        weight = weights(module)
        optimizer = module.optim.SGD([weight], lr=0.1)
        scaler = module.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        seen = []
        for step in range(6):
            optimizer.zero_grad()
            scaler.scale((weight * weight).sum()).backward()
            if step == 3:
                weight.grad[1] = float("inf")
            if step % 2:
                scaler.unscale_(optimizer)
                seen.append(weight.grad.tolist())
            scaler.step(optimizer)
            scaler.update()
            seen.append((scaler.get_scale(), weight.tolist()))
        again = module.amp.GradScaler("cpu")
        again.load_state_dict(pickle.loads(pickle.dumps(scaler)).state_dict())
        return seen, scaler.state_dict(), again.state_dict()

    same(log)


def test_an_optimizer_that_unscales_by_itself():
    def log(module):
        weight = weights(module)
        optimizer = module.optim.Adam([weight], lr=0.1, fused=True)
        scaler = module.amp.GradScaler("cpu", init_scale=4.0)
        seen = []
        for step in range(3):
            optimizer.zero_grad()
            scaler.scale((weight * weight).sum()).backward()
            if step == 1:
                weight.grad[0] = float("nan")
            scaler.step(optimizer)
            scaler.update()
            seen.append(([round(w, 5) for w in weight.tolist()], scaler.get_scale()))
        return seen

    same(log)


def test_several_losses_at_once_and_a_disabled_scaler():
    def log(module):
        scaler = module.amp.GradScaler("cpu", init_scale=4.0)
        first, (second,) = scaler.scale([module.tensor(1.0), (module.tensor(2.0),)])
        off = module.amp.GradScaler("cpu", enabled=False)
        loss = module.tensor(3.0)
        return (
            first.item(),
            second.item(),
            off.scale(loss) is loss,
            off.state_dict(),
            off.get_scale(),
        )

    same(log)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda t, s, o: (s.unscale_(o), s.unscale_(o)),
        lambda t, s, o: (s.step(o), s.step(o)),
        lambda t, s, o: (s.step(o), s.unscale_(o)),
        lambda t, s, o: s.step(o, closure=lambda: 1),
        lambda t, s, o: s.update(t.tensor([1.0, 2.0])),
        lambda t, s, o: t.amp.GradScaler("cpu").update(),
        lambda t, s, o: t.amp.GradScaler("cpu", growth_factor=0.5),
        lambda t, s, o: t.amp.GradScaler("cpu", backoff_factor=1.5),
        lambda t, s, o: s.load_state_dict({}),
        lambda t, s, o: s.step(t.optim.SGD([t.ones(1, requires_grad=True)], lr=1.0)),
        lambda t, s, o: s.unscale_(_halves(t)),
    ],
)
def test_misuse_raises_alike(misuse):
    raised = []
    for module in MODULES:
        weight = weights(module)
        optimizer = module.optim.SGD([weight], lr=0.1)
        scaler = module.amp.GradScaler("cpu", init_scale=8.0)
        scaler.scale((weight * weight).sum()).backward()
        with pytest.raises(Exception) as caught:
            misuse(module, scaler, optimizer)
        raised.append(caught.type)
    assert raised[0] is raised[1]


def _halves(module):
    weight = module.ones(2, dtype=module.float16, requires_grad=True)
    weight.grad = module.ones(2, dtype=module.float16)
    return module.optim.SGD([weight], lr=1.0)
