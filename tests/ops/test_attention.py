"""scaled_dot_product_attention against PyTorch's: masks, groups, layouts, empty inputs, blocks."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
import torch.nn.attention.bias

import flashlight
import flashlight.nn.attention.bias
from flashlight._kernels import attention as kernels
from flashlight._ops import attention as operation

BOTH = (torch, flashlight)
TOLERANCES = {"float64": 1e-9, "float32": 2e-5, "bfloat16": 5e-2, "float16": 8e-3}


def drawn(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


@pytest.fixture(params=["at once", "in blocks"])
def way(request, monkeypatch):
    if request.param == "in blocks":
        monkeypatch.setattr(operation, "FEW", 0)
        monkeypatch.setattr(kernels, "BLOCK", 40)


def run(library, shapes, mask=None, dtype="float32", order=None, **options):
    """Return the result, its strides and the gradients of all that has one."""
    given = [
        library.from_numpy(drawn(*shape, seed=i)).to(getattr(library, dtype))
        for i, shape in enumerate(shapes)
    ]
    if order is not None:
        given = [t.permute(order).contiguous().permute(np.argsort(order).tolist()) for t in given]
    given = [t.detach().requires_grad_() for t in given]
    if callable(mask):
        options["attn_mask"] = mask(*[t.shape[-2] for t in given[:2]])
    elif mask is not None:
        mask = library.from_numpy(mask)
        mask = mask.to(getattr(library, dtype)) if mask.dtype == library.float64 else mask
        options["attn_mask"] = mask
    if options.pop("mask_grad", False):
        options["attn_mask"] = mask.requires_grad_()
        given.append(mask)
    result = library.nn.functional.scaled_dot_product_attention(*given[:3], **options)
    loss = (result * result.detach().cos()).sum()
    grads = library.autograd.grad(loss, given, allow_unused=True)
    return [result.detach(), *grads]


def same(shapes, dtype="float32", **options):
    expected, actual = (run(library, shapes, dtype=dtype, **options) for library in BOTH)
    tolerance = TOLERANCES[dtype]
    assert expected[0].stride() == actual[0].stride() or 0 in expected[0].shape
    for one, other in zip(expected, actual, strict=True):
        assert (one is None) == (other is None)
        if one is None:
            continue
        assert str(one.dtype) == str(other.dtype)
        assert tuple(one.shape) == tuple(other.shape)
        np.testing.assert_allclose(
            other.double().numpy(), one.double().numpy(), rtol=tolerance, atol=tolerance
        )


SQUARE = ((2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8))
LONGER = ((2, 4, 3, 8), (2, 4, 7, 8), (2, 4, 7, 5))
SHORTER = ((2, 4, 7, 8), (2, 4, 3, 8), (2, 4, 3, 8))
GROUPED = ((2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8))
SINGLE = ((2, 4, 5, 8), (2, 1, 6, 8), (2, 1, 6, 8))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", [SQUARE, LONGER, SHORTER, SQUARE[:1] * 3])
def test_lengths_and_dtypes(shapes, causal, dtype, way):
    same(shapes, dtype, is_causal=causal, scale=0.4 if causal else None)


@pytest.mark.parametrize("shapes", [GROUPED, SINGLE])
def test_groups(shapes, way):
    same(shapes, enable_gqa=True)
    same(shapes, enable_gqa=True, is_causal=True)
    same(shapes, enable_gqa=True, mask=drawn(2, 4, 5, 6) > 0)
    same(shapes, enable_gqa=True, mask=drawn(1, 4, 1, 6))


@pytest.mark.parametrize(
    "shape",
    [(5, 6), (1, 6), (5, 1), (1, 1), (4, 5, 6), (4, 1, 6), (2, 1, 5, 6), (1, 4, 5, 1), (2, 4, 5, 6)],
)
@pytest.mark.parametrize("kind", ["bool", "float", "infinite", "empty rows"])
def test_masks_of_every_shape(shape, kind, way):
    shapes = ((2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 8))
    seen = drawn(*shape) > -0.3
    if kind == "empty rows":
        seen[..., 0, :] = False
    mask = {"float": drawn(*shape, seed=5), "infinite": np.where(seen, 0.5, -np.inf)}.get(kind, seen)
    same(shapes, mask=mask)


@pytest.mark.parametrize("shape", [(5, 6), (1, 6), (4, 1, 1), (2, 4, 5, 6)])
def test_gradients_of_masks(shape, way):
    shapes = ((2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 3))
    same(shapes, mask=drawn(*shape), mask_grad=True)


def test_a_mask_and_causal_together(way):
    """PyTorch's fused kernel takes both; where it does not run, both are an error."""
    same(SQUARE, mask=drawn(5, 5) > 0, is_causal=True)
    same(SQUARE, mask=drawn(2, 1, 5, 5), is_causal=True)
    for library in BOTH:
        with pytest.raises(RuntimeError, match="should not be set when is_causal=True"):
            run(library, [shape[1:] for shape in SQUARE], mask=drawn(5, 5) > 0, is_causal=True)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
