"""float16 and bfloat16: where results and gradients are rounded, and in what they add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

from .side_by_side import check, check_error

HALVES = ("float16", "bfloat16")
# PyTorch's vector kernels take 32 elements at a time; the rest goes through scalar ones, some of
# which round differently.
COUNT = 512
RNG = np.random.default_rng(5)
VALUES = {
    "any": RNG.standard_normal(COUNT) * 3,
    "other": RNG.standard_normal(COUNT) * 2,
    "positive": RNG.random(COUNT) * 5 + 0.1,
    "unit": RNG.random(COUNT) * 0.98 + 0.01,
    "grad": RNG.standard_normal(COUNT),
}


def results(library, function, inputs, dtype, shape=(COUNT,)):
    """The value and the gradients of a function of leaves, for one fixed cotangent."""
    kind = getattr(library, dtype)
    leaves = [
        library.tensor(VALUES[name], dtype=library.float32).reshape(shape).to(kind)
        .requires_grad_() for name in inputs
    ]  # fmt: skip
    made = function(library, *leaves)
    cotangent = np.resize(VALUES["grad"], tuple(made.shape))
    made.backward(library.tensor(cotangent, dtype=library.float32).to(kind))
    return [np.array(t.detach().float().tolist()) for t in (made, *(x.grad for x in leaves))]


def assert_rounded_alike(function, inputs, dtype, shape=(COUNT,), share=0.02):
    """Compare with PyTorch to the last bit, but for a small share of the elements."""
    ours = results(flashlight, function, inputs, dtype, shape)
    theirs = results(torch, function, inputs, dtype, shape)
    for place, (a, b) in enumerate(zip(ours, theirs)):
        differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        assert differ.mean() <= share, f"result {place}: {differ.mean():.3f} differ"


def functional(name, **options):
    return lambda library, *inputs: getattr(library.nn.functional, name)(*inputs, **options)


ACTIVATIONS = {
    name: functional(name)
    for name in (
        "hardswish", "silu", "mish", "elu", "selu", "celu", "softplus", "hardsigmoid", "glu",
    )
} | {
    "gelu_tanh": functional("gelu", approximate="tanh"),
    "elu_": lambda t, x: t.nn.functional.elu_(x * 1, 0.7),
    "selu_": lambda t, x: t.nn.functional.selu(x * 1, inplace=True),
    "celu_": lambda t, x: t.nn.functional.celu_(x * 1, 1.3),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_activations(name, dtype):
    assert_rounded_alike(ACTIVATIONS[name], ["any"], dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_gradient_of_gelu(dtype):
    # PyTorch's error function is good to 5e-4 in float16, ours to the last bit.
    assert_rounded_alike(functional("gelu"), ["any"], dtype, share=0.1)


def test_in_place_elu_needs_a_positive_alpha():
    def call(library):
        leaf = library.tensor([-1.0, 2.0], requires_grad=True)
        library.nn.functional.elu_(leaf * 1, -1.0).sum().backward()

    check_error(call, text=False)


POINTWISE = {
    "ldexp": (lambda t, x, y: t.ldexp(x, y), ["any", "other"]),
    "power of two": (lambda t, x: t.pow(2.0, x), ["other"]),
    "addcdiv": (lambda t, x, y, z: t.addcdiv(x, y, z, value=0.3), ["any", "other", "positive"]),
    "kl_div": (functional("kl_div", reduction="none"), ["any", "unit"]),
    "poisson": (
        functional("poisson_nll_loss", log_input=False, full=True, reduction="none"),
        ["positive", "positive"],
    ),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", POINTWISE)
def test_gradients_of_functions_of_elements(name, dtype):
    function, inputs = POINTWISE[name]
    assert_rounded_alike(function, inputs, dtype)


def test_ldexp_takes_the_dtype_of_its_first_argument_beside_integers():
    check(lambda t: t.ldexp(t.tensor([1e-4, 0.1], dtype=t.float16), t.tensor([16, 3])))
    check(lambda t: t.ldexp(t.tensor([1e-4]), t.tensor([130])))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", HALVES)
def test_binary_cross_entropies(dtype, reduction):
    def weights(library, like):
        return library.tensor(VALUES["positive"], dtype=library.float32).to(like.dtype)

    assert_rounded_alike(
        lambda t, x, y: t.nn.functional.binary_cross_entropy(
            x, y, weights(t, x), reduction=reduction),
        ["unit", "unit"], dtype)
    for pos in (False, True):
        assert_rounded_alike(
            lambda t, x, y, pos=pos: t.nn.functional.binary_cross_entropy_with_logits(
                x, y, weights(t, x), reduction=reduction,
                pos_weight=weights(t, x) if pos else None),
            ["any", "unit"], dtype)


def test_cross_entropy_at_the_ends_and_without_gradients_for_weights():
    def slope(library):
        x = library.tensor([0.0, 1.0, 0.5])
        t = library.tensor([0.3, 0.2, 0.1], requires_grad=True)
        library.nn.functional.binary_cross_entropy(x, t, reduction="sum").backward()
        return t.grad

    check(slope)
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        check_error(lambda t, name=name: getattr(t.nn.functional, name)(
            t.tensor([0.5]), t.tensor([0.5]), t.tensor([0.5], requires_grad=True)))
        with torch.no_grad(), flashlight.no_grad():
            check(lambda t, name=name: getattr(t.nn.functional, name)(
                t.tensor([0.5]), t.tensor([0.5]), t.tensor([0.5], requires_grad=True)))


PRODUCTS = {
    "linear": lambda t, x: t.nn.functional.linear(x, x[:5], x[0, :5]),
    "addmm": lambda t, x: t.addmm(x[:, :1], x, x.mT, beta=0.3, alpha=0.7),
    "baddbmm": lambda t, x: t.baddbmm(
        x.view(2, 8, 32)[..., :8], x.view(2, 8, 32), x.view(2, 8, 32).mT, beta=0.3, alpha=0.7),
    "addbmm": lambda t, x: t.addbmm(
        x[:8, :8], x.view(2, 8, 32), x.view(2, 8, 32).mT, beta=0.3, alpha=0.7),
    "a matrix for a batch": lambda t, x: x @ x.reshape(4, 32, 4),
    "a vector for a batch": lambda t, x: x[0] @ x.reshape(4, 32, 4),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name, dtype):
    assert_rounded_alike(PRODUCTS[name], ["any"], dtype, (16, 32), share=0.03)


ORDERS = (-2, -1, 0.5, 1.2, 2, 2.5, 4)


@pytest.mark.parametrize("order", ORDERS)
def test_norms(order):
    assert_rounded_alike(
        lambda t, x: t.linalg.vector_norm(x, order, 1), ["any"], "float16", (16, 32))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("order", [1.0, 2.0])
def test_renorm(order, dtype):
    assert_rounded_alike(lambda t, x: t.renorm(x, order, 0, 1.5), ["any"], dtype, (16, 32))


@pytest.mark.parametrize("dtype", HALVES)
def test_batch_statistics(dtype):
    assert_rounded_alike(
        lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
        ["any"], dtype, (8, 8, 8))


# ----- sums of many -----

MANY = 3000


def _gradient(library, function, shape, dtype):
    leaf = library.ones(shape, dtype=getattr(library, dtype), requires_grad=True)
    made = function(leaf)
    made.backward(library.ones(made.shape, dtype=made.dtype))
    return leaf.grad.flatten()[0].item()


@pytest.mark.parametrize("dtype", HALVES)
def test_scattered_sums_add_up_in_float32(dtype):
    def call(library):
        kind = getattr(library, dtype)
        nowhere = library.zeros(MANY, dtype=library.int64)
        zeros, ones = library.zeros(2, dtype=kind), library.ones(MANY, dtype=kind)
        return [
            zeros.scatter_add(0, nowhere, ones),
            zeros.scatter_reduce(0, nowhere, ones, "sum"),
            _gradient(library, lambda x: x.gather(0, nowhere), (2,), dtype),
            _gradient(library, lambda x: x.index_select(0, nowhere), (2, 3), dtype),
            _gradient(library, lambda x: x.repeat_interleave(MANY), (1,), dtype),
            library.nn.functional.embedding_bag(
                nowhere, library.ones(2, 3, dtype=kind), nowhere[:1], mode="sum"),
        ]

    check(call, tolerance=0)


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_of_rows_that_are_looked_up_often(dtype):
    # PyTorch's CPU kernels stop at 256 and 2048 here, where adding 1 is lost.
    nowhere = flashlight.zeros(MANY, dtype=flashlight.int64)
    wanted = flashlight.tensor(float(MANY)).to(getattr(flashlight, dtype)).item()
    for function in (
        lambda x: flashlight.nn.functional.embedding(nowhere, x), lambda x: x[nowhere],
    ):  # fmt: skip
        assert _gradient(flashlight, function, (2, 3), dtype) == wanted


def test_nextafter_has_no_gradient_where_it_stays():
    def call(library):
        leaf = library.tensor([1.0, 2.0, 3.0], requires_grad=True)
        library.nextafter(leaf, library.tensor([1.0, 3.0, 1.0])).sum().backward()
        return leaf.grad

    check(call)


def test_bfloat16_positions_and_unsigned_numbers_reach_numpy():
    check(lambda t: t.nonzero_static(t.tensor([0.0, 2.0, 0.0, 1.0], dtype=t.bfloat16), size=3))
    host = flashlight.tensor([1, 2], dtype=flashlight.uint64).numpy()
    assert torch.from_numpy(host).tolist() == [1, 2]
