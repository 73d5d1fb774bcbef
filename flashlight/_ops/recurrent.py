"""Recurrent networks: whole layers in one operation a direction, and single cells.

Sources: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, GRU.html, RNN.html
"""

from __future__ import annotations

import mlx.core as mx

from .._core.evaluation import local
from .._core.tensor import Tensor
from .._kernels import recurrent as kernels
from .automatic import vector_jacobian
from .dropout import dropout as drop
from .joining import cat, stack
from .kinds import SAME, composite, primitive
from .matmul import linear
from .operation import Operation

# ----- one layer in one direction -----


@primitive(promote=SAME, many=True)
def _lstm_scan(
    projected: mx.array,
    hidden: mx.array,
    cell: mx.array,
    weight_hh: mx.array,
    weight_hr: mx.array | None,
    batch_sizes: tuple,
    reverse: bool,
    keep: bool,
) -> list:
    return kernels.lstm_scan(
        projected, hidden, cell, weight_hh, weight_hr, batch_sizes, reverse, keep
    )


@primitive(promote=SAME, many=True)
def _lstm_scan_backward(
    grad_output: mx.array,
    grad_hidden: mx.array,
    grad_cell: mx.array,
    hidden: mx.array,
    cell: mx.array,
    weight_hh: mx.array,
    weight_hr: mx.array | None,
    output: mx.array,
    gates: mx.array,
    cells: mx.array,
    squashed: mx.array,
    batch_sizes: tuple,
    reverse: bool,
) -> list:
    return kernels.lstm_gradient(
        grad_output, grad_hidden, grad_cell, hidden, cell, weight_hh, weight_hr,
        output, gates, cells, squashed, batch_sizes, reverse,
    )  # fmt: skip


def _lstm_gradient(
    grads, projected, hidden, cell, weight_hh, weight_hr, batch_sizes, reverse, results
):
    output, last_hidden, last_cell, *kept = results
    grads = _defined(grads[:3], (output, last_hidden, last_cell))
    inputs = [projected, hidden, cell, weight_hh, weight_hr]
    if local.grad_enabled:
        # The gradient of the gradient must not take the kept gates for constants.
        return _differentiable_gradient(
            lambda *given: kernels.lstm_scan(*given, batch_sizes, reverse, False)[:3], inputs, grads
        )
    return _lstm_scan_backward(*grads, *inputs[1:], output, *kept, batch_sizes, reverse)


_lstm_scan.joint_gradient(_lstm_gradient)


@primitive(promote=SAME, many=True)
def _gru_scan(
    projected: mx.array,
    hidden: mx.array,
    weight_hh: mx.array,
    bias_hh: mx.array | None,
    batch_sizes: tuple,
    reverse: bool,
    keep: bool,
) -> list:
    return kernels.gru_scan(projected, hidden, weight_hh, bias_hh, batch_sizes, reverse, keep)


@primitive(promote=SAME, many=True)
def _gru_scan_backward(
    grad_output: mx.array,
    grad_hidden: mx.array,
    hidden: mx.array,
    weight_hh: mx.array,
    output: mx.array,
    gates: mx.array,
    batch_sizes: tuple,
    reverse: bool,
) -> list:
    return kernels.gru_gradient(
        grad_output, grad_hidden, hidden, weight_hh, output, gates, batch_sizes, reverse
    )


def _gru_gradient(grads, projected, hidden, weight_hh, bias_hh, batch_sizes, reverse, results):
    output, last_hidden, gates = results
    grads = _defined(grads[:2], (output, last_hidden))
    inputs = [projected, hidden, weight_hh, bias_hh]
    if local.grad_enabled:
        return _differentiable_gradient(
            lambda *given: kernels.gru_scan(*given, batch_sizes, reverse, False)[:2], inputs, grads
        )
    return _gru_scan_backward(*grads, hidden, weight_hh, output, gates, batch_sizes, reverse)


_gru_scan.joint_gradient(_gru_gradient)


@primitive(promote=SAME, many=True)
def _rnn_scan(
    projected: mx.array,
    hidden: mx.array,
    weight_hh: mx.array,
    batch_sizes: tuple,
    reverse: bool,
    relu: bool,
) -> list:
    return kernels.rnn_scan(projected, hidden, weight_hh, batch_sizes, reverse, relu)


@primitive(promote=SAME, many=True)
def _rnn_scan_backward(
    grad_output: mx.array,
    grad_hidden: mx.array,
    hidden: mx.array,
    weight_hh: mx.array,
    output: mx.array,
    batch_sizes: tuple,
    reverse: bool,
    relu: bool,
) -> list:
    return kernels.rnn_gradient(
        grad_output, grad_hidden, hidden, weight_hh, output, batch_sizes, reverse, relu
    )


