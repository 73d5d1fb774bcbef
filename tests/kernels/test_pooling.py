from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import torch
from torch.nn import functional

from flashlight._kernels import pooling as kernels

CASES = [
    # size, kernel, stride, padding, dilation, ceil_mode
    ((2, 3, 9), (2,), (2,), (0,), (1,), False),
    ((2, 3, 10), (3,), (2,), (1,), (2,), True),
    ((2, 3, 8, 9), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((2, 3, 8, 9), (3, 2), (1, 2), (1, 1), (1, 1), False),
    ((1, 2, 9, 9), (3, 3), (2, 2), (1, 1), (2, 2), True),
    ((2, 1, 4, 5), (4, 5), (1, 1), (0, 0), (1, 1), False),
    ((2, 2, 4, 5, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1), True),
]


def values(shape, seed, special=False):
    array = np.random.default_rng(seed).integers(-5, 5, shape).astype(np.float32)
    if special:
        flat = array.reshape(-1)
        flat[::7] = -np.inf
        flat[3::11] = np.nan
    return torch.from_numpy(array)


def close(actual, expected, tolerance=1e-5):
    assert tuple(actual.shape) == tuple(expected.shape)
    np.testing.assert_allclose(np.array(actual), expected.detach().numpy(), tolerance, tolerance)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_max_pool(case, special):
    size, kernel, stride, padding, dilation, ceil_mode = case
    input = values(size, 1, special)
    if special:
        input[0] = -np.inf
    input.requires_grad_()
    function = getattr(functional, f"max_pool{len(kernel)}d")
    expected, indices = function(input, kernel, stride, padding, dilation, ceil_mode,
                                 return_indices=True)
    x = mx.array(input.detach().numpy())
    rest = kernel, stride, padding, dilation, expected.shape[2:]
    close(kernels.max_pool(x, *rest), expected)
    found = kernels.max_pool_indices(x, *rest)
    assert found.dtype == mx.int64
    close(found, indices)
    grad = values(expected.shape, 2)
    expected_grad, = torch.autograd.grad(expected, input, grad)
    close(kernels.add_at(mx.array(grad.numpy()), found, size[2:]), expected_grad)
    close(kernels.take_at(x, found, len(kernel)), expected)


@pytest.mark.parametrize("divisor", [None, 7])
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_avg_pool(case, include, divisor):
    size, kernel, stride, padding, _, ceil_mode = case
    function = getattr(functional, f"avg_pool{len(kernel)}d")
    options = (ceil_mode, include) if len(kernel) == 1 else (ceil_mode, include, divisor)
    divisor = None if len(kernel) == 1 else divisor
    input = values(size, 3).requires_grad_()
    expected = function(input, kernel, stride, padding, *options)
    x = mx.array(input.detach().numpy())
    actual = kernels.avg_pool(x, kernel, stride, padding, expected.shape[2:], include, divisor)
    close(actual, expected)
    grad = values(expected.shape, 4)
    expected_grad, = torch.autograd.grad(expected, input, grad)
    close(kernels.avg_pool_gradient(mx.array(grad.numpy()), size[2:], kernel, stride, padding,
                                    include, divisor), expected_grad)


@pytest.mark.parametrize(("size", "counts"), [
    ((2, 3, 7), (3,)), ((2, 3, 4), (9,)), ((2, 2, 8, 9), (4, 2)), ((2, 2, 5, 3), (1, 1)),
    ((1, 2, 5, 6, 7), (2, 6, 4)),
])
def test_adaptive_pools(size, counts):
    rank = len(counts)
    input = values(size, 5, special=True)
    expected, indices = getattr(functional, f"adaptive_max_pool{rank}d")(
        input, counts, return_indices=True)
    x = mx.array(input.numpy())
    close(kernels.adaptive_max_pool(x, counts), expected)
    close(kernels.adaptive_max_pool_indices(x, counts), indices)
    input = values(size, 6).requires_grad_()
    expected = getattr(functional, f"adaptive_avg_pool{rank}d")(input, counts)
    close(kernels.adaptive_avg_pool(mx.array(input.detach().numpy()), counts), expected)
    grad = values(expected.shape, 7)
    expected_grad, = torch.autograd.grad(expected, input, grad)
    close(kernels.adaptive_avg_pool_gradient(mx.array(grad.numpy()), size[2:]), expected_grad)


@pytest.mark.parametrize(("size", "kernel", "counts"), [
    ((2, 3, 8, 9), (2, 3), (4, 3)), ((2, 3, 5, 5), (3, 3), (1, 2)),
    ((1, 2, 5, 6, 7), (2, 2, 3), (2, 3, 3)),
])
def test_fractional_max_pool(size, kernel, counts):
    rank = len(kernel)
    input, samples = values(size, 8, special=True), torch.rand(*size[:2], rank)
    expected, indices = getattr(functional, f"fractional_max_pool{rank}d")(
        input, kernel, counts, return_indices=True, _random_samples=samples)
    # PyTorch keeps the numbers of the last dimension first in two dimensions, but not in three.
    order = range(rank) if rank == 3 else reversed(range(rank))
    starts = [kernels.fractional_starts(mx.array(samples[..., i].numpy()), n, k, c)
              for i, n, k, c in zip(order, size[2:], kernel, counts, strict=True)]
    x = mx.array(input.numpy())
    found = kernels.box_max_indices(x, starts, kernel)
    close(found, indices)
    close(kernels.take_at(x, found, rank), expected)


def test_integers():
    x = torch.arange(-20, 20, dtype=torch.int64).reshape(1, 1, 5, 8)
    array = mx.array(x.numpy())
    close(kernels.max_pool(array, (3, 3), (2, 2), (1, 1), (1, 1), (3, 4)),
          functional.max_pool2d(x, 3, 2, 1))
    close(kernels.avg_pool(array, (3, 3), (2, 2), (1, 1), (3, 4)),
          functional.avg_pool2d(x, 3, 2, 1))


def test_vmap():
    x = mx.random.normal((3, 2, 4, 6, 6), key=mx.random.key(0))
    rest = (3, 3), (2, 2), (1, 1)
    for run in (
        lambda x: kernels.max_pool_indices(x, *rest, (1, 1), (3, 3)),
        lambda x: kernels.add_at(x, kernels.max_pool_indices(x, (1, 1), (1, 1), (0, 0), (1, 1),
                                                             (6, 6)), (7, 7)),
        lambda x: kernels.avg_pool_gradient(kernels.avg_pool(x, *rest, (3, 3)), (6, 6), *rest),
        lambda x: kernels.adaptive_avg_pool(x, (4, 5)),
    ):
        assert mx.allclose(mx.vmap(run)(x), mx.stack([run(one) for one in x]))
