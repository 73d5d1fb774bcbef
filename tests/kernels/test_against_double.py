"""float32 operations of training programs err no more than PyTorch's, measured against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import flashlight

# Errors are sums of roundings, so equally good orders of adding up differ by chance.
CHANCE = 2.0
CASES = {
    "softmax": ([(64, 256)], lambda f, x: f.softmax(x, -1)),
    "log_softmax": ([(64, 256)], lambda f, x: f.log_softmax(x, -1)),
    "gelu": ([(64, 256)], lambda f, x: f.gelu(x)),
    "layer_norm": ([(16, 64, 128), (128,), (128,)], lambda f, x, *p: f.layer_norm(x, (128,), *p)),
    "batch_norm_1d": (
        [(64, 100), (100,), (100,)],
        lambda f, x, *p: f.batch_norm(x, None, None, *p, training=True),
    ),
    "batch_norm_2d": (
        [(64, 8, 32, 32), (8,), (8,)],
        lambda f, x, *p: f.batch_norm(x, None, None, *p, training=True),
    ),
    "group_norm": ([(8, 32, 16, 16), (32,), (32,)], lambda f, x, *p: f.group_norm(x, 8, *p)),
    "conv2d": (
        [(8, 16, 16, 16), (16, 16, 3, 3), (16,)],
        lambda f, *arguments: f.conv2d(*arguments, padding=1),
    ),
    "attention": (
        [(2, 4, 64, 32)] * 3,
        lambda f, *arguments: f.scaled_dot_product_attention(*arguments, is_causal=True),
    ),
}


def value_and_gradients(namespace, function, arrays, cotangent) -> list[np.ndarray]:
    inputs = [namespace.from_numpy(array).requires_grad_() for array in arrays]
    result = function(namespace.nn.functional, *inputs)
    result.backward(namespace.from_numpy(cotangent))
    return [result.detach().numpy(), *(x.grad.numpy() for x in inputs)]


@pytest.mark.parametrize("mean", [0.0, 3.0])
@pytest.mark.parametrize("name", CASES)
def test_no_further_from_the_truth_than_pytorch(name, mean):
    shapes, function = CASES[name]
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    arrays[0] += np.float32(mean)
    with torch.no_grad():
        size = function(F, *map(torch.from_numpy, arrays)).shape
    cotangent = random.standard_normal(size).astype(np.float32)

    exact = value_and_gradients(
        torch, function, [array.astype(np.float64) for array in arrays], cotangent.astype(float)
    )
    theirs = value_and_gradients(torch, function, arrays, cotangent)
    ours = value_and_gradients(flashlight, function, arrays, cotangent)
    for mine, reference, truth in zip(ours, theirs, exact, strict=True):
        allowed = CHANCE * np.linalg.norm(reference - truth)
        assert np.linalg.norm(mine - truth) <= allowed + 1e-8 * np.linalg.norm(truth)