def _rnn_gradient(grads, projected, hidden, weight_hh, batch_sizes, reverse, relu, results):
    grads = _defined(grads, results)
    if local.grad_enabled:
        return _differentiable_gradient(
            lambda *given: kernels.rnn_scan(*given, batch_sizes, reverse, relu),
            [projected, hidden, weight_hh],
            grads,
        )
    return _rnn_scan_backward(*grads, hidden, weight_hh, results[0], batch_sizes, reverse, relu)


_rnn_scan.joint_gradient(_rnn_gradient)


_vector_jacobian = Operation(vector_jacobian, many=True, name="automatic_gradient")


def _defined(grads, results) -> list:
    """Replace undefined gradients by zeros."""
    return [result.detach() * 0 if grad is None else grad for grad, result in zip(grads, results)]


def _differentiable_gradient(compute, inputs: list, grads: list) -> tuple:
    """Return the gradients of `inputs` through operations that have gradients themselves."""
    given = [each for each in inputs if each is not None]
    absent = [position for position, each in enumerate(inputs) if each is None]

    def forward(arrays):
        filled = list(arrays)
        for position in absent:
            filled.insert(position, None)
        return compute(*filled)

    wanted = tuple(range(len(given)))
    found = list(_vector_jacobian((given, grads, forward, wanted), {}))
    for position in absent:
        found.insert(position, None)
    return tuple(found)


# ----- whole networks -----


def _unpack_arguments(name: str, args: tuple, kwargs: dict, packed: bool) -> dict:
    names = ["hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional"]
    names = ["data", "batch_sizes", *names] if packed else ["input", *names, "batch_first"]
    values = dict(zip(names, args), **kwargs)
    if len(args) > len(names) or set(values) != set(names):
        raise TypeError(f"{name}() takes ({', '.join(names)}), all of them")
    return values


def _layers(values: dict, run):
    """Run all layers and directions.

    `run(rows, states, params, batch_sizes, reverse)` gives packed outputs and last states.
    """
    packed = "data" in values
    if packed:
        rows = values["data"]
        batch_sizes = tuple(values["batch_sizes"].tolist())
    else:
        input = values["input"].transpose(0, 1) if values["batch_first"] else values["input"]
        steps, batch, features = input.shape
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        rows = input.reshape(steps * batch, features)
        batch_sizes = (batch,) * steps
    states = values["hx"] if isinstance(values["hx"], (tuple, list)) else (values["hx"],)
    directions = 2 if values["bidirectional"] else 1
    params = list(values["params"])
    cells = values["num_layers"] * directions
    each = len(params) // cells
    finals = []
    for layer in range(values["num_layers"]):
        outputs = []
        for direction in range(directions):
            cell = layer * directions + direction
            initial = [state[cell] for state in states]
            own = params[cell * each : (cell + 1) * each]
            output, *final = run(rows, initial, own, batch_sizes, direction == 1)
            outputs.append(output)
            finals.append(final)
        rows = outputs[0] if directions == 1 else cat(outputs, 1)
        if values["dropout"] and values["train"] and layer < values["num_layers"] - 1:
            rows = drop(rows, values["dropout"], True)
    if not packed:
        rows = rows.reshape(steps, batch, rows.shape[1])
        rows = rows.transpose(0, 1) if values["batch_first"] else rows
    return (rows, *[stack(final) for final in zip(*finals)])


def _needs_gradient(*tensors) -> bool:
    return local.grad_enabled and any(
        tensor is not None and tensor.requires_grad for tensor in tensors
    )


@composite(out=False)
def lstm(*args, **kwargs):
    """Run an LSTM of several layers, as nn.LSTM does; returns output, h_n and c_n.

    Takes ``(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)`` or, for packed data, ``(data, batch_sizes, hx, params, …, bidirectional)``.
    """
    packed = "data" in kwargs or (len(args) > 1 and isinstance(args[1], Tensor))
    values = _unpack_arguments("lstm", args, kwargs, packed)
    has_biases = values["has_biases"]

    def run(rows, states, params, batch_sizes, reverse):
        weight_ih, weight_hh, *rest = params
        bias = rest[0] + rest[1] if has_biases else None
        weight_hr = rest[-1] if len(rest) in (1, 3) else None
        projected = linear(rows, weight_ih, bias)
        keep = _needs_gradient(projected, *states, weight_hh, weight_hr)
        return _lstm_scan(projected, *states, weight_hh, weight_hr, batch_sizes, reverse, keep)[:3]

    return _layers(values, run)


@composite(out=False)
def gru(*args, **kwargs):
    """Run a GRU of several layers, as nn.GRU does; returns output and h_n. See `lstm`."""
    packed = "data" in kwargs or (len(args) > 2 and isinstance(args[2], Tensor))
    values = _unpack_arguments("gru", args, kwargs, packed)

    def run(rows, states, params, batch_sizes, reverse):
        weight_ih, weight_hh, bias_ih, bias_hh = (*params, None, None)[:4]
        projected = linear(rows, weight_ih, bias_ih)
        keep = _needs_gradient(projected, *states, weight_hh, bias_hh)
        return _gru_scan(projected, *states, weight_hh, bias_hh, batch_sizes, reverse, keep)[:2]

    return _layers(values, run)


