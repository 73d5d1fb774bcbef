"""Parametrised tensors, and the older hooks that do the same."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.nn.both import raised, same, warned

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")


def linear(torch, inputs=3, outputs=2):
    torch.manual_seed(2)
    return torch.nn.Linear(inputs, outputs)


def doubled(torch):
    class Doubled(torch.nn.Module):
        def forward(self, x):
            return 2 * x

        def right_inverse(self, x):
            return x / 2

    return Doubled()


def split(torch):
    class Split(torch.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x * 0.25, x * 0.75

    return Split()


def test_registering_setting_and_removing():
    def program(torch):
        p = torch.nn.utils.parametrize
        model = linear(torch)
        original = model.weight
        p.register_parametrization(model, "weight", doubled(torch))
        p.register_parametrization(model, "weight", doubled(torch))
        seen = [
            type(model).__name__,
            str(model),
            list(model.state_dict()),
            model.parametrizations.weight.original is original,
            model.weight,
            p.is_parametrized(model, "weight"),
            p.is_parametrized(model, "bias"),
            p.type_before_parametrizations(model).__name__,
        ]
        model.weight = torch.ones(2, 3)
        model(torch.ones(1, 3)).sum().backward()
        seen += [original, original.grad, copy.deepcopy(model).weight]
        seen.append(raised(lambda: pickle.dumps(model)))
        p.remove_parametrizations(model, "weight")
        seen += [type(model).__name__, model.weight, model.weight is original]
        return seen, raised(lambda: p.remove_parametrizations(model, "weight"))[0]

    same(program)


def test_several_originals():
    def program(torch):
        p = torch.nn.utils.parametrize
        model = linear(torch)
        p.register_parametrization(model, "weight", split(torch))
        model.weight = torch.ones(2, 3)
        seen = list(model.state_dict()), model.weight, str(model)
        error = raised(lambda: p.remove_parametrizations(model, "weight", leave_parametrized=False))
        p.remove_parametrizations(model, "weight")
        return seen, error, model.weight, list(model.state_dict())

    same(program)


def test_caching():
    def program(torch):
        p = torch.nn.utils.parametrize
        model, calls = linear(torch), []

        class Counting(torch.nn.Module):
            def forward(self, x):
                calls.append(1)
                return x * 3

        p.register_parametrization(model, "weight", Counting())
        calls.clear()
        with p.cached():
            model.weight, model.weight
            with p.cached():
                model.weight
        model.weight, model.weight
        return len(calls)

    same(program)


def test_what_is_refused():
    def program(torch):
        p = torch.nn.utils.parametrize

        def module(forward, inverse=None):
            members = {"forward": lambda self, x: forward(x)}
            if inverse:
                members["right_inverse"] = lambda self, x: inverse(x)
            return type("Custom", (torch.nn.Module,), members)()

        def register(*args, **options):
            return raised(
                lambda: p.register_parametrization(
                    linear(torch), "weight", module(*args), **options
                )
            )

        twice = p.register_parametrization(linear(torch), "weight", module(lambda x: x))
        return [
            register(lambda x: x.t()),
            register(lambda x: x.double()),
            register(lambda x: 3),
            register(lambda x: x, lambda x: x.double()),
            register(lambda x: x, lambda x: 3),
            register(lambda x: x[:1], unsafe=True),
            raised(lambda: p.register_parametrization(linear(torch), "other", doubled(torch))),
            raised(lambda: setattr(twice, "weight", torch.ones(2, 3))),
            raised(lambda: p.register_parametrization(twice, "weight", module(lambda x: x.t()))),
            raised(lambda: p.register_parametrization(twice, "weight", module(lambda x: 3))),
            raised(
                lambda: p.register_parametrization(
                    twice, "weight", module(lambda x: x, lambda x: x.t())
                )
            ),
            raised(lambda: p.ParametrizationList([], torch.ones(1))),
        ]

    same(program)


def test_parametrised_buffers_and_transfer():
    def program(torch):
        p = torch.nn.utils.parametrize
        norm = torch.nn.BatchNorm1d(2)
        p.register_parametrization(norm, "running_mean", doubled(torch))
        source, target = linear(torch), linear(torch)
        p.register_parametrization(source, "weight", doubled(torch))
        p.transfer_parametrizations_and_params(source, target)
        p.transfer_parametrizations_and_params(source, target, "bias") if False else None
        return list(norm.state_dict()), target.weight, list(target.state_dict())

    same(program)


def test_weight_norm():
    def program(torch):
        utils = torch.nn.utils
        seen = []
        for dim in (0, 1, -1, None):
            model = utils.parametrizations.weight_norm(linear(torch), dim=dim)
            model(torch.ones(1, 3)).sum().backward()
            seen.append([(name, p, p.grad) for name, p in model.named_parameters()])
            old = utils.weight_norm(linear(torch), dim=dim)
            seen.append((old(torch.ones(1, 3)), list(old.state_dict())))
            model.load_state_dict(old.state_dict())
            utils.remove_weight_norm(old)
            seen.append((old.weight, model.weight))
        error = raised(lambda: utils.remove_weight_norm(old))[0]
        utils.weight_norm(old)
        return seen, error, raised(lambda: utils.weight_norm(old))

    same(program)


def test_spectral_norm():
    def program(torch):
        utils = torch.nn.utils
        seen = []
        for make in (utils.parametrizations.spectral_norm, utils.spectral_norm):
            for layer in (torch.nn.Linear(3, 4), torch.nn.ConvTranspose1d(2, 3, 2)):
                model = make(layer, n_power_iterations=2)
                x = torch.ones(
                    2,
                    layer.weight.shape[1] if layer.weight.ndim == 2 else 2,
                    *((5,) if layer.weight.ndim == 3 else ()),
                )
                model(x).sum().backward()
                model.eval()
                seen.append(
                    (model(x), dict(model.state_dict()), [p.grad for p in model.parameters()])
                )
        removed = utils.remove_spectral_norm(utils.spectral_norm(linear(torch)))
        return (
            seen,
            list(removed.state_dict()),
            len(removed._state_dict_hooks),
            dict(utils.spectral_norm(linear(torch)).state_dict()._metadata[""]),
            raised(
                lambda: utils.parametrizations.spectral_norm(linear(torch), n_power_iterations=0)
            ),
            raised(lambda: utils.parametrizations.spectral_norm(linear(torch), dim=5)),
            raised(lambda: utils.spectral_norm(utils.spectral_norm(linear(torch)))),
            raised(lambda: utils.parametrizations.spectral_norm(linear(torch), "none"))[0],
        )

    same(program, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 5)])
@pytest.mark.parametrize("trivialization", [True, False])
def test_orthogonal(kind, shape, trivialization):
    def program(torch):
        model = linear(torch, *shape)
        with torch.no_grad():
            torch.nn.init.orthogonal_(model.weight)
        start = model.weight.detach().clone()
        make = torch.nn.utils.parametrizations.orthogonal
        make(model, orthogonal_map=kind, use_trivialization=trivialization)
        weight = model.weight
        wide = weight if weight.shape[0] <= weight.shape[1] else weight.t()
        keeps = trivialization or kind == "householder"
        (weight * start.flip(0)).sum().backward()
        return (
            wide @ wide.t(),
            (weight - start if keeps else weight),
            list(model.state_dict()),
            [p.grad.isfinite().all() for p in model.parameters() if p.grad is not None],
        )

    same(program, atol=1e-5)


def test_orthogonal_errors():
    def program(torch):
        make = torch.nn.utils.parametrizations.orthogonal
        return (
            raised(lambda: make(linear(torch), "bias")),
            raised(lambda: make(linear(torch), orthogonal_map="none")),
            raised(lambda: make(linear(torch), "none"))[0],
        )

    same(program)


def test_deprecation():
    def program(torch):
        return warned(lambda: torch.nn.utils.weight_norm(linear(torch)))

    same(program)
