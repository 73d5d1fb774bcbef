"""Random operations: arguments and errors as PyTorch's, gradients, and draws inside traces."""

from __future__ import annotations

import warnings

import mlx.core as mx
import numpy as np
import pytest
import torch

import flashlight
import flashlight.nn.functional
import flashlight.random
from flashlight._core.device import CPU
from flashlight._core.dtype import float32
from flashlight._core.keys import KeyStream, TraceKeys
from flashlight._core.layout import contiguous
from flashlight._core.tensor import wrap
from flashlight._ops import drawing

CALLS = """
torch.rand()
torch.rand(2, 3)
torch.rand([2, 3])
torch.rand(size=(2, 3))
torch.rand(2.5)
torch.rand("a")
torch.rand(-1)
torch.rand((2,), 3)
torch.rand(torch.tensor(3))
torch.rand(2, dtype=torch.int64)
torch.rand(2, dtype=torch.complex64)
torch.rand(2, dtype="float32")
torch.rand(2, foo=1)
torch.rand(2, generator=3)
torch.rand(2, out=z(3))
torch.rand(2, out=z(2, dtype=torch.float64), dtype=torch.float32)
torch.rand(2, out=z(2, requires_grad=True))
torch.rand(2, requires_grad=True)
torch.rand(2, device="meta")
torch.rand(2**62)
torch.randn(2, dtype=torch.int32)
torch.randn(2, 3, out=z(2, 3).t())
torch.randint(10, (2,))
torch.randint(low=2, high=10, size=(2,))
torch.randint(10)
torch.randint(10, 2)
torch.randint(2.5, (2,))
torch.randint(True, (2,))
torch.randint(10, 5, (2,))
torch.randint(10, 5, (0,))
torch.randint(300, (2,), dtype=torch.uint8)
torch.randint(-1, 10, (2,), dtype=torch.uint8)
torch.randint(3, (2,), dtype=torch.bool)
torch.randint(5, (2,), dtype=torch.complex64)
torch.randint(2**63, (2,))
torch.randint(10, (2,), requires_grad=True)
torch.randint(torch.tensor(1), torch.tensor(3), (2,))
torch.randint_like(z(2), 3, 10)
torch.randint_like(z(2), torch.tensor(10))
torch.randint_like(z(2))
torch.rand_like([1])
torch.rand_like(z(2), dtype=torch.int64)
torch.rand_like(z(2, 3).t())
torch.rand_like(z(2), 2)
torch.rand_like(z(2), out=z(2))
torch.randperm(5)
torch.randperm(5.0)
torch.randperm(-1)
torch.randperm(300, dtype=torch.uint8)
torch.randperm(3000, dtype=torch.float16)
torch.randperm(5, dtype=torch.bool)
torch.randperm(5, out=z(3))
torch.normal(0.0, 1.0)
torch.normal(0.0, 1.0, 2)
torch.normal(0, 1, (2,))
torch.normal(0.0, -1.0, (2,))
torch.normal(z(2), -z(2) - 1)
torch.normal(z(2), z(3))
torch.normal(z(2, 1), z(3))
torch.normal(z(2, dtype=torch.int64), 1.0)
torch.normal(z(2), z(2, dtype=torch.complex64))
torch.normal(z(2, requires_grad=True), 1.0, out=z(2))
torch.normal(z(2), 1.0, out=z(3))
z(2).uniform_(1, 0)
z(2).uniform_(from_=0)
z(2).uniform_(0, float("inf"))
z(2).uniform_(-3e38, 3e38)
z(2, dtype=torch.float16).uniform_(0, 1e6)
z(2, dtype=torch.int32).uniform_()
z(2).uniform_("a")
z(2).uniform_(1, 2, 3)
z(2).uniform_(generator=3)
z(2).expand(3, 2).uniform_()
z(2, requires_grad=True).uniform_()
z(2).normal_(0, -1)
z(2, dtype=torch.complex64).normal_(1j, 1)
z(2).exponential_(0)
z(2).exponential_(float("nan"))
z(2, dtype=torch.int64).exponential_()
z(2).exponential_(2, 3)
z(2).cauchy_(0, -1)
z(2, dtype=torch.int64).cauchy_()
z(2).log_normal_(0, 0)
z(2, dtype=torch.int64).log_normal_()
z(2).geometric_(1)
z(2).geometric_()
z(2, dtype=torch.bool).geometric_(0.5)
z(2).random_(2.5)
z(2).random_(3, 3)
z(2).random_(1, 2, 3)
z(2).random_(to=5)
z(2, dtype=torch.uint8).random_(300)
z(2, dtype=torch.uint16).random_()
z(2, dtype=torch.uint64).random_(5, None)
z(2, dtype=torch.float16).random_(100000)
z(2, dtype=torch.float16).random_(70000, None)
z(2, dtype=torch.float16).random_(3000, None)
z(2, dtype=torch.int32).random_(-(2**63), None)
z(2, dtype=torch.float16).random_(-(2**63), None)
z(2).random_(2**30 + 1, 2**30 + 2)
z(2).bernoulli_(1.5)
z(2).bernoulli_("a")
z(2).bernoulli_(torch.tensor([0.5, 1.5]))
z(2).bernoulli_(torch.tensor([1, 0]))
z(2).bernoulli_(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
z(2, dtype=torch.complex64).bernoulli_()
torch.bernoulli(z(2) * float("nan"))
torch.bernoulli(z(2, dtype=torch.int64))
torch.bernoulli(z(2), z(2))
torch.bernoulli(z(2), out=z(3))
torch.bernoulli([0.5])
torch.multinomial(o(2, 3), 4)
torch.multinomial(o(2, 3), 0)
torch.multinomial(o(2, 3, 4), 1)
torch.multinomial(o(3, dtype=torch.int64), 1)
torch.multinomial(-o(3), 2)
torch.multinomial(-o(3), 2, True)
torch.multinomial(z(3), 2)
torch.multinomial(z(3), 2, True)
torch.multinomial(torch.tensor([1.0, float("inf")]), 2, True)
torch.multinomial(o(3), 2, out=z(2))
torch.multinomial(o(3), 2.0)
torch.multinomial(o(0, 3), 1)
torch.poisson(-o(2))
torch.poisson(o(2, dtype=torch.int64))
torch.poisson([1.0])
torch.binomial(o(2), 0.5)
torch.binomial(o(2, dtype=torch.float64), o(2) * 0.5)
torch.binomial(o(2, dtype=torch.int64), o(2) * 0.5)
torch.binomial(o(2), o(3))
torch._standard_gamma(o(2, dtype=torch.float16))
torch._sample_dirichlet(o(2, dtype=torch.int64))
torch._standard_gamma_grad(o(2), o(2, dtype=torch.float64))
torch._dirichlet_grad(o(2), o(2), o(3))
F.dropout(o(2), 1.5)
torch.dropout(o(2), 1.5, True)
torch.dropout(o(2), 0.5)
F.dropout(o(2, dtype=torch.int64))
F.dropout(o(2, dtype=torch.complex64))
F.dropout(o(2, 1).expand(2, 3), inplace=True)
F.dropout([1.0])
F.feature_alpha_dropout(o(2), 0.5, True)
F.dropout1d(o(2))
F.dropout2d(o(2))
F.dropout2d(o(2, 3))
F.dropout2d(o(2, 3, 4))
F.dropout3d(o(2, 3))
torch.native_dropout(o(2), 1.5, True)
torch.native_dropout(o(2), 1.5, False)
F.rrelu(o(2), 0.5, 0.1)
F.rrelu(o(2, dtype=torch.int64))
F.rrelu(o(2, dtype=torch.float16), training=True)
F.gumbel_softmax(o(2, 3), dim=5)
F.gumbel_softmax(o(2, 3), eps=1e-3)
"""


