"""Initial values: the same draws as PyTorch's from the same seed, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight
from tests.nn.both import raised, same, warned

SHAPES = [(3, 5), (7, 2), (4, 3, 3), (2, 3, 4, 5), (17, 33)]
DRAWS = {
    "uniform_": lambda init, t: init.uniform_(t, -2.0, 3.0),
    "normal_": lambda init, t: init.normal_(t, 0.0, 0.3),
    "trunc_normal_": lambda init, t: init.trunc_normal_(t),
    "trunc_normal_-tight": lambda init, t: init.trunc_normal_(t, 0.0, 1.0, -0.2, 0.3),
    "trunc_normal_-tail": lambda init, t: init.trunc_normal_(t, 0.0, 1.0, 1.5, 1.9),
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t, 1.5),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t, mode="fan_out"),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t, nonlinearity="relu"),
    "constant_": lambda init, t: init.constant_(t, 0.3),
    "ones_": lambda init, t: init.ones_(t),
    "zeros_": lambda init, t: init.zeros_(t),
}


def bits(tensor):
    array = tensor.detach().numpy()
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_bit_equal(name):
    torch.manual_seed(3)
    flashlight.manual_seed(3)
    for shape in SHAPES:
        expected, actual = torch.empty(shape), flashlight.empty(shape)
        assert DRAWS[name](flashlight.nn.init, actual) is actual
        DRAWS[name](torch.nn.init, expected)
        assert np.array_equal(bits(expected), bits(actual)), shape
    assert np.array_equal(torch.get_rng_state().numpy(), flashlight.get_rng_state().numpy())


def test_generators():
    for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "sparse_"):
        results = []
        for library in (torch, flashlight):
            library.manual_seed(0)
            options = {"generator": library.Generator().manual_seed(7)}
            if name == "sparse_":
                options["sparsity"] = 0.4
            results.append(bits(getattr(library.nn.init, name)(library.empty(9, 5), **options)))
        assert np.array_equal(*results), name


def test_orthogonal():
    def program(torch):
        made = [torch.nn.init.orthogonal_(torch.empty(shape), 1.5) for shape in SHAPES]
        return made, raised(lambda: torch.nn.init.orthogonal_(torch.empty(3)))

    same(program, rtol=1e-4, atol=2e-6)


def test_eye_and_dirac():
    def program(torch):
        init = torch.nn.init
        return (
            init.eye_(torch.empty(3, 5)),
            init.dirac_(torch.empty(4, 3, 3)),
            init.dirac_(torch.empty(4, 2, 3, 4), groups=2),
            init.dirac_(torch.empty(2, 5, 2, 3, 3)),
            raised(lambda: init.eye_(torch.empty(3))),
            raised(lambda: init.dirac_(torch.empty(3, 3))),
            raised(lambda: init.dirac_(torch.empty(3, 3, 3), groups=2)),
        )

    same(program)


def test_gains():
    def program(torch):
        gain = torch.nn.init.calculate_gain
        names = ("linear", "conv_transpose2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu")
        return (
            [gain(name) for name in names],
            gain("leaky_relu", 0.2),
            raised(lambda: gain("leaky_relu", True)),
            raised(lambda: gain("other")),
        )

    same(program)


def test_errors_and_warnings():
    def program(torch):
        init = torch.nn.init
        return (
            raised(lambda: init.xavier_uniform_(torch.empty(3))),
            raised(lambda: init.kaiming_uniform_(torch.empty(3, 3), mode="both")),
            raised(lambda: init.sparse_(torch.empty(3), 0.1)),
            warned(lambda: init.kaiming_uniform_(torch.empty(0, 3))),
            warned(lambda: init.trunc_normal_(torch.empty(3), 5.0, 0.1, 4.7, 5.1)),
            warned(lambda: init.trunc_normal_(torch.empty(3), 9.0, 1.0, 5.0, 6.0)),
            warned(lambda: init.uniform(torch.empty(3))),
        )

    same(program)


LAYERS = {
    "Linear": lambda nn: nn.Linear(5, 3),
    "Bilinear": lambda nn: nn.Bilinear(2, 3, 4),
    "Conv1d": lambda nn: nn.Conv1d(4, 6, 3, groups=2),
    "Conv2d": lambda nn: nn.Conv2d(3, 4, (2, 3)),
    "Conv3d": lambda nn: nn.Conv3d(2, 2, 2, bias=False),
    "ConvTranspose2d": lambda nn: nn.ConvTranspose2d(4, 6, 3, groups=2),
    "Embedding": lambda nn: nn.Embedding(6, 4, padding_idx=2),
    "EmbeddingBag": lambda nn: nn.EmbeddingBag(6, 4, padding_idx=-1),
    "RNN": lambda nn: nn.RNN(3, 4, 2),
    "LSTM": lambda nn: nn.LSTM(3, 4, proj_size=2, bidirectional=True),
    "GRUCell": lambda nn: nn.GRUCell(3, 4),
    "MultiheadAttention": lambda nn: nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True),
    "Transformer": lambda nn: nn.Transformer(4, 2, 1, 1, 8, batch_first=True),
    "AdaptiveLogSoftmaxWithLoss": lambda nn: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 9]),
    "PReLU": lambda nn: nn.PReLU(3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_start_with_the_same_weights(name):
    states = []
    for library in (torch, flashlight):
        library.manual_seed(11)
        states.append(LAYERS[name](library.nn).state_dict())
    expected, actual = states
    assert list(expected) == list(actual)
    for key in expected:
        assert np.array_equal(bits(expected[key]), bits(actual[key])), key


def test_lazy_layers_start_with_the_same_weights():
    def program(torch):
        nn = torch.nn
        model = nn.Sequential(nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
        before = str(model), model[0].has_uninitialized_params()
        model(torch.ones(2, 4, 5))
        return before, str(model), dict(model.state_dict())

    same(program, rtol=0, atol=0)
