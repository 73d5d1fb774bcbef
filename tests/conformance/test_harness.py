"""The suite notices what differs from PyTorch, and the page says what fails."""

from __future__ import annotations

import types

import pytest
import torch

from tests.conformance import Options
from tests.conformance.adapter import Adapter, Mismatch, Missing
from tests.conformance.core import Refused, backward, gradients, paired, raising
from tests.conformance.report import scoreboard
from tests.conformance.runner import Record
from tools.parity import parity_page

POINTS = torch.linspace(-2, 2, 5)


def target_with(**replaced):
    """PyTorch under another name, with some functions replaced."""
    module = types.ModuleType("target")
    for name in ("Tensor", "tensor", "float32", "float64", "sin", "log"):
        setattr(module, name, getattr(torch, name))
    for name, value in replaced.items():
        setattr(module, name, value)
    return Adapter(module)


def sine(adapter):
    return adapter.to_torch(adapter.lookup("sin")(adapter.tensor(POINTS)))


def slope_of_sine(adapter):
    leaf = adapter.tensor(POINTS).requires_grad_()
    backward(adapter, adapter.lookup("sin")(leaf))
    return gradients(adapter, [(POINTS, leaf)])


@pytest.mark.parametrize("probe", [sine, slope_of_sine])
def test_pytorch_itself_passes_strictly(probe):
    (check,) = paired("forward", "sin", "sample 0", probe)
    assert check.run(target_with()) is True


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.cos, "values differ by"),
        (lambda x: torch.sin(x) * (1 + 1e-3), "values differ by"),
        (torch.zeros_like, "all zero"),
        (lambda x: torch.sin(x).double(), "dtype is float64, not float32"),
        (lambda x: torch.sin(x)[None], r"shape is \(1, 5\), not \(5,\)"),
        (lambda x: (torch.sin(x),), "structure is"),
    ],
)
def test_wrong_results_fail(wrong, message):
    (check,) = paired("forward", "sin", "sample 0", sine)
    with pytest.raises(Mismatch, match=message):
        check.run(target_with(sin=wrong))


def test_a_small_error_passes_but_not_strictly():
    (check,) = paired("forward", "sin", "sample 0", sine)
    assert check.run(target_with(sin=lambda x: torch.sin(x) * (1 + 5e-5))) is False


def test_a_wrong_gradient_fails():
    (check,) = paired("grad", "sin", "sample 0", slope_of_sine)
    with pytest.raises(Mismatch, match="values differ by"):
        check.run(target_with(sin=lambda x: torch.sin(x) + (x - x.detach()) / 100))


def test_a_lacking_name_is_missing():
    (check,) = paired("forward", "sin", "sample 0", sine)
    target = target_with()
    del target.module.sin
    with pytest.raises(Missing):
        check.run(target)


def test_what_pytorch_refuses_is_not_compared():
    (check,) = paired("forward", "sin", "sample 0", lambda adapter: torch.zeros(2).view(3))
    with pytest.raises(Refused, match="RuntimeError"):
        check.run(target_with())


def test_errors_must_be_of_the_same_class():
    def bad_call(adapter):
        adapter.lookup("log")("text")

    def accepts(text):
        return text

    def refuses(text):
        raise ValueError(text)

    (check,) = raising("error", "log", "error 0", bad_call)
    check.run(target_with())
    with pytest.raises(Mismatch, match="does not raise TypeError"):
        check.run(target_with(log=accepts))
    with pytest.raises(Mismatch, match="raises ValueError, not TypeError"):
        check.run(target_with(log=refuses))


def record(unit, tier, status, reason="", graded=False):
    return Record("ops", unit, unit, tier, "sample 0", graded, status, reason)


RECORDS = [
    record("sin", "forward", "strict", graded=True),
    record("sin", "grad", "pass", graded=True),
    record("cos", "forward", "pass", graded=True),
    record("cos", "forward", "fail", "values differ by up to 2.0e-01", graded=True),
    record("tan", "forward", "missing", "no tan", graded=True),
    record("tan", "out", "refused", "RuntimeError: no"),
]


def test_a_unit_passes_a_tier_with_all_its_checks():
    board = scoreboard(RECORDS)
    assert board["ops.forward"] == (1, 3, 2, 4)
    assert board["ops.forward_strict"] == (1, 3, 1, 4)
    assert board["ops.grad_strict"] == (0, 1, 0, 1)
    assert board["ops.present"][:2] == (2, 3)
    assert board["ops.complete"][:2] == (1, 3)
    assert "ops.out" not in board


def test_the_page_lists_every_failing_unit():
    page = parity_page(RECORDS, Options(target="flashlight"))
    assert "| forward | 1 | 3 | 33.3 | 2 | 4 |" in page
    assert "  - ops.forward: `cos`" in page
    assert "- **missing name**: 1 check\n  - ops.forward: `tan`" in page
    assert "`sin`" not in page
