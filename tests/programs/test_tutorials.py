"""Programs as tutorials have them print what they print under PyTorch, number by number."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.programs.conftest import SCRIPTS

NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?")
NAMES = sorted(path.stem for path in (SCRIPTS / "tutorials").glob("*.py"))


@pytest.fixture(scope="module")
def printed(run_python) -> tuple[dict, dict]:
    """What every program prints, under PyTorch and under flashlight."""
    with ThreadPoolExecutor() as pool:
        started = [
            pool.submit(run_python, *side, SCRIPTS / "run_tutorials.py")
            for side in ((), ("-m", "flashlight"))
        ]
        theirs, ours = (json.loads(future.result().stdout) for future in started)
    return theirs, ours


@pytest.mark.parametrize("name", NAMES)
def test_prints_what_it_prints_under_pytorch(printed, name):
    theirs, ours = (side[name] for side in printed)
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    expected = [float(number) for number in NUMBER.findall(theirs)]
    assert len(expected) > 10
    assert [float(number) for number in NUMBER.findall(ours)] == pytest.approx(
        expected, rel=1e-6, abs=1e-8
    )
