"""Optimizers and the scaler where few programs go: sparse gradients, closures, their settings."""

from __future__ import annotations

import warnings

import pytest

import flashlight.nn.utils._named_member_accessor  # noqa: F401
from tests.autograd.agree import check, own_words, programs_of


def _sparse_steps(library, kind, **options):
    layer = library.nn.Embedding(5, 2, sparse=True)
    with library.no_grad():
        layer.weight.copy_(library.arange(10.0).reshape(5, 2) / 5)
    optimizer = getattr(library.optim, kind)(layer.parameters(), **options)
    for index in ([0, 1, 1], [4, 0, 0], [2, 2, 3]):
        optimizer.zero_grad()
        (layer(library.tensor(index)) ** 2).sum().backward()
        optimizer.step()
    return layer.weight


SPARSE = {
    "sgd": ("SGD", {"lr": 0.1}), "sgd_maximize": ("SGD", {"lr": 0.1, "maximize": True}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd_foreach": ("SGD", {"lr": 0.1, "foreach": True}), "sgd_fused": ("SGD", {"lr": 0.1, "fused": True}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}), "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad_decay": ("Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
    "adagrad_lr_decay": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    "adagrad_maximize": ("Adagrad", {"lr": 0.1, "maximize": True}),
    "adagrad_foreach": ("Adagrad", {"lr": 0.1, "foreach": True}),
    "adagrad_fused": ("Adagrad", {"lr": 0.1, "fused": True}), "adam": ("Adam", {"lr": 0.1}),
    "sparse_adam": ("SparseAdam", {"lr": 0.1}), "sparse_adam_maximize": ("SparseAdam", {"maximize": True}),
    "adamw": ("AdamW", {}), "rmsprop": ("RMSprop", {}), "adadelta": ("Adadelta", {}),
    "adamax": ("Adamax", {}), "nadam": ("NAdam", {}), "radam": ("RAdam", {}), "asgd": ("ASGD", {}),
    "rprop": ("Rprop", {}), "lbfgs": ("LBFGS", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sparse_gradients(name):
    kind, options = SPARSE[name]
    check(own_words(lambda l: _sparse_steps(l, kind, **options)))


def _bowl(library, x):
    return (x[0] - 1) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2 + 0.1 * x.sum()


def _minimised(library, steps=8, **options):
    x = library.tensor([-1.2, 1.0], requires_grad=True)
    optimizer = library.optim.LBFGS([x], **options)

    def closure():
        optimizer.zero_grad()
        loss = _bowl(library, x)
        loss.backward()
        return loss

    losses = [optimizer.step(closure) for _ in range(steps)]
    return [x, losses[0], losses[-1], len(optimizer.state[x])]


@pytest.mark.parametrize("options", [
    {"max_iter": 3}, {"line_search_fn": "strong_wolfe"}, {"line_search_fn": "strong_wolfe", "lr": 0.3},
    {"history_size": 2, "line_search_fn": "strong_wolfe"}, {"max_iter": 30, "max_eval": 4, "lr": 0.1},
    {"tolerance_grad": 100.0}, {"tolerance_change": 10.0}, {"line_search_fn": "odd"}, {"lr": -1},
    {"line_search_fn": "strong_wolfe", "max_iter": 1, "history_size": 1},
])  # fmt: skip
def test_lbfgs(options):
    check(own_words(lambda l: _minimised(l, **options)))


def lbfgs_with_unused_and_complex(l):
    x = l.tensor([1 + 2j], requires_grad=True)
    unused = l.ones(2, requires_grad=True)
    optimizer = l.optim.LBFGS([x, unused], max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = (x.abs() ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return [x, unused]


@own_words
def lbfgs_with_groups(l):
    return l.optim.LBFGS([{"params": [l.ones(1, requires_grad=True)]}, {"params": [l.ones(1)]}])


def closures(l):
    x = l.ones(1, requires_grad=True)
    found = []
    for kind in ("SGD", "Adagrad", "Adam", "RMSprop", "Rprop", "ASGD"):
        optimizer = getattr(l.optim, kind)([x], lr=0.01)

        def closure(optimizer=optimizer):
            optimizer.zero_grad()
            loss = (x * x).sum()
            loss.backward()
            return loss

        found.append(optimizer.step(closure))
    return [*found, x]


def shared_sums(l):
    x = l.ones(2, requires_grad=True)
    optimizer = l.optim.Adagrad([x])
    optimizer.share_memory()
    return optimizer.state[x]["sum"].is_shared()


# ----- the scaler -----


def scaler_settings(l):
    scaler = l.amp.GradScaler("cpu", init_scale=4.0)
    found = [scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()]
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(7)
    found += [scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()]
    return [*found, scaler.is_enabled(), scaler.get_scale(), scaler._get_growth_tracker()]


def scalers_that_are_off(l):
    x = l.ones(1, requires_grad=True)
    optimizer = l.optim.SGD([x], lr=0.5)
    scaler = l.amp.GradScaler("cpu", enabled=False)
    scaler.scale((x * 2).sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    scaler.load_state_dict({})
    return [x, scaler.state_dict(), scaler.get_scale(), scaler.is_enabled()]


def scales_of_containers(l):
    scaler = l.amp.GradScaler("cpu", init_scale=4.0)
    made = scaler.scale([l.ones(1), (l.ones(2), l.ones(1))])
    with pytest.raises(ValueError):
        scaler.scale(3)
    return made


def new_scales(l):
    x = l.ones(1, requires_grad=True)
    optimizer = l.optim.SGD([x], lr=0.5)
    scaler = l.amp.GradScaler("cpu", init_scale=4.0)
    found = []
    for scale in (8.0, l.tensor(2.0)):
        optimizer.zero_grad()
        scaler.scale((x * 2).sum()).backward()
        scaler.step(optimizer)
        scaler.update(scale)
        found.append(scaler.get_scale())
    return found


@own_words
def updates_without_steps(l):
    scaler = l.amp.GradScaler("cpu")
    scaler.scale(l.ones(1))
    scaler.update()


@own_words
def scaler_states_of_nothing(l):
    l.amp.GradScaler("cpu").load_state_dict({})


def scaler_states(l):
    one, other = l.amp.GradScaler("cpu", init_scale=4.0), l.amp.GradScaler("cpu")
    one.scale(l.ones(1))
    other.scale(l.ones(1))
    other.load_state_dict(one.state_dict())
    return [other.get_scale(), other.state_dict()]


def sparse_gradients_are_unscaled(l):
    layer = l.nn.Embedding(3, 2, sparse=True)
    optimizer = l.optim.SGD(layer.parameters(), lr=0.5)
    scaler = l.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(layer(l.tensor([0, 2, 0])).sum()).backward()
    scaler.unscale_(optimizer)
    return layer.weight.grad.to_dense()


# ----- tensors of modules by name -----


def _accessor(library):
    net = library.nn.Sequential(library.nn.Linear(2, 1), library.nn.BatchNorm1d(1))
    net[0].extra = library.ones(1)
    with library.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.5)
    kind = library.nn.utils._named_member_accessor.NamedMemberAccessor
    return net, kind(net)


def members(l):
    net, accessor = _accessor(l)
    found = [
        accessor.get_tensor("0.weight"),
        accessor.get_tensor("1.running_mean"),
        accessor.get_tensor("0.extra"),
    ]
    accessor.set_tensor("0.bias", l.ones(1))
    accessor.set_tensor("0.extra", l.zeros(1))
    found += [net[0].bias, net[0].extra, accessor.swap_tensor("0.bias", l.zeros(1)), net[0].bias]
    found += [accessor.check_keys(["0.weight", "odd"])]
    found += [sorted(name for name, _ in accessor.named_tensors(remove_duplicate=False))]
    previous, missing = accessor.swap_tensors_dict(
        {"0.weight": l.ones(1, 2), "1.weight": l.ones(1)}
    )
    return [*found, *previous.values(), missing, net[0].weight]


@pytest.mark.parametrize("call", [
    lambda a, l: a.get_tensor("0.in_features"), lambda a, l: a.get_tensor("0.nothing"),
    lambda a, l: a.swap_tensor("0.in_features", l.ones(1)), lambda a, l: a.swap_tensor("0.nothing", l.ones(1)),
    lambda a, l: a.swap_tensors_dict({"0.weight": l.ones(1), "0.nothing": l.ones(1)}),
    lambda a, l: a.get_submodule("odd"),
])  # fmt: skip
def test_members_that_are_not_there(call):
    def program(l):
        net, accessor = _accessor(l)
        try:
            call(accessor, l)
        except Exception as error:
            return [type(error).__name__, net[0].weight, hasattr(net[0], "nothing")]

    check(program)


@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(program)
