from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

VIEWS = {
    "expand, transpose": lambda x: x.expand(2, 3, 2).transpose(1, 2),
    "expand, select": lambda x: x.expand(2, 3, 2)[:, 1],
    "expand, reshape": lambda x: x.unsqueeze(1).expand(3, 4, 2).reshape(3, 4, 2),
    "overlap, transpose": lambda x: x.as_strided((2, 3), (1, 1)).transpose(0, 1),
    "unfold, transpose": lambda x: x.unfold(0, 2, 1).transpose(0, 1),
}


@pytest.mark.parametrize("name", VIEWS)
def test_gradient_of_a_view_of_shared_elements(name):
    view = VIEWS[name]
    values = np.arange(6, dtype=np.float64).reshape(3, 2)
    grads = []
    for library in (torch, flashlight):
        x = library.tensor(values, requires_grad=True)
        y = view(x)
        weights = library.arange(1.0, y.numel() + 1, dtype=library.float64).reshape(y.shape)
        weights.requires_grad_()
        grad, = library.autograd.grad(y * y, x, weights, create_graph=True)
        second = library.autograd.grad(grad.sum(), (x, weights))
        grads.append([g.detach().numpy() for g in (grad, *second)])
    for expected, actual in zip(*grads, strict=True):
        np.testing.assert_allclose(actual, expected, 1e-12)


def test_second_derivative_through_saved_results():
    # A saved statistic is an output of its node, a saved constant is not.
    values = np.random.default_rng(0).normal(size=(4, 3))
    found = []
    for library in (torch, flashlight):
        x = library.tensor(values, requires_grad=True)
        weight = library.ones(3, dtype=library.float64)
        y = library.layer_norm(x, (3,), weight)
        grad, = library.autograd.grad((y * y * y).sum(), x, create_graph=True)
        second, = library.autograd.grad((grad * grad).sum(), x)
        found.append((grad.detach().numpy(), second.numpy()))
        assert not weight.requires_grad
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, 1e-9, 1e-9)
