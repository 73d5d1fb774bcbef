"""`torch.overrides`: functions and modes that see calls, and the lists of what can be seen."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
import torch.overrides

import flashlight
import flashlight.overrides
from tests.autograd.agree import check, own_words, programs_of


def _like(library, answer):
    class Like:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return answer

    return Like()


def who_asks(l):
    o, like = l.overrides, _like(l, 1)
    return [
        o.has_torch_function((like,)), o.has_torch_function([l.ones(1), 3]),
        o.has_torch_function_unary(like), o.has_torch_function_unary(l.ones(1)),
        o.has_torch_function_variadic(3, like), o.has_torch_function_variadic(3, 4),
        o.is_tensor_like(like), o.is_tensor_like(l.ones(1)), o.is_tensor_like(3),
    ]  # fmt: skip


def own_functions(l):
    @l.overrides.wrap_torch_function(lambda first, second=None: (first, second))
    def joined(first, second=None):
        return "unseen"

    return [joined(3), joined(_like(l, "seen")), joined(1, second=_like(l, 7)), joined.__name__]


@own_words
def nobody_wants_it(l):
    return l.overrides.handle_torch_function(l.add, (_like(l, NotImplemented),), 1, 2)


def handled(l):
    return l.overrides.handle_torch_function(l.add, (_like(l, 5),), 1, 2)


def _recorder(library, seen, name="mode"):
    class Mode(library.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append((name, function.__name__))
            return function(*args, **(kwargs or {}))

    return Mode()


def modes(l):
    seen = []
    with _recorder(l, seen, "outer"), _recorder(l, seen, "inner"):
        l.add(l.ones(2), 1)
    l.add(l.ones(2), 1)
    return seen


def modes_see_own_functions(l):
    seen = []

    @l.overrides.wrap_torch_function(lambda first: (first,))
    def mine(first):
        return first + 1

    with _recorder(l, seen):
        found = mine(3)
    return [found, seen, mine(3)]


def plain_modes(l):
    class Base(l.overrides.BaseTorchFunctionMode):
        pass

    with Base():
        return l.ones(2) + 1


@own_words
def modes_must_say_something(l):
    with l.overrides.TorchFunctionMode():
        return l.ones(2) + 1


def the_innermost_mode(l):
    o, seen = l.overrides, []
    found = [o._get_current_function_mode() is None, len(o._get_current_function_mode_stack())]
    with _recorder(l, seen) as outer, _recorder(l, seen) as inner:
        found += [o._get_current_function_mode() is inner]
        found += [[mode is outer for mode in o._get_current_function_mode_stack()]]
    return [*found, o._get_current_function_mode() is None]


def pushed(l):
    class Mode(l.overrides.BaseTorchFunctionMode):
        pass

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = Mode.push()
    return [len(caught), isinstance(made, Mode)]


def answers_of_modes(l):
    class Mode(l.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return 42 if function is l.add else function(*args, **(kwargs or {}))

    with Mode():
        return [l.add(l.ones(1), 1), l.mul(l.ones(1), 2)]


def names(l):
    o = l.overrides
    functions = (l.add, l.Tensor.shape.__get__, l.nn.functional.relu, l.linalg.lstsq, len)
    return [o.resolve_name(function) for function in functions]


def methods(l):
    ask = l.overrides.is_tensor_method_or_property
    return [ask(f) for f in (l.Tensor.add, l.Tensor.shape.__get__, l.nn.functional.relu)]


def ignored(l):
    found = l.overrides.get_ignored_functions()
    return [f in found for f in (l.ones, l.tensor, l.arange, l.save, l.add, l.matmul, l.Tensor.sum)]


@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)


def test_most_of_what_pytorch_overrides_is_listed():
    ours = flashlight.overrides.get_overridable_functions()
    theirs = torch.overrides.get_overridable_functions()
    for mine, other in ((flashlight, torch), (flashlight.Tensor, torch.Tensor)):
        names = {f.__name__ for f in ours[mine]}
        wanted = {f.__name__ for f in theirs[other] if not f.__name__.startswith("_")}
        assert len(wanted & names) > 0.75 * len(wanted)


def test_overrides_for_tests_take_the_same_arguments():
    overrides = flashlight.overrides.get_testing_overrides()
    assert len(overrides) > 1000
    stand_in = overrides[flashlight.Tensor.sum]
    assert stand_in(1, 2) == -1
    assert inspect.signature(stand_in) == inspect.signature(flashlight.Tensor.sum)
    flashlight.overrides.get_overridable_functions().clear()
    assert flashlight.overrides.get_overridable_functions()


def test_a_mode_can_be_left_for_a_call():
    seen = []
    with _recorder(flashlight, seen, "outer"), _recorder(flashlight, seen, "inner"):
        flashlight.overrides.redispatch_function(flashlight.add, (), (flashlight.ones(1), 1), None)
    assert ("outer", "add") in seen and ("inner", "add") not in seen
    with flashlight.overrides.enable_reentrant_dispatch():
        assert flashlight.ones(1).item() == 1