def _plain_rnn(name: str, relu: bool, args: tuple, kwargs: dict):
    packed = "data" in kwargs or (len(args) > 2 and isinstance(args[2], Tensor))
    values = _unpack_arguments(name, args, kwargs, packed)
    has_biases = values["has_biases"]

    def run(rows, states, params, batch_sizes, reverse):
        bias = params[2] + params[3] if has_biases else None
        projected = linear(rows, params[0], bias)
        return _rnn_scan(projected, *states, params[1], batch_sizes, reverse, relu)

    return _layers(values, run)


@composite(out=False)
def rnn_tanh(*args, **kwargs):
    """Run an RNN with tanh, as nn.RNN does; returns output and h_n. See `lstm`."""
    return _plain_rnn("rnn_tanh", False, args, kwargs)


@composite(out=False)
def rnn_relu(*args, **kwargs):
    """Run an RNN with relu, as nn.RNN does; returns output and h_n. See `lstm`."""
    return _plain_rnn("rnn_relu", True, args, kwargs)


# ----- cells -----


@primitive(promote=SAME, many=True)
def _lstm_cell(gates: mx.array, cell: mx.array) -> list:
    return kernels.lstm_cell(gates, cell)


@primitive(promote=SAME, many=True)
def _lstm_cell_backward(
    grad_output: mx.array,
    grad_cell: mx.array,
    cell: mx.array,
    active: mx.array,
    squashed: mx.array,
) -> list:
    return kernels.lstm_cell_gradient(grad_output, grad_cell, cell, active, squashed)


def _lstm_cell_gradient(grads, gates, cell, results):
    output, last_cell, *kept = results
    grads = _defined(grads[:2], (output, last_cell))
    if local.grad_enabled:
        return _differentiable_gradient(
            lambda *given: kernels.lstm_cell(*given)[:2], [gates, cell], grads
        )
    return _lstm_cell_backward(*grads, cell, *kept)


_lstm_cell.joint_gradient(_lstm_cell_gradient)


@primitive(promote=SAME, many=True)
def _gru_cell(from_input: mx.array, from_hidden: mx.array, hidden: mx.array) -> list:
    output, kept = kernels.gru_cell(from_input, from_hidden, hidden)
    return [output, *kept]


@primitive(promote=SAME, many=True)
def _gru_cell_backward(
    grad: mx.array,
    from_hidden: mx.array,
    hidden: mx.array,
    both: mx.array,
    candidate: mx.array,
) -> list:
    return kernels.gru_cell_gradient(grad, from_hidden, hidden, both, candidate)


def _gru_cell_gradient(grads, from_input, from_hidden, hidden, results):
    output, *kept = results
    grads = _defined(grads[:1], (output,))
    if local.grad_enabled:
        return _differentiable_gradient(
            lambda *given: kernels.gru_cell(*given)[:1], [from_input, from_hidden, hidden], grads
        )
    return _gru_cell_backward(*grads, from_hidden, hidden, *kept)


_gru_cell.joint_gradient(_gru_cell_gradient)


def _check_cell(input: Tensor, states, weight_ih: Tensor, weight_hh: Tensor) -> None:
    if input.shape[1] != weight_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[1]} expected {weight_ih.shape[1]}"
        )
    for index, state in enumerate(states):
        if input.shape[0] != state.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{index} batch size "
                f"{state.shape[0]}"
            )
        if state.shape[1] != weight_hh.shape[1]:
            raise RuntimeError(
                f"hidden{index} has inconsistent hidden_size: got {state.shape[1]}, expected "
                f"{weight_hh.shape[1]}"
            )


@composite(out=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an LSTM: input (N, F), hx of two (N, H) -> two (N, H)."""
    hidden, cell = hx
    _check_cell(input, hx, w_ih, w_hh)
    return _lstm_cell(linear(input, w_ih, b_ih) + linear(hidden, w_hh, b_hh), cell)[:2]


@composite(out=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a GRU: input (N, F), hx (N, H) -> (N, H)."""
    _check_cell(input, (hx,), w_ih, w_hh)
    return _gru_cell(linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh), hx)[0]


@composite(out=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an RNN with tanh: input (N, F), hx (N, H) -> (N, H)."""
    _check_cell(input, (hx,), w_ih, w_hh)
    return (linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)).tanh()


@composite(out=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an RNN with relu: input (N, F), hx (N, H) -> (N, H)."""
    _check_cell(input, (hx,), w_ih, w_hh)
    return (linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)).relu()


FUNCTIONS = {
    "gru": gru,
    "gru_cell": gru_cell,
    "lstm": lstm,
    "lstm_cell": lstm_cell,
    "rnn_relu": rnn_relu,
    "rnn_relu_cell": rnn_relu_cell,
    "rnn_tanh": rnn_tanh,
    "rnn_tanh_cell": rnn_tanh_cell,
}
METHODS: dict = {}
INPLACE: list = []
