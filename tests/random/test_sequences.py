"""Random programs of draws: flashlight's numbers, strides and state stay PyTorch's throughout."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as torch_functional

import flashlight
import flashlight.nn.functional as functional
from flashlight import random as flashlight_random

FLOATS = ["float32", "float64", "float16", "bfloat16"]
KINDS = [*FLOATS, "int64", "int32", "int8", "uint8", "bool"]


def values(tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (
        (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).contiguous().numpy()
    )


def steps(tensor) -> list[int]:
    """Return the strides that matter."""
    return [step for step, n in zip(tensor.stride(), tensor.shape) if n > 1 and tensor.numel()]


def target(module, layout, kind):
    """Return a zero tensor with one of several memory layouts."""
    name, size = layout
    kind = getattr(module, kind)
    if name == "transposed":
        return module.zeros(size[::-1], dtype=kind).permute(*reversed(range(len(size))))
    if name == "strided":
        return module.zeros((*size[:-1], 2 * size[-1] + 1), dtype=kind)[..., 1::2][..., : size[-1]]
    if name == "channels_last" and len(size) == 4:
        return module.zeros(size, dtype=kind).to(memory_format=module.channels_last)
    return module.zeros(size, dtype=kind)


def filled(name, *arguments):
    return lambda module, layout, kind, generator: getattr(target(module, layout, kind), name)(
        *arguments, generator=generator
    )


def by_probability(module, layout, kind, generator):
    t = target(module, layout, kind)
    p = module.tensor(np.linspace(0, 1, t.numel()).reshape(t.shape))
    return t.bernoulli_(p, generator=generator)


def made(name, *arguments):
    def call(module, layout, kind, generator):
        options = {"dtype": getattr(module, kind), "generator": generator}
        return getattr(module, name)(*arguments, tuple(layout[1]), **options)

    return call


def alike(name, *arguments):
    return lambda module, layout, kind, generator: getattr(module, name)(
        target(module, layout, kind), *arguments, generator=generator
    )


def permuted(module, layout, kind, generator):
    return module.randperm(int(np.prod(layout[1])), generator=generator)


def categories(repeated):
    def call(module, layout, kind, generator):
        weights = target(module, layout, kind)
        weights = weights.reshape(-1, weights.shape[-1])
        weights += module.arange(1, weights.shape[-1] + 1)
        count = 4 if repeated else max(1, weights.shape[-1] // 2)
        return module.multinomial(weights, count, repeated, generator=generator)

    return call


def by_tensor(name, low, high):
    def call(module, layout, kind, generator):
        t = target(module, layout, kind)
        parameters = module.tensor(np.linspace(low, high, t.numel()).reshape(t.shape))
        parameters = parameters.to(getattr(module, kind))
        return getattr(module, name)(parameters, generator=generator)

    return call


def normal_each(module, layout, kind, generator):
    mean = target(module, layout, kind) + 0.5
    return module.normal(mean, mean * 2, generator=generator)


ANY = [
    filled("random_"),
    filled("random_", 100),
    filled("random_", 1, None),
    filled("bernoulli_", 0.3),
    by_probability,
    permuted,
]
FLOATING = [
    filled("uniform_"),
    filled("uniform_", -0.25, 0.75),
    filled("normal_"),
    filled("normal_", 1.5, 0.1),
    filled("exponential_", 2.5),
    filled("cauchy_", 1, 3),
    filled("log_normal_", 0, 0.5),
    filled("geometric_", 0.3),
    made("rand"),
    made("randn"),
    made("normal", 0.5, 2.0),
    made("randint", 3, 100),
    alike("rand_like"),
    alike("randn_like"),
    alike("randint_like", 5, 50),
    categories(True),
    by_tensor("bernoulli", 0, 1),
    by_tensor("poisson", 0, 30),
    normal_each,
]
WIDE = [
    by_tensor("_standard_gamma", 0.1, 5),
    by_tensor("_sample_dirichlet", 0.5, 3),
    categories(False),
]


def step(rng, module_pair, generators):
    kind = rng.choice(KINDS)
    calls = list(ANY) if kind != "bool" else [ANY[0], ANY[3], ANY[4], ANY[5]]
    if kind in FLOATS:
        calls += FLOATING
    if kind in ("float32", "float64"):
        calls += WIDE
    size = rng.choice([(1,), (3, 5), (4, 4), (2, 3, 7), (2, 3, 4, 5), (17,), (16,), (65,), (0, 3)])
    layout = rng.choice(["plain", "transposed", "strided", "channels_last"]), size
    call = rng.choice([c for c in calls if 0 not in size or c not in (permuted, *WIDE)])
    if 0 in size and call is FLOATING[15]:
        call = ANY[3]
    return kind, layout, [call(m, layout, kind, g) for m, g in zip(module_pair, generators)]


@pytest.mark.parametrize("seed", range(4))
def test_interleaved_draws(seed):
    rng = random.Random(seed)
    modules = torch, flashlight
    for module in modules:
        module.manual_seed(seed)
    own = [module.Generator().manual_seed(seed + 100) for module in modules]
    for number in range(120):
        generators = own if rng.random() < 0.3 else (None, None)
        kind, layout, (expected, found) = step(rng, modules, generators)
        where = f"call {number}: {kind} {layout}"
        assert str(found.dtype) == str(expected.dtype), where
        assert steps(found) == steps(expected), where
        # Dirichlet numbers are divided by a sum, which PyTorch adds up in another order.
        rtol = 2e-15 if kind == "float64" else 0
        np.testing.assert_allclose(values(found), values(expected), rtol, 0, err_msg=where)
        if number % 20 == 0:
            state = torch.get_rng_state()
            assert state.tolist() == flashlight.get_rng_state().tolist(), where
            assert own[0].get_state().tolist() == own[1].get_state().tolist(), where
        if number == 60:
            # Each side goes on from the other's state.
            flashlight.set_rng_state(flashlight.tensor(state.numpy()))
            torch.set_rng_state(torch.tensor(flashlight.get_rng_state().numpy()))


DROPOUTS = [
    ("dropout", (5, 6), {}),
    ("dropout", (5, 6), {"p": 0.2, "inplace": True}),
    ("alpha_dropout", (5, 6), {"p": 0.2, "training": True}),
    ("feature_alpha_dropout", (3, 4, 5), {"p": 0.2, "training": True}),
    ("dropout1d", (3, 4, 5), {}),
    ("dropout1d", (4, 5), {"inplace": True}),
    ("dropout2d", (3, 4, 5, 2), {"p": 0.7}),
    ("dropout3d", (3, 4, 5, 2), {"p": 0.7}),
    ("rrelu", (7, 9), {"training": True}),
    ("rrelu", (7, 9), {"training": True, "inplace": True, "lower": 0.0, "upper": 0.9}),
    ("rrelu", (7, 9), {}),
    ("gumbel_softmax", (7, 9), {"tau": 0.7}),
    ("gumbel_softmax", (7, 9), {"hard": True, "dim": 0}),
]


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name, size, options", DROPOUTS)
def test_dropout_and_kin(name, size, options, kind):
    if name == "rrelu" and kind == "float16" and "training" in options:
        with pytest.raises(NotImplementedError, match="rrelu_with_noise_out_cpu"):
            functional.rrelu(flashlight.ones(3, dtype=flashlight.float16), training=True)
        return
    results = []
    data = np.linspace(-3, 3, int(np.prod(size))).reshape(size)
    for module, functions in ((torch, torch_functional), (flashlight, functional)):
        module.manual_seed(11)
        leaf = module.tensor(data).to(getattr(module, kind)).requires_grad_()
        result = getattr(functions, name)(leaf * 1, **options)
        (result * module.arange(result.numel()).reshape(size)).sum().backward()
        results.append((values(result), values(leaf.grad), module.get_rng_state().tolist()))
    (expected, expected_grad, state), (found, found_grad, found_state) = results
    tolerance = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 2e-6, "float64": 1e-12}[kind]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found_grad, expected_grad, rtol=tolerance, atol=50 * tolerance)
    assert found_state == state


def test_dropout_values_are_equal_to_the_last_bit():
    for kind in FLOATS:
        results = []
        for module in (torch, flashlight):
            module.manual_seed(2)
            x = module.tensor(np.linspace(-3, 3, 1000)).to(getattr(module, kind))
            results.append(
                [
                    values(module.dropout(x, 0.3, True)),
                    *map(values, module.native_dropout(x, 0.3, True)),
                ]
            )
        for expected, found in zip(*results):
            assert np.array_equal(found, expected), kind


def test_seeding():
    for seed in (0, -1, 2**64 - 1, "3", 2.7, True):
        for module in (torch, flashlight):
            module.manual_seed(seed)
        assert flashlight.initial_seed() == torch.initial_seed()
        assert flashlight.get_rng_state().tolist() == torch.get_rng_state().tolist()
    assert flashlight.manual_seed(3) is flashlight.default_generator
    assert flashlight.seed() == flashlight.initial_seed() != flashlight.seed()
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        flashlight.manual_seed(2**64)


def test_fork_rng():
    flashlight.manual_seed(1)
    flashlight.randn(3)
    before = flashlight.get_rng_state().tolist()
    with pytest.raises(KeyError), flashlight_random.fork_rng():
        flashlight.manual_seed(9)
        raise KeyError
    assert flashlight.get_rng_state().tolist() == before
    with flashlight_random.fork_rng(enabled=False):
        flashlight.rand(1)
    assert flashlight.get_rng_state().tolist() != before
    with pytest.raises(RuntimeError), flashlight_random.fork_rng(device_type="nonsense"):
        pass
    assert flashlight_random.thread_safe_generator() is None
