"""Connectionist temporal classification: sums over all alignments of labels to time steps.

Source: https://www.cs.toronto.edu/~graves/icml_2006.pdf. An alignment walks through states, the
labels with blanks around them: (N, 2S + 1). All is in logarithms.

`xp` is mlx.core or NumPy, whose functions have the same names: many small steps, each of which
depends on the one before, are what MLX takes longest for.
"""

from __future__ import annotations

from types import ModuleType

import mlx.core as mx
import numpy as np

from .elementary import exp as accurate_exp

_NEVER = -float("inf")


Array = mx.array | np.ndarray


def _exp(xp: ModuleType, x):
    return np.exp(x) if xp is np else accurate_exp(x)


def states_of(xp: ModuleType, labels: Array, blank: int) -> tuple[Array, Array]:
    """Return the class of each state, (N, 2S + 1), and where the blank before it may be skipped."""
    batch, length = labels.shape
    blanks = xp.full((batch, length), blank, labels.dtype)
    last = xp.full((batch, 1), blank, labels.dtype)
    classes = xp.concatenate([xp.stack([blanks, labels], axis=2).reshape(batch, -1), last], axis=1)
    # Between equal labels there has to be a blank.
    before = xp.concatenate([xp.full((batch, 2), blank, labels.dtype), classes[:, :-2]], axis=1)
    return classes, (classes != blank) & (classes != before)


def _sum_of_three(xp: ModuleType, a: Array, b: Array, c: Array) -> Array:
    largest = xp.maximum(xp.maximum(a, b), c)
    shift = xp.where(largest == _NEVER, xp.zeros_like(largest), largest)
    return shift + xp.log(_exp(xp, a - shift) + _exp(xp, b - shift) + _exp(xp, c - shift))


def _shifted(xp: ModuleType, states: Array, by: int) -> Array:
    """Move states up (or down, for negative `by`); what comes in is impossible."""
    by, size = max(-states.shape[1], min(by, states.shape[1])), states.shape[1]
    empty = xp.full((states.shape[0], abs(by)), _NEVER, states.dtype)
    if by >= 0:
        return xp.concatenate([empty, states[:, : size - by]], axis=1)
    return xp.concatenate([states[:, -by:], empty], axis=1)


def _scores(xp: ModuleType, log_probs: Array, classes: Array) -> list[Array]:
    """Return the log probabilities of all states at each step, T times (N, 2S + 1)."""
    steps = log_probs.shape[0]
    chosen = xp.take_along_axis(
        log_probs, xp.broadcast_to(classes[None], (steps, *classes.shape)), axis=2
    )
    return [step.squeeze(0) for step in xp.split(chosen, steps)] if steps > 1 else [chosen[0]]


def _impossible(xp: ModuleType, like: Array) -> Array:
    return xp.full(like.shape, _NEVER, like.dtype)


def forward(xp: ModuleType, log_probs, labels, input_lengths, target_lengths, blank) -> list:
    """Return minus the log likelihoods, (N,), and the sums of the beginnings, (T, N, 2S + 1).

    `log_probs` is (T, N, C), `labels` (N, S), both lengths (N,).
    """
    classes, may_skip = states_of(xp, labels, blank)
    states = xp.arange(classes.shape[1])[None]
    targets = target_lengths[:, None]
    scores = _scores(xp, log_probs, classes)
    never = _impossible(xp, scores[0])
    alpha = xp.where(states <= xp.minimum(targets, 1), scores[0], never)
    alphas = [alpha]
    for time, score in enumerate(scores[1:], 1):
        skipped = xp.where(may_skip, _shifted(xp, alpha, 2), never)
        moved = _sum_of_three(xp, alpha, _shifted(xp, alpha, 1), skipped) + score
        # A sequence that has ended stays as it was.
        alpha = xp.where(input_lengths[:, None] > time, moved, alpha)
        alphas.append(alpha)
    ends = (states == 2 * targets) | ((states == 2 * targets - 1) & (targets > 0))
    final = xp.where(ends, alpha, never)
    largest = xp.max(final, axis=1, keepdims=True)
    shift = xp.where(largest == _NEVER, xp.zeros_like(largest), largest)
    total = shift + xp.log(xp.sum(_exp(xp, final - shift), axis=1, keepdims=True))
    # Without input there is one alignment, of no labels.
    never = xp.full((), _NEVER, total.dtype)
    nothing = xp.where(target_lengths == 0, xp.zeros((), total.dtype), never)
    loss = -xp.where(input_lengths == 0, nothing, total.squeeze(1))
    return [loss, xp.stack(alphas)]


def gradient(
    xp: ModuleType, grad, log_probs, labels, input_lengths, target_lengths, loss, alphas, blank,
    zero_infinity,
) -> Array:  # fmt: skip
    """Return the gradient of the loss as PyTorch defines it: probabilities minus posteriors.

    That is the gradient of the scores before their log softmax; with it behind, both are equal.
    """
    steps, batch, _ = log_probs.shape
    classes, may_skip = states_of(xp, labels, blank)
    states = xp.arange(classes.shape[1])[None]
    targets, lengths = target_lengths[:, None], input_lengths[:, None]
    scores = _scores(xp, log_probs, classes)
    never = _impossible(xp, scores[0])
    ends = (states == 2 * targets) | ((states == 2 * targets - 1) & (targets > 0))
    skipped_from = xp.concatenate(
        [may_skip[:, 2:], xp.zeros((batch, min(2, states.size)), xp.bool_)], axis=1
    )
    beta, betas = never, []
    for time in reversed(range(steps)):
        skipped = xp.where(skipped_from, _shifted(xp, beta, -2), never)
        moved = _sum_of_three(xp, beta, _shifted(xp, beta, -1), skipped)
        start = xp.where(ends, xp.zeros_like(beta), never)
        beta = xp.where(lengths - 1 == time, start, moved) + scores[time]
        betas.append(xp.where(lengths > time, beta, never))
        beta = betas[-1]
    total = alphas + xp.stack(betas[::-1]) - xp.stack(scores) + loss[None, :, None]
    impossible = (alphas == _NEVER) | (xp.stack(betas[::-1]) == _NEVER)
    posterior = xp.where(impossible, xp.zeros_like(total), _exp(xp, total))
    index = xp.arange(steps)[:, None, None], xp.arange(batch)[None, :, None], classes[None]
    by_class = xp.zeros_like(log_probs)
    if xp is np:
        np.add.at(by_class, index, posterior)
    else:
        by_class = by_class.at[index].add(posterior)
    inside = xp.arange(steps)[:, None, None] < input_lengths[None, :, None]
    if zero_infinity:
        inside = inside & (loss != float("inf"))[None, :, None]
    result = (_exp(xp, log_probs) - by_class) * grad[None, :, None]
    return xp.where(inside, result, xp.zeros_like(result))