def outcome(module, call):
    module.manual_seed(7)
    names = {"torch": module, "z": module.zeros, "o": module.ones, "F": module.nn.functional}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = eval(call, names)
        except Exception as error:
            return type(error).__name__, bool(caught)
    parts = result if isinstance(result, tuple) else (result,)
    return [
        (str(t.dtype), tuple(t.shape), t.requires_grad, None if t.is_meta else t.detach().numpy())
        for t in parts
    ], bool(caught)


@pytest.mark.parametrize("call", CALLS.strip().splitlines())
def test_arguments(call):
    (expected, warned), (found, also_warned) = outcome(torch, call), outcome(flashlight, call)
    assert warned == also_warned
    if isinstance(expected, str):
        assert found == expected
        return
    for one, other in zip(expected, found, strict=True):
        assert one[:3] == other[:3]
        if one[3] is not None:
            np.testing.assert_allclose(other[3], one[3], rtol=1e-6)


def test_in_place_draws_fade_the_gradient():
    for draw in (
        lambda x: x.uniform_(),
        lambda x: x.normal_(),
        lambda x: x.exponential_(),
        lambda x: x.cauchy_(),
        lambda x: x.log_normal_(),
        lambda x: x.geometric_(0.3),
        lambda x: x.random_(),
        lambda x: x.bernoulli_(0.3),
        lambda x: x[1:].uniform_(),
    ):
        leaf = flashlight.ones(3, requires_grad=True)
        reference = torch.ones(3, requires_grad=True)
        for start in (leaf, reference):
            x = start * 2
            draw(x)
            (x * 3).sum().backward()
        assert leaf.grad.tolist() == reference.grad.tolist()
    x = flashlight.ones(3, requires_grad=True) * 2
    assert type(x.uniform_().grad_fn).__name__ == "UniformBackward0"


