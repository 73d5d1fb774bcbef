from __future__ import annotations

import itertools

import mlx.core as mx
import numpy as np
import pytest
import torch
from torch.nn import functional

from flashlight._kernels import grid_sampling, vision

MODES = {"nearest": vision.NEAREST, "nearest-exact": vision.NEAREST_EXACT,
         "linear": vision.LINEAR, "bilinear": vision.LINEAR, "trilinear": vision.LINEAR,
         "bicubic": vision.CUBIC, "lanczos": vision.LANCZOS}
PAIRS = [(5, 5), (5, 10), (7, 3), (4, 9), (1, 3), (6, 1), (9, 4)]


def resized(array, mode, counts, scale, align_corners, antialias, backward=None):
    double = array.dtype == mx.float64
    for axis, count in enumerate(counts, 2):
        of = (mode, array.shape[axis], count, scale, align_corners, antialias, double)
        if backward is not None:
            of = (mode, backward[axis - 2], array.shape[axis], scale, align_corners, antialias,
                  double)
            by = vision.transposed(of, backward[axis - 2])
        else:
            by = vision.table(*of)
        array = vision.resample(array, axis, by)
    return array


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("mode", "align_corners", "antialias"), [
    ("nearest", None, False), ("nearest-exact", None, False), ("bilinear", False, False),
    ("bilinear", True, False), ("bicubic", False, False), ("bicubic", True, False),
    ("bilinear", False, True), ("bicubic", False, True), ("bicubic", True, True),
    ("lanczos", False, True),
])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resampling_and_its_transpose(mode, align_corners, antialias, pair, dtype):
    size, counts = (pair[0], 6), (pair[1], 5)
    dtype = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(7)
    input = torch.randn(2, 3, *size, dtype=dtype, generator=generator, requires_grad=True)
    expected = functional.interpolate(input, counts, mode=mode, align_corners=align_corners,
                                      antialias=antialias)
    grad = torch.randn(expected.shape, dtype=dtype, generator=generator)
    expected_grad, = torch.autograd.grad(expected, input, grad)
    to = {"dtype": getattr(mx, str(dtype)[6:])}
    x, g = mx.array(input.detach().numpy(), **to), mx.array(grad.numpy(), **to)
    rest = MODES[mode], counts, None, bool(align_corners), antialias
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(np.array(resized(x, *rest)), expected.detach().numpy(),
                               tolerance, tolerance)
    np.testing.assert_allclose(np.array(resized(g, *rest, backward=size)), expected_grad.numpy(),
                               tolerance, tolerance)


@pytest.mark.parametrize("scale", [0.6, 1.7, 2.5, 3.0])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_scale_decides_where_to_look(mode, scale):
    input = torch.arange(22.0).reshape(1, 2, 11)
    expected = functional.interpolate(input, scale_factor=scale, mode=mode)
    actual = resized(mx.array(input.numpy()), MODES[mode], expected.shape[2:], scale, False, False)
    np.testing.assert_allclose(np.array(actual), expected.numpy(), 1e-5, 1e-6)


def test_infinities_stay_where_they_have_weight():
    input = torch.ones(1, 1, 6, 6)
    input[0, 0, 2, 3] = torch.inf
    for mode in ("bilinear", "bicubic"):
        expected = functional.interpolate(input, (12, 9), mode=mode)
        actual = resized(mx.array(input.numpy()), MODES[mode], (12, 9), None, False, False)
        np.testing.assert_array_equal(np.isfinite(np.array(actual)), expected.isfinite().numpy())


@pytest.mark.parametrize(("rank", "mode"), [
    (2, "bilinear"), (2, "nearest"), (2, "bicubic"), (3, "bilinear"), (3, "nearest")])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_grid_sample(rank, mode, padding, align_corners):
    generator = torch.Generator().manual_seed(5)
    size, counts = (5, 4, 6)[:rank], (4, 3, 3)[:rank]
    input = torch.randn(2, 3, *size, generator=generator, requires_grad=True)
    grid = (torch.randn(2, *counts, rank, generator=generator) * 1.5).requires_grad_()
    expected = functional.grid_sample(input, grid, mode, padding, align_corners)
    grad = torch.randn(expected.shape, generator=generator)
    grads = torch.autograd.grad(expected, [input, grid], grad)
    code = {"bilinear": 0, "nearest": 1, "bicubic": 2}[mode]
    edge = {"zeros": 0, "border": 1, "reflection": 2}[padding]
    arrays = [mx.array(t.detach().numpy()) for t in (input, grid)]
    result, found = mx.vjp(
        lambda x, g: grid_sampling.grid_sample(x, g, code, edge, align_corners), arrays,
        [mx.array(grad.numpy())])
    np.testing.assert_allclose(np.array(result[0]), expected.detach().numpy(), 1e-4, 1e-4)
    for a, b in zip(found, grads, strict=True):
        np.testing.assert_allclose(np.array(a), b.numpy(), 1e-4, 1e-4)


def test_grid_sample_at_no_position():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    grid = torch.tensor([[[[torch.nan, 0.0], [torch.inf, 0.5], [-1e30, 1e30], [0.3, -0.2]]]])
    for mode, padding in itertools.product(range(3), range(3)):
        actual = grid_sampling.grid_sample(mx.array(x.numpy()), mx.array(grid.numpy()), mode,
                                           padding, False)
        expected = torch.grid_sampler(x, grid, mode, padding, False)
        np.testing.assert_allclose(np.array(actual)[..., 3], expected.numpy()[..., 3], 1e-5)


def test_vmap():
    x = mx.random.normal((3, 2, 1, 4, 4), key=mx.random.key(0))
    grid = mx.random.normal((3, 2, 3, 3, 2), key=mx.random.key(1))
    for run in (lambda x, g: grid_sampling.grid_sample(x, g, 0, 1, False),
                lambda x, g: resized(x, vision.CUBIC, (7, 3), None, False, False)):
        expected = mx.stack([run(a, b) for a, b in zip(x, grid, strict=True)])
        assert mx.allclose(mx.vmap(run)(x, grid), expected, 1e-4, 1e-5)
