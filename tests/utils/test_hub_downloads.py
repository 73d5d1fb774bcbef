"""Repositories and files from addresses, over a stand-in for the network, beside PyTorch's."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import zipfile
from email.message import Message
from urllib.error import HTTPError, URLError

import pytest
import torch
import torch.hub

import flashlight
import flashlight.hub

CONF = '''
dependencies = []

def model(size=2, pretrained=False):
    """Numbers, so many."""
    return list(range(size))

def _hidden():
    pass

NUMBER = 3
'''


class _Answer(io.BytesIO):
    def __init__(self, content: bytes, length: bool = True):
        super().__init__(content)
        self.headers = Message()
        if length:
            self.headers["Content-Length"] = str(len(content))
        self.status = 200

    def info(self):
        return self.headers


def _archive(files: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in sorted(
            {name.partition("/")[0] for name in files if "/" in name} - {"..", ""}
        ):
            archive.mkdir(folder)
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


class _Network:
    """What the addresses answer that are asked for; an exception is raised."""

    def __init__(self, **repository):
        self.asked = []
        self.main = True
        self.offline = False
        self.branches = [{"name": "main", "commit": {"sha": "abc123"}}]
        self.tags = [{"name": "v1", "commit": {"sha": "def456"}}]
        self.files = repository or {"owner-repo-abc/hubconf.py": CONF}
        self.others = {}

    def open(self, request, *args, **kwargs):
        url = request if isinstance(request, str) else request.full_url
        self.asked.append(url)
        if self.offline:
            raise URLError("offline")
        if url in self.others:
            return self.others[url]()
        if "/tree/main" in url:
            if not self.main:
                raise HTTPError(url, 404, "no", Message(), None)
            return _Answer(b"")
        if found := re.search(r"/(branches|tags)\?per_page=100&page=(\d+)", url):
            listed = getattr(self, found[1]) if found[2] == "1" else []
            return _Answer(json.dumps(listed).encode())
        assert "/zip" in url, url
        return _Answer(_archive(self.files))


@pytest.fixture(params=["ours", "theirs"])
def hub(request, monkeypatch, tmp_path):
    """The hub of either library, whose network is a stand-in: every test holds for both."""
    module = (flashlight if request.param == "ours" else torch).hub
    module.network = _Network()
    monkeypatch.setattr(
        module, "urlopen", lambda *args, **kwargs: module.network.open(*args, **kwargs)
    )
    monkeypatch.setattr(module, "_hub_dir", str(tmp_path / "hub"))
    yield module
    del module.network


OPTIONS = {"trust_repo": True, "verbose": False}


def test_a_repository_is_downloaded_once(hub, tmp_path, capsys):
    assert hub.load("owner/repo", "model", size=3, **OPTIONS) == [0, 1, 2]
    assert (tmp_path / "hub" / "owner_repo_main" / "hubconf.py").exists()
    assert "Downloading" in capsys.readouterr().out
    asked = len(hub.network.asked)
    assert hub.load("owner/repo:main", "model", 1, trust_repo=True) == [0]
    assert len(hub.network.asked) == asked
    assert "Using cache found in" in capsys.readouterr().err
    hub.network.files = {"x/hubconf.py": CONF.replace("range(size)", "'new'")}
    assert hub.load("owner/repo", "model", **OPTIONS) == [0, 1]
    assert hub.load("owner/repo", "model", force_reload=True, **OPTIONS) == ["n", "e", "w"]
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == [
        "owner_repo_main",
        "trusted_list",
    ]


def test_what_a_repository_offers(hub):
    assert sorted(hub.list("owner/repo", **OPTIONS)) == ["model"]
    assert hub.help("owner/repo", "model", trust_repo=True) == "Numbers, so many."
    with pytest.raises(RuntimeError, match="other"):
        hub.load("owner/repo", "other", **OPTIONS)
    with pytest.raises(ValueError):
        hub.load("owner/repo", 3, **OPTIONS)


def test_branches(hub, tmp_path):
    hub.network.main = False
    hub.network.branches = [{"name": "master", "commit": {"sha": "abc123"}}]
    hub.load("owner/repo", "model", **OPTIONS)
    assert (tmp_path / "hub" / "owner_repo_master").is_dir()
    hub.load("owner/repo:v1", "model", **OPTIONS)
    hub.load("owner/repo:def4", "model", **OPTIONS)
    with pytest.raises(ValueError, match="nowhere"):
        hub.load("owner/repo:nowhere", "model", **OPTIONS)
    hub.load("owner/repo:some/where", "model", skip_validation=True, **OPTIONS)
    assert (tmp_path / "hub" / "owner_repo_some_where").is_dir()


def test_without_a_network(hub):
    hub.load("owner/repo", "model", **OPTIONS)
    hub.network.offline = True
    assert hub.load("owner/repo", "model", **OPTIONS) == [0, 1]
    with pytest.raises(RuntimeError):
        hub.load("owner/another", "model", **OPTIONS)


def test_other_answers_of_the_network(hub):
    def refuse():
        raise HTTPError("x", 500, "broken", Message(), None)

    for address in (
        "https://github.com/owner/repo/tree/main/",
        "https://github.com/owner/repo/tree/main",
    ):
        hub.network.others[address] = refuse
    with pytest.raises(HTTPError, match="broken"):
        hub.load("owner/repo", "model", **OPTIONS)


@pytest.mark.parametrize(("answer", "error"), [
    ("y", None), ("yes", None), ("n", Exception), ("", Exception), ("what", ValueError),
])  # fmt: skip
def test_who_is_trusted(hub, tmp_path, monkeypatch, answer, error):
    questions = []
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or answer)
    if error is not None:
        with pytest.raises(error):
            hub.load("owner/repo", "model", verbose=False)
        assert not (tmp_path / "hub" / "owner_repo_main").exists()
        return
    hub.load("owner/repo", "model", verbose=False)
    hub.load("owner/repo", "model", verbose=False)
    assert len(questions) == 1
    assert (tmp_path / "hub" / "trusted_list").read_text() == "owner_repo\n"
    hub.load("owner/repo", "model", trust_repo=False, verbose=False)
    assert len(questions) == 2
    hub.load("pytorch/vision", "model", verbose=False)
    assert len(questions) == 2


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_archives_that_reach_outside(hub, tmp_path, name):
    hub.network.files = {"top/hubconf.py": CONF, name: "x"}
    with pytest.raises(ValueError):
        hub.load("owner/repo", "model", **OPTIONS)
    assert not list(tmp_path.rglob("outside.txt"))


def _file(hub, content, name="data.bin", **options):
    url = f"https://example.org/{name}"
    hub.network.others[url] = lambda: _Answer(content, **options)
    return url


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("bar", [True, False])
def test_a_file(hub, tmp_path, monkeypatch, capsys, length, bar):
    if not bar:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    content = bytes(range(256)) * 1000
    url = _file(hub, content, length=length)
    digest = hashlib.sha256(content).hexdigest()
    hub.download_url_to_file(url, str(tmp_path / "one"), digest[:8])
    assert (tmp_path / "one").read_bytes() == content
    shown = capsys.readouterr().err
    if hub is flashlight.hub and not bar:
        assert ("100.0%" if length else "256000 bytes") in shown
    hub.download_url_to_file(url, str(tmp_path / "two"), progress=False)
    assert capsys.readouterr().err == ""
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.download_url_to_file(url, str(tmp_path / "three"), "00000000", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_state(hub, tmp_path):
    library = flashlight if hub is flashlight.hub else torch
    buffer = io.BytesIO()
    library.save({"a": library.ones(2)}, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:8]
    url = _file(hub, content, f"state-{digest}.pt")
    state = hub.load_state_dict_from_url(url, progress=False, check_hash=True, weights_only=True)
    assert state["a"].tolist() == [1, 1]
    assert (tmp_path / "hub" / "checkpoints" / f"state-{digest}.pt").exists()
    url = _file(hub, content, "state-00000000.pt")
    with pytest.raises(RuntimeError, match="hash"):
        hub.load_state_dict_from_url(url, progress=False, check_hash=True)
    hub.load_state_dict_from_url(url, str(tmp_path / "own"), progress=False, file_name="renamed.pt")
    assert (tmp_path / "own" / "renamed.pt").exists()


def test_a_state_in_an_archive(hub, tmp_path):
    library = flashlight if hub is flashlight.hub else torch
    buffer = io.BytesIO()
    library.save({"a": library.ones(2)}, buffer, _use_new_zipfile_serialization=False)
    url = _file(hub, _archive({"inner.pt": buffer.getvalue()}), "packed.zip")
    with pytest.warns(FutureWarning):
        state = hub.load_state_dict_from_url(url, progress=False)
    assert state["a"].tolist() == [1, 1]
