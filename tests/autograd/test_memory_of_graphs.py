"""Long graphs, cycles, and what is freed when."""

from __future__ import annotations

import gc

import mlx.core as mx
import pytest

import flashlight as torch


def test_a_graph_of_a_hundred_thousand_nodes():
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    del y  # freeing must not recurse either


class Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[1]


def unused_graphs():
    x = torch.ones(3, requires_grad=True)
    (x.exp() * x).sum()
    Exponential.apply(x)
    y = x.clone()
    y[0] = 1
    y.view(3).mul_(2)
    x.softmax(0).max(0)


def views():
    x = torch.ones(3, 3, requires_grad=True)
    y = x * 1
    row, turned = y[0], y.t()
    row.mul_(2)
    turned.sum().backward()


def hooks():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: grad * 2)
    y.retain_grad()
    x.register_hook(lambda grad: grad * 2)
    x.register_post_accumulate_grad_hook(lambda leaf: None)
    y.sum().backward()


def second_order():
    x = torch.ones(3, requires_grad=True)
    (grad,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    grad.sum().backward()


def training():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(torch.ones(3, 4)), torch.ones(3, 2)).backward()
        optimizer.step()


@pytest.mark.parametrize("program", [unused_graphs, views, hooks, second_order, training])
def test_no_reference_cycles(program):
    program()
    gc.collect()
    gc.disable()
    try:
        program()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_backward_frees_what_was_saved():
    gc.collect()
    before = mx.get_active_memory()
    x = torch.ones(100_000, requires_grad=True)
    y = x.exp()
    z = (y * y).sum()
    del y
    z.item()
    assert mx.get_active_memory() >= before + 2 * x.nbytes
    z.backward()
    x.grad[0].item()
    assert mx.get_active_memory() < before + 2.5 * x.nbytes


def test_retained_graphs_keep_what_was_saved():
    x = torch.ones(3, requires_grad=True)
    z = x.exp().sum()
    z.backward(retain_graph=True)
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()


def test_loops_that_nobody_reads_stay_bounded():
    x = torch.ones(100_000)
    before = mx.get_active_memory()
    for _ in range(2_000):
        x.add_(1)
    assert mx.get_active_memory() < before + 50 * x.nbytes
    assert x[0].item() == 2001

    weight = torch.ones(50, 50, requires_grad=True)
    before = mx.get_active_memory()
    for _ in range(400):
        weight.grad = None
        ((weight @ weight) * 1e-3).sum().backward()
        with torch.no_grad():
            weight -= 1e-6 * weight.grad
    assert mx.get_active_memory() < before + 2000 * weight.nbytes
