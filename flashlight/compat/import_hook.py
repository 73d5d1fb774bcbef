"""Serves `import torch` with flashlight, as the same module objects.

A meta path finder answers for a package name (`torch`, or flashlight's earlier name `mlx_compat`)
and each of its submodules with the module of the same path under `flashlight`. It stands first, so
that a real PyTorch that is installed as well is never looked for.

Child processes: a forked one inherits the finder. One that starts a new interpreter (the `spawn`
and `forkserver` methods) is started with a program text, and `install` puts itself in front of it.
For that this file is loaded by path, before sys.path is known, so it imports nothing but the
standard library.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PACKAGE = "flashlight"
ROOT = Path(__file__).resolve().parents[2]

# Ours, not PyTorch's: torch._ops and the like mean something else there.
INTERNALS = frozenset({"_autograd", "_core", "_kernels", "_ops", "compat", "__main__"})


class AliasLoader(importlib.abc.InspectLoader):
    """Loads a module by importing another one under its own name."""

    def __init__(self, finder: AliasFinder, target: str):
        self.finder = finder
        self.target = target

    def create_module(self, spec):
        module = importlib.import_module(self.target)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.own_spec  # the import system has put the alias's there
        self.finder.add_loaded()

    def _target_loader(self):
        spec = importlib.util.find_spec(self.target)
        return None if spec is None else spec.loader

    # What runpy asks for when an alias is run as a program (-m torch.some.module).

    def get_code(self, fullname):
        return self._target_loader().get_code(self.target)

    def get_source(self, fullname):
        return self._target_loader().get_source(self.target)

    def get_filename(self, fullname):
        return self._target_loader().get_filename(self.target)

    def is_package(self, fullname):
        return self._target_loader().is_package(self.target)


class AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `name` and `name.*` in flashlight, except for the top-level modules in `hidden`."""

    def __init__(self, name: str, hidden: frozenset[str] = frozenset()):
        self.name = name
        self.hidden = hidden

    def target_of(self, fullname: str) -> str | None:
        """The module of flashlight that `fullname` stands for; None for other packages'."""
        if fullname == self.name:
            return PACKAGE
        if not fullname.startswith(self.name + "."):
            return None
        return PACKAGE + fullname[len(self.name) :]

    def find_spec(self, fullname, path=None, target=None):
        if fullname == PACKAGE:
            # A new interpreter may start where sys.path has no flashlight yet.
            find = importlib.machinery.PathFinder.find_spec
            return find(PACKAGE) or find(PACKAGE, [str(ROOT)])
        real = self.target_of(fullname)
        if real is None:
            return None
        if self._is_hidden(real):
            # None would let the path finder load our file a second time, as another module.
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (flashlight serves PyTorch's public modules only)",
                name=fullname,
            )
        found = importlib.util.find_spec(real)
        if found is None:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname,
            AliasLoader(self, real),
            origin=found.origin,
            is_package=found.submodule_search_locations is not None,
        )
        if found.submodule_search_locations is not None:
            spec.submodule_search_locations = list(found.submodule_search_locations)
        return spec

    def _is_hidden(self, real: str) -> bool:
        parts = real.split(".", 2)
        return len(parts) > 1 and parts[1] in self.hidden

    def add_loaded(self) -> None:
        """Enter every loaded module of flashlight under its alias.

        An alias that is already there isn't imported again, which matters where a package's
        attribute of that name is no longer its submodule: importing would set it back.
        """
        for loaded, module in list(sys.modules.items()):
            ours = loaded == PACKAGE or loaded.startswith(PACKAGE + ".")
            if ours and module is not None and not self._is_hidden(loaded):
                sys.modules.setdefault(self.name + loaded[len(PACKAGE) :], module)

    def remove_loaded(self) -> dict[str, ModuleType]:
        """Take every module of this name out of sys.modules."""
        names = [name for name in sys.modules if self.target_of(name) is not None]
        return {name: sys.modules.pop(name) for name in names}

    def find_distributions(self, context=None) -> Iterator[Distribution]:
        """What importlib.metadata asks for: torch's version is that of the API we follow."""
        wanted = getattr(context, "name", None)
        if self.name == "torch" and (wanted is None or wanted.lower() == "torch"):
            yield _torch_distribution()


