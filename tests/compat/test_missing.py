"""Absent names are absent, and say why; each record of one is still true."""

from __future__ import annotations

import importlib
import importlib.util
from fnmatch import fnmatchcase
from types import ModuleType

import pytest
import torch

import flashlight
from flashlight.compat import deviations, missing

NAMES = [name for entry in missing.MISSING for name in entry.names]


def flashlight_has(name: str) -> bool:
    """Whether flashlight provides the dotted PyTorch name, as an attribute or a module."""
    found: object = flashlight
    path = "flashlight"
    for part in name.split(".")[1:]:
        path += "." + part
        if not hasattr(found, part):
            is_module = isinstance(found, ModuleType) and hasattr(found, "__path__")
            if not is_module or importlib.util.find_spec(path) is None:
                return False
            importlib.import_module(path)
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_of_a_name_that_pytorch_has_and_flashlight_lacks(name):
    owner, _, last = name.rpartition(".")
    if "*" in last:
        holder = torch.Tensor if owner == "torch.Tensor" else importlib.import_module(owner)
        ours = flashlight
        for part in owner.split(".")[1:]:
            ours = getattr(ours, part)
        theirs = [known for known in dir(holder) if fnmatchcase(known, last)]
        if last == "*":
            public = set(getattr(holder, "__all__", theirs)) - set(ours.__all__)
            theirs = [known for known in theirs if known in public and known[0] != "_"]
        assert theirs, "PyTorch has no such name"
        assert not [known for known in theirs if hasattr(ours, known)]
        return
    holder = torch.Tensor if owner == "torch.Tensor" else importlib.import_module(owner)
    assert hasattr(holder, last) or importlib.util.find_spec(name) is not None
    assert not flashlight_has(name), "flashlight has it now: remove the record"


def test_records_are_complete_sentences_in_the_page():
    for entry in missing.MISSING:
        assert entry.names and entry.reason and entry.instead
        assert not entry.reason.endswith(".") and not entry.instead.endswith(".")
    names = [deviation.name for deviation in deviations.DEVIATIONS]
    assert len(names) == len(set(names))
    for deviation in deviations.DEVIATIONS:
        for text in (deviation.why, deviation.differs, deviation.instead):
            assert text and not text.endswith(".")


def test_the_reason_is_found_for_a_name_below_a_missing_module():
    assert missing.find("torch.fx.proxy.Proxy") is missing.find("torch.fx")
    assert missing.find("torch.jit.load") is missing.find("torch.jit.frontend")
    assert missing.find("torch.quantize_per_tensor") is not None
    assert missing.find("torch.nn.Linear") is None


def test_a_missing_module_attribute():
    assert not hasattr(flashlight, "fx")
    assert getattr(flashlight, "fx", None) is None
    with pytest.raises(AttributeError, match=r"^module 'torch' has no attribute 'fx': .*Instead"):
        _ = flashlight.fx
    with pytest.raises(AttributeError, match=r"^module 'torch' has no attribute 'no_such_name'$"):
        _ = flashlight.no_such_name


def test_a_missing_tensor_attribute():
    tensor = flashlight.ones(2)
    assert not hasattr(tensor, "to_mkldnn") and not hasattr(flashlight.Tensor, "to_mkldnn")
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no .*Instead"):
        tensor.to_mkldnn()
    with pytest.raises(AttributeError, match=r"^type object 'Tensor' has no .*Instead"):
        flashlight.Tensor.to_mkldnn(tensor)
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no attribute 'no_such_name'$"):
        _ = tensor.no_such_name


def test_an_error_inside_a_property_is_not_hidden():
    class Wrapped(flashlight.Tensor):
        @property
        def broken(self):
            return [].nothing

    tensor = flashlight.ones(1).as_subclass(Wrapped)
    with pytest.raises(AttributeError, match="'list' object has no attribute 'nothing'"):
        _ = tensor.broken


def test_importing_a_missing_module():
    with pytest.raises(ImportError, match="cannot import name 'fx' from 'torch': there is no"):
        from flashlight import fx  # noqa: F401
    with pytest.raises(ImportError, match=r"cannot import name 'load' from 'torch\.jit': Torch"):
        from flashlight.jit import load  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'torch\.fx': there is no"):
        import flashlight.fx  # noqa: F401
    assert importlib.util.find_spec("flashlight.fx") is None


def test_a_module_that_answers_for_some_names_itself(monkeypatch):
    module = ModuleType("flashlight.sample")

    def answer(name: str) -> int:
        if name == "known":
            return 7
        raise AttributeError("its own words")

    module.__getattr__ = answer  # type: ignore[method-assign]
    module.__getattr__ = missing._module_getattr(module)  # type: ignore[method-assign]
    assert module.known == 7
    with pytest.raises(AttributeError, match="its own words"):
        _ = module.unknown
