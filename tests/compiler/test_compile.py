"""`torch.compile`: compiled calls equal uncompiled ones, and what can't be compiled still works."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest

import flashlight as torch

F = torch.nn.functional


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    yield
    torch.compiler.set_stance("default")


def versions(function) -> list[str]:
    """Return what became of each kind of call that a compiled function has seen."""
    return [type(v).__name__ for v in function._compiled.versions.values()]


def equal(a, b, tolerance=1e-6):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def three_times(function, *args):
    """Call a function that has not been compiled, and three times the compiled one."""
    compiled = torch.compile(function)
    expected = function(*args)
    return expected, [compiled(*args) for _ in range(3)], compiled


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(12, 4),
    )  # fmt: skip


# ----- functions -----


def test_results_of_any_structure():
    def f(x, *, scale=1):
        y = x * scale
        y[0] += 1
        return y, {"sum": y.sum(), "view": y.view(-1)[2:], "number": 3, "text": ("a", None)}, x

    compiled = torch.compile(f)
    x = torch.randn(3, 4)
    for _ in range(3):
        expected, actual = f(x, scale=2), compiled(x, scale=2)
        equal(actual[0], expected[0])
        equal(actual[1]["sum"], expected[1]["sum"])
        assert actual[1]["number"] == 3 and actual[1]["text"] == ("a", None)
        assert actual[2] is x
        actual[1]["view"][0] = 7  # results alias as they do uncompiled
        assert actual[0].view(-1)[2] == 7
    assert versions(compiled) == ["Version"]


def test_one_version_for_each_shape_dtype_and_number():
    @torch.compile
    def f(x, n):
        return x * n

    for x, n in [(torch.ones(2), 2), (torch.ones(3), 2), (torch.ones(3), 3.0),
                 (torch.ones(3, dtype=torch.int64), 3.0), (torch.ones(2), 2)]:
        equal(f(x, n), x * n)
        equal(f(x, n), x * n)
    assert versions(f) == ["Version"] * 4


def test_writes_to_arguments_reach_all_their_aliases():
    @torch.compile
    def f(x, y):
        x.mul_(2)
        y.add_(x.sum())
        return x[1:]

    for _ in range(3):
        x = torch.arange(4.0)
        row, version = x[:2], x._version
        tail = f(x, row)
        x2 = torch.arange(4.0)
        x2.mul_(2)
        x2[:2].add_(x2.sum())
        assert x.tolist() == x2.tolist() and row.tolist() == x2[:2].tolist()
        assert x._version > version
        tail[0] = -1
        assert x[1] == -1


def test_arguments_that_share_memory_with_numpy():
    @torch.compile
    def f(x):
        return x * 2

    for i in range(3):
        array = np.full(3, i, np.float32)
        assert f(torch.from_numpy(array)).tolist() == [2.0 * i] * 3


def test_grad_modes_are_part_of_what_is_compiled():
    weight = torch.ones(3, requires_grad=True)

    @torch.compile
    def f(x):
        return x * weight

    for _ in range(2):
        assert f(torch.ones(3)).requires_grad
        with torch.no_grad():
            assert not f(torch.ones(3)).requires_grad
    assert versions(f) == ["Version"] * 2


def test_random_numbers_differ_between_calls_and_repeat_by_seed():
    @torch.compile
    def f(x):
        return x + torch.rand(5), F.dropout(torch.ones(50), 0.5)

    f(torch.zeros(5))
    torch.manual_seed(3)
    first, second = f(torch.zeros(5)), f(torch.zeros(5))
    assert first[0].tolist() != second[0].tolist()
    assert first[0].min() >= 0 and first[0].max() < 1
    assert set(first[1].tolist()) == {0.0, 2.0}
    torch.manual_seed(3)
    assert f(torch.zeros(5))[0].tolist() == first[0].tolist()
    assert versions(f) == ["Version"]


def test_what_draws_nothing_leaves_the_generator_alone():
    f = torch.compile(lambda x: x + 1)
    f(torch.ones(2)), f(torch.ones(2))
    state = torch.get_rng_state()
    f(torch.ones(2))
    assert torch.equal(torch.get_rng_state(), state)


# ----- gradients -----


def test_backward_through_compiled_functions():
    weight = torch.randn(4, 3, requires_grad=True)

    def f(x):
        y = (x @ weight).tanh()
        return y.exp(), y.detach().sum(), y.max(0)

    compiled = torch.compile(f)
    for _ in range(3):
        grads = []
        for function in (f, compiled):
            x = torch.arange(8.0).reshape(2, 4).requires_grad_() / 10
            one, two, (three, index) = function(x)
            assert not two.requires_grad and not index.requires_grad
            grads.append(torch.autograd.grad(one.sum() * two + (three * 2).sum(), (x, weight)))
        for a, b in zip(*grads):
            equal(a, b)
    assert type(compiled(x)[0].grad_fn).__name__ == "CompiledFunctionBackward"


def test_backward_of_one_of_several_results():
    f = torch.compile(lambda x: (x * 2, x * 3))
    x = torch.ones(2, requires_grad=True)
    for _ in range(3):
        assert torch.autograd.grad(f(x)[1].sum(), x)[0].tolist() == [3.0, 3.0]


def test_backward_twice_needs_retain_graph():
    f = torch.compile(lambda x: (x * x).sum())
    x = torch.ones(2, requires_grad=True)
    f(x)
    y = f(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_second_derivatives_say_that_they_are_not_there():
    f = torch.compile(lambda x: (x**3).sum())
    x = torch.ones(2, requires_grad=True)
    f(x)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        torch.autograd.grad(f(x), x, create_graph=True)


def test_gradients_flow_into_what_was_computed_before():
    f = torch.compile(lambda x: x.sin())
    x = torch.ones(2, requires_grad=True)
    for _ in range(3):
        (grad,) = torch.autograd.grad(f(x * 2).sum(), x)
        equal(grad, 2 * torch.cos(2 * torch.ones(2)))


def test_hooks_of_parameters_run_once_for_each_backward():
    weight = torch.ones(2, requires_grad=True)
    seen = []
    weight.register_hook(lambda grad: seen.append(grad.sum().item()))
    f = torch.compile(lambda x: (x * weight).sum())
    for _ in range(3):
        f(torch.ones(2)).backward()
    assert seen == [2.0] * 3 and weight.grad.tolist() == [3.0, 3.0]


# ----- modules -----


def test_a_module_trains_as_it_does_uncompiled():
    model = network()
    reference = copy.deepcopy(model)
    compiled = torch.compile(model)
    optimizers = [torch.optim.SGD(m.parameters(), 0.05, momentum=0.9) for m in (model, reference)]
    for _ in range(4):
        x = torch.randn(5, 1, 6, 6)
        for m, optimizer in zip((compiled, reference), optimizers):
            optimizer.zero_grad()
            m(x).square().mean().backward()
            optimizer.step()
    for name, value in reference.state_dict().items():
        equal(model.state_dict()[name], value, 1e-5)
    compiled.eval()
    assert not model.training
    x = torch.randn(2, 1, 6, 6)
    reference.eval()
    for _ in range(2):
        equal(compiled(x), reference(x), 1e-5)


def test_a_compiled_module_is_the_module():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model.note = "hello"
    compiled = torch.compile(model)
    assert isinstance(compiled, torch.nn.Module) and compiled.note == "hello"
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert list(compiled.parameters()) == list(model.parameters())
    compiled.extra = 5
    assert model.extra == 5 and compiled._orig_mod[0] is model[0]
    assert type(pickle.loads(pickle.dumps(compiled))).__name__ == "OptimizedModule"
    in_place = torch.nn.Linear(2, 2)
    in_place.compile()
    x = torch.ones(1, 2)
    expected = F.linear(x, in_place.weight, in_place.bias)
    equal(in_place(x), expected), equal(in_place(x), expected)


def test_changes_of_a_module_are_noticed():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))
    compiled = torch.compile(model)
    x = torch.ones(1, 2)
    model.eval()
    compiled(x), compiled(x)
    model[0].weight.data.fill_(1)
    equal(compiled(x), model(x))
    model[0] = torch.nn.Linear(2, 2)
    equal(compiled(x), model(x))
    model[0].bias = None
    equal(compiled(x), model(x))
    model[0].register_forward_hook(lambda module, args, out: out * 2)
    equal(compiled(x), model(x))


# ----- whole steps -----


@pytest.mark.parametrize(
    "name, options",
    [("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {"lr": 0.01}), ("AdamW", {"lr": 0.01}),
     ("RMSprop", {"lr": 0.01}), ("Adagrad", {"lr": 0.1})],
)
def test_a_training_step(name, options):
    models = [torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))]
    models.append(copy.deepcopy(models[0]))
    optimizers = [getattr(torch.optim, name)(m.parameters(), **options) for m in models]

    def step_of(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            hidden = model[:2](x).clone()
            hidden[:, 1:3].mul_(0.5)
            loss = F.mse_loss(model[2](hidden), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    compiled, plain = torch.compile(step_of(models[0], optimizers[0])), step_of(models[1], optimizers[1])
    for i in range(5):
        if i == 3:
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] *= 0.5  # no reason to compile again
        x, y = torch.randn(3, 4), torch.randn(3, 2)
        equal(compiled(x, y), plain(x, y))
    for a, b in zip(models[0].parameters(), models[1].parameters()):
        equal(a, b)
        equal(a.grad, b.grad)
    assert versions(compiled) == ["Version"]
    loss = compiled(x, y)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_gradients_accumulate_over_steps():
    model = torch.nn.Linear(2, 1)
    step = torch.compile(lambda x: model(x).sum().backward())
    for count in range(1, 5):
        step(torch.ones(3, 2))
        assert model.weight.grad.tolist() == [[3.0 * count, 3.0 * count]]
    model.zero_grad()
    step(torch.ones(3, 2))
    assert model.weight.grad.tolist() == [[3.0, 3.0]]


class Trainer:
    def __init__(self):
        self.model = torch.nn.Linear(3, 1)
        self.running = torch.zeros(())

    def step(self, x):
        loss = self.model(x).square().mean()
        self.running.mul_(0.9).add_(loss.detach(), alpha=0.1)
        return loss


def test_methods_and_state_that_is_no_modules():
    trainer, reference = Trainer(), Trainer()
    reference.model.load_state_dict(trainer.model.state_dict())
    step = torch.compile(trainer.step)
    for _ in range(4):
        x = torch.randn(2, 3)
        equal(step(x), reference.step(x))
        equal(trainer.running, reference.running)
    assert versions(step) == ["Version"]


# ----- what can't be compiled -----


def uncompiled(function, match, *args, calls=3):
    """Assert that a function warns once, and gives what it gives uncompiled."""
    compiled = torch.compile(function)
    results = [compiled(*args)]
    with pytest.warns(UserWarning, match=match) as caught:
        results += [compiled(*args) for _ in range(calls - 1)]
    assert len([w for w in caught if "uncompiled" in str(w.message)]) == 1
    return results


def test_reading_a_value():
    def f(x):
        return x * 2 if x.sum().item() > 0 else -x

    results = uncompiled(f, r"runs uncompiled.*test_compile\.py", torch.ones(2))
    assert [r.tolist() for r in results] == [[2.0, 2.0]] * 3


def test_shapes_that_depend_on_data():
    uncompiled(lambda x: x[x > 0], "uncompiled", torch.tensor([1.0, -1.0]))


def test_python_objects_that_change():
    calls = []

    def f(x):
        calls.append(1)
        return x + len(calls)

    results = uncompiled(f, "changes Python objects", torch.zeros(1))
    assert [r.item() for r in results] == [1.0, 2.0, 3.0]
    assert len(calls) == 3


def test_tensors_that_are_kept_outside():
    kept = {}

    class Keeper:
        __slots__ = ("value",)

    keeper = Keeper()

    def f(x):
        keeper.value = x * 2
        return x + 1

    uncompiled(f, "keeps a tensor", torch.ones(2))
    assert keeper.value.tolist() == [2.0, 2.0] and not kept


def test_tensors_that_are_written_unseen():
    class Holder:
        __slots__ = ("total",)

    holder = Holder()
    holder.total = torch.zeros(2)

    def f(x):
        holder.total.add_(x)
        return x + 1

    uncompiled(f, "keeps a tensor", torch.ones(2), calls=4)
    assert holder.total.tolist() == [4.0, 4.0]


def test_fullgraph_raises():
    f = torch.compile(lambda x: x.sum().item(), fullgraph=True)
    f(torch.ones(2))
    with pytest.raises(RuntimeError, match="fullgraph"):
        f(torch.ones(2))


def test_functions_kept_out():
    @torch.compiler.disable
    def log(x):
        return x

    uncompiled(lambda x: log(x) + 1, "keeps out", torch.ones(2))


def test_errors_are_the_functions_own():
    f = torch.compile(lambda x: x @ torch.ones(5))
    for _ in range(2):
        with warnings.catch_warnings(), pytest.raises(RuntimeError, match=r"size|shape"):
            warnings.simplefilter("ignore")
            f(torch.ones(2))


def test_too_many_versions():
    f = torch.compile(lambda x, n: x * n, recompile_limit=2)
    x = torch.ones(2)
    f(x, 0)
    f(x, 1), f(x, 2)
    with pytest.warns(UserWarning, match="compiled 2 times"):
        assert f(x, 3).tolist() == [3.0, 3.0]
    assert versions(f) == ["Version"] * 2


def test_a_failed_trace_leaves_everything_as_it_was():
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = copy.deepcopy(model.state_dict())
    state = {"fail": False}

    def step(x):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
        if state["fail"]:
            raise KeyError("no")
        return model.weight.sum()

    compiled = torch.compile(step)
    compiled(torch.ones(1, 2)), compiled(torch.ones(1, 2))
    model.load_state_dict(before)
    state["fail"] = True
    with pytest.warns(UserWarning), pytest.raises(KeyError):
        compiled(torch.ones(1, 2))
    assert np.isfinite(model.weight.detach().numpy()).all()
    equal(model.weight, before["weight"] - 0.1)
    assert torch.rand(2).shape == (2,) and not torch.compiler.is_compiling()


# ----- settings -----


def test_settings():
    def f(x):
        seen.append(torch.compiler.is_compiling())
        return x * 2

    seen: list = []
    x = torch.ones(2)
    assert torch.compile(f, backend="eager") is f and torch.compile(f, disable=True) is f
    g = torch.compile(lambda x: x * 2, mode="max-autotune")
    g(x), g(x)
    with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="recompile"):
        g(torch.ones(3))
    with torch.compiler.set_stance("force_eager"):
        assert g(torch.ones(3)).tolist() == [2.0] * 3
    assert versions(g) == ["Version"]
    torch.compiler.reset()
    assert versions(g) == []
    for wrong in ({"mode": "fast"}, {"backend": "tvm"}, {"backend": lambda gm, args: gm}):
        with pytest.raises(RuntimeError):
            torch.compile(f, **wrong)
    assert torch.compiler.list_backends() == ["inductor", "mlx"]


def test_as_a_decorator_with_arguments():
    @torch.compile(fullgraph=True, dynamic=True)
    def f(x):
        """Doubles."""
        return x * 2

    assert f.__name__ == "f" and f.__doc__ == "Doubles."
    assert [f(torch.ones(1)).item() for _ in range(3)] == [2.0] * 3


def test_compiled_functions_inside_compiled_ones_and_transforms():
    inner = torch.compile(lambda x: x.sin())
    outer = torch.compile(lambda x: inner(x) * 2)
    x = torch.ones(2)
    for _ in range(3):
        inner(x)
        equal(outer(x), x.sin() * 2)
    equal(torch.func.grad(lambda a: inner(a).sum())(x), x.cos())
    equal(torch.vmap(inner)(x), x.sin())


def test_nothing_is_kept_alive():
    model = torch.nn.Linear(3, 3)
    f = torch.compile(lambda x: model(x).relu())
    x = torch.ones(2, 3, requires_grad=True)
    f(x), f(x)
    y = f(x)
    saved = weakref.ref(y.grad_fn)
    y.sum().backward()
    del y
    gc.collect()
    assert saved() is None
