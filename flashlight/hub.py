"""Models from repositories with a hubconf.py, and weights from URLs.

https://docs.pytorch.org/docs/2.13/hub.html
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import flashlight as torch

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]



def __getattr__(name: str):
    """`tqdm`, if it is installed; imported when it is asked for, since it takes a while."""
    if name == "tqdm":
        with contextlib.suppress(ImportError):
            from tqdm.auto import tqdm

            return tqdm
    raise AttributeError(f"module 'torch.hub' has no attribute '{name}'")


HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
MODULE_HUBCONF = "hubconf.py"
READ_DATA_CHUNK = 128 * 1024
_TRUSTED_REPO_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")

_hub_dir: str | None = None


def get_dir() -> str:
    """Return the folder of downloads: as set, or $TORCH_HOME/hub, or ~/.cache/torch/hub."""
    if _hub_dir is not None:
        return _hub_dir
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike) -> None:
    """Set the folder of downloads."""
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


# ----- repositories -----


def load(
    repo_or_dir: str | os.PathLike,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: bool | str | None = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """Call the function `model` of a repository's hubconf.py, and return what it returns.

    `source` "local" takes a folder, "github" a name as "owner/repo[:ref]"; either runs the code
    found there. Raises ValueError for another source, RuntimeError for a missing function or
    dependency.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        repo_or_dir = _get_cache_or_reload(
            repo_or_dir, force_reload, trust_repo, verbose, skip_validation
        )
    with _hubconf(repo_or_dir) as module:
        return _load_entry_from_hubconf(module, model)(*args, **kwargs)


def list(
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
    verbose: bool = True,
):
    """Return the names of the functions in the hubconf.py of a GitHub repository."""
    folder = _get_cache_or_reload(github, force_reload, trust_repo, verbose, skip_validation)
    with _hubconf(folder) as module:
        return [
            name
            for name in dir(module)
            if callable(getattr(module, name)) and not name.startswith("_")
        ]


def help(
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
) -> str | None:
    """Return the docstring of a function in the hubconf.py of a GitHub repository."""
    folder = _get_cache_or_reload(github, force_reload, trust_repo, True, skip_validation)
    with _hubconf(folder) as module:
        return _load_entry_from_hubconf(module, model).__doc__


