"""Reductions: every combination of axes against PyTorch, and long ones against exact sums."""

from __future__ import annotations

import itertools
import math

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._kernels import reduction, softmax

from .accuracy import assert_close

SHAPES = [(5,), (20000,), (33, 300), (3, 9000, 2), (2, 3, 4, 5), (4, 8, 24, 32)]
ALL = [(s, a) for s in SHAPES for k in range(1, len(s) + 1)
       for a in itertools.combinations(range(len(s)), k)]  # fmt: skip
DTYPES = {
    torch.float32: mx.float32, torch.float64: mx.float64, torch.complex64: mx.complex64,
    torch.int32: mx.int32, torch.bool: mx.bool_,
}  # fmt: skip


def pair(shape, dtype: torch.dtype) -> tuple[mx.array, torch.Tensor]:
    """The same random numbers on both sides."""
    tensor = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if dtype is torch.complex64:
        tensor = torch.complex(tensor, tensor.flip(0))
    elif dtype is torch.int32:
        tensor = tensor * 2e9
    tensor = tensor > 0.5 if dtype is torch.bool else tensor.to(dtype)
    return mx.array(tensor.numpy(), dtype=DTYPES[dtype]), tensor


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_over_any_axes(dtype):
    for (shape, axes), keepdims in itertools.product(ALL, (False, True)):
        x, t = pair(shape, dtype)
        assert_close(reduction.sum(x, axes, keepdims), t.sum(axes, keepdim=keepdims))
        if dtype.is_floating_point or dtype.is_complex:
            assert_close(reduction.mean(x, axes, keepdims), t.mean(axes, keepdim=keepdims))
            expected = t.var(axes, correction=1, keepdim=keepdims)
            assert_close(reduction.var(x, axes, 1, keepdims), expected)
            expected = t.std(axes, correction=0, keepdim=keepdims)
            assert_close(reduction.std(x, axes, 0, keepdims), expected)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 0.5, -1, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_norms(order, dtype):
    x, t = pair((30, 400), dtype)
    for axes in ((0,), (1,), (0, 1)):
        expected = torch.linalg.vector_norm(t.to(torch.complex128), order, axes)
        real = torch.float64 if dtype is torch.float64 else torch.float32
        assert_close(reduction.norm(x, order, axes), expected.to(real))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16, torch.float16])
def test_products_and_scans(dtype):
    for shape, axis in (((7,), 0), ((6, 90), 1), ((90, 6), 0), ((), 0)):
        if dtype.itemsize == 2:
            t = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
            x = mx.array(t.float().numpy()).astype(getattr(mx, str(dtype).removeprefix("torch.")))
        else:
            x, t = pair(shape, dtype)
        for name in ("cumsum", "cumprod"):
            actual, expected = getattr(reduction, name)(x, axis), getattr(t, name)(axis)
            if dtype.itemsize == 2:
                actual, expected = actual.astype(mx.float32), expected.float()
            assert_close(actual, expected)
        if shape and dtype.itemsize != 2:
            assert_close(reduction.prod(x, (axis,)), t.prod(axis))


@pytest.mark.parametrize("count", [1000, 70_000, 3_000_000])
def test_long_sums_are_as_exact_as_pytorch(count):
    uniform = np.random.default_rng(0).random(count, np.float32)
    for values in (np.full(count, 0.1, np.float32), uniform):
        exact = math.fsum(values)
        x = mx.array(values)
        for array in (x, x.reshape(2, -1).T.reshape(-1)):
            assert abs(reduction.sum(array, (0,)).item() / exact - 1) < 3e-7
        assert abs(reduction.mean(x, (0,)).item() / (exact / count) - 1) < 3e-7
        assert abs(reduction.cumsum(x, 0)[-1].item() / exact - 1) < 3e-7
        tall = mx.broadcast_to(x[:, None], (count, 2))
        np.testing.assert_allclose(np.array(reduction.sum(tall, (0,))), [exact, exact], rtol=3e-7)


def test_variance_about_a_large_mean():
    values = np.random.default_rng(1).normal(1000, 1, 300_000).astype(np.float32)
    exact = values.astype(np.float64).var(ddof=1)
    assert abs(reduction.var(mx.array(values), (0,)).item() / exact - 1) < 1e-6


def test_half_precision_accumulates_in_single():
    ones = mx.ones((100_000,), mx.bfloat16)
    assert reduction.sum(ones, (0,)).item() == 99840  # 100000 rounded to bfloat16
    assert reduction.mean(ones.astype(mx.float16), (0,)).item() == 1.0
    assert reduction.var(ones.astype(mx.float16), (0,)).item() == 0.0
    assert reduction.norm(ones.astype(mx.float16), 2, (0,)).item() == 316.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.int32, torch.bool])
def test_empty_axes(dtype):
    x, t = pair((3, 0), dtype)
    assert_close(reduction.sum(x, (1,)), t.sum(1))
    assert_close(reduction.prod(x, (1,)), t.prod(1))
    assert_close(reduction.cumsum(x, 1), t.cumsum(1))
    if dtype is torch.float32:
        assert_close(reduction.mean(x, (1,)), t.mean(1))
        assert_close(softmax.logsumexp(x, (1,)), t.logsumexp(1))
        assert softmax.softmax(x, 1).shape == softmax.log_softmax(x, 1).shape == (3, 0)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.parametrize("correction", [0, 1, 2, 5])
def test_too_few_numbers_for_a_variance(correction):
    x = torch.tensor([[1.0, 4.0]])
    expected = x.var(1, correction=correction)
    assert_close(reduction.var(mx.array(x.numpy()), (1,), correction), expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logcumsumexp"])
def test_exponential_sums(name, dtype):
    for scale in (1.0, 1e4):
        for shape in ((5,), (4, 300), (2, 5000), (70, 3), ()):
            x, t = pair(shape, dtype)
            for axis in range(max(len(shape), 1)):
                expected = getattr(t * scale, name)(axis)
                assert_close(getattr(softmax, name)(x * scale, axis), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logsumexp(dtype):
    for shape, axes in ALL:
        x, t = pair(shape, dtype)
        assert_close(softmax.logsumexp(x * 1e4, axes), (t * 1e4).logsumexp(axes))


def test_exponential_sums_of_infinities():
    inf = math.inf
    rows = [[-inf, -inf], [inf, 1.0], [math.nan, 1.0], [-inf, 3.0], [inf, -inf]]
    x, t = mx.array(rows), torch.tensor(rows)
    assert_close(softmax.softmax(x, 1), t.softmax(1))
    assert_close(softmax.log_softmax(x, 1), t.log_softmax(1))
    assert_close(softmax.logsumexp(x, (1,)), t.logsumexp(1))
    for dtype in (mx.float32, mx.float64):
        actual = softmax.logcumsumexp(x.astype(dtype), 1).astype(mx.float32)
        assert_close(actual, t.logcumsumexp(1))


def test_complex_exponential_sums():
    x, t = pair((3, 40), torch.complex64)
    assert_close(softmax.logcumsumexp(x, 1), t.logcumsumexp(1))
    assert_close(softmax.logsumexp(x, (1,)), t.logsumexp(1))
