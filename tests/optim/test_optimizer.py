"""The base class: groups, hooks, state dicts in both directions, messages."""

from __future__ import annotations

import copy
import importlib
import pickle

import numpy as np
import pytest
import torch

import flashlight
from tests.optim.both import descend, parameters, to_numpy
from tests.optim.test_steps import CASES

MODULES = [torch, flashlight]


def base_module(module):
    """Return the module of the base class, a name that PyTorch deletes from `torch.optim`."""
    return importlib.import_module(f"{module.__name__}.optim.optimizer")


def both_raise(call):
    """Return the exceptions of a call in both libraries."""
    raised = []
    for module in MODULES:
        with pytest.raises(Exception) as caught:
            call(module)
        raised.append(caught.value)
    return raised


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.optim.SGD([]),
        lambda m: m.optim.SGD(m.ones(2)),
        lambda m: m.optim.SGD([m.ones(2, requires_grad=True) * 2]),
        lambda m: m.optim.SGD([1.0]),
        lambda m: m.optim.SGD([m.ones(2)], lr=-1),
        lambda m: m.optim.SGD([m.ones(2)], nesterov=True),
        lambda m: m.optim.SGD([m.ones(2)], lr=m.ones(2)),
        lambda m: m.optim.Adam([m.ones(2)], betas=(1.0, 0.9)),
        lambda m: m.optim.Adam([m.ones(2)], betas=(0.5, m.tensor(0.9))),
        lambda m: m.optim.Adam([m.ones(2)], lr=m.tensor(0.1), foreach=True),
        lambda m: m.optim.Adam([m.ones(2)], fused=True, foreach=True),
        lambda m: m.optim.Adam([m.ones(2)], fused=True, differentiable=True),
        lambda m: m.optim.SGD([{"params": {m.ones(2)}}]),
        lambda m: m.optim.SGD([("a", m.ones(2)), m.ones(2)]),
        lambda m: m.optim.SGD([m.ones(2)]).add_param_group([m.ones(2)]),
        lambda m: m.optim.SGD([m.ones(2)]).add_param_group({"params": [("a", m.ones(2))]}),
        lambda m: m.optim.SGD([m.ones(2)]).load_state_dict(
            m.optim.SGD([{"params": [m.ones(2)]}, {"params": [m.ones(2)]}]).state_dict()
        ),
        lambda m: m.optim.SGD([m.ones(2)]).load_state_dict(
            m.optim.SGD([m.ones(2), m.ones(2)]).state_dict()
        ),
        lambda m: m.optim.Muon([m.ones(2)]),
        lambda m: m.optim.LBFGS([{"params": [m.ones(2)]}, {"params": [m.ones(2)]}]),
    ],
)
def test_errors_are_the_same(call):
    expected, actual = both_raise(call)
    assert type(actual) is type(expected)
    assert str(actual).replace("flashlight._core.tensor", "torch") == str(expected)


def test_a_parameter_in_two_groups_and_twice_in_one():
    for module in MODULES:
        shared = module.ones(2)
        with pytest.raises(ValueError, match="more than one parameter group"):
            module.optim.SGD([{"params": [shared]}, {"params": [shared]}])
        with pytest.warns(UserWarning, match="duplicate parameters"):
            module.optim.SGD([shared, shared])


def test_repr():
    texts = [repr(m.optim.AdamW([{"params": [m.ones(1)]}, {"params": [m.ones(2)], "lr": 0.5}]))
             for m in MODULES]  # fmt: skip
    assert texts[0] == texts[1]