def test_gradients_of_draws_by_tensors():
    def leaf(*data):
        return flashlight.tensor(data, requires_grad=True)

    for draw in (flashlight.bernoulli, flashlight.poisson):
        x = leaf(0.2, 0.7)
        draw(x).sum().backward()
        assert x.grad.tolist() == [0, 0]
    mean, std = leaf(1.0, 2.0), leaf(0.5, 0.3)
    flashlight.normal(mean, std).sum().backward()
    assert mean.grad.tolist() == std.grad.tolist() == [0, 0]
    p = leaf(0.5)
    flashlight.zeros(3).bernoulli_(p).sum().backward()
    assert p.grad.tolist() == [0]
    with pytest.raises(RuntimeError, match="derivative for aten::binomial is not implemented"):
        flashlight.binomial(leaf(3.0), leaf(0.5)).sum().backward()


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_implicit_gradients(kind):
    data = [[0.3, 2.0, 40.0], [1.0, 0.7, 9.0]]
    results = []
    for module in (torch, flashlight):
        module.manual_seed(3)
        alpha = module.tensor(data, dtype=getattr(module, kind), requires_grad=True)
        weights = module.tensor([1.0, 2.0, 3.0], dtype=getattr(module, kind))
        (module._standard_gamma(alpha) * weights).sum().backward()
        results.append(alpha.grad.numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6 if kind == "float32" else 1e-12)

    module_alpha = flashlight.tensor(data, dtype=getattr(flashlight, kind), requires_grad=True)
    flashlight.manual_seed(3)
    torch.manual_seed(3)
    drawn = flashlight._sample_dirichlet(module_alpha)
    (drawn * flashlight.arange(3)).sum().backward()
    alpha = torch.tensor(data, dtype=getattr(torch, kind), requires_grad=True)
    sample = torch.distributions.Dirichlet(alpha).rsample()
    (sample * torch.arange(3)).sum().backward()
    np.testing.assert_allclose(drawn.detach().numpy(), sample.detach().numpy(), rtol=1e-6)
    # PyTorch's approximation works in the tensor's dtype in places, ours in double precision.
    np.testing.assert_allclose(
        module_alpha.grad.numpy(),
        alpha.grad.numpy(),
        rtol=2e-4 if kind == "float32" else 1e-9,
        atol=1e-9,
    )


# ----- traces -----

IN_TRACES = {
    "rand": lambda x: flashlight.rand(6),
    "randn": lambda x: flashlight.randn(6),
    "randint": lambda x: flashlight.randint(1000, (6,)),
    "randperm": lambda x: flashlight.randperm(30)[:6],
    "rand_like": lambda x: flashlight.rand_like(x),
    "normal": lambda x: flashlight.normal(x, 1 + x * x),
    "uniform_": lambda x: (x * 1).uniform_(),
    "random_": lambda x: x.long().random_(),
    "random_ of floats": lambda x: (x * 1).random_(),
    "random_ of bytes": lambda x: x.to(flashlight.uint8).random_().float() + flashlight.rand(1),
    "random_ of int64": lambda x: x.long().random_(-(2**63), None),
    "exponential_": lambda x: (x * 1).exponential_(),
    "cauchy_": lambda x: (x * 1).cauchy_(),
    "log_normal_": lambda x: (x * 1).log_normal_(),
    "geometric_": lambda x: (x * 1).geometric_(0.01),
    "bernoulli": lambda x: flashlight.bernoulli(flashlight.sigmoid(x)) * flashlight.rand(1),
    "bernoulli_": lambda x: (x * 1).bernoulli_(0.4) + flashlight.rand(1),
    "poisson": lambda x: flashlight.poisson(x * x + 500),
    "binomial": lambda x: flashlight.binomial(x * 0 + 10000, x * 0 + 0.4),
    "_standard_gamma": lambda x: flashlight._standard_gamma(x * x + 0.3),
    "_sample_dirichlet": lambda x: flashlight._sample_dirichlet(x * x + 0.3),
    "multinomial": lambda x: flashlight.multinomial(x * x + 1, 3).float() + flashlight.rand(1),
    "multinomial again": lambda x: flashlight.multinomial(x * x, 9, True) + flashlight.rand(1),
    "dropout": lambda x: flashlight.dropout(x, 0.5, True) + flashlight.rand(1),
    "rrelu": lambda x: flashlight.rrelu(-x * x - 1, training=True),
    "gumbel_softmax": lambda x: flashlight.nn.functional.gumbel_softmax(x),
}


# On the CPU MLX runs a C++ compiler for each fused kernel, about a second: few are evaluated.
EVALUATED = {"uniform_", "dropout"}


