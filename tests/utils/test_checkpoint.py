"""Checkpointing gives the numbers of the program without it, as PyTorch's does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.utils.checkpoint

import flashlight
from flashlight.utils import checkpoint as checkpoints
from flashlight.utils.checkpoint import checkpoint

MODULES = [torch, flashlight]


def trained(module, **options):
    """Return gradients, the calls of the function, and the next random number."""
    module.manual_seed(0)
    x = module.randn(4, 5, requires_grad=True)
    weight = module.randn(5, 5, requires_grad=True)
    calls = []

    def block(x, weight):
        calls.append(1)
        hidden = module.nn.functional.dropout(module.relu(x @ weight), 0.5)
        return (hidden @ weight).tanh().exp()

    if options:
        y = module.utils.checkpoint.checkpoint(block, x, weight, **options)
    else:
        y = block(x, weight)
    y.sum().backward()
    return x.grad.tolist(), weight.grad.tolist(), len(calls), module.rand(1).item()


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_and_random_numbers(reentrant):
    plain = trained(flashlight)
    theirs = trained(torch, use_reentrant=reentrant)
    ours = trained(flashlight, use_reentrant=reentrant)
    for i in (0, 1):
        np.testing.assert_array_equal(ours[i], plain[i])
        np.testing.assert_allclose(ours[i], theirs[i], rtol=1e-4, atol=1e-6)
    assert ours[2] == theirs[2] == 2
    assert ours[3] == theirs[3] == plain[3]


@pytest.mark.parametrize("reentrant", [False, True])
def test_dropout_differs_when_the_state_is_not_kept(reentrant):
    kept = trained(flashlight, use_reentrant=reentrant)
    lost = trained(flashlight, use_reentrant=reentrant, preserve_rng_state=False)
    assert lost[0] != kept[0]


def saved_sizes(run):
    """Return the numbers of elements that autograd keeps while `run` computes its result."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    with flashlight.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sizes


def test_less_is_saved():
    x = flashlight.randn(8, 8, requires_grad=True)

    def block(x):
        for _ in range(5):
            x = x.exp().tanh()
        return x

    assert len(saved_sizes(lambda: block(x))) >= 10
    assert len(saved_sizes(lambda: checkpoint(block, x, use_reentrant=False))) <= 1


def test_selected_results_are_kept():
    calls = []

    class Counted:
        def __call__(self, x, weight):
            calls.append(1)
            return (x @ weight).exp() @ weight

    def contexts():
        return checkpoints.create_selective_checkpoint_contexts([flashlight.matmul])

    def policy(context, operation, *args, **kwargs):
        products.append(getattr(operation, "__name__", ""))
        return checkpoints.CheckpointPolicy.PREFER_RECOMPUTE

    products = []
    expected = None
    for context_fn in (
        checkpoints.noop_context_fn,
        contexts,
        lambda: checkpoints.create_selective_checkpoint_contexts(policy),
    ):
        x = flashlight.full((3, 3), 0.1, requires_grad=True)
        checkpoint(
            Counted(), x, flashlight.eye(3), use_reentrant=False, context_fn=context_fn
        ).sum().backward()
        expected = x.grad.tolist() if expected is None else expected
        assert x.grad.tolist() == expected
    assert "matmul" in [name.strip("_") for name in products]


def test_checkpoints_in_checkpoints():
    gradients = []
    for module in MODULES:
        x = module.ones(3, requires_grad=True)

        def inner(y, module=module):
            return module.utils.checkpoint.checkpoint(
                lambda z: (z * z).exp(), y, use_reentrant=False
            )

        module.utils.checkpoint.checkpoint(
            lambda y, inner=inner: inner(y) * y, x, use_reentrant=False
        ).sum().backward()
        gradients.append(x.grad.tolist())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-5)


