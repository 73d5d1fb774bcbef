"""Recurrent layers as loops over time, with their gradients.

Sequences are packed: one row for each step of each sequence, steps one after the other, and
`batch_sizes` says how many sequences are left at each step (they are sorted by length). The
state has one row a sequence. A padded batch is the case of equal batch sizes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import mlx.core as mx
import numpy as np

from .elementary import sigmoid
from .precision import on_accelerator


def scan(
    step: Callable, initial: tuple[mx.array, ...], batch_sizes: tuple[int, ...], reverse: bool
) -> tuple[list, tuple[mx.array, ...]]:
    """Run ``step(time, states) -> (states, output)`` over time.

    Sequences leave the state when they end and, in reverse, enter it where they end. Returns
    the outputs in the order of time and the final states, one row a sequence.
    """
    times = range(len(batch_sizes))
    if reverse:
        times = times[::-1]
    rows = batch_sizes[times[0]]
    states = tuple(state[:rows] if state.shape[0] != rows else state for state in initial)
    finished = []
    outputs: list = [None] * len(batch_sizes)
    for time in times:
        wanted = batch_sizes[time]
        if wanted < rows:
            finished.append(tuple(state[wanted:] for state in states))
            states = tuple(state[:wanted] for state in states)
        elif wanted > rows:
            states = tuple(
                mx.concatenate([state, first[rows:wanted]]) for state, first in zip(states, initial)
            )
        rows = wanted
        states, outputs[time] = step(time, states)
    if finished:
        parts = [states, *reversed(finished)]
        states = tuple(mx.concatenate([part[i] for part in parts]) for i in range(len(states)))
    return outputs, states


def split_steps(packed: mx.array, batch_sizes: tuple[int, ...]) -> list[mx.array]:
    """Return the rows of each step."""
    if len(batch_sizes) == 1:
        return [packed]
    ends, total = [], 0
    for rows in batch_sizes[:-1]:
        total += rows
        ends.append(total)
    return mx.split(packed, ends)


def previous_states(
    states: mx.array, initial: mx.array, batch_sizes: tuple[int, ...], reverse: bool
) -> mx.array:
    """Return, packed, the state that each step started from, given those that it ended with."""
    steps = split_steps(states, batch_sizes)

    def take(time, entering):
        return (steps[time],), entering[0]

    return mx.concatenate(scan(take, (initial,), batch_sizes, reverse)[0])


# ----- LSTM -----


def lstm_cell(gates: mx.array, cell: mx.array) -> list[mx.array]:
    """Return output and cell state from the sums of the four gates, and what the gradient needs."""
    factor, shift = _candidate_twice(gates)
    active = _activated(gates * factor, factor, shift)
    i, f, g, o = mx.split(active, 4, axis=-1)
    cell = f * cell + i * g
    squashed = mx.tanh(cell)
    return [o * squashed, cell, active, squashed]


def lstm_cell_gradient(grad_output, grad_cell, cell, active, squashed) -> list[mx.array]:
    """Return the gradients of the sums of the gates and of the cell state."""
    i, f, g, o = mx.split(active, 4, axis=-1)
    grad_cell = grad_cell + grad_output * o * (1 - squashed * squashed)
    into = [grad_cell * g, grad_cell * cell, grad_cell * i, grad_output * squashed]
    # a·(1 - a) where a is a sigmoid, (1 + a)·(1 - a) where it is a tanh
    slope = (active - _candidate_twice(active)[1]) * (1 - active)
    return [mx.concatenate(into, axis=-1) * slope, grad_cell * f]


def _candidate_twice(gates: mx.array) -> tuple[mx.array, mx.array]:
    """Return, for the gates i, f, g, o, the factors 1, 1, 2, 1 and the shifts 0, 0, -1, 0."""
    return _factor_and_shift(gates.shape[-1] // 4, gates.dtype)


@functools.lru_cache(maxsize=64)
def _factor_and_shift(size: int, dtype: mx.Dtype) -> tuple[mx.array, mx.array]:
    # Constants from NumPy have values at once: no trace that is under way becomes part of them.
    factor = np.repeat(np.array([1.0, 1.0, 2.0, 1.0]), size)
    return mx.array(factor, dtype), mx.array(1.0 - factor, dtype)


def _activated(sums: mx.array, factor: mx.array, shift: mx.array) -> mx.array:
    """Return sigmoids of i, f and o and the tanh of g, whose sum comes doubled.

    With tanh(g) = 2·sigmoid(2g) - 1 one function serves all four: half the operations.
    """
    plain = on_accelerator() and sums.dtype != mx.float64
    return (mx.sigmoid(sums) if plain else sigmoid(sums)) * factor + shift


def lstm_scan(projected, hidden, cell, weight_hh, weight_hr, batch_sizes, reverse, keep):
    """Return packed outputs and the last hidden and cell states.

    With `keep` also what the gradient needs, packed: activated gates, cell states and their tanh.
    `projected` is the input's part of the gates, biases included: (rows, 4·hidden).
    """
    factor, shift = _candidate_twice(projected)
    steps = split_steps(projected * factor, batch_sizes)
    recurrent = (weight_hh * factor[:, None]).T

    def step(time, states):
        hidden, cell = states
        gates = _activated(mx.addmm(steps[time], hidden, recurrent), factor, shift)
        i, f, g, o = mx.split(gates, 4, axis=-1)
        cell = f * cell + i * g
        squashed = mx.tanh(cell)
        hidden = o * squashed
        if weight_hr is not None:
            hidden = hidden @ weight_hr.T
        return (hidden, cell), (hidden, gates, cell, squashed)

    outputs, (hidden, cell) = scan(step, (hidden, cell), batch_sizes, reverse)
    output, *kept = zip(*outputs)
    kept = [mx.concatenate(each) if keep else None for each in kept]
    return [mx.concatenate(output), hidden, cell, *kept]


def lstm_gradient(
    grad_output, grad_hidden, grad_cell, hidden, cell, weight_hh, weight_hr,
    output, gates, cells, squashed, batch_sizes, reverse,
):  # fmt: skip
    """Return the gradients of `projected`, hidden and cell state and the two weights."""
    i, f, g, o = mx.split(gates, 4, axis=-1)
    before = previous_states(cells, cell, batch_sizes, reverse)
    # What does not depend on the gradients of later steps, for all steps at once.
    to_cell = o * (1 - squashed * squashed)
    to_gates = mx.concatenate(
        [
            g * i * (1 - i),
            before * f * (1 - f),
            i * (1 - g * g),
            squashed * o * (1 - o),
        ],
        axis=-1,
    )
    factors = [split_steps(each, batch_sizes) for each in (grad_output, to_cell, to_gates, f)]

    def step(time, states):
        given, to_cell, to_gates, f = (each[time] for each in factors)
        grad_hidden, grad_cell = states
        grad_hidden = grad_hidden + given
        grad_raw = grad_hidden if weight_hr is None else grad_hidden @ weight_hr
        grad_cell = grad_cell + grad_raw * to_cell
        into = mx.concatenate([grad_cell, grad_cell, grad_cell, grad_raw], axis=-1)
        grad_gates = into * to_gates
        return (grad_gates @ weight_hh, grad_cell * f), (grad_gates, grad_hidden)

    # The gradient meets the steps in the opposite order.
    outputs, states = scan(step, (grad_hidden, grad_cell), batch_sizes, not reverse)
    grad_projected = mx.concatenate([each[0] for each in outputs])
    # One product over all steps, instead of one for each and their sum.
    before = previous_states(output, hidden, batch_sizes, reverse)
    grad_weight_hh = grad_projected.T @ before
    grad_weight_hr = None
    if weight_hr is not None:
        grad_weight_hr = mx.concatenate([each[1] for each in outputs]).T @ (o * squashed)
    return [grad_projected, *states, grad_weight_hh, grad_weight_hr]


# ----- GRU -----


def gru_cell(
    from_input: mx.array, from_hidden: mx.array, hidden: mx.array
) -> tuple[mx.array, tuple]:
    """Return the new state and the activated gates, from the two parts of their sums."""
    size = hidden.shape[-1]
    both = sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size])
    reset, update = both[:, :size], both[:, size:]
    candidate = mx.tanh(from_input[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
    return candidate + update * (hidden - candidate), (both, candidate)


def gru_cell_gradient(grad, from_hidden, hidden, both, candidate) -> list[mx.array]:
    """Return the gradients of the two parts of the sums and of the state."""
    size = hidden.shape[-1]
    reset, update = both[:, :size], both[:, size:]
    to_candidate = grad * (1 - update) * (1 - candidate * candidate)
    to_reset = to_candidate * from_hidden[:, 2 * size :]
    to_both = mx.concatenate([to_reset, grad * (hidden - candidate)], axis=-1) * both * (1 - both)
    return [
        mx.concatenate([to_both, to_candidate], axis=-1),
        mx.concatenate([to_both, to_candidate * reset], axis=-1),
        grad * update,
    ]


def gru_scan(projected, hidden, weight_hh, bias_hh, batch_sizes, reverse, keep):
    """Return packed outputs and the last state.

    With `keep` also what the gradient needs, packed: activated gates, and the state's part of the
    candidate. `projected` is the input's part of the gates, its bias included: (rows, 3·hidden).
    """
    steps = split_steps(projected, batch_sizes)
    recurrent = weight_hh.T
    size = hidden.shape[-1]

    def step(time, states):
        (hidden,) = states
        if bias_hh is None:
            from_hidden = hidden @ recurrent
        else:
            from_hidden = mx.addmm(bias_hh, hidden, recurrent)
        hidden, active = gru_cell(steps[time], from_hidden, hidden)
        return (hidden,), (hidden, *active, from_hidden[:, 2 * size :])

    outputs, (hidden,) = scan(step, (hidden,), batch_sizes, reverse)
    output, *kept = zip(*outputs)
    gates = None
    if keep:
        gates = mx.concatenate([mx.concatenate(each) for each in kept], axis=-1)
    return [mx.concatenate(output), hidden, gates]


def gru_gradient(grad_output, grad_hidden, hidden, weight_hh, output, gates, batch_sizes, reverse):
    """Return the gradients of `projected`, the state, the weight and its bias."""
    before = previous_states(output, hidden, batch_sizes, reverse)
    reset, update, candidate, from_hidden = mx.split(gates, 4, axis=-1)
    # What does not depend on the gradients of later steps, for all steps at once.
    to_candidate = (1 - update) * (1 - candidate * candidate)
    to_reset = to_candidate * from_hidden * reset * (1 - reset)
    to_update = (before - candidate) * update * (1 - update)
    to_gates = mx.stack([to_reset, to_update, to_candidate * reset], axis=1)
    factors = [split_steps(each, batch_sizes) for each in (grad_output, to_gates, update)]

    def step(time, states):
        given, to_gates, update = (each[time] for each in factors)
        grad = states[0] + given
        to_hidden = mx.flatten(grad[:, None, :] * to_gates, 1)
        return (grad * update + to_hidden @ weight_hh,), (grad, to_hidden)

    outputs, (grad_initial,) = scan(step, (grad_hidden,), batch_sizes, not reverse)
    grads, to_hidden = (mx.concatenate(each) for each in zip(*outputs))
    size = 2 * hidden.shape[-1]
    to_input = mx.concatenate([to_hidden[:, :size], grads * to_candidate], axis=-1)
    return [to_input, grad_initial, to_hidden.T @ before, to_hidden.sum(axis=0)]


# ----- plain RNN -----


def _activate(sums: mx.array, relu: bool) -> mx.array:
    return mx.maximum(sums, mx.array(0, sums.dtype)) if relu else mx.tanh(sums)


def rnn_scan(projected, hidden, weight_hh, batch_sizes, reverse, relu):
    """Return packed outputs and the last state; `projected` is (rows, hidden) with biases."""
    steps = split_steps(projected, batch_sizes)
    recurrent = weight_hh.T

    def step(time, states):
        hidden = _activate(mx.addmm(steps[time], states[0], recurrent), relu)
        return (hidden,), hidden

    outputs, (hidden,) = scan(step, (hidden,), batch_sizes, reverse)
    return [mx.concatenate(outputs), hidden]


def rnn_gradient(grad_output, grad_hidden, hidden, weight_hh, output, batch_sizes, reverse, relu):
    """Return the gradients of `projected`, the state and the weight."""
    slope = (output > 0).astype(output.dtype) if relu else 1 - output * output
    slope_steps = split_steps(slope, batch_sizes)
    grad_steps = split_steps(grad_output, batch_sizes)

    def step(time, states):
        grad = (states[0] + grad_steps[time]) * slope_steps[time]
        return (grad @ weight_hh,), grad

    outputs, (grad_initial,) = scan(step, (grad_hidden,), batch_sizes, not reverse)
    grad_projected = mx.concatenate(outputs)
    before = previous_states(output, hidden, batch_sizes, reverse)
    return [grad_projected, grad_initial, grad_projected.T @ before]
