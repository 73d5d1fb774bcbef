"""Convolution, pooling, normalization, attention, resizing: values, first and second gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import flashlight

SEEN = np.random.default_rng(3).random((2, 1, 3, 5)) < 0.6
SEEN[0, 0, 0] = False

# name, call(library, *tensors), shapes of the tensors
ROWS = {
    "conv2d": (lambda t, x, w, b: t.conv2d(x, w, b, 2, 1), (2, 3, 7, 7), (4, 3, 3, 3), (4,)),
    "conv1d, same": (lambda t, x, w: t.conv1d(x, w, None, 1, "same", 2, 2), (4, 9), (6, 2, 4)),
    "conv3d, depthwise": (
        lambda t, x, w: t.conv3d(x, w, None, 1, 1, 1, 2), (1, 2, 3, 4, 3), (4, 1, 2, 3, 2)),
    "conv_transpose2d": (
        lambda t, x, w, b: t.conv_transpose2d(x, w, b, 2, 1, 1, 2, (1, 3)),
        (2, 4, 4, 5), (4, 3, 3, 3), (6,)),
    "conv_transpose2d, padded beyond the stride": (
        lambda t, x, w: t.conv_transpose2d(x, w, None, 1, 0, 1, 2, 2), (2, 4, 4, 5), (4, 3, 3, 3)),
    "conv_tbc": (lambda t, x, w, b: t.conv_tbc(x, w, b, 1), (5, 2, 3), (3, 3, 4), (4,)),
    "max_pool2d": (lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1), (2, 3, 7, 7)),
    "max_pool1d": (lambda t, x: t.max_pool1d(x, 3, 2, 1, ceil_mode=True), (3, 8)),
    "avg_pool3d": (
        lambda t, x: t.nn.functional.avg_pool3d(x, 2, 2, 1, True, False), (1, 2, 5, 4, 4)),
    "lp_pool2d": (lambda t, x: t.nn.functional.lp_pool2d(x * x + 1, 3, 2), (1, 2, 5, 4)),
    "adaptive_avg_pool2d": (
        lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, (3, None)), (1, 2, 5, 4)),
    "adaptive_max_pool2d": (
        lambda t, x: t.nn.functional.adaptive_max_pool2d(x, (3, 2)), (1, 2, 5, 4)),
    "max_unpool2d": (
        lambda t, x: t.nn.functional.max_unpool2d(
            *t.nn.functional.max_pool2d(x, 2, return_indices=True), 2), (2, 3, 6, 6)),
    "layer_norm": (
        lambda t, x, w, b: t.layer_norm(x, (3, 4), w, b), (2, 5, 3, 4), (3, 4), (3, 4)),
    "rms_norm": (lambda t, x, w: t.rms_norm(x, (4,), w), (2, 5, 4), (4,)),
    "group_norm": (lambda t, x, w, b: t.group_norm(x, 2, w, b), (2, 4, 3, 4), (4,), (4,)),
    "batch_norm": (
        lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, True),
        (3, 4, 3), (4,), (4,)),
    "instance_norm": (
        lambda t, x, w, b: t.nn.functional.instance_norm(x, None, None, w, b),
        (3, 4, 5), (4,), (4,)),
    "local_response_norm": (
        lambda t, x: t.nn.functional.local_response_norm(x, 2), (2, 5, 4, 3)),
    "attention, causal": (
        lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 6)),
    "attention, mask": (
        lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(
            q, k, v, t.tensor(SEEN), scale=0.3), (2, 2, 3, 4), (2, 5, 4), (1, 2, 5, 4)),
    "attention, shared heads, gradient of the mask": (
        lambda t, q, k, v, m: t.nn.functional.scaled_dot_product_attention(
            q, k, v, m, enable_gqa=True), (2, 4, 3, 4), (2, 2, 5, 4), (2, 1, 5, 4), (4, 3, 5)),
    "interpolate, trilinear": (
        lambda t, x: t.nn.functional.interpolate(x, scale_factor=1.5, mode="trilinear"),
        (1, 2, 3, 4, 3)),
    "interpolate, bicubic": (
        lambda t, x: t.nn.functional.interpolate(x, (3, 9), mode="bicubic", antialias=True),
        (2, 3, 5, 4)),
    "affine_grid": (
        lambda t, theta: t.nn.functional.affine_grid(theta, (2, 3, 4, 5), False), (2, 2, 3)),
}
# PyTorch has no second derivative of these.
ONCE = {
    "grid_sample": (
        lambda t, x, g: t.nn.functional.grid_sample(x, g, "bicubic", "reflection", False),
        (2, 3, 4, 5), (2, 3, 3, 2)),
}


def derivatives(library, call, arrays, twice):
    tensors = [library.tensor(array, requires_grad=True) for array in arrays]
    result = call(library, *tensors)
    weights = library.linspace(-1, 1, result.numel(), dtype=library.float64).reshape(result.shape)
    weights.requires_grad_()
    grads = library.autograd.grad(result, tensors, weights, create_graph=twice)
    second = ()
    if twice:
        total = sum((grad * library.cos(grad.detach())).sum() for grad in grads)
        second = library.autograd.grad(total, [*tensors, weights], allow_unused=True)
    return [None if t is None else t.detach().numpy() for t in (result, *grads, *second)]


@pytest.mark.parametrize("name", [*ROWS, *ONCE])
def test_derivatives(name):
    call, *shapes = (ROWS | ONCE)[name]
    generator = np.random.default_rng(len(name))
    arrays = [generator.normal(size=shape) for shape in shapes]
    with sdpa_kernel(SDPBackend.MATH):
        expected = derivatives(torch, call, arrays, name in ROWS)
    actual = derivatives(flashlight, call, arrays, name in ROWS)
    for a, e in zip(actual, expected, strict=True):
        if a is None or e is None:
            assert e is None or not e.any()
            assert a is None or not a.any()
        else:
            assert a.shape == e.shape
            np.testing.assert_allclose(a, e, 1e-8, 1e-9)


def test_attention_in_blocks(monkeypatch):
    from flashlight._kernels import attention as kernels
    from flashlight._ops import attention

    monkeypatch.setattr(attention, "FEW", 0)
    monkeypatch.setattr(kernels, "BLOCK", 400)
    for name in ("attention, causal", "attention, mask"):
        test_derivatives(name)


def test_attention_drops_weights_in_blocks_as_it_does_at_once(monkeypatch):
    from flashlight._ops import attention

    query = flashlight.randn(1, 2, 50, 4)
    ones = flashlight.ones(1, 2, 50, 3)
    for few in (attention.FEW, 0):
        monkeypatch.setattr(attention, "FEW", few)
        result = flashlight.nn.functional.scaled_dot_product_attention(
            query, query, ones, dropout_p=0.5)
        assert abs(result.mean().item() - 1) < 0.2
        assert result.std().item() > 0.05


def test_running_statistics():
    arrays = [np.random.default_rng(0).normal(size=(3, 4, 5)), np.zeros(4), np.ones(4)]
    for name, training in (("batch_norm", True), ("instance_norm", True), ("batch_norm", False)):
        found = []
        for library in (torch, flashlight):
            x, mean, var = (library.tensor(array) for array in arrays)
            result = getattr(library.nn.functional, name)(x, mean, var, None, None, training, 0.3)
            found.append([t.numpy() for t in (result, mean, var)])
        for e, a in zip(*found, strict=True):
            np.testing.assert_allclose(a, e, 1e-10)


@pytest.mark.parametrize("call", [
    lambda t: t.conv2d(t.zeros(1, 3, 5, 5), t.zeros(2, 2, 3, 3)),
    lambda t: t.conv2d(t.zeros(1, 2, 5, 5), t.zeros(2, 2, 7, 3)),
    lambda t: t.conv2d(t.zeros(1, 2, 5, 5), t.zeros(2, 2, 3, 3), stride=0),
    lambda t: t.conv2d(t.zeros(1, 2, 5, 5), t.zeros(2, 2, 3, 3), padding="some"),
    lambda t: t.conv1d(t.zeros(1, 2, 5), None),
    lambda t: t.conv_transpose2d(t.zeros(1, 2, 5, 5), t.zeros(2, 3, 3, 3), output_padding=1),
    lambda t: t.nn.functional.max_pool2d(t.zeros(1, 1, 5, 5), 2, padding=2),
    lambda t: t.nn.functional.max_pool2d(t.zeros(1, 1, 5, 5), 7),
    lambda t: t.nn.functional.avg_pool2d(t.zeros(1, 1, 5, 5), 2, divisor_override=0),
    lambda t: t.nn.functional.adaptive_max_pool2d(t.zeros(2, 2), (2, 2)),
    lambda t: t.nn.functional.max_unpool2d(
        t.zeros(1, 1, 2, 2), t.full((1, 1, 2, 2), 99), 2),
    lambda t: t.layer_norm(t.zeros(2, 4), (3,)),
    lambda t: t.group_norm(t.zeros(2, 5), 2),
    lambda t: t.nn.functional.batch_norm(t.zeros(1, 3), None, None, training=True),
    lambda t: t.nn.functional.scaled_dot_product_attention(
        t.zeros(2, 3, 4), t.zeros(2, 5, 4), t.zeros(2, 5, 6), t.ones(3, 5), is_causal=True),
    lambda t: t.nn.functional.interpolate(t.zeros(1, 2, 4, 4), scale_factor=2, mode="linear"),
    lambda t: t.nn.functional.interpolate(t.zeros(1, 2, 4, 4), size=2, scale_factor=2),
    lambda t: t.nn.functional.grid_sample(t.zeros(1, 2, 4, 4), t.zeros(1, 3, 3, 3)),
    lambda t: t.nn.functional.affine_grid(t.zeros(2, 3), (1, 2, 4, 4), False),
])
@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_errors(call):
    with pytest.raises(Exception) as expected:
        call(torch)
    with pytest.raises(expected.type):
        call(flashlight)
