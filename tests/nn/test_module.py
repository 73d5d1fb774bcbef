"""Attributes, names, conversion and printing of modules."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.nn.both import raised, same, warned


def tree(torch):
    nn = torch.nn
    model = nn.Module()
    model.first = nn.Linear(2, 2)
    model.same = model.first
    model.inner = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.1))
    model.inner.tied = nn.Linear(2, 2)
    model.inner.tied.weight = model.first.weight
    model.absent = None
    model.register_module("nothing", None)
    model.register_parameter("none", None)
    return model


@pytest.mark.parametrize("remove_duplicate", [True, False])
def test_names(remove_duplicate):
    def program(torch):
        model = tree(torch)
        option = {"remove_duplicate": remove_duplicate}
        return (
            [name for name, _ in model.named_parameters(**option)],
            [name for name, _ in model.named_buffers("pre", **option)],
            [(name, type(m).__name__) for name, m in model.named_modules(**option)],
            [name for name, _ in model.named_children()],
            [name for name, _ in model.named_parameters(recurse=False)],
            len(list(model.parameters())),
            len(list(model.modules())),
        )

    same(program)


def test_finding_things():
    def program(torch):
        model = tree(torch)
        found = [
            type(model.get_submodule("inner.0")).__name__,
            model.get_submodule("") is model,
            model.get_parameter("inner.tied.weight") is model.first.weight,
            model.get_buffer("inner.0.running_var"),
        ]
        model.set_submodule("inner.1", torch.nn.Identity())
        model.set_submodule("fresh", torch.nn.Identity())
        errors = [
            raised(lambda: model.get_submodule("inner.7")),
            raised(lambda: model.get_submodule("first.weight")),
            raised(lambda: model.get_parameter("first")),
            raised(lambda: model.get_parameter("first.other")),
            raised(lambda: model.get_buffer("first.weight")),
            raised(lambda: model.set_submodule("", torch.nn.Identity())),
            raised(lambda: model.set_submodule("new", torch.nn.Identity(), strict=True)),
            raised(lambda: model.set_submodule("first.weight", torch.nn.Identity())),
        ]
        return found, errors, str(model)

    same(program)


def test_registration_errors():
    def program(torch):
        model = tree(torch)
        tensor = torch.ones(1, requires_grad=True) * 2

        class Early(torch.nn.Module):
            def __init__(self, kind):
                if kind == "parameter":
                    self.x = torch.nn.Parameter(torch.ones(1))
                elif kind == "module":
                    self.x = torch.nn.Identity()
                elif kind == "buffer":
                    self.register_buffer("x", None)

        def assign(name, value):
            setattr(model, name, value)

        return [
            raised(lambda: model.register_parameter("a.b", None)),
            raised(lambda: model.register_parameter("", None)),
            raised(lambda: model.register_parameter(3, None)),
            raised(lambda: model.register_parameter("first", None)),
            raised(lambda: model.register_parameter("p", torch.ones(1))),
            raised(lambda: model.register_buffer("a.b", None)),
            raised(lambda: model.register_buffer("forward", None)),
            raised(lambda: model.register_buffer("b", 3)),
            raised(lambda: model.add_module("m", 3)),
            raised(lambda: model.add_module("a.b", None)),
            raised(lambda: model.add_module("", None)),
            raised(lambda: model.add_module("training", None)),
            raised(lambda: assign("first", 3)),
            raised(lambda: setattr(model.first, "weight", tensor)),
            raised(lambda: setattr(model.inner[0], "running_mean", 3)),
            raised(lambda: model.missing),
            raised(lambda: Early("parameter")),
            raised(lambda: Early("module")),
            raised(lambda: Early("buffer")),
            raised(lambda: torch.nn.Module(1)),
            raised(lambda: torch.nn.Module(a=1)),
            raised(lambda: torch.nn.Module()(1)),
            raised(lambda: model.train("yes")),
            raised(lambda: delattr(model, "missing")),
        ]

    same(program)


def test_reassignment_moves_between_registries():
    def program(torch):
        model = torch.nn.Module()
        model.x = 3
        model.x = torch.nn.Parameter(torch.ones(1))
        first = list(model._parameters), "x" in model.__dict__
        model.x = None
        second = list(model._parameters)
        del model.x
        model.x = torch.nn.Identity()
        third = list(model._parameters), list(model._modules)
        model.x = torch.nn.Parameter(torch.ones(1))
        fourth = list(model._parameters), list(model._modules)
        model.register_buffer("y", torch.ones(1))
        model.y = torch.nn.Parameter(torch.ones(1))
        fifth = list(model._parameters), list(model._buffers)
        del model.y
        return first, second, third, fourth, fifth, "x" in dir(model), "y" in dir(model)

    same(program)


def test_conversion_keeps_parameters_and_gradients():
    def program(torch):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        weight = model[0].weight
        model(torch.ones(3, 2)).sum().backward()
        grad = weight.grad
        model.double()
        first = weight is model[0].weight, weight.grad is grad, str(weight.grad.dtype)
        model.half()
        dtypes = [str(t.dtype) for t in (*model.parameters(), *model.buffers())]
        model.to(torch.float64).float()
        meta = model.to("meta")
        second = [str(p.device) for p in meta.parameters()], weight is model[0].weight
        model.to_empty(device="cpu")
        return (
            first,
            dtypes,
            second,
            str(model[0].weight.device),
            raised(lambda: model.to(torch.int32)),
        )

    same(program)


def test_conversion_errors_and_forms():
    def program(torch):
        model = torch.nn.Linear(2, 2, device="meta")
        return (
            raised(lambda: model.to("cpu")),
            str(torch.nn.Linear(2, 2).to(torch.ones(1, dtype=torch.float64)).weight.dtype),
            str(torch.nn.Linear(2, 2).to("cpu", torch.float16).weight.dtype),
            str(torch.nn.Linear(2, 2).to(dtype=torch.bfloat16).weight.dtype),
            str(torch.nn.Linear(2, 2).type(torch.float64).weight.dtype),
            torch.nn.Conv2d(2, 3, 2).to(memory_format=torch.channels_last).weight.stride(),
        )

    same(program)


def test_zero_grad_and_requires_grad():
    def program(torch):
        model = torch.nn.Linear(2, 2)
        model(torch.ones(1, 2)).sum().backward()
        model.zero_grad(set_to_none=False)
        kept = model.weight.grad
        model.zero_grad()
        model.requires_grad_(False)
        return kept, model.weight.grad, [p.requires_grad for p in model.parameters()]

    same(program)


def test_repr():
    def program(torch):
        nn = torch.nn
        model = nn.ModuleDict(
            {
                "list": nn.ModuleList([nn.ReLU(True), nn.ReLU(True), nn.Linear(1, 2), nn.ReLU()]),
                "conv": nn.Conv2d(2, 4, (3, 5), padding=1, dilation=2, groups=2, bias=False),
                "lstm": nn.LSTM(3, 4, 2, batch_first=True, dropout=0.5),
                "rnn": nn.RNNCell(3, 4, nonlinearity="relu", bias=False),
                "params": nn.ParameterList([torch.ones(2, 3), nn.Parameter(torch.ones(1)), 3]),
                "named": nn.ParameterDict({"b": torch.ones(2), "a": None}),
                "empty": nn.ModuleList(),
                "attention": nn.MultiheadAttention(4, 2),
            }
        )
        return str(model), str(nn.Module()), str(nn.Sequential(nn.Embedding(3, 2, max_norm=1.0)))

    same(program)


def test_apply_visits_children_first():
    def program(torch):
        seen = []
        tree(torch).apply(lambda m: seen.append(type(m).__name__))
        return seen

    same(program)


def test_train_and_eval():
    def program(torch):
        model = tree(torch)
        model.eval()
        model.inner.train()
        return [m.training for m in model.modules()]

    same(program)


def test_copies_share_nothing():
    def program(torch):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2))
        model.append(model[0])
        twin = copy.deepcopy(model)
        loaded = pickle.loads(pickle.dumps(model))
        with torch.no_grad():
            model[0].weight.zero_()
        return twin[0] is twin[1], loaded[0] is loaded[1], twin[0].weight, loaded[1].weight

    same(program)


def test_parameters():
    def program(torch):
        nn = torch.nn
        data = torch.ones(2)
        param = nn.Parameter(data)
        with torch.no_grad():
            param.mul_(3)

        class Special(torch.Tensor):
            pass

        special = nn.Parameter(torch.ones(2).as_subclass(Special))
        return (
            data,
            repr(param),
            nn.Parameter().shape,
            isinstance(special, nn.Parameter),
            type(special).__name__,
            isinstance(data, nn.Parameter),
            isinstance(nn.Buffer(data), nn.Buffer),
            isinstance(param, nn.Buffer),
            type(param * 2).__name__,
            type(copy.deepcopy(param)).__name__,
            type(param.data).__name__,
            param.is_leaf,
            nn.Parameter(data, requires_grad=False).requires_grad,
        )

    same(program)


def test_modules_called_with_super_init():
    def program(torch):
        class Mixin:
            def __init__(self, value):
                self.value = value

        class Model(torch.nn.Module, Mixin):
            call_super_init = True

        model = Model(3)
        return model.value, model.training

    same(program)


def test_replicas():
    def program(torch):
        model = torch.nn.Linear(2, 2)
        first, second = (
            torch.nn.parallel.replicate(model, [0, 1])
            if hasattr(torch, "flashlight")
            else (model._replicate_for_data_parallel(), model._replicate_for_data_parallel())
        )
        return warned(first.zero_grad), len(list(second.parameters()))

    same(program)


def test_factory_kwargs():
    def program(torch):
        convert = torch.nn.factory_kwargs
        return (
            convert(None),
            convert({"dtype": 1, "factory_kwargs": {"device": 2}}),
            raised(lambda: convert({"dtype": 1, "factory_kwargs": {"dtype": 2}})),
            raised(lambda: convert({"other": 1})),
        )

    same(program)
