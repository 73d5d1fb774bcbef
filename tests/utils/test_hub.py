"""Models from a folder, and states from file addresses."""

from __future__ import annotations

import hashlib

import pytest

import flashlight
from flashlight import hub

CONF = '''
dependencies = ["json"]
import torch_hub_helper

def model(size=2, **options):
    """A layer."""
    return torch_hub_helper.build(size, **options)
'''
HELPER = """
import flashlight

def build(size):
    return flashlight.nn.Linear(size, 1)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "hubconf.py").write_text(CONF)
    (tmp_path / "repo" / "torch_hub_helper.py").write_text(HELPER)
    return str(tmp_path / "repo")


def test_a_local_repository(folder):
    assert hub.load(folder, "model", source="local", size=3).in_features == 3


def test_what_is_missing(folder, tmp_path):
    with pytest.raises(RuntimeError, match="nope"):
        hub.load(folder, "nope", source="local")
    with pytest.raises(ValueError, match="source"):
        hub.load(folder, "model", source="elsewhere")
    with open(f"{folder}/hubconf.py", "w") as file:
        file.write('dependencies = ["no_such_package_here"]\ndef model(): pass\n')
    with pytest.raises(RuntimeError, match="no_such_package_here"):
        hub.load(folder, "model", source="local")


def test_states_from_file_addresses(tmp_path):
    state = {"a": flashlight.ones(2)}
    path = tmp_path / "weights.pt"
    flashlight.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    hashed = path.rename(tmp_path / f"weights-{digest[:8]}.pt")
    options = {"model_dir": str(tmp_path / "cache"), "progress": False, "check_hash": True}
    loaded = hub.load_state_dict_from_url(hashed.as_uri(), **options)
    assert loaded["a"].tolist() == [1, 1]
    hashed.unlink()
    loaded = hub.load_state_dict_from_url(hashed.as_uri(), **options)  # from the cache
    assert loaded["a"].tolist() == [1, 1]


def test_a_wrong_digest(tmp_path):
    path = tmp_path / "weights-deadbeef.pt"
    flashlight.save({"a": flashlight.ones(2)}, path)
    with pytest.raises(RuntimeError, match="hash"):
        hub.load_state_dict_from_url(
            path.as_uri(), model_dir=str(tmp_path / "cache"), check_hash=True, progress=False
        )
    assert not list((tmp_path / "cache").iterdir())


def test_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "_hub_dir", None)
    assert hub.get_dir() == str(tmp_path / "hub")
    hub.set_dir(str(tmp_path / "other"))
    assert hub.get_dir() == str(tmp_path / "other")
