"""The README's commands exist, generated pages are current, and versions agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = ["README.md", "CONTRIBUTING.md"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_exists(page):
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[ `]| +#)", (ROOT / page).read_text()))
    assert named and named <= make_targets()


def test_the_first_screen_of_the_readme_has_both_commands():
    first_screen = (ROOT / "README.md").read_text().splitlines()[:25]
    assert any(line.startswith("make demo") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    missing = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
    assert not missing


def test_the_readme_example_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    finished = subprocess.run(
        [sys.executable, "-c", blocks[0]], capture_output=True, text=True, cwd=ROOT
    )
    assert finished.returncode == 0, finished.stderr
    assert 0 < float(finished.stdout) < 2


def test_deviations_page_is_current():
    from tools.write_docs import PAGE, deviations_page

    assert PAGE.read_text() == deviations_page(), "run python tools/write_docs.py"


def test_stubs_name_what_is_attached():
    from tools.write_stubs import STUBS

    stubs = {path.name: text() for path, text in STUBS.items()}
    for name, text in stubs.items():
        compile(text, name, "exec")
    assert re.search(r"def add_\(self, other: Any, .*\) -> Tensor: \.\.\.", stubs["methods.pyi"])
    assert re.search(r"def add\(input: Any, other: Any, .*\) -> Tensor: \.\.\.", stubs["_names.pyi"])
    assert "def relu(" in stubs["_functional_names.pyi"]
    assert "def svd(" in stubs["_linalg_names.pyi"]


def test_versions_agree():
    from flashlight import version

    assert METADATA["project"]["version"] == version.flashlight
    test_extra = METADATA["project"]["optional-dependencies"]["test"]
    assert f"torch=={version.__version__}" in test_extra


def test_the_extras_choose_the_build_of_mlx():
    extras = METADATA["project"]["optional-dependencies"]
    assert set(extras) == {"cpu", "cuda12", "cuda13", "examples", "test", "dev"}
    for build in ("cpu", "cuda12", "cuda13"):
        assert any(requirement.startswith(f"mlx[{build}]") for requirement in extras[build])


def test_ci_runs_make_test():
    assert re.search(r"^make test\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
