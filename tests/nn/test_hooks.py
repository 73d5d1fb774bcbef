"""Hooks around forward and backward: order, arguments, replacement, removal, errors."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.nn.both import raised, same, warned


def small(torch):
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def test_order_of_forward_hooks():
    def program(torch):
        model, calls = small(torch), []
        for name in "abc":
            model.register_forward_pre_hook(
                lambda m, args, name=name: calls.append(f"pre {name}"), prepend=name == "c"
            )
            model.register_forward_hook(
                lambda m, args, out, name=name: calls.append(f"post {name}"), prepend=name == "b"
            )
        handle = torch.nn.modules.module.register_module_forward_pre_hook(
            lambda m, args: calls.append(f"global pre {type(m).__name__}")
        )
        with (
            handle,
            torch.nn.modules.module.register_module_forward_hook(
                lambda m, args, out: calls.append(f"global post {type(m).__name__}")
            ),
        ):
            model(torch.ones(1, 3))
        model(torch.ones(1, 3))
        return calls

    same(program)


def test_hooks_replace_arguments_and_results():
    def program(torch):
        model = small(torch)
        model.register_forward_pre_hook(lambda m, args: args[0] * 2)
        model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
        model.register_forward_hook(lambda m, args, out: (out * 3, args[0]))
        return model(torch.ones(2, 3))

    same(program)


def test_hooks_with_keywords():
    def program(torch):
        class Scale(torch.nn.Module):
            def forward(self, x, *, by=1.0):
                return x * by

        model = Scale()
        model.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True
        )
        model.register_forward_hook(
            lambda m, args, kwargs, out: out + kwargs["by"], with_kwargs=True
        )
        result = model(torch.ones(2), by=2.0)
        model.register_forward_pre_hook(lambda m, args, kwargs: 5, with_kwargs=True)
        return result, raised(lambda: model(torch.ones(2), by=2.0))

    same(program)


def test_always_called_hooks():
    def program(torch):
        class Broken(torch.nn.Module):
            def forward(self, x):
                raise ValueError("broken")

        calls = []

        def fails(m, args, out):
            raise RuntimeError("also broken")

        model = Broken()
        model.register_forward_hook(lambda m, args, out: calls.append("usual"))
        model.register_forward_hook(lambda m, args, out: calls.append(out), always_call=True)
        model.register_forward_hook(fails, always_call=True)
        errors = []
        warnings = warned(lambda: errors.append(raised(lambda: model(torch.ones(1)))))
        return calls, errors, warnings

    same(program)


def test_full_backward_hooks():
    def program(torch):
        model, calls = small(torch), []
        for index in (0, 2):
            model[index].register_full_backward_hook(
                lambda m, grad_in, grad_out: calls.append((m.in_features, grad_in, grad_out))
            )
            model[index].register_full_backward_pre_hook(
                lambda m, grad_out: calls.append((m.in_features, grad_out))
            )
        x = torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
        model(x).square().sum().backward()
        return calls, x.grad, [p.grad for p in model.parameters()]

    same(program)


def test_full_backward_hooks_replace_gradients():
    def program(torch):
        model = small(torch)
        model[0].register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * 10,))
        model[2].register_full_backward_pre_hook(lambda m, grad_out: (grad_out[0] * 2,))
        x = torch.ones(2, 3, requires_grad=True)
        model(x).sum().backward()
        return x.grad, [p.grad for p in model.parameters()]

    same(program)


def test_full_backward_hooks_without_input_gradients():
    def program(torch):
        model, calls = small(torch), []
        model.register_full_backward_hook(
            lambda m, grad_in, grad_out: calls.append((grad_in, grad_out))
        )
        loss = model(torch.ones(2, 3)).sum()
        return warned(loss.backward), calls

    same(program)


def test_full_backward_hooks_of_several_outputs():
    def program(torch):
        class Pair(torch.nn.Module):
            def forward(self, x, scale, y):
                return x * scale, y + x

        model, calls = Pair(), []
        model.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go)))
        x = torch.ones(2, requires_grad=True)
        y = torch.ones(2)
        first, second = model(x, 3.0, y)
        (first * 2 + second).sum().backward()
        first, _ = model(x, 3.0, y)
        first.sum().backward()
        return calls, x.grad

    same(program)


def test_wrong_numbers_of_gradients():
    def program(torch):
        model = small(torch)
        with model.register_full_backward_hook(lambda m, gi, go: gi + gi):
            first = raised(lambda: model(torch.ones(1, 3, requires_grad=True)).sum().backward())
        model.register_full_backward_pre_hook(lambda m, go: go + go)
        return first, raised(lambda: model(torch.ones(1, 3, requires_grad=True)).sum().backward())

    same(program)


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
def test_kinds_of_backward_hooks_do_not_mix():
    def program(torch):
        one, other = small(torch), small(torch)
        one.register_backward_hook(lambda m, gi, go: None)
        other.register_full_backward_hook(lambda m, gi, go: None)
        return (
            raised(lambda: one.register_full_backward_hook(lambda m, gi, go: None)),
            raised(lambda: other.register_backward_hook(lambda m, gi, go: None)),
        )

    same(program)


def test_backward_hook_of_the_last_operation():
    def program(torch):
        model, calls = torch.nn.Tanh(), []
        model.register_backward_hook(lambda m, gi, go: calls.append((gi, go)))
        x = torch.ones(2, requires_grad=True) * 2
        model(x).sum().backward()
        return calls

    same(program)


def test_global_backward_hooks():
    def program(torch):
        model, calls = small(torch), []
        register = torch.nn.modules.module.register_module_full_backward_hook
        with (
            register(lambda m, gi, go: calls.append(type(m).__name__)),
            torch.nn.modules.module.register_module_full_backward_pre_hook(
                lambda m, go: calls.append(f"pre {type(m).__name__}")
            ),
        ):
            model(torch.ones(1, 3, requires_grad=True)).sum().backward()
        return calls

    same(program)


def test_registration_hooks():
    def program(torch):
        seen = []
        module = torch.nn.modules.module

        def swap(m, name, value):
            seen.append((type(m).__name__, name))
            return torch.nn.Identity() if name == "swapped" else None

        with (
            module.register_module_module_registration_hook(swap),
            module.register_module_parameter_registration_hook(
                lambda m, name, p: seen.append(("parameter", name))
            ),
            module.register_module_buffer_registration_hook(
                lambda m, name, b: seen.append(("buffer", name))
            ),
        ):
            model = torch.nn.Module()
            model.swapped = torch.nn.Linear(1, 1)
            model.norm = torch.nn.BatchNorm1d(2)
        return seen, type(model.swapped).__name__

    same(program)


def test_handles_survive_copies():
    def program(torch):
        model = small(torch)
        handle = model.register_forward_hook(print_shape)
        twin = copy.deepcopy(model)
        loaded = pickle.loads(pickle.dumps(model))
        handle.remove()
        handle.remove()
        return [len(m._forward_hooks) for m in (model, twin, loaded)]

    same(program)


def print_shape(module, args, output):
    """Do nothing; a function that pickles."""