def test_groups_with_options_of_their_own():
    results = []
    for module in MODULES:
        first, second = parameters(module)
        optimizer = module.optim.SGD([{"params": first, "lr": 0.5}], lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": [second], "momentum": 0.0})
        descend(module, optimizer, [first, second], 3)
        results.append([to_numpy(first), to_numpy(second)])
        assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_hooks_run_in_order_and_can_change_arguments():
    logs = []
    for module in MODULES:
        log = []
        optimizer = module.optim.SGD(parameters(module), lr=0.1)
        global_handle = base_module(module).register_optimizer_step_pre_hook(
            lambda o, a, k, log=log: log.append("global pre")
        )
        post = base_module(module).register_optimizer_step_post_hook(
            lambda o, a, k, log=log: log.append("global post")
        )
        optimizer.register_step_pre_hook(lambda o, a, k, log=log: log.append("pre"))
        handle = optimizer.register_step_post_hook(lambda o, a, k, log=log: log.append("post"))
        optimizer.step()
        handle.remove()
        optimizer.step()
        global_handle.remove()
        post.remove()
        optimizer.register_state_dict_pre_hook(lambda o, log=log: log.append("saving"))
        optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
        optimizer.register_load_state_dict_pre_hook(
            lambda o, d, log=log: log.append(sorted(d)), prepend=True
        )
        optimizer.register_load_state_dict_post_hook(lambda o, log=log: log.append("loaded"))
        optimizer.load_state_dict(optimizer.state_dict())
        logs.append(log)
    assert logs[0] == logs[1]


def test_closure_and_zero_grad():
    for module in MODULES:
        (param,) = parameters(module, shapes=((2, 2),))
        optimizer = module.optim.SGD([param], lr=0.1)

        def closure(param=param, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (param**2).sum()
            loss.backward()
            return loss

        assert optimizer.step(closure).requires_grad
        optimizer.zero_grad(set_to_none=False)
        assert float(param.grad.abs().sum()) == 0.0
        optimizer.zero_grad()
        assert param.grad is None


@pytest.mark.parametrize(("name", "options"), CASES)
def test_checkpoints_go_both_ways(name, options):
    """Train half way in one library, load the state into the other, and end where it would have."""
    for source, target in ((torch, flashlight), (flashlight, torch)):
        params = parameters(source)
        optimizer = getattr(source.optim, name)(params, **options)
        descend(source, optimizer, params, 3)
        state = _converted(optimizer.state_dict(), source, target)
        moved = [_converted(param.detach(), source, target).requires_grad_() for param in params]
        resumed = getattr(target.optim, name)(moved, **options)
        resumed.load_state_dict(state)
        expected = descend(source, optimizer, params, 3)
        actual = descend(target, resumed, moved, 3)
        for left, right in zip(expected[-1], actual[-1], strict=True):
            np.testing.assert_allclose(right, left, rtol=5e-6)


def _converted(value, source, target):
    if isinstance(value, source.Tensor):
        return target.tensor(to_numpy(value))
    if isinstance(value, dict):
        return {key: _converted(item, source, target) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_converted(item, source, target) for item in value)
    return value


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_resumed_run_is_the_same_bit_for_bit(name, options):
    params = parameters(flashlight)
    optimizer = getattr(flashlight.optim, name)(params, **options)
    descend(flashlight, optimizer, params, 2)
    twins = [param.detach().clone().requires_grad_() for param in params]
    resumed = getattr(flashlight.optim, name)(twins, **options)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for left, right in zip(
        descend(flashlight, optimizer, params, 2)[-1],
        descend(flashlight, resumed, twins, 2)[-1],
        strict=True,
    ):
        np.testing.assert_array_equal(left, right)


def test_state_has_the_same_keys_dtypes_and_shapes():
    for name, options in CASES:
        described = []
        for module in MODULES:
            params = parameters(module)
            optimizer = getattr(module.optim, name)(params, **options)
            descend(module, optimizer, params, 1)
            state = optimizer.state_dict()
            described.append(
                (
                    {
                        position: {
                            key: (str(value.dtype), tuple(value.shape))
                            for key, value in entry.items()
                        }
                        for position, entry in state["state"].items()
                    },
                    [sorted(group) for group in state["param_groups"]],
                )
            )
        assert described[0] == described[1], name


def test_a_copy_and_a_pickle_go_on_alone():
    (param,) = parameters(flashlight, shapes=((2, 2),))
    optimizer = flashlight.optim.Adam([param])
    optimizer.register_step_pre_hook(lambda o, a, k: None)
    descend(flashlight, optimizer, [param], 1)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (copied,) = twin.param_groups[0]["params"]
        assert copied is not param
        assert float(twin.state[copied]["step"]) == 1.0
        descend(flashlight, twin, [copied], 1)
        assert float(optimizer.state[param]["step"]) == 1.0


def test_named_parameters():
    for module in MODULES:
        optimizer = module.optim.SGD([("a", module.ones(1)), ("b", module.ones(1))])
        assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
        assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]


def test_older_checkpoints_with_numbers_as_steps():
    (param,) = parameters(flashlight, shapes=((2, 2),))
    optimizer = flashlight.optim.Adam([param])
    descend(flashlight, optimizer, [param], 3)
    state = optimizer.state_dict()
    state["state"][0]["step"] = 3
    for option in ("maximize", "foreach", "capturable", "fused", "differentiable"):
        del state["param_groups"][0][option]
    fresh = flashlight.optim.Adam([param])
    fresh.load_state_dict(state)
    assert fresh.state[param]["step"].dtype is flashlight.float32
    descend(flashlight, fresh, [param], 1)
    assert float(fresh.state[param]["step"]) == 4.0


def test_swapped_in_parameters():
    (param,) = parameters(flashlight, shapes=((2, 2),))
    optimizer = flashlight.optim.Adam([param], lr=0.1)
    descend(flashlight, optimizer, [param], 1)
    before = to_numpy(param)
    other = flashlight.ones(2, 2).requires_grad_()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 0.5
    with flashlight.optim.swap_in_optimizer_params_and_state(optimizer, {"w": other}, state):
        descend(flashlight, optimizer, [other], 1)
        assert optimizer.param_groups[0]["lr"] == 0.5
    np.testing.assert_array_equal(to_numpy(param), before)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert float(state["state"][0]["step"]) == 2.0
    assert not np.array_equal(to_numpy(other), np.ones((2, 2)))
