"""Lists and dicts of modules and parameters."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from tests.nn.both import raised, same, warned


def names(module):
    return [(name, type(child).__name__) for name, child in module.named_children()]


def layers(torch, count=3):
    return [torch.nn.Linear(1, size + 1) for size in range(count)]


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_lists(kind):
    def program(torch):
        nn = torch.nn
        made = getattr(nn, kind)
        items = layers(torch)
        model = made(*items) if kind == "Sequential" else made(items)
        seen = [
            len(model),
            [m.out_features for m in model],
            model[-1].out_features,
            [m.out_features for m in model[1:]],
            type(model[:1]).__name__,
        ]
        model[1] = nn.Tanh()
        model.append(nn.ReLU())
        model.insert(1, nn.GELU())
        seen.append(names(model))
        del model[0]
        del model[1:3]
        seen.append(names(model))
        seen.append(type(model.pop(0)).__name__)
        model.extend([nn.Identity(), nn.Identity()])
        model += made(nn.ELU()) if kind == "Sequential" else [nn.ELU()]
        seen.append(names(model))
        both = model + (made(nn.CELU()) if kind == "Sequential" else [nn.CELU()])
        seen += [names(both), names(model), type(both).__name__, "0" in dir(model)]
        seen += [
            raised(lambda: model[9]),
            raised(lambda: model[-9]),
            raised(lambda: model["a"]),
            raised(lambda: model.append(3)),
        ]
        return seen

    same(program)


def test_sequential_arithmetic_and_names():
    def program(torch):
        nn = torch.nn
        model = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
        times = model * 2, 2 * model
        return (
            [names(m) for m in times],
            [name for name, _ in model.named_children()],
            names(model[1:]),
            nn.Sequential()(3),
            raised(lambda: model + 3),
            raised(lambda: model * 0),
            raised(lambda: model * "a"),
            raised(lambda: model.insert(99, nn.ReLU())),
            raised(lambda: model.insert(0, 3)),
        )

    same(program)


def test_module_list_is_not_called():
    def program(torch):
        nn = torch.nn
        return (
            raised(lambda: nn.ModuleList([nn.ReLU()])(1)),
            raised(lambda: nn.ModuleList().extend(3)),
            warned(lambda: nn.Container(a=nn.ReLU())),
        )

    same(program)


def test_module_dict():
    def program(torch):
        nn = torch.nn
        model = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
        model["c"] = nn.ELU()
        model.update([("a", nn.GELU()), ["d", nn.SiLU()]])
        model.update(nn.ModuleDict({"e": nn.ReLU()}))
        seen = [names(model), list(model), "a" in model, len(model), list(model.keys())]
        popped = model.pop("a")
        del model["b"]
        seen += [type(popped).__name__, names(model), [type(m).__name__ for m in model.values()]]
        seen += [
            raised(lambda: model["z"]),
            raised(lambda: model.update(3)),
            raised(lambda: model.update([3])),
            raised(lambda: model.update([("a",)])),
            raised(lambda: model.update({"keys": nn.ReLU()})),
        ]
        model.clear()
        return seen, len(model)

    same(program)


def test_parameter_list():
    def program(torch):
        nn = torch.nn
        model = nn.ParameterList([torch.ones(1), nn.Parameter(torch.zeros(2)), "text"])
        model.append(torch.ones(3, requires_grad=True))
        model[0] = torch.zeros(4)
        model += [1.5]
        return (
            len(model),
            [type(value).__name__ for value in model],
            list(model.state_dict()),
            model[-2],
            [type(value).__name__ for value in model[1:3]],
            str(model),
            raised(lambda: model[9]),
            raised(lambda: model.extend(torch.ones(1))),
            raised(lambda: model(1)),
        )

    same(program)


def test_parameter_dict():
    def program(torch):
        nn = torch.nn
        model = nn.ParameterDict({"b": torch.ones(1), "a": nn.Parameter(torch.zeros(2))})
        model["c"] = "text"
        seen = [
            list(model),
            list(reversed(model)),
            [type(v).__name__ for v in model.values()],
            model.get("z", 5),
            model.setdefault("d", torch.ones(2)),
            list(model.state_dict()),
            str(model),
            list(model | {"x": torch.ones(1)}),
            list(model.copy().keys()),
            list(model.fromkeys(["p", "q"], 3).items()),
        ]
        seen += [model.popitem()[0], type(model.pop("a")).__name__, list(model)]
        model.update([("e", torch.ones(1))])
        model |= OrderedDict(z=torch.ones(1), y=torch.ones(1))
        seen += [
            list(model),
            raised(lambda: model[3])[0],
            raised(lambda: model.update(3)),
            raised(lambda: model.update([("a",)])),
            raised(lambda: model(1)),
        ]
        model.clear()
        return seen, len(model)

    same(program)
