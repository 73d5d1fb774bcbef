"""A small part of the conformance suite stays above its bars; `make parity` runs all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The least share of units, in percent, that passes each tier with so many samples in float32.
# Bars only go up: raise one when its tier has risen for good.
BARS = {
    "ops": {
        "present": 99.5,
        "complete": 97.5,
        "forward": 99.0,
        "forward_strict": 98.0,
        "grad": 98.5,
        "grad_strict": 96.0,
        "method": 98.0,
        "operator": 100.0,
        "inplace": 99.0,
        "inplace_grad": 99.0,
        "out": 99.0,
        "alias": 98.5,
        "error": 97.0,
    },
    "modules": {
        "present": 100.0,
        "complete": 99.0,
        "forward": 99.0,
        "forward_strict": 99.0,
        "grad": 99.0,
        "grad_strict": 98.0,
        "state_dict": 100.0,
        "pickle": 100.0,
        "repr": 100.0,
        "buffers": 100.0,
        "error": 100.0,
    },
    "optim": {
        "present": 100.0,
        "complete": 100.0,
        "step": 100.0,
        "step_strict": 100.0,
        "resume": 100.0,
        "state_dict": 100.0,
        "param_groups": 100.0,
        "error": 100.0,
        "lr_scheduler": 100.0,
        "lr_scheduler_state": 100.0,
    },
    "distributions": {
        "present": 100.0,
        "complete": 99.0,
        "forward": 100.0,
        "forward_strict": 97.5,
        "grad": 97.5,
        "grad_strict": 97.5,
        "moments": 97.0,
        "entropy": 96.5,
        "cdf": 100.0,
        "icdf": 100.0,
        "sample": 100.0,
        "rsample": 100.0,
        "expand": 100.0,
        "shapes": 100.0,
        "support": 100.0,
        "enumerate_support": 100.0,
        "error": 100.0,
        "kl_divergence": 99.0,
        "kl_divergence_strict": 99.0,
        "transforms": 100.0,
        "constraints": 100.0,
    },
}
# An operation's first sample is often its most trivial one.
SAMPLES = {"ops": 4, "modules": 1, "optim": 1, "distributions": 1}
# A busy machine is no reason to fail a check.
SECONDS_A_CHECK = 60


@pytest.mark.slow
@pytest.mark.parametrize("suite", BARS)
def test_the_bars_hold(suite, tmp_path):
    results = tmp_path / "results.json"
    options = ["--suite", suite, "--limit-samples", SAMPLES[suite], "--timeout", SECONDS_A_CHECK]
    command = ["-m", "tests.conformance", "--target", "flashlight", *options, "--json", results]
    finished = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    board = json.loads(results.read_text())["scoreboard"]
    reached = {name.partition(".")[2]: row["percent"] for name, row in board.items()}
    assert set(reached) == set(BARS[suite])
    below = [
        f"{suite}.{tier}: {reached[tier]:.1f} % is below {bar} %"
        for tier, bar in BARS[suite].items()
        if reached[tier] < bar
    ]
    assert not below, "\n".join([*below, finished.stdout])
