"""The CTC loss against PyTorch's: lengths of all kinds, impossible targets, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import flashlight
from tests.nn.both import raised, same


def log_probs(torch, steps=6, batch=3, classes=5, seed=0):
    values = np.random.default_rng(seed).normal(size=(steps, batch, classes)).astype("f")
    return torch.from_numpy(values).log_softmax(2).detach().requires_grad_()


TARGETS = [[1, 2, 2], [3, 3, 3], [4, 1, 2]]


@pytest.mark.parametrize("zero_infinity", [True, False])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_padded_and_concatenated_targets(reduction, zero_infinity):
    def program(torch):
        results = []
        for inputs, lengths in (
            ((6, 6, 6), (3, 3, 3)),
            ((6, 5, 4), (2, 3, 0)),
            ((3, 6, 1), (1, 2, 1)),
        ):
            flat = [label for row, n in zip(TARGETS, lengths) for label in row[:n]]
            for targets in (torch.tensor(TARGETS), torch.tensor(flat)):
                x = log_probs(torch)
                loss = torch.nn.functional.ctc_loss(
                    x, targets, inputs, lengths, 0, reduction, zero_infinity
                )
                (loss * torch.arange(1.0, 1.0 + loss.numel())).sum().backward()
                results += [loss, x.grad]
        return results

    same(program, atol=1e-5)


def test_impossible_targets():
    def program(torch):
        x = log_probs(torch)
        targets = torch.tensor(TARGETS)
        options = {"reduction": "none", "zero_infinity": True}
        loss = torch.nn.functional.ctc_loss(x, targets, (3, 4, 0), (3, 3, 1), **options)
        loss.sum().backward()
        infinite = torch.nn.functional.ctc_loss(
            log_probs(torch), targets, (3, 4, 0), (3, 3, 0), reduction="none"
        )
        return loss, x.grad, infinite

    same(program, atol=1e-5)


def test_other_blanks_precision_and_shapes():
    def program(torch):
        module = torch.nn.CTCLoss(blank=2, reduction="sum")
        x = log_probs(torch).double().detach().requires_grad_()
        targets = torch.tensor([[1, 0, 4], [3, 3, 1], [0, 0, 0]], dtype=torch.int32)
        loss = module(x, targets, torch.tensor([6, 5, 6]), torch.tensor([3, 2, 2]))
        loss.backward()
        single = torch.nn.functional.ctc_loss(
            log_probs(torch)[:, 0], torch.tensor([1, 2]), torch.tensor(6), torch.tensor(2)
        )
        number = torch.ctc_loss(log_probs(torch), torch.tensor(TARGETS), (6, 6, 6), (3, 3, 3), 0, 2)
        return loss, x.grad, single, number

    same(program, rtol=1e-6, atol=1e-8)


def test_errors():
    def program(torch):
        loss = torch.nn.functional.ctc_loss
        x, targets = log_probs(torch), torch.tensor(TARGETS)
        full, lengths = (6, 6, 6), (3, 3, 3)
        return [
            raised(lambda: loss(x, targets, (6, 7, 6), lengths)),
            raised(lambda: loss(x, targets, (6, -1, 6), lengths)),
            raised(lambda: loss(x, targets, (6, 6), lengths)),
            raised(lambda: loss(x, targets, full, (3, 3))),
            raised(lambda: loss(x, targets, full, (3, 3, 4))),
            raised(lambda: loss(x, targets.flatten(), full, (3, 3, 2))),
            raised(lambda: loss(x, targets, full, lengths, blank=9)),
            raised(lambda: loss(x.half(), targets, full, lengths)),
            raised(lambda: loss(x, targets, full, lengths, reduction="all")),
        ]

    same(program)


def test_labels_that_are_not_there_are_refused():
    targets = flashlight.tensor([[1, 2, 9], [3, 3, 3], [4, 1, 2]])
    x = log_probs(flashlight)
    assert flashlight.nn.functional.ctc_loss(x, targets, (6, 6, 6), (2, 3, 3)).isfinite()
    # PyTorch reads past the end here.
    with pytest.raises(RuntimeError, match="labels from 0 to 4"):
        flashlight.nn.functional.ctc_loss(x, targets, (6, 6, 6), (3, 3, 3))


def test_the_same_inside_and_outside_a_trace():
    labels = flashlight.tensor(TARGETS)
    lengths = flashlight.tensor([6, 5, 6]), flashlight.tensor([3, 2, 1])

    def loss(scores):
        return flashlight.nn.functional.ctc_loss(scores, labels, *lengths)

    scores = log_probs(flashlight)
    loss(scores).backward()
    with flashlight.no_grad():
        lanes = flashlight.stack([scores, scores * 2])
    slopes = flashlight.func.vmap(flashlight.func.grad(loss))(lanes)
    np.testing.assert_allclose(slopes[0].numpy(), scores.grad.numpy(), rtol=1e-5, atol=1e-7)