def _torch_distribution():
    # Local: the base class's module is slow to import, and every child process loads this file.
    from importlib.metadata import Distribution

    class TorchDistribution(Distribution):
        """The installed distribution `torch`, as far as importlib.metadata can see."""

        def read_text(self, filename):
            from flashlight.version import __version__

            if filename == "METADATA":
                return (
                    f"Metadata-Version: 2.1\nName: torch\nVersion: {__version__}\n"
                    "Summary: PyTorch's API on MLX, served by flashlight\n"
                )
            return "torch\n" if filename == "top_level.txt" else None

        def locate_file(self, path):
            return ROOT / path

    return TorchDistribution()


# ----- Child processes -----

_PRELUDE = (
    "import sys as s, importlib.util as u; "
    "p = u.spec_from_file_location('flashlight.compat.import_hook', {path!r}); "
    "m = s.modules[p.name] = u.module_from_spec(p); "
    "p.loader.exec_module(m); m.install(); "
    "del s, u, p, m; "
)


def _with_prelude(arguments: Iterable[str]) -> Iterator[str]:
    """A Python command line whose program (`-c text`) begins by installing the hook."""
    is_program = False
    for argument in arguments:
        yield _PRELUDE.format(path=__file__) + argument if is_program else argument
        is_program = argument == "-c"


class ChildProcesses:
    """Makes multiprocessing start new interpreters with the hook installed."""

    def __init__(self):
        from multiprocessing import util

        self.util = util
        self.original = util.spawnv_passfds

    def hook(self) -> None:
        def spawnv_passfds(path, args, passfds):
            return self.original(path, list(_with_prelude(args)), passfds)

        self.util.spawnv_passfds = spawnv_passfds

    def unhook(self) -> None:
        self.util.spawnv_passfds = self.original


# ----- Install and uninstall -----


class Hook:
    """The installed hook and what it has displaced."""

    def __init__(self):
        self.finder = AliasFinder("torch", hidden=INTERNALS)
        self.children = ChildProcesses()
        self.displaced: dict[str, ModuleType] = {}

    def install(self) -> None:
        self.displaced = self.finder.remove_loaded()
        if self.displaced:
            warnings.warn(
                "PyTorch was imported before flashlight.compat.install(): modules that hold it "
                "keep it, and its tensors are not flashlight's. Install the hook first.",
                RuntimeWarning,
                stacklevel=3,
            )
        sys.meta_path.insert(0, self.finder)
        if PACKAGE in sys.modules:
            self.finder.add_loaded()
        self.children.hook()

    def uninstall(self) -> None:
        self.children.unhook()
        sys.meta_path.remove(self.finder)
        self.finder.remove_loaded()
        sys.modules.update(self.displaced)


_hook: Hook | None = None


def install() -> None:
    """Serve `import torch` with flashlight, here and in multiprocessing's children, from now on.

    Do it before anything imports torch. Further calls do nothing.
    """
    global _hook
    if _hook is None:
        hook = Hook()
        hook.install()
        _hook = hook


def uninstall() -> None:
    """Undo `install`: `import torch` finds the real PyTorch again, if there is one."""
    global _hook
    if _hook is not None:
        _hook.uninstall()
        _hook = None


def is_installed() -> bool:
    """Whether `import torch` gives flashlight."""
    return _hook is not None


def alias(name: str) -> None:
    """Make `name` and `name.*` the same modules as flashlight's, internals included."""
    finder = AliasFinder(name)
    sys.meta_path.insert(0, finder)
    sys.modules[name] = importlib.import_module(PACKAGE)
    finder.add_loaded()
