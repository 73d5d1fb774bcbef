"""The third call is as the first: what is remembered of calls must not leak into others."""

from __future__ import annotations

import threading

import pytest
import torch

import flashlight


def thrice(function):
    """Return the results of three calls: unseen, seen once, prepared."""
    return [function() for _ in range(3)]


CALLS = {
    "matmul": lambda m, x: m.matmul(x, x),
    "sum": lambda m, x: x.sum(0),
    "sum of many": lambda m, x: x.sum((0, 1), keepdim=True),
    "mean": lambda m, x: x.mean(-1),
    "softmax": lambda m, x: m.softmax(x, 0),
    "clamp": lambda m, x: x.clamp(0.5, 2),
    "view operand": lambda m, x: x.t() * x,
    "row": lambda m, x: x + x[0],
    "linear": lambda m, x: m.nn.functional.linear(x, x, x[0]),
    "cumsum": lambda m, x: x.cumsum(1),
    "leaky_relu": lambda m, x: m.nn.functional.leaky_relu(x - 4, 0.2),
    "slice": lambda m, x: x[1:, None, ..., ::2],
    "reshape": lambda m, x: x.t().reshape(-1, 1),
    "view": lambda m, x: x.view(9).unsqueeze(0),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_and_gradients(name):
    def run(m):
        x = (m.arange(9.0).reshape(3, 3) / 4).requires_grad_()
        with m.no_grad():
            thrice(lambda: CALLS[name](m, x))
        results = thrice(lambda: CALLS[name](m, x))
        for result in results:
            (result * result).sum().backward()
        return results[2], x.grad

    for ours, theirs in zip(run(flashlight), run(torch)):
        assert ours.stride() == theirs.stride()
        torch.testing.assert_close(torch.tensor(ours.tolist()), theirs.detach())


def test_numbers_of_other_types_are_other_calls():
    whole = flashlight.arange(4)
    dtypes = [[flashlight.clamp(whole, low).dtype for low in (1, 1.0, True)] for _ in range(3)]
    assert dtypes[0] == dtypes[1] == dtypes[2]
    x = flashlight.tensor([1.0, -1.0])
    for zero, sign in ((0.0, 1), (-0.0, -1)) * 3:
        assert flashlight.copysign(x, zero).sign().tolist() == [sign, sign]


def test_errors_come_every_time():
    x, y = flashlight.ones(2, 3), flashlight.ones(2, 3)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            flashlight.mm(x, y)
        with pytest.raises(TypeError):
            x.sum(dim="a")
        with pytest.raises(IndexError):
            x[5:, 7]


def test_data_are_checked_every_time():
    table, good, bad = flashlight.ones(3, 2), flashlight.tensor([0, 2]), flashlight.tensor([0, 3])
    thrice(lambda: table.index_select(0, good))
    with pytest.raises(IndexError):
        table.index_select(0, bad)
    counts = [flashlight.tensor(v).nonzero().shape[0] for v in ([1, 0, 1], [0, 0, 0], [1, 1, 1])]
    assert counts == [2, 0, 3]


def test_what_watches_calls_sees_them():
    x = flashlight.ones(3, 3)
    thrice(lambda: x @ x)
    with flashlight.autocast("cpu", dtype=flashlight.bfloat16):
        assert (x @ x).dtype is flashlight.bfloat16
    assert (x @ x).dtype is flashlight.float32
    meta = flashlight.ones(3, 3, device="meta")
    assert thrice(lambda: meta @ meta)[2].is_meta
    found = []
    thread = threading.Thread(target=lambda: found.append((x @ x).sum().item()))
    thread.start()
    thread.join()
    assert found == [27]
    assert flashlight.vmap(lambda row: row @ x)(x).shape == (3, 3)
