"""Pruning by masks."""

from __future__ import annotations

import pytest

from tests.nn.both import raised, same


def layer(torch):
    torch.manual_seed(4)
    return torch.nn.Conv1d(3, 4, 2)


METHODS = {
    "identity": lambda prune, m: prune.identity(m, "weight"),
    "random_unstructured": lambda prune, m: prune.random_unstructured(m, "weight", 5),
    "l1_unstructured": lambda prune, m: prune.l1_unstructured(m, "weight", 0.3),
    "random_structured": lambda prune, m: prune.random_structured(m, "weight", 2, dim=0),
    "ln_structured": lambda prune, m: prune.ln_structured(m, "weight", 0.5, n=2, dim=1),
    "twice": lambda prune, m: prune.l1_unstructured(
        prune.ln_structured(m, "weight", 1, n=1, dim=0), "weight", 0.5
    ),
    "structured twice": lambda prune, m: prune.ln_structured(
        prune.ln_structured(m, "weight", 1, n=1, dim=0), "weight", 1, n=float("inf"), dim=-1
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    def program(torch):
        prune = torch.nn.utils.prune
        model = METHODS[name](prune, layer(torch))
        output = model(torch.ones(1, 3, 5))
        output.sum().backward()
        state = dict(model.state_dict())
        grad, pruned = model.weight_orig.grad, prune.is_pruned(model)
        prune.remove(model, "weight")
        return (
            output,
            state,
            grad,
            pruned,
            model.weight,
            list(model.state_dict()),
            prune.is_pruned(model),
        )

    same(program)


def test_masks_and_scores_of_ones_own():
    def program(torch):
        prune = torch.nn.utils.prune
        model = layer(torch)
        prune.custom_from_mask(model, "bias", torch.tensor([1, 0, 1, 1]))
        scores = torch.arange(24.0).reshape(4, 3, 2)
        prune.l1_unstructured(model, "weight", 10, importance_scores=scores)
        free = prune.L1Unstructured(3).prune(scores, importance_scores=-scores)
        return model.bias, model.weight, free

    same(program)


def test_globally():
    def program(torch):
        prune = torch.nn.utils.prune
        model = torch.nn.Sequential(layer(torch), layer(torch))
        parameters = [(model[0], "weight"), (model[1], "weight"), (model[1], "bias")]
        prune.global_unstructured(parameters, prune.L1Unstructured, amount=0.4)
        prune.global_unstructured(parameters, prune.L1Unstructured, amount=6)
        return model[0].weight, model[1].weight, model[1].bias

    same(program)


def test_errors():
    def program(torch):
        prune = torch.nn.utils.prune
        model = layer(torch)
        return [
            raised(lambda: prune.l1_unstructured(model, "weight", 1.5)),
            raised(lambda: prune.l1_unstructured(model, "weight", -1)),
            raised(lambda: prune.l1_unstructured(model, "weight", "a")),
            raised(lambda: prune.l1_unstructured(model, "weight", 99)),
            raised(lambda: prune.ln_structured(model, "bias", 1, 2, 0)),
            raised(lambda: prune.ln_structured(model, "weight", 1, 2, 7)),
            raised(lambda: prune.remove(model, "weight"))[0],
            raised(
                lambda: prune.global_unstructured(
                    [(model, "weight")], prune.LnStructured, amount=1, n=1
                )
            ),
            raised(lambda: prune.global_unstructured(3, prune.L1Unstructured)),
            list(model.state_dict()),
        ]

    same(program)