@pytest.mark.parametrize("shapes", [SQUARE, LONGER])
def test_layouts(shapes, order):
    same(shapes, order=order)
    same(shapes, order=order, mask=drawn(shapes[0][-2], shapes[1][-2]))


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 8), (6, 8), (6, 3)),
        ((4, 5, 8), (4, 6, 8), (4, 6, 8)),
        ((4, 5, 8), (1, 6, 8), (6, 8)),
        ((2, 3, 4, 5, 8), (2, 3, 4, 6, 8), (1, 4, 6, 8)),
        ((2, 1, 5, 8), (1, 4, 6, 8), (2, 4, 6, 8)),
    ],
)
def test_other_dimensions(shapes, way):
    same(shapes)
    same(shapes, mask=drawn(5, 6) > 0)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3, 0, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
        ((2, 3, 5, 4), (2, 3, 0, 4), (2, 3, 0, 4)),
        ((0, 3, 5, 4), (0, 3, 2, 4), (0, 3, 2, 4)),
        ((5, 4), (5, 4), (5, 0)),
        ((2, 3, 5, 0), (2, 3, 5, 0), (2, 3, 5, 4)),
        ((4, 0, 4), (1, 5, 4), (2, 1, 5, 3)),
    ],
)
def test_nothing_to_see(shapes):
    same(shapes)
    same(shapes, is_causal=True)


@pytest.mark.parametrize(("length", "keys"), [(5, 9), (9, 5), (6, 6), (1, 7)])
@pytest.mark.parametrize("corner", ["upper_left", "lower_right"])
def test_causal_biases(corner, length, keys, way):
    def mask(library):
        return getattr(library.nn.attention.bias, f"causal_{corner}")

    shapes = ((2, 4, length, 8), (2, 4, keys, 8), (2, 4, keys, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, actual = (run(library, shapes, mask(library)) for library in BOTH)
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=2e-5, atol=2e-6)


def test_a_causal_bias_must_fit():
    for library in BOTH:
        query = library.ones(1, 1, 5, 4)
        for bias, options in (((4, 7), {}), ((5, 5), {"is_causal": True})):
            made = library.nn.attention.bias.causal_lower_right(*bias)
            with pytest.raises((RuntimeError, ValueError)):
                library.nn.functional.scaled_dot_product_attention(
                    query, query, query, made, **options
                )


OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "lower right": {"is_causal": operation.LOWER_RIGHT},
    "mask": {"attn_mask": "mask"},
    "both": {"attn_mask": "mask", "is_causal": True},
    "dropout": {"dropout_p": 0.3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_first_and_second_derivatives(name, way):
    options = dict(OPTIONS[name])
    if options.get("attn_mask"):
        options["attn_mask"] = flashlight.from_numpy(drawn(3, 3)) > -0.3

    def function(*given):
        flashlight.manual_seed(1)
        return flashlight.nn.functional.scaled_dot_product_attention(*given, **options)

    given = [
        flashlight.from_numpy(drawn(1, 1, 3, 2, seed=i)).requires_grad_() for i in range(3)
    ]
    assert flashlight.autograd.gradcheck(function, given)
    assert flashlight.autograd.gradgradcheck(function, given)


def test_dropout(way):
    ones = flashlight.ones(1, 4, 256, 8)
    flashlight.manual_seed(0)
    result = flashlight.nn.functional.scaled_dot_product_attention(ones, ones, ones, dropout_p=0.25)
    assert abs(result.mean().item() - 1) < 5e-3
    spread = (0.25 / 0.75 / 256) ** 0.5
    assert abs(result[..., 0].std().item() / spread - 1) < 0.1
    dropped = flashlight.nn.functional.scaled_dot_product_attention(ones, ones, ones, dropout_p=1.0)
    assert dropped.eq(0).all()


def test_few_weights_are_dropped_as_pytorch_drops_them():
    results = []
    for library in BOTH:
        library.manual_seed(3)
        given = [library.from_numpy(drawn(2, 4, 6, 8, seed=i)) for i in range(3)]
        results.append(
            library.nn.functional.scaled_dot_product_attention(*given, dropout_p=0.4).numpy()
        )
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9, atol=1e-12)


def test_lower_right_takes_no_memory_for_a_mask():
    import mlx.core as mx

    length = 2048
    query = flashlight.randn(1, 1, length, 8)
    key = flashlight.randn(1, 1, 3 * length, 8)
    bias = flashlight.nn.attention.bias.causal_lower_right(length, 3 * length)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    flashlight.nn.functional.scaled_dot_product_attention(query, key, key, bias).sum().item()
    assert mx.get_peak_memory() - before < 3 * length * length * 4 * 0.7
