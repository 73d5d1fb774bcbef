"""Learning rate schedules, epoch by epoch, and weight averaging."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import flashlight
from tests.optim.both import descend, parameters, to_numpy

MODULES = [torch, flashlight]
SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (1 + e)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9),
    "StepLR": lambda s, o: s.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], gamma=0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.2, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.8, 8),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 9, 2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 4, 0.01),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 1e-3),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [4, 7]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.5, 4), s.ExponentialLR(o, 0.9)]
    ),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 3, 5, mode="triangular2"),
    "CyclicLR exp": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 4, mode="exp_range", gamma=0.9),
    "CyclicLR own": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 4, scale_fn=lambda x: 1 / x),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=16),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.3, 0.2], epochs=4, steps_per_epoch=4, anneal_strategy="linear", three_phase=True
    ),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=1, cooldown=1),
}


def groups(module):
    first, second = parameters(module)
    return module.optim.SGD(
        [{"params": [first]}, {"params": [second], "lr": 0.02}], lr=0.1, momentum=0.9
    )


def epochs(module, build, count=14, restart=None):
    optimizer = groups(module)
    scheduler = build(module.optim.lr_scheduler, optimizer)
    rates = []
    for epoch in range(count):
        optimizer.step()
        plateau = isinstance(scheduler, module.optim.lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*([float(max(4 - epoch, 0))] if plateau else []))
        rates.append([(g["lr"], g["momentum"]) for g in optimizer.param_groups])
        if epoch == restart:
            state = scheduler.state_dict()
            scheduler = build(module.optim.lr_scheduler, optimizer)
            scheduler.load_state_dict(state)
            for group, rate in zip(optimizer.param_groups, rates[-1], strict=True):
                group["lr"], group["momentum"] = rate
    return rates, scheduler


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name):
    expected, theirs = epochs(torch, SCHEDULES[name])
    actual, ours = epochs(flashlight, SCHEDULES[name])
    assert actual == expected
    assert ours.get_last_lr() == theirs.get_last_lr()
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "CyclicLR own"])
def test_a_restart_changes_nothing(name):
    with warnings.catch_warnings():
        # The new scheduler is stepped before the optimizer has been, as it sees it.
        warnings.simplefilter("ignore", UserWarning)
        assert (
            epochs(flashlight, SCHEDULES[name], restart=6)[0]
            == epochs(flashlight, SCHEDULES[name])[0]
        )


@pytest.mark.parametrize("name", SCHEDULES)
def test_states_go_both_ways(name):
    for source, target in ((torch, flashlight), (flashlight, torch)):
        state = epochs(source, SCHEDULES[name], 5)[1].state_dict()
        fresh = SCHEDULES[name](target.optim.lr_scheduler, groups(target))
        fresh.load_state_dict(state)
        assert fresh.get_last_lr() == state["_last_lr"]


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n.split()[0] not in (
    "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau", "OneCycleLR")])  # fmt: skip
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_a_given_epoch(name):
    rates = []
    for module in MODULES:
        optimizer = groups(module)
        scheduler = SCHEDULES[name](module.optim.lr_scheduler, optimizer)
        seen = []
        for epoch in (0, 3, 7, 2):
            scheduler.step(epoch)
            seen += [group["lr"] for group in optimizer.param_groups]
        rates.append(seen)
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-12)


def test_a_tensor_rate_is_filled():
    for module in MODULES:
        rate = module.tensor(0.5)
        optimizer = module.optim.SGD(parameters(module), lr=rate)
        scheduler = module.optim.lr_scheduler.StepLR(optimizer, 1)
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] is rate
        assert float(rate) == pytest.approx(0.05)


def test_warnings():
    for module in MODULES:
        schedulers = module.optim.lr_scheduler
        scheduler = schedulers.StepLR(groups(module), 1)
        with pytest.warns(UserWarning, match="before `optimizer.step"):
            scheduler.step()
        with pytest.warns(UserWarning, match="get_last_lr"):
            scheduler.get_lr()
        with pytest.warns(UserWarning, match="epoch parameter"):
            scheduler.step(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, s, o: s.ConstantLR(o, 2.0),
        lambda m, s, o: s.LinearLR(o, 0.0),
        lambda m, s, o: s.LambdaLR(o, [lambda e: 1]),
        lambda m, s, o: s.MultiplicativeLR(o, 3),
        lambda m, s, o: s.SequentialLR(o, [], []),
        lambda m, s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
        lambda m, s, o: s.SequentialLR(o, [s.StepLR(groups(m), 1)], []),
        lambda m, s, o: s.ChainedScheduler([]),
        lambda m, s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
        lambda m, s, o: s.ReduceLROnPlateau(o, factor=1.0),
        lambda m, s, o: s.ReduceLROnPlateau(o, mode="up"),
        lambda m, s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
        lambda m, s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
        lambda m, s, o: s.CyclicLR(o, [0.1], 0.2),
        lambda m, s, o: s.CosineAnnealingWarmRestarts(o, 0),
        lambda m, s, o: s.OneCycleLR(o, 0.1),
        lambda m, s, o: s.OneCycleLR(o, 0.1, total_steps=-1),
        lambda m, s, o: s.OneCycleLR(o, 0.1, total_steps=3, pct_start=2.0),
        lambda m, s, o: s.OneCycleLR(o, 0.1, total_steps=3, anneal_strategy="up"),
        lambda m, s, o: s.StepLR(3, 1),
    ],
)
def test_errors_are_the_same(call):
    raised = []
    for module in MODULES:
        with pytest.raises((ValueError, TypeError)) as caught:
            call(module, module.optim.lr_scheduler, groups(module))
        raised.append(caught.value)
    assert type(raised[0]) is type(raised[1])
    first, second = (str(error).split("object at")[0] for error in raised)
    assert first.replace("torch.", "") == second.replace("flashlight.", "")


def averaged_models(**options):
    for module in MODULES:
        module.manual_seed(0)
        model = module.nn.Sequential(module.nn.Linear(3, 2), module.nn.BatchNorm1d(2))
        made = {name: make(module) for name, make in options.items()}
        yield module, model, module.optim.swa_utils.AveragedModel(model, **made)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"multi_avg_fn": lambda m: m.optim.swa_utils.get_ema_multi_avg_fn(0.9)},
        {"multi_avg_fn": lambda m: m.optim.swa_utils.get_swa_multi_avg_fn()},
        {"avg_fn": lambda m: m.optim.swa_utils.get_ema_avg_fn(0.9)},
        {"use_buffers": lambda m: True},
    ],
)
def test_averaged_models(options):
    results = []
    for module, model, averaged in averaged_models(**options):
        optimizer = module.optim.SGD(model.parameters(), lr=0.1)
        data = module.linspace(-1, 1, 12).reshape(4, 3)
        for _ in range(4):
            optimizer.zero_grad()
            model(data).pow(2).sum().backward()
            optimizer.step()
            averaged.update_parameters(model)
        module.optim.swa_utils.update_bn([data, data + 1], averaged)
        results.append({name: to_numpy(value) for name, value in averaged.state_dict().items()})
    assert list(results[0]) == list(results[1])
    for name, expected in results[0].items():
        # Batch normalization cancels most of the gradient: what is left has its rounding.
        np.testing.assert_allclose(results[1][name], expected, rtol=2e-5, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("length", [0, 4])
def test_swalr(strategy, length):
    rates = []
    for module in MODULES:
        optimizer = groups(module)
        scheduler = module.optim.swa_utils.SWALR(optimizer, 0.5, length, strategy)
        seen = []
        for _ in range(7):
            optimizer.step()
            scheduler.step()
            seen.append([group["lr"] for group in optimizer.param_groups])
        rates.append(seen)
    assert rates[0] == rates[1]


def test_functional_forms():
    import torch.optim.adam as theirs

    import flashlight.optim.adam as ours

    results = []
    for module, function in ((torch, theirs.adam), (flashlight, ours.adam)):
        params = [param.detach() for param in parameters(module)]
        grads = [param * 0.5 for param in params]
        zeros = lambda params=params, module=module: [module.zeros_like(p) for p in params]
        steps = [module.tensor(0.0) for _ in params]
        function(
            params, grads, zeros(), zeros(), [], steps,
            amsgrad=False, beta1=0.9, beta2=0.99, lr=0.1, weight_decay=0.0, eps=1e-8,
            maximize=False,
        )  # fmt: skip
        results.append([to_numpy(param) for param in params] + [to_numpy(s) for s in steps])
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_descending_through_a_schedule_matches():
    results = []
    for module in MODULES:
        params = parameters(module)
        optimizer = module.optim.AdamW(params, lr=0.1)
        scheduler = module.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=8)
        for _ in range(6):
            descend(module, optimizer, params, 1)
            scheduler.step()
        results.append([to_numpy(param) for param in params])
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5)
