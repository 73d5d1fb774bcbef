"""Installing the hook in a running interpreter, and taking it out again."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from multiprocessing import util

import pytest
import torch

import flashlight
from flashlight.compat import import_hook

COMMAND = ["python", "-X", "dev", "-c", "print(1)", "--multiprocessing-fork"]


@pytest.fixture
def installed():
    with pytest.warns(RuntimeWarning, match="PyTorch was imported before"):
        flashlight.compat.install()
    try:
        yield
    finally:
        flashlight.compat.uninstall()


def test_install_displaces_the_real_torch_and_uninstall_brings_it_back():
    start = util.spawnv_passfds
    with pytest.warns(RuntimeWarning, match="PyTorch was imported before"):
        flashlight.compat.install()
    try:
        assert flashlight.compat.is_installed()
        assert importlib.import_module("torch") is flashlight
        assert sys.modules["torch.autograd"] is flashlight.autograd
        assert util.spawnv_passfds is not start
        flashlight.compat.install()
        assert sum(isinstance(f, import_hook.AliasFinder) for f in sys.meta_path) == 1
    finally:
        flashlight.compat.uninstall()
    assert not flashlight.compat.is_installed()
    assert importlib.import_module("torch") is torch
    assert sys.modules["torch.autograd"] is torch.autograd
    assert util.spawnv_passfds is start
    flashlight.compat.uninstall()


def test_a_module_loaded_late_is_the_same_object(installed):
    sys.modules.pop("torch.__config__", None)
    late = importlib.import_module("torch.__config__")
    assert late is importlib.import_module("flashlight.__config__")
    assert late.__spec__.name == "flashlight.__config__"
    assert "OpenBLAS" in late.show() or "Netlib" in late.show() or "Accelerate" in late.show()


def test_an_alias_can_be_run_as_a_program(installed):
    spec = importlib.util.find_spec("torch.version")
    sys.modules.pop("torch.version")
    spec = importlib.util.find_spec("torch.version")
    assert "__version__" in spec.loader.get_source("torch.version")
    assert spec.loader.get_filename("torch.version") == flashlight.version.__file__
    assert not spec.loader.is_package("torch.version")
    names: dict = {"__name__": "__main__"}
    exec(spec.loader.get_code("torch.version"), names)
    assert names["__version__"] == flashlight.__version__


def test_internals_are_not_served(installed):
    with pytest.raises(ModuleNotFoundError, match="public modules only"):
        importlib.import_module("torch._core.layout")


def test_only_the_program_text_of_a_command_line_changes():
    changed = list(import_hook._with_prelude(COMMAND))
    assert changed[:4] == COMMAND[:4] and changed[5:] == COMMAND[5:]
    assert changed[4].endswith(COMMAND[4]) and "install()" in changed[4]
    compile(changed[4], "child", "exec")
    assert list(import_hook._with_prelude(["python", "-m", "module"])) == ["python", "-m", "module"]


def test_the_earlier_name_is_the_same_package():
    import mlx_compat
    import mlx_compat.autograd
    from mlx_compat._core.layout import Layout

    assert mlx_compat is flashlight
    assert mlx_compat.autograd is flashlight.autograd
    assert Layout is flashlight._core.layout.Layout
