"""`import torch` gives flashlight in a program that `python -m flashlight` runs."""

from __future__ import annotations

import json
import os

import pytest

from tests.programs.conftest import SCRIPTS

PROGRAM = SCRIPTS / "finds_flashlight.py"


@pytest.fixture(scope="module")
def facts(run_python):
    return json.loads(run_python("-m", "flashlight", PROGRAM, "one", "--two").stdout)


def test_the_program_finds_itself(facts):
    assert facts["argv"] == [str(PROGRAM), "one", "--two"]
    assert facts["first path"] == str(SCRIPTS)
    assert facts["file"] == str(PROGRAM)
    assert facts["spec"] is None
    assert facts["pickled"] and facts["pickled class"]


def test_modules_are_the_same_objects(facts):
    assert facts["same module"] and facts["same submodules"]
    assert facts["all loaded modules are aliased"]
    assert facts["specs are their own"] == ["flashlight", "flashlight.nn"]
    assert facts["computed"] == [2.0, 3.0]


def test_the_real_torch_is_not_looked_for(facts):
    import torch

    assert torch.__version__.startswith("2.13.0")
    assert not facts["real torch"]


def test_the_import_system_and_the_metadata_agree(facts):
    assert all(facts["found"])
    assert all(facts["absent"])
    assert facts["version"] == ["2.13.0", "2.13.0"]
    assert facts["distribution"] == "torch"
    assert facts["listed first"] == "2.13.0"


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("attribute", "AttributeError"),
        ("import from", "ImportError"),
        ("import", "ModuleNotFoundError"),
    ],
)
def test_a_missing_name_tells_why(facts, how, kind):
    raised, text = facts[how]
    assert raised == kind
    assert "fx" in text and "graph of PyTorch operators" in text and "Instead: " in text


def test_internals_are_not_torch_modules(facts):
    raised, text = facts["internals"]
    assert raised == "ModuleNotFoundError" and "torch._ops" in text


def test_a_traceback_begins_in_the_program(run_python):
    finished = run_python("-m", "flashlight", PROGRAM, "--fail", check=False)
    assert finished.returncode == 1
    first, second, *_ = finished.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert second.startswith(f'  File "{PROGRAM}", line ')
    assert finished.stderr.splitlines()[-1] == "KeyError: 'on purpose'"


def test_a_module_a_folder_and_a_broken_program(run_python, tmp_path):
    shown = "import sys, torch; print(torch.__name__, __spec__.name, sys.argv[1:], __name__)"
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(shown)
    (package / "broken.py").write_text("x = = 1\n")

    def output(*arguments):
        return run_python("-m", "flashlight", *arguments, cwd=tmp_path).stdout.strip()

    assert output("-m", "package", "-x") == "flashlight package.__main__ ['-x'] __main__"
    assert output(package) == "flashlight __main__ [] __main__"

    broken = run_python("-m", "flashlight", package / "broken.py", check=False)
    assert broken.returncode == 1
    assert broken.stderr.startswith(f'  File "{package / "broken.py"}", line 1')
    assert broken.stderr.endswith("SyntaxError: invalid syntax\n")

    absent = run_python("-m", "flashlight", tmp_path / "absent.py", check=False)
    assert absent.returncode == 2
    assert "can't open file" in absent.stderr and "Traceback" not in absent.stderr


def test_children_of_every_start_method(run_python):
    seen = json.loads(run_python("-m", "flashlight", SCRIPTS / "starts_children.py").stdout)
    expected = ["flashlight", True, [0.0, 0.0, 1.0, 2.0, 3.0]]
    for process in ("parent", "fork", "spawn", "forkserver"):
        assert seen[process] == expected, process
    assert seen["grandchild"] == ["flashlight", True, [0.0, 1.0, 2.0, 3.0, 4.0]]


def test_children_where_flashlight_is_not_on_the_path(run_python, tmp_path):
    """A parent that found flashlight by its current folder tells its children where it is."""
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, os, torch\n"
        "def work():\n"
        "    import torch\n"
        "    return torch.__name__\n"
        "if __name__ == '__main__':\n"
        "    os.environ.pop('PYTHONPATH')\n"
        f"    os.chdir({os.fspath(tmp_path)!r})\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(work))\n"
    )
    assert run_python("-m", "flashlight", program).stdout == "flashlight\n"
