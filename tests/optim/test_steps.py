"""Every optimizer's numbers are PyTorch's, in every dtype, on arrays and on tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight
from flashlight._ops import optimizer_steps
from tests.optim.both import assert_histories_match, descend, parameters, to_numpy, trained

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "weight_decay": 0.1, "amsgrad": True, "betas": (0.5, 0.9)}),
    ("Adam", {"maximize": True, "foreach": True}),
    ("AdamW", {"weight_decay": 0.2, "amsgrad": True}),
    ("AdamW", {"fused": True}),
    ("Adadelta", {"weight_decay": 0.1, "rho": 0.8}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adamax", {"weight_decay": 0.1}),
    ("ASGD", {"t0": 2, "lambd": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 6e-3, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1, "betas": (0.9, 0.9)}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"maximize": True}),
    ("Rprop", {"lr": 0.05}),
    ("Muon", {"lr": 0.05}),
]
TOLERANCE = {"float32": 3e-6, "float64": 1e-9, "bfloat16": 2e-2, "complex64": 3e-6}


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_steps(name, options, dtype):
    if name == "NAdam" and dtype == "float64":
        pytest.skip("its counter is float32 in both, multiplied in float32 only there")
    expected, actual = trained(name, options, dtype)
    assert_histories_match(
        expected, actual, TOLERANCE[dtype], 1e-2 if dtype == "bfloat16" else 1e-7
    )


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam",
                                  "RAdam", "RMSprop", "Rprop"])  # fmt: skip
def test_complex_parameters(name):
    expected, actual = trained(name, {"lr": 0.05}, "complex64")
    assert_histories_match(expected, actual, TOLERANCE["complex64"])


@pytest.mark.parametrize(("name", "options"), CASES[:8])
def test_a_compiled_step_equals_the_eager_one(name, options, monkeypatch):
    # What decides is the number of elements, which a resumed run shares with the first.
    histories = []
    for limit in (0, 1 << 40):
        monkeypatch.setattr(optimizer_steps, "COMPILED_FROM", limit)
        optimizer_steps._prepared.cache_clear()
        params = parameters(flashlight)
        optimizer = getattr(flashlight.optim, name)(params, **options)
        histories.append(descend(flashlight, optimizer, params, 3))
    assert_histories_match(*histories, rtol=1e-6)


def test_a_changed_rate_takes_effect_in_a_compiled_step(monkeypatch):
    monkeypatch.setattr(optimizer_steps, "COMPILED_FROM", 0)
    results = []
    for module in (torch, flashlight):
        params = parameters(module)
        optimizer = module.optim.Adam(params, lr=0.1)
        history = descend(module, optimizer, params, 2)
        optimizer.param_groups[0]["lr"] = 0.01
        results.append(history + descend(module, optimizer, params, 2))
    assert_histories_match(*results, rtol=3e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "NAdam"])
def test_a_tensor_as_learning_rate(name):
    results = []
    for module in (torch, flashlight):
        params = parameters(module)
        rate = module.tensor(0.1)
        optimizer = getattr(module.optim, name)(params, lr=rate)
        history = descend(module, optimizer, params, 2)
        rate.fill_(0.01)
        results.append(history + descend(module, optimizer, params, 2))
    assert_histories_match(*results, rtol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adamax", "RMSprop", "Adadelta", "Rprop"])
def test_a_differentiable_step(name):
    grads = []
    for module in (torch, flashlight):
        start = module.linspace(0.5, 2.0, 4, dtype=module.float64).requires_grad_()
        param = start.clone()
        options = {"differentiable": True, "lr": 0.1}
        if name == "SGD":
            options["momentum"] = 0.9
        optimizer = getattr(module.optim, name)([param], **options)
        # From the start, not from the parameter, which the step writes to.
        param.grad = start * start
        optimizer.step()
        grads.append(to_numpy(module.autograd.grad(param.sum(), start)[0]))
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, {"history_size": 2}])
def test_lbfgs(options):
    results = []
    for module in (torch, flashlight):
        x = module.tensor([-1.2, 1.0, 0.5], dtype=module.float64).requires_grad_()
        optimizer = module.optim.LBFGS([x], max_iter=10, **options)

        def closure(module=module, x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            loss.backward()
            return loss

        losses = [float(optimizer.step(closure).detach()) for _ in range(4)]
        state = optimizer.state_dict()["state"][0]
        results.append((losses, to_numpy(x), state["func_evals"], state["n_iter"]))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-6)
    assert results[0][2:] == results[1][2:]


def test_views_of_one_storage_are_updated_one_after_the_other():
    results = []
    for module in (torch, flashlight):
        flat = module.arange(8, dtype=module.float32)
        params = [flat[:5].requires_grad_(), flat[5:].requires_grad_()]
        optimizer = module.optim.Adam(params, lr=0.1)
        descend(module, optimizer, params, 2)
        results.append(to_numpy(flat))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


def test_a_step_counts_a_version_and_keeps_the_parameter():
    (param,) = parameters(flashlight, shapes=((2, 2),))
    optimizer = flashlight.optim.SGD([param], lr=0.1)
    alias, version = param.detach(), param._version
    descend(flashlight, optimizer, [param], 1)
    assert param._version > version
    np.testing.assert_array_equal(to_numpy(alias), to_numpy(param))


def test_parameters_without_gradient_stay():
    first, second = parameters(flashlight)
    optimizer = flashlight.optim.Adam([first, second])
    before = to_numpy(second)
    first.grad = flashlight.ones_like(first)
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(second), before)
    assert second not in optimizer.state