@contextlib.contextmanager
def _hubconf(folder: str | os.PathLike) -> Iterator[ModuleType]:
    """Import a folder's hubconf.py, with the folder on sys.path as long as it is used."""
    from flashlight.compat import import_hook

    if "torch" not in sys.modules and not import_hook.is_installed():
        # The repository's `import torch` means us.
        import_hook.install()
    folder = os.fspath(folder)
    path = os.path.join(folder, MODULE_HUBCONF)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no {MODULE_HUBCONF} in {folder}")
    spec = importlib.util.spec_from_file_location(MODULE_HUBCONF, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def _load_entry_from_hubconf(module: ModuleType, model: str) -> Callable:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    missing = [
        package
        for package in getattr(module, "dependencies", None) or []
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    function = getattr(module, model, None)
    if not callable(function):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return function


def _get_cache_or_reload(
    github: str,
    force_reload: bool,
    trust_repo: bool | str | None,
    verbose: bool = True,
    skip_validation: bool = False,
) -> str:
    """Return the folder of a GitHub repository, downloaded if it is not there."""
    hub_dir = get_dir()
    os.makedirs(hub_dir, exist_ok=True)
    owner, name, ref = _parse_repo_info(github)
    label = "_".join([owner, name, ref.replace("/", "_")])
    folder = os.path.join(hub_dir, label)
    _check_repo_is_trusted(owner, name, label, trust_repo)
    if os.path.exists(folder) and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    if not skip_validation:
        _validate_not_a_forked_repo(owner, name, ref)
    archive = os.path.join(hub_dir, f"{label}.{uuid.uuid4().hex}.zip")
    unpacked = f"{archive}.unpacked"
    try:
        url = f"https://github.com/{owner}/{name}/zipball/{ref}"
        sys.stdout.write(f'Downloading: "{url}" to {archive}\n')
        download_url_to_file(url, archive, progress=False)
        with zipfile.ZipFile(archive) as file:
            _safe_extract_zip(file, unpacked)
        (top,) = os.listdir(unpacked)
        if os.path.exists(folder):
            shutil.rmtree(folder)
        shutil.move(os.path.join(unpacked, top), folder)
    finally:
        if os.path.exists(archive):
            os.remove(archive)
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder


def _parse_repo_info(github: str) -> tuple[str, str, str]:
    """Return owner, name and ref; without a ref, that of the main branch."""
    repository, _, ref = github.partition(":")
    owner, name = repository.split("/")
    if ref:
        return owner, name, ref
    try:
        with urlopen(f"https://github.com/{owner}/{name}/tree/main/"):
            return owner, name, "main"
    except HTTPError as error:
        if error.code != 404:
            raise
        return owner, name, "master"
    except URLError as error:
        for branch in ("main", "master"):
            if os.path.exists(f"{get_dir()}/{owner}_{name}_{branch}"):
                return owner, name, branch
        raise RuntimeError(
            "It looks like there is no internet connection and the repo could not be found in the "
            f"cache ({get_dir()})"
        ) from error


def _validate_not_a_forked_repo(owner: str, name: str, ref: str) -> None:
    """Raise ValueError unless `ref` is of the repository itself: GitHub also serves its forks'."""
    headers = {"Accept": "application/vnd.github.v3+json"}
    for kind in ("branches", "tags"):
        page = 0
        while True:
            page += 1
            url = f"https://api.github.com/repos/{owner}/{name}/{kind}?per_page=100&page={page}"
            with urlopen(Request(url, headers=headers)) as answer:
                entries = json.loads(answer.read())
            if not entries:
                break
            if any(e["name"] == ref or e["commit"]["sha"].startswith(ref) for e in entries):
                return
    raise ValueError(
        f"Cannot find {ref} in https://github.com/{owner}/{name}. If it's a commit from a forked "
        "repo, please call hub.load() with forked repo directly."
    )


def _check_repo_is_trusted(
    owner: str, name: str, label: str, trust_repo: bool | str | None
) -> None:
    """Ask before code of an unknown repository is downloaded. Raises Exception for a no."""
    hub_dir = get_dir()
    path = Path(hub_dir, "trusted_list")
    path.touch()
    repository = f"{owner}_{name}"
    trusted = (
        repository in path.read_text().split()
        or label in os.listdir(hub_dir)
        or owner in _TRUSTED_REPO_OWNERS
    )
    if trust_repo is False or (trust_repo == "check" and not trusted):
        answer = input(
            f"The repository {repository} does not belong to the list of trusted repositories and "
            "as such cannot be downloaded. Do you trust this repository and wish to add it to the "
            "trusted list of repositories (y/N)?"
        ).lower()
        if answer in ("n", "no", ""):
            raise Exception("Untrusted repository.")
        if answer not in ("y", "yes"):
            raise ValueError(f"Unrecognized response {answer}.")
    if not trusted:
        with open(path, "a") as file:
            file.write(repository + "\n")


def _safe_extract_zip(archive: zipfile.ZipFile, folder: str) -> None:
    """Unpack an archive. Raises ValueError for entries that would leave the folder."""
    target = Path(folder).resolve()
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
            raise ValueError(f"Archive entry escapes target directory: {member.filename}")
        if not (target / name).resolve().is_relative_to(target):
            raise ValueError(f"Archive entry escapes target directory: {member.filename}")
    archive.extractall(target)


# ----- files -----


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download a file, whole or not at all.

    Raises RuntimeError if its SHA-256 does not begin with `hash_prefix`.
    """
    dst = os.path.expanduser(dst)
    partial = f"{dst}.{uuid.uuid4().hex}.partial"
    digest = hashlib.sha256()
    try:
        with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source:
            length = source.headers.get("Content-Length")
            total = int(length) if length else None
            with open(partial, "wb") as file, _progress(total, progress) as bar:
                while chunk := source.read(READ_DATA_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    bar(len(chunk))
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")'
            )
        shutil.move(partial, dst)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


@contextlib.contextmanager
def _progress(total: int | None, shown: bool) -> Iterator[Callable[[int], Any]]:
    """Return a function to be told how many bytes have come; a bar, if tqdm is installed."""
    if not shown:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        done = 0

        def write(count: int) -> None:
            nonlocal done
            done += count
            part = f"{done} bytes" if total is None else f"{100 * done / total:.1f}%"
            sys.stderr.write(f"\r{part}")

        yield write
        sys.stderr.write("\n")
        return
    with tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """Return what `torch.load` reads from a URL (also file://), kept in `model_dir` for next time.

    With `check_hash` the file is to be named name-<first digits of its SHA-256>.ext; raises
    RuntimeError if it is not.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stdout.write(f'Downloading: "{url}" to {path}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found[1] if found else None, progress=progress)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) == 1 and not members[0].is_dir():
                warnings.warn(
                    "Falling back to the old format < 1.6: a zip file around a checkpoint. Please "
                    "redo torch.save() to save it in the new zipfile format.",
                    FutureWarning,
                    stacklevel=2,
                )
                _safe_extract_zip(archive, folder)
                path = os.path.join(folder, members[0].filename)
    return torch.load(path, map_location=map_location, weights_only=weights_only)
