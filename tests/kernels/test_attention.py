from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._kernels import attention as kernels


def reference(query, key, value, mask, causal, scale):
    """PyTorch's attention on (N, r, L, E), (N, S, E), (N, S, V)."""
    shared = query.shape[1]
    key, value = (t[:, None].expand(-1, shared, -1, -1) for t in (key, value))
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal, scale=scale)


def to_mlx(tensor):
    if tensor is None:
        return None
    dtype = getattr(mx, str(tensor.dtype).removeprefix("torch.").replace("bool", "bool_"))
    tensor = tensor.detach()
    array = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return mx.array(array.numpy(), dtype=dtype if array is tensor else None).astype(dtype)


def close(actual, expected, tolerance):
    assert tuple(actual.shape) == tuple(expected.shape)
    actual = np.array(actual.astype(mx.float32) if actual.itemsize == 2 else actual)
    expected = expected.detach()
    expected = expected.float() if expected.itemsize == 2 else expected
    np.testing.assert_allclose(actual, expected.numpy(), tolerance, tolerance)


def masks(shape):
    generator = np.random.default_rng(3)
    seen = torch.from_numpy(generator.random(shape) < 0.6)
    seen[0, :, 1] = False
    return {"none": None, "bool": seen,
            "float": torch.where(seen, torch.from_numpy(generator.random(shape)), -math.inf)}


@pytest.mark.parametrize("block", [8 << 20, 400, 40])
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float"])
@pytest.mark.parametrize(("dtype", "tolerance"), [
    ("float32", 1e-5), ("float64", 1e-12), ("bfloat16", 3e-2)])
@pytest.mark.parametrize(("shared", "length", "keys"), [(1, 6, 6), (3, 5, 7), (2, 7, 4)])
def test_attention(shared, length, keys, dtype, tolerance, kind, block, monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", block)
    dtype = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(length)

    def sample(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    query = sample(3, shared, length, 4).requires_grad_()
    key, value = sample(3, keys, 4).requires_grad_(), sample(3, keys, 5).requires_grad_()
    mask = masks((3, shared, length, keys)).get(kind)
    mask = mask.to(dtype) if kind == "float" else mask
    causal = kind == "causal"
    exact = [t if t is None or t.dtype == torch.bool else t.double()
             for t in (query, key, value, mask)]
    expected = reference(*exact, causal, 0.7)
    grad = sample(*expected.shape)
    grads = torch.autograd.grad(expected, [query, key, value], grad.double())
    arrays = [to_mlx(t) for t in (query, key, value, mask)]
    actual = kernels.attention(*arrays, causal, 0.7)
    assert actual.dtype == arrays[0].dtype
    close(actual, expected.to(dtype), tolerance)
    found = kernels.attention_gradients(to_mlx(grad), *arrays, causal, 0.7)
    for a, b in zip(found, grads, strict=True):
        close(a, b, tolerance)
    weights = kernels.attention_weights(arrays[0], arrays[1], arrays[3], causal, 0.7)
    product = mx.matmul(weights.astype(mx.float32), arrays[2][:, None].astype(mx.float32))
    close(product, expected.float(), max(tolerance, 1e-5))


def test_blocks_are_evaluated_one_after_the_other(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 1 << 16)
    length = 1024
    arrays = [mx.random.normal(shape, key=mx.random.key(i)) for i, shape in enumerate(
        [(1, 1, length, 8), (1, length, 8), (1, length, 8), (1, 1, length, 8)])]
    mx.eval(arrays)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    query, key, value, grad = arrays
    mx.eval(kernels.attention(query, key, value, None, True, 1.0),
            *kernels.attention_gradients(grad, query, key, value, None, True, 1.0))
    # All scores at once would take 4 MiB a copy.
    assert mx.get_peak_memory() - before < 2.5 * 2**20


def test_vmap(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 64)
    query = mx.random.normal((2, 2, 1, 5, 3), key=mx.random.key(0))
    key = mx.random.normal((2, 2, 5, 3), key=mx.random.key(1))

    def run(query, key):
        result = kernels.attention(query, key, key, None, True, 1.0)
        return [result, *kernels.attention_gradients(result, query, key, key, None, True, 1.0)]

    expected = [mx.stack(parts) for parts in zip(*map(run, query, key), strict=True)]
    for a, b in zip(mx.vmap(run)(query, key), expected, strict=True):
        assert mx.allclose(a, b, 1e-4, 1e-5)