@pytest.mark.parametrize("name", IN_TRACES)
def test_draws_inside_a_compiled_function(name):
    traces = []

    def step(array):
        traces.append(name)
        return IN_TRACES[name](wrap(array, CPU))._read()

    compiled = mx.compile(step, inputs=mx.random.state, outputs=mx.random.state)
    x = mx.array([0.5, 1.0, -1.5, 2.0, 0.25, 3.0])
    flashlight.manual_seed(5)
    state = flashlight.get_rng_state().tolist()
    keys, runs = [mx.random.state[0].tolist()], []
    for _ in range(3):
        runs.append(compiled(x))
        keys.append(mx.random.state[0].tolist())
    assert len({tuple(key) for key in keys}) == 4
    assert len(traces) == 1
    assert flashlight.get_rng_state().tolist() == state
    if name in EVALUATED:
        runs = [run.tolist() for run in runs]
        assert runs[0] != runs[1] != runs[2] != runs[0]
        flashlight.manual_seed(5)
        assert compiled(x).tolist() == runs[0]
    else:
        # The same graph, uncompiled, from the same keys.
        found = []
        for key in keys[:2]:
            flashlight.manual_seed(key[0] << 32 | key[1])
            assert mx.random.state[0].tolist() == key
            found.append(_outside_a_trace(step, x))
        assert found[0] != found[1]


def _outside_a_trace(step, x):
    active = TraceKeys.active
    TraceKeys.active = lambda self: True
    try:
        return step(x).tolist()
    finally:
        TraceKeys.active = active


def test_generators_are_refused_inside_a_compiled_function():
    def step(array):
        return flashlight.rand(3, generator=flashlight.Generator())._read() + array

    with pytest.raises(RuntimeError, match=r"a generator cannot be used inside mx\.compile"):
        mx.compile(step, inputs=mx.random.state, outputs=mx.random.state)(mx.zeros(3))


def test_a_failed_trace_leaves_a_state_that_works():
    def step(array):
        flashlight.rand(3)
        raise KeyError

    with pytest.raises(KeyError):
        mx.compile(step, inputs=mx.random.state, outputs=mx.random.state)(mx.zeros(3))
    assert len(flashlight.rand(3).tolist()) == 3
    assert mx.random.uniform(shape=(2,)).shape == (2,)


def test_states_inside_a_compiled_function():
    def step(array):
        state = flashlight.get_rng_state()
        first = flashlight.rand(3)
        with flashlight.random.fork_rng():
            flashlight.set_rng_state(state)
            again = flashlight.rand(3)
        after = flashlight.rand(3)
        with pytest.raises(RuntimeError, match=r"within fork_rng\(\) only"):
            flashlight.set_rng_state(state)
        return first._read() + array, again._read(), after._read()

    step = mx.compile(step, inputs=mx.random.state, outputs=mx.random.state)
    for _ in range(2):
        first, again, after = (part.tolist() for part in step(mx.zeros(3)))
        assert first == again != after


def test_draws_by_tensors_inside_vmap():
    found = mx.vmap(lambda p: flashlight.bernoulli(wrap(p, CPU))._read())(
        mx.array([[0.0, 1], [1, 0]])
    )
    assert found.tolist() == [[0, 1], [1, 0]]


# ----- sources -----


def test_draws_from_keys_have_the_distribution():
    source, layout = KeyStream(3), contiguous((4000,), float32, CPU)
    uniform = np.array(drawing.draw(drawing.UNIFORM, source, layout, -1.0, 1.0))
    assert abs(uniform.mean()) < 0.05 and uniform.min() >= -1 and uniform.max() < 1
    other = np.array(drawing.draw(drawing.UNIFORM, source, layout, -1.0, 1.0))
    assert (uniform != other).mean() > 0.99
    assert source.offset == 8


def test_a_generator_of_another_device_is_refused():
    generator = flashlight.Generator()
    generator._stream = KeyStream(3)
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator"):
        flashlight.rand(3, generator=generator)


def test_numbers_fill_memory_in_order():
    for module in (torch, flashlight):
        module.manual_seed(0)
        plain = module.zeros(4, 6).uniform_()
        module.manual_seed(0)
        turned = module.zeros(6, 4).t().uniform_()
        assert turned.t().reshape(-1).tolist() == plain.reshape(-1).tolist()


def test_overriding_tensors_see_draws():
    seen = []

    class Watched(flashlight.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            seen.append(function.__name__)
            return super().__torch_function__(function, types, args, kwargs or {})

    watched = flashlight.zeros(3).as_subclass(Watched)
    assert type(flashlight.rand_like(watched)) is Watched
    assert type(watched.uniform_()) is Watched
    flashlight.dropout(watched, 0.5, True)
    assert {"rand_like", "uniform_", "dropout"} <= set(seen)
