"""`repr`, `str` and `format` of tensors, beside PyTorch's."""

from __future__ import annotations

import mlx.core as mx
import pytest
import torch

import flashlight
from flashlight._core.tensor import wrap

BUILDS = {
    "numbers": lambda t: t.arange(7),
    "a matrix": lambda t: t.arange(6.0).reshape(2, 3),
    "fractions": lambda t: t.arange(30.0) / 7,
    "a long one": lambda t: t.arange(5000),
    "a long matrix": lambda t: t.arange(6000.0).reshape(60, 100).t(),
    "bfloat16": lambda t: (t.arange(3000.0) / 7).to(t.bfloat16),
    "float16": lambda t: (t.arange(4.0) / 3).to(t.float16),
    "a bfloat16 number": lambda t: t.tensor(2.5).to(t.bfloat16),
    "a transposed bfloat16": lambda t: t.arange(6.0).reshape(2, 3).to(t.bfloat16).t(),
    "float64": lambda t: t.tensor([1.5, 1e-9], dtype=t.float64),
    "bool": lambda t: t.arange(3) > 1,
    "complex": lambda t: t.tensor([1 + 2j, -0.5 - 1e4j]),
    "unsigned": lambda t: t.tensor([1, 60000], dtype=t.int64).to(t.uint16),
    "a number": lambda t: t.tensor(3.25),
    "nothing": lambda t: t.zeros(0),
    "nothing of ints": lambda t: t.zeros(2, 0, dtype=t.int32),
    "an expanded one": lambda t: t.tensor([1.0, 2.0]).expand(3, 2),
    "a leaf": lambda t: t.ones(2, requires_grad=True),
    "a result": lambda t: t.ones(2, requires_grad=True) + 1,
    "a view of a result": lambda t: (t.ones(2, 2, requires_grad=True) * 2).t(),
    "a parameter": lambda t: t.nn.Parameter(t.ones(2)),
    "without data": lambda t: t.empty(2, 3, device="meta"),
    "without data, ints": lambda t: t.empty(2, device="meta", dtype=t.int64),
    "infinite": lambda t: t.tensor([float("inf"), float("nan"), 1.0]),
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_text_is_pytorchs(build):
    assert repr(build(flashlight)) == repr(build(torch))
    assert str(build(flashlight)) == str(build(torch))


def test_options_reach_tensors():
    build = BUILDS["a long matrix"]
    for library in (torch, flashlight):
        library.set_printoptions(precision=2, threshold=10, edgeitems=2, sci_mode=True)
    try:
        assert repr(build(flashlight)) == repr(build(torch))
    finally:
        for library in (torch, flashlight):
            library.set_printoptions(profile="default")


@pytest.mark.parametrize("form", ["", ".2f", "10.3e", ">8"])
def test_numbers_format_as_numbers(form):
    for build in (BUILDS["a number"], BUILDS["a bfloat16 number"]):
        assert format(build(flashlight), form) == format(build(torch), form)
        assert format(build(flashlight).requires_grad_(), form) == format(build(torch), form)
    if form:
        for library in (torch, flashlight):
            with pytest.raises(TypeError, match="unsupported format string"):
                format(library.ones(2), form)


def test_subclasses_are_named():
    class Ours(flashlight.Tensor):
        pass

    class Theirs(torch.Tensor):
        pass

    ours = flashlight.arange(30.0).as_subclass(Ours)
    theirs = torch.arange(30.0).as_subclass(Theirs)
    assert repr(ours).replace("Ours", "Theirs").split() == repr(theirs).split()


def test_inside_a_trace_there_is_nothing_to_show():
    seen = []

    def double(array):
        seen.append(repr(wrap(array, flashlight.device("cpu"))))
        return array * 2

    mx.vmap(double)(mx.zeros((3, 2)))
    assert seen == ["tensor(..., size=(2,))"]


def test_printing_does_not_change_the_history():
    x = flashlight.ones(3, requires_grad=True)
    y = x * 2
    before = y.grad_fn
    repr(y)
    assert y.grad_fn is before
