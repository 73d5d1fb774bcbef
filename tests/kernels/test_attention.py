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
    rules = kernels.Rules(0.7, 0 if causal else None)
    actual = kernels.attention(*arrays, rules)
    assert actual.dtype == arrays[0].dtype
    close(actual, expected.to(dtype), tolerance)
    found = kernels.attention_gradients(to_mlx(grad), *arrays, rules)
    for a, b in zip(found, grads, strict=True):
        close(a, b, tolerance)
    weights = kernels.attention_weights(arrays[0], arrays[1], arrays[3], rules.diagonal, 0.7)
    product = mx.matmul(weights.astype(mx.float32), arrays[2][:, None].astype(mx.float32))
    close(product, expected.float(), max(tolerance, 1e-5))


def test_mask_of_other_shapes(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 100)
    query = mx.random.normal((6, 1, 5, 3), key=mx.random.key(0))
    key = mx.random.normal((6, 4, 3), key=mx.random.key(1))
    mask = mx.random.normal((3, 1, 1, 4), key=mx.random.key(2))
    owners = np.array([0, 0, 1, 1, 2, 2])
    full = mx.broadcast_to(mx.repeat(mask, 2, axis=0), (6, 1, 5, 4))
    expected = kernels.attention(query, key, key, full, kernels.Rules(1.0))
    actual = kernels.attention(query, key, key, mask, kernels.Rules(1.0, heads=owners))
    assert mx.allclose(actual, expected)
    actual = kernels.attention(query, key, key, mask[:1], kernels.Rules(1.0))
    assert mx.allclose(actual[:2], expected[:2])


def test_dropout_is_the_same_in_both_passes(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 200)
    query = mx.random.normal((2, 2, 5, 3), key=mx.random.key(0))
    key, value = (mx.random.normal((2, 6, 3), key=mx.random.key(i)) for i in (1, 2))
    rules = kernels.Rules(1.0, dropout=0.4, seed=mx.random.key(3))
    grad = mx.ones_like(query)
    found = kernels.attention_gradients(grad, query, key, value, None, rules)
    expected = mx.grad(lambda *inputs: kernels.attention(*inputs, None, rules).sum(), (0, 1, 2))(
        query, key, value)
    for a, b in zip(found, expected, strict=True):
        assert mx.allclose(a, b, 1e-4, 1e-5)
    ones = kernels.attention(query, key, mx.ones_like(value), None, rules)
    assert mx.var(ones).item() > 0.1 and abs(mx.mean(ones).item() - 1) < 0.5


def test_blocks_are_evaluated_one_after_the_other(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 1 << 16)
    length = 1024
    arrays = [mx.random.normal(shape, key=mx.random.key(i)) for i, shape in enumerate(
        [(1, 1, length, 8), (1, length, 8), (1, length, 8), (1, 1, length, 8)])]
    mx.eval(arrays)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    query, key, value, grad = arrays
    mx.eval(kernels.attention(query, key, value, None, kernels.Rules(1.0, 0)),
            *kernels.attention_gradients(grad, query, key, value, None, kernels.Rules(1.0, 0)))
    # All scores at once would take 4 MiB a copy.
    assert mx.get_peak_memory() - before < 3 * 2**20


def test_vmap(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 64)
    query = mx.random.normal((2, 2, 1, 5, 3), key=mx.random.key(0))
    key = mx.random.normal((2, 2, 5, 3), key=mx.random.key(1))

    rules = kernels.Rules(1.0, 0)

    def run(query, key):
        result = kernels.attention(query, key, key, None, rules)
        return [result, *kernels.attention_gradients(result, query, key, key, None, rules)]

    expected = [mx.stack(parts) for parts in zip(*map(run, query, key), strict=True)]
    for a, b in zip(mx.vmap(run)(query, key), expected, strict=True):
        assert mx.allclose(a, b, 1e-4, 1e-5)