def test_gradients_of_gradients():
    gradients = []
    for module in MODULES:
        x = module.ones(3, requires_grad=True)
        y = module.utils.checkpoint.checkpoint(lambda v: (v**3).exp(), x, use_reentrant=False)
        (first,) = module.autograd.grad(y.sum(), x, create_graph=True)
        first.sum().backward()
        gradients.append(x.grad.tolist())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-5)


def test_autocast_is_restored():
    for reentrant in (False, True):
        x = flashlight.ones(2, 2, requires_grad=True)
        seen = []

        def block(y, seen=seen):
            y = y @ y
            seen.append(y.dtype)
            return y.exp()

        with flashlight.autocast("cpu", dtype=flashlight.bfloat16):
            result = checkpoint(block, x, use_reentrant=reentrant)
        result.float().sum().backward()
        assert seen == [flashlight.bfloat16] * 2


def changing(module):
    """A function that computes something else when it is called again."""
    calls = []

    def block(x):
        calls.append(1)
        return (x * x).exp() if len(calls) == 1 else (x * x).exp().exp() * x

    return block


def test_another_computation_is_an_error():
    for module in MODULES:
        x = module.ones(3, requires_grad=True)
        y = module.utils.checkpoint.checkpoint(
            changing(module), x, use_reentrant=False, early_stop=False
        )
        with pytest.raises(module.utils.checkpoint.CheckpointError):
            y.sum().backward()


def test_debug_names_the_operations():
    x = flashlight.ones(3, requires_grad=True)
    y = checkpoint(changing(flashlight), x, use_reentrant=False, debug=True, early_stop=False)
    with pytest.raises(checkpoints.CheckpointError, match="exp"):
        y.sum().backward()


def test_other_shapes_are_an_error():
    calls = []

    def block(x):
        calls.append(1)
        return x.exp().sum() if len(calls) == 1 else x[:2].exp().sum()

    x = flashlight.ones(3, requires_grad=True)
    y = checkpoint(block, x, use_reentrant=False)
    with pytest.raises(checkpoints.CheckpointError, match="metadata"):
        y.backward()
    calls.clear()
    y = checkpoint(block, x, use_reentrant=False, determinism_check="none")
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    assert not isinstance(caught.value, checkpoints.CheckpointError)


def test_grad_needs_the_kind_that_is_not_reentrant():
    for module in MODULES:
        x = module.ones(3, requires_grad=True)
        y = module.utils.checkpoint.checkpoint(lambda v: v.exp(), x, use_reentrant=True)
        with pytest.raises(RuntimeError, match="use_reentrant"):
            module.autograd.grad(y.sum(), x)


def test_reentrant_without_gradients_in_the_inputs_warns():
    for module in MODULES:
        with pytest.warns(UserWarning, match="requires_grad=True"):
            module.utils.checkpoint.checkpoint(
                lambda v: v.exp(), module.ones(2), use_reentrant=True
            )


@pytest.mark.parametrize("reentrant", [False, True])
def test_sequences(reentrant):
    flashlight.manual_seed(0)
    layers = flashlight.nn.Sequential(*[flashlight.nn.Linear(4, 4) for _ in range(5)])
    x = flashlight.randn(2, 4, requires_grad=True)
    layers(x).sum().backward()
    expected, x.grad = x.grad.tolist(), None
    checkpoints.checkpoint_sequential(layers, 2, x, use_reentrant=reentrant).sum().backward()
    assert x.grad.tolist() == expected


def test_what_is_not_said_or_not_known():
    x = flashlight.ones(2, requires_grad=True)
    classes = []
    for module in MODULES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module.utils.checkpoint.checkpoint(lambda v: v, module.ones(2))
        classes.append([warning.category for warning in caught])
    assert classes[0] == classes[1]
    with pytest.raises(ValueError, match="keyword arguments"):
        checkpoint(lambda v: v, x, use_reentrant=True, wrong=3)
    with pytest.raises(ValueError, match="context_fn"):
        checkpoint(lambda v: v, x, use_reentrant=True, context_fn=lambda: None)
