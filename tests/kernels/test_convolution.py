from __future__ import annotations

import itertools
import zlib

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._kernels import convolution as kernels

CASES = [
    # input, outputs, kernel, stride, padding, dilation, groups
    ((2, 3, 9), 4, (3,), (1,), (0,), (1,), 1),
    ((2, 4, 10), 6, (3,), (2,), (1,), (2,), 2),
    ((2, 3, 7, 8), 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 6, 7, 8), 3, (3, 2), (1, 1), (1, 0), (1, 1), 1),
    ((2, 4, 9, 8), 6, (3, 2), (2, 3), (2, 1), (2, 1), 2),
    ((2, 4, 9, 9), 4, (3, 3), (2, 2), (1, 1), (1, 1), 4),
    ((1, 4, 8, 8), 8, (3, 3), (1, 1), (2, 2), (2, 2), 4),
    ((2, 3, 8, 8), 4, (4, 4), (4, 4), (0, 0), (1, 1), 1),
    ((2, 3, 9, 9), 4, (2, 2), (3, 3), (0, 0), (1, 1), 1),
    ((2, 3, 9, 9), 4, (3, 3), (2, 2), (0, 0), (4, 3), 1),
    ((2, 5, 6, 6), 4, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((1, 1, 12, 12), 2, (8, 8), (1, 1), (3, 3), (1, 1), 1),
    ((2, 2, 5, 6, 4), 4, (3, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2), 2),
    ((1, 2, 4, 5, 5), 3, (2, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
]
DTYPES = {"float32": 1e-5, "float64": 1e-12, "float16": 4e-3, "bfloat16": 3e-2, "complex64": 1e-5}


def to_mlx(tensor):
    if tensor.dtype == torch.bfloat16:
        return mx.array(tensor.float().numpy()).astype(mx.bfloat16)
    return mx.array(tensor.numpy(), dtype=getattr(mx, str(tensor.dtype).removeprefix("torch.")))


def check(actual, expected, tolerance):
    assert str(actual.dtype).split(".")[-1] == str(expected.dtype).removeprefix("torch.")
    assert tuple(actual.shape) == tuple(expected.shape)
    if actual.dtype == mx.bfloat16:
        actual, expected = actual.astype(mx.float32), expected.float()
    expected = expected.numpy()
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(np.array(actual), expected, rtol=tolerance, atol=tolerance * scale)


def sample(shape, dtype, seed):
    generator = torch.Generator().manual_seed(zlib.crc32(repr(seed).encode()))
    return torch.randn(shape, generator=generator, dtype=torch.float32 if dtype.itemsize < 4 else
                       dtype).to(dtype)


@pytest.mark.parametrize(("case", "dtype"), [
    *itertools.product(CASES, ["float32", "float64"]),
    *itertools.product(CASES[4:6], ["float16", "bfloat16", "complex64"]),
])
def test_convolution_and_its_gradients(case, dtype):
    size, outputs, kernel, stride, padding, dilation, groups = case
    tolerance, dtype = DTYPES[dtype], getattr(torch, dtype)
    input = sample(size, dtype, case).requires_grad_()
    weight = sample((outputs, size[1] // groups, *kernel), dtype, case[1:]).requires_grad_()
    function = getattr(torch.nn.functional, f"conv{len(kernel)}d")
    expected = function(input, weight, None, stride, padding, dilation, groups)
    grad = sample(expected.shape, dtype, case[2:])
    input_grad, weight_grad = torch.autograd.grad(expected, [input, weight], grad)

    x, w, g = to_mlx(input.detach()), to_mlx(weight.detach()), to_mlx(grad)
    pairs = [(p, p) for p in padding]
    rest = stride, pairs, dilation, groups
    check(kernels.convolution(x, w, *rest), expected.detach(), tolerance)
    # PyTorch's gradients of complex convolutions conjugate the other factor.
    conj = mx.conj if dtype.is_complex else lambda array: array
    check(kernels.convolution_input_gradient(g, conj(w), size[2:], *rest), input_grad, tolerance)
    check(kernels.convolution_weight_gradient(g, conj(x), kernel, *rest), weight_grad, tolerance)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers_wrap(dtype):
    dtype = getattr(torch, dtype)
    info = torch.iinfo(dtype)
    input = torch.randint(info.min, info.max, (2, 3, 6), dtype=dtype)
    weight = torch.randint(info.min, info.max, (4, 3, 3), dtype=dtype)
    windows = np.lib.stride_tricks.sliding_window_view(input.numpy(), 3, axis=2)
    products = windows[:, None] * weight.numpy()[None, :, :, None]
    expected = products.sum((2, 4), dtype=windows.dtype)
    actual = kernels.convolution(to_mlx(input), to_mlx(weight), (1,), ((0, 0),), (1,))
    np.testing.assert_array_equal(np.array(actual), expected)


@pytest.mark.parametrize("case", [CASES[2], CASES[3], CASES[4], CASES[12]])
def test_pieces_change_nothing(case, monkeypatch):
    size, outputs, kernel, stride, padding, dilation, groups = case
    rest = stride, [(p, p) for p in padding], dilation, groups
    x = mx.random.normal((3, *size[1:]), key=mx.random.key(0))
    w = mx.random.normal((outputs, size[1] // groups, *kernel), key=mx.random.key(1))
    whole = kernels.convolution(x, w, *rest)
    g = mx.random.normal(whole.shape, key=mx.random.key(2))

    def results():
        return [kernels.convolution(x, w, *rest),
                kernels.convolution_input_gradient(g, w, size[2:], *rest),
                kernels.convolution_weight_gradient(g, x, kernel, *rest)]

    before = results()
    for piece in (64, 2000, 6000):
        monkeypatch.setattr(kernels, "WHOLE", piece)
        monkeypatch.setattr(kernels, "PIECE", piece)
        for a, b in zip(before, results(), strict=True):
            assert mx.allclose(a, b, 1e-4, 1e-4)


def test_vmap_and_compile(monkeypatch):
    monkeypatch.setattr(kernels, "WHOLE", 64)
    monkeypatch.setattr(kernels, "PIECE", 64)
    x = mx.random.normal((3, 2, 4, 6, 6), key=mx.random.key(0))
    w = mx.random.normal((3, 5, 2, 3, 3), key=mx.random.key(1))
    rest = (2, 1), ((1, 1), (0, 0)), (1, 2), 2

    def run(x, w):
        result = kernels.convolution(x, w, *rest)
        return (result, kernels.convolution_input_gradient(result, w, (6, 6), *rest),
                kernels.convolution_weight_gradient(result, x, (3, 3), *rest))

    w = mx.concatenate([w, w[:, :1]], axis=1)
    expected = [mx.stack(parts) for parts in zip(*(run(a, b) for a, b in zip(x, w)))]
    for actual in (mx.vmap(run)(x, w), mx.vmap(mx.compile(run))(x, w)):
        for a, b in zip(actual, expected, strict=True):
            assert mx.allclose(a, b, 1e-4, 1e-4)
