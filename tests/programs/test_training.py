"""Whole training programs: unmodified under the hook, and with PyTorch's losses."""

from __future__ import annotations

import json
import re

import pytest

from tests.programs.conftest import ROOT, SCRIPTS

DIGITS = ROOT / "examples" / "digits_cnn.py"


def epoch_losses(output: str) -> list[tuple[float, float]]:
    found = re.findall(r"training loss ([\d.]+), test ([\d.]+)", output)
    return [(float(train), float(test)) for train, test in found]


def test_quick_start_has_the_losses_of_pytorch(run_python):
    program = SCRIPTS / "quick_start.py"
    ours = json.loads(run_python(program, "flashlight").stdout)
    theirs = json.loads(run_python(program, "torch").stdout)
    assert ours["gradient"] == theirs["gradient"] == [2.0, 2.0, 2.0]
    assert len(ours["losses"]) == 8
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)


def test_quick_start_under_the_earlier_name(run_python):
    finished = run_python(SCRIPTS / "quick_start.py", "mlx_compat")
    assert json.loads(finished.stdout)["gradient"] == [2.0, 2.0, 2.0]


def test_digits_unmodified_has_the_losses_of_pytorch(run_python, tmp_path):
    arguments = (DIGITS, "--epochs", "2", "--quiet", "--out")
    ours = run_python("-m", "flashlight", *arguments, tmp_path / "ours").stdout
    theirs = run_python(*arguments, tmp_path / "theirs").stdout
    assert len(epoch_losses(ours)) == 2
    for mine, reference in zip(epoch_losses(ours), epoch_losses(theirs), strict=True):
        assert mine == pytest.approx(reference, rel=1e-3)
    assert re.search(r"^test accuracy 0\.\d{3}$", ours, re.MULTILINE)
    assert (tmp_path / "ours" / "curves.png").read_bytes().startswith(b"\x89PNG")

    import torch

    saved = torch.load(tmp_path / "ours" / "checkpoint.pt", weights_only=True)
    reference = torch.load(tmp_path / "theirs" / "checkpoint.pt", weights_only=True)
    assert list(saved["model"]) == list(reference["model"])
    assert saved["optimizer"].keys() == reference["optimizer"].keys()
    for name, weight in reference["model"].items():
        torch.testing.assert_close(saved["model"][name], weight, rtol=1e-2, atol=1e-3)
