"""Connectionist temporal classification: sums over all alignments of labels to time steps.

Source: https://www.cs.toronto.edu/~graves/icml_2006.pdf. An alignment walks through states, the
labels with blanks around them: (N, 2S + 1). All is in logarithms.
"""

from __future__ import annotations

import mlx.core as mx

from .elementary import exp

_NEVER = -float("inf")


def states_of(labels: mx.array, blank: int) -> tuple[mx.array, mx.array]:
    """Return the class of each state, (N, 2S + 1), and where the blank before it may be skipped."""
    batch, length = labels.shape
    blanks = mx.full((batch, length), blank, labels.dtype)
    last = mx.full((batch, 1), blank, labels.dtype)
    classes = mx.concatenate([mx.stack([blanks, labels], axis=2).reshape(batch, -1), last], axis=1)
    # Between equal labels there has to be a blank.
    before = mx.concatenate([mx.full((batch, 2), blank, labels.dtype), classes[:, :-2]], axis=1)
    return classes, (classes != blank) & (classes != before)


def _sum_of_three(a: mx.array, b: mx.array, c: mx.array) -> mx.array:
    largest = mx.maximum(mx.maximum(a, b), c)
    shift = mx.where(largest == _NEVER, mx.zeros_like(largest), largest)
    return shift + mx.log(exp(a - shift) + exp(b - shift) + exp(c - shift))


def _shifted(states: mx.array, by: int) -> mx.array:
    """Move states up (or down, for negative `by`); what comes in is impossible."""
    by, size = max(-states.shape[1], min(by, states.shape[1])), states.shape[1]
    empty = mx.full((states.shape[0], abs(by)), _NEVER, states.dtype)
    if by >= 0:
        return mx.concatenate([empty, states[:, : size - by]], axis=1)
    return mx.concatenate([states[:, -by:], empty], axis=1)


def _scores(log_probs: mx.array, classes: mx.array) -> list[mx.array]:
    """Return the log probabilities of all states at each step, T times (N, 2S + 1)."""
    steps = log_probs.shape[0]
    chosen = mx.take_along_axis(
        log_probs, mx.broadcast_to(classes[None], (steps, *classes.shape)), axis=2
    )
    return [step.squeeze(0) for step in mx.split(chosen, steps)] if steps > 1 else [chosen[0]]


def _impossible(like: mx.array) -> mx.array:
    return mx.full(like.shape, _NEVER, like.dtype)


def forward(log_probs, labels, input_lengths, target_lengths, blank) -> list:
    """Return minus the log likelihoods, (N,), and the sums of the beginnings, (T, N, 2S + 1).

    `log_probs` is (T, N, C), `labels` (N, S), both lengths (N,).
    """
    classes, may_skip = states_of(labels, blank)
    states = mx.arange(classes.shape[1])[None]
    targets = target_lengths[:, None]
    scores = _scores(log_probs, classes)
    never = _impossible(scores[0])
    alpha = mx.where(states <= mx.minimum(targets, 1), scores[0], never)
    alphas = [alpha]
    for time, score in enumerate(scores[1:], 1):
        skipped = mx.where(may_skip, _shifted(alpha, 2), never)
        moved = _sum_of_three(alpha, _shifted(alpha, 1), skipped) + score
        # A sequence that has ended stays as it was.
        alpha = mx.where(input_lengths[:, None] > time, moved, alpha)
        alphas.append(alpha)
    ends = (states == 2 * targets) | ((states == 2 * targets - 1) & (targets > 0))
    final = mx.where(ends, alpha, never)
    largest = mx.max(final, axis=1, keepdims=True)
    shift = mx.where(largest == _NEVER, mx.zeros_like(largest), largest)
    total = shift + mx.log(mx.sum(exp(final - shift), axis=1, keepdims=True))
    # Without input there is one alignment, of no labels.
    nothing = mx.where(target_lengths == 0, mx.array(0, total.dtype), mx.array(_NEVER, total.dtype))
    loss = -mx.where(input_lengths == 0, nothing, total.squeeze(1))
    return [loss, mx.stack(alphas)]


def gradient(
    grad, log_probs, labels, input_lengths, target_lengths, loss, alphas, blank, zero_infinity
) -> mx.array:
    """Return the gradient of the loss as PyTorch defines it: probabilities minus posteriors.

    That is the gradient of the scores before their log softmax; with it behind, both are equal.
    """
    steps, batch, _ = log_probs.shape
    classes, may_skip = states_of(labels, blank)
    states = mx.arange(classes.shape[1])[None]
    targets, lengths = target_lengths[:, None], input_lengths[:, None]
    scores = _scores(log_probs, classes)
    never = _impossible(scores[0])
    ends = (states == 2 * targets) | ((states == 2 * targets - 1) & (targets > 0))
    skipped_from = mx.concatenate(
        [may_skip[:, 2:], mx.zeros((batch, min(2, states.size)), mx.bool_)], axis=1
    )
    beta, betas = never, []
    for time in reversed(range(steps)):
        skipped = mx.where(skipped_from, _shifted(beta, -2), never)
        moved = _sum_of_three(beta, _shifted(beta, -1), skipped)
        start = mx.where(ends, mx.zeros_like(beta), never)
        beta = mx.where(lengths - 1 == time, start, moved) + scores[time]
        betas.append(mx.where(lengths > time, beta, never))
        beta = betas[-1]
    total = alphas + mx.stack(betas[::-1]) - mx.stack(scores) + loss[None, :, None]
    impossible = (alphas == _NEVER) | (mx.stack(betas[::-1]) == _NEVER)
    posterior = mx.where(impossible, mx.zeros_like(total), exp(total))
    by_class = mx.zeros_like(log_probs).at[
        mx.arange(steps)[:, None, None],
        mx.arange(batch)[None, :, None],
        classes[None],
    ].add(posterior)  # fmt: skip
    inside = mx.arange(steps)[:, None, None] < input_lengths[None, :, None]
    if zero_infinity:
        inside = inside & (loss != float("inf"))[None, :, None]
    result = (exp(log_probs) - by_class) * grad[None, :, None]
    return mx.where(inside, result, mx.zeros_like(result))
