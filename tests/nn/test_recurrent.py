"""Recurrent layers against PyTorch's: all options, packed sequences, first and second gradients."""

from __future__ import annotations

import numpy as np
import pytest

import flashlight
from tests.nn.both import plain, raised, same, warned


def carried(torch, module, seed=0):
    """Give `module` weights that are the same everywhere, and return it."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for param in module.parameters():
            param.copy_(torch.from_numpy(rng.normal(0, 0.5, tuple(param.shape))))
    return module


def data(torch, *shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype("f"))


def outcome(torch, module, inputs, outputs):
    """Return the outputs and the gradients of a weighted sum of them."""
    total = 0
    for index, output in enumerate(outputs):
        weight = data(torch, *output.shape, seed=index + 5)
        total = total + (output * weight).sum()
    total.backward()
    return outputs, [x.grad for x in inputs], [p.grad for p in module.parameters()]


KINDS = ["RNN", "LSTM", "GRU"]
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"bidirectional": True, "num_layers": 2, "bias": False},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches(kind, options):
    def program(torch):
        module = carried(torch, getattr(torch.nn, kind)(3, 4, **options))
        x = data(torch, 5, 2, 3).requires_grad_()
        output, last = module(x)
        last = last if isinstance(last, tuple) else (last,)
        return outcome(torch, module, [x], [output, *last])

    same(program)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences(kind, given):
    def program(torch):
        rnn = torch.nn.utils.rnn
        module = carried(torch, getattr(torch.nn, kind)(3, 4, 2, bidirectional=True))
        x = data(torch, 5, 3, 3).requires_grad_()
        packed = rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
        states = [data(torch, 4, 3, 4, seed=s).requires_grad_() for s in (2, 3)]
        states = states if kind == "LSTM" else states[:1]
        hx = (tuple(states) if kind == "LSTM" else states[0]) if given else None
        output, last = module(packed, hx)
        last = last if isinstance(last, tuple) else (last,)
        padded, lengths = rnn.pad_packed_sequence(output)
        results = outcome(torch, module, [x, *(states if given else [])], [padded, *last])
        return lengths, results

    same(program)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_projections(options):
    def program(torch):
        module = carried(torch, torch.nn.LSTM(3, 4, proj_size=2, **options))
        x = data(torch, 5, 2, 3).requires_grad_()
        output, last = module(x)
        return outcome(torch, module, [x], [output, *last])

    same(program)


def test_relu_and_unbatched():
    def program(torch):
        module = carried(torch, torch.nn.RNN(3, 4, 1, "relu", bidirectional=True))
        x = data(torch, 5, 3).requires_grad_()
        output, last = module(x, data(torch, 2, 4))
        return outcome(torch, module, [x], [output, last])

    same(program)


@pytest.mark.parametrize("kind", KINDS)
def test_double_precision_and_second_gradients(kind):
    def program(torch):
        module = carried(torch, getattr(torch.nn, kind)(2, 3)).double()
        x = data(torch, 4, 2, 2).double().requires_grad_()
        output, _ = module(x)
        (grad,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        grad.square().sum().backward()
        return output, grad, x.grad, [p.grad for p in module.parameters()]

    same(program, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_cells(kind):
    def program(torch):
        module = carried(torch, getattr(torch.nn, kind + "Cell")(3, 4))
        x = data(torch, 2, 3).requires_grad_()
        state = module(x)
        state = module(x, state)
        results = outcome(torch, module, [x], list(state) if kind == "LSTM" else [state])
        bare = data(torch, 3)
        return results, module(bare)

    same(program)


def test_dropout_between_layers():
    module = carried(flashlight, flashlight.nn.LSTM(3, 4, 2, dropout=1.0))
    x = data(flashlight, 5, 2, 3)
    output, _ = module(x)
    # Without its input the second layer sees nothing but its biases.
    alone, _ = module(x * 7)
    assert np.array_equal(plain(output).array, plain(alone).array)
    module.eval()
    assert not np.array_equal(plain(module(x)[0]).array, plain(module(x * 7)[0]).array)


def test_errors():
    def program(torch):
        nn = torch.nn
        lstm, gru, cell = nn.LSTM(3, 4), nn.GRU(3, 4, batch_first=True), nn.RNNCell(3, 4)
        x = torch.ones(5, 2, 3)
        return [
            raised(lambda: lstm(torch.ones(5, 2, 4))),
            raised(lambda: lstm(torch.ones(5))),
            raised(lambda: gru(torch.ones(5))),
            raised(lambda: nn.RNN(3, 4)(torch.ones(5))),
            raised(lambda: lstm(x.double())),
            raised(lambda: lstm(x, (torch.ones(1, 3, 4), torch.ones(1, 2, 4)))),
            raised(lambda: lstm(x, (torch.ones(1, 2, 4), torch.ones(1, 2, 5)))),
            raised(lambda: lstm(x, (torch.ones(2, 4), torch.ones(2, 4)))),
            raised(lambda: lstm(x[:, 0], (torch.ones(1, 2, 4), torch.ones(1, 2, 4)))),
            raised(lambda: gru(x, torch.ones(2, 4))),
            raised(lambda: gru(x, torch.ones(1, 2, 4))),
            raised(lambda: gru(x[0], torch.ones(1, 2, 4))),
            raised(lambda: lstm(x[:0])),
            raised(lambda: cell(torch.ones(2, 4))),
            raised(lambda: cell(torch.ones(2, 3), torch.ones(3, 4))),
            raised(lambda: cell(torch.ones(2, 3), torch.ones(2, 5))),
            raised(lambda: cell(torch.ones(1, 2, 3))),
            raised(lambda: nn.LSTMCell(3, 4)(torch.ones(2, 3), (torch.ones(1, 2, 4),) * 2)),
            raised(lambda: nn.RNNCell(3, 4, nonlinearity="sine")(torch.ones(2, 3))),
            raised(lambda: nn.RNN(3, 4, nonlinearity="sine")),
            raised(lambda: nn.GRU(3, 4, proj_size=2)),
            raised(lambda: nn.LSTM(3, 4, proj_size=4)),
            raised(lambda: nn.LSTM(3, 4, dropout=2)),
            raised(lambda: nn.LSTM(3, 4, bias=1)),
            raised(lambda: nn.LSTM(3, 0)),
            raised(lambda: nn.LSTM(3.0, 4)),
            raised(lambda: nn.RNNBase("TANH", 3, 4)),
            warned(lambda: nn.LSTM(3, 4, dropout=0.5)),
        ]

    same(program)


def test_weights_replaced_later_are_used():
    def program(torch):
        module = carried(torch, torch.nn.GRU(2, 2))
        x = data(torch, 3, 1, 2)
        before = module(x)[0]
        module.weight_hh_l0 = torch.nn.Parameter(torch.zeros(6, 2))
        module.double()
        return before, module(x.double())[0], [list(map(len, module.all_weights))]

    same(program)


def test_functions_of_torch_take_flat_weights():
    def program(torch):
        module = carried(torch, torch.nn.LSTM(2, 3))
        x, h = data(torch, 4, 2, 2), data(torch, 1, 2, 3)
        weights = module._flat_weights
        return torch.lstm(x, (h, h), weights, True, 1, 0.0, False, False, False)

    same(program)


def test_padding_and_packing():
    def program(torch):
        rnn = torch.nn.utils.rnn
        sequences = [data(torch, n, 2, seed=n) for n in (2, 4, 1)]
        padded = rnn.pad_sequence(sequences, padding_value=-1.0)
        packed = rnn.pack_sequence(sequences, enforce_sorted=False)
        return (
            padded,
            rnn.pad_sequence(sequences, batch_first=True, padding_side="left"),
            packed,
            str(packed),
            rnn.pad_packed_sequence(packed, batch_first=True, padding_value=9.0, total_length=5),
            rnn.unpack_sequence(packed),
            rnn.unpad_sequence(padded.transpose(0, 1), torch.tensor([2, 4, 1]), batch_first=True),
            rnn.invert_permutation(torch.tensor([2, 0, 1])),
            str(packed.double().data.dtype),
            packed.to(torch.float32) is packed,
            packed.cpu() is packed,
        )

    same(program)


def test_errors_of_packing():
    def program(torch):
        rnn = torch.nn.utils.rnn
        x = torch.ones(4, 2, 3)
        packed = rnn.pack_padded_sequence(x, [4, 1])
        return [
            raised(lambda: rnn.pack_padded_sequence(x, [2, 3])),
            raised(lambda: rnn.pack_padded_sequence(x, [2, 0])),
            raised(lambda: rnn.pack_padded_sequence(x, [2])),
            raised(lambda: rnn.pack_padded_sequence(x[:0], [2, 1])),
            raised(lambda: rnn.pad_packed_sequence(packed, total_length=3)),
            raised(lambda: rnn.pad_sequence(3)),
            raised(lambda: rnn.pad_sequence([])),
            raised(lambda: rnn.pad_sequence([x], padding_side="top")),
        ]

    same(program)


def test_lengths_beyond_the_padding_are_refused():
    with pytest.raises(RuntimeError, match="at most the padded length 4"):
        flashlight.nn.utils.rnn.pack_padded_sequence(flashlight.ones(4, 2), [5, 1])


def test_gradients_reach_through_packing():
    def program(torch):
        rnn = torch.nn.utils.rnn
        x = data(torch, 4, 3, 2).requires_grad_()
        packed = rnn.pack_padded_sequence(x, [4, 2, 1])
        padded, _ = rnn.pad_packed_sequence(packed)
        (padded * data(torch, 4, 3, 2, seed=9)).sum().backward()
        return x.grad

    same(program)
