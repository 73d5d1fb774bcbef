"""Lazy evaluation stays bounded, threads share streams, and too much memory raises."""

from __future__ import annotations

import threading

import pytest

import flashlight
from flashlight._core.evaluation import LIMIT, local


def test_unread_updates_do_not_pile_up():
    x = flashlight.zeros(4)
    for _ in range(5 * LIMIT):
        x.add_(1)
        assert len(local.pending) <= LIMIT + 1
    assert x.tolist() == [5 * LIMIT] * 4


def test_an_unread_training_loop_learns():
    flashlight.manual_seed(0)
    layer = flashlight.nn.Linear(4, 1)
    optimizer = flashlight.optim.SGD(layer.parameters(), lr=0.05)
    inputs = flashlight.randn(32, 4)
    target = inputs.sum(1, keepdim=True)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (layer(inputs) - target).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert losses[-1].item() < 1e-2 * losses[0].item()


def test_lazy_tensors_cross_threads():
    x = flashlight.arange(6.0) * 2  # not evaluated yet
    found = []

    def work():
        found.append((x + 1).view(2, 3)[1].sum())
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tensor.item() for tensor in found] == [7.0 + 9.0 + 11.0] * 3


@pytest.mark.parametrize("make", [
    lambda: flashlight.zeros(10**13),
    lambda: flashlight.randn(10**12),
    lambda: flashlight.arange(10**13),
    lambda: flashlight.eye(10**7),
    lambda: flashlight.ones(1).repeat(10**13),
    lambda: flashlight.ones(10**6, 1) + flashlight.ones(10**6),
    lambda: flashlight.ones(10**6, 1) @ flashlight.ones(1, 10**6),
    lambda: flashlight.ones(10**6, 1).expand(10**6, 10**6).contiguous(),
], ids=["zeros", "randn", "arange", "eye", "repeat", "broadcast", "matmul", "contiguous"])
def test_more_memory_than_there_is(make):
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        make()
