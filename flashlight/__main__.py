"""`python -m flashlight program.py [args]`: runs a PyTorch program on flashlight.

The program finds what it would find under `python program.py`: its own sys.argv and sys.path, and
itself as `__main__`, so that classes which it defines can be pickled and spawned processes can
import it. Only `import torch` is served by flashlight.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import os
import sys
import zipfile
from importlib.machinery import ModuleSpec
from types import CodeType, FrameType, ModuleType, TracebackType

from flashlight.compat import import_hook

USAGE = """\
usage: python -m flashlight program.py [args]     run a PyTorch program on flashlight
       python -m flashlight -m module [args]      the same for a module
       python -m flashlight --config              show versions, devices and the BLAS in use
       python -m flashlight --version
"""


class CannotRun(Exception):
    """The command line names nothing that can be run."""


def load_script(path: str) -> tuple[CodeType, ModuleType]:
    """The code of a program file, or of the __main__.py in a folder or zip file, and a module."""
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        _set_first_path(path)
        spec = importlib.machinery.PathFinder.find_spec("__main__", [path])
        return _from_spec(spec, path)
    path = os.path.abspath(path)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        why = f"[Errno {error.errno}] {error.strerror}"
        raise CannotRun(f"can't open file {path!r}: {why}") from None
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    module = ModuleType("__main__")
    module.__file__ = path
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    module.__dict__["__cached__"] = None
    return compile(source, path, "exec", dont_inherit=True), module


def load_module(name: str) -> tuple[CodeType, ModuleType]:
    """The code of the module `name`, a package's being in its __main__, and a module for it."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(name + ".__main__")
    except (ImportError, ValueError) as error:
        raise CannotRun(f"error while finding module {name!r}: {error}") from None
    return _from_spec(spec, name)


def _from_spec(spec: ModuleSpec | None, asked: str) -> tuple[CodeType, ModuleType]:
    get_code = getattr(getattr(spec, "loader", None), "get_code", None)
    code = get_code(spec.name) if spec is not None and get_code is not None else None
    if spec is None or code is None:
        what = "no module named" if spec is None else "nothing to run in"
        raise CannotRun(f"{what} {asked!r}")
    module = ModuleType("__main__")
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__package__ = spec.parent
    if spec.has_location:
        module.__file__ = spec.origin
        module.__dict__["__cached__"] = spec.cached
    return code, module


def _set_first_path(folder: str) -> None:
    # Under -P Python puts nothing before sys.path, under -m the current folder.
    if sys.flags.safe_path:
        return
    if sys.path and sys.path[0] in ("", os.getcwd()):
        sys.path[0] = folder
    else:
        sys.path.insert(0, folder)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals is globals() or frame.f_globals.get("__name__") == "runpy"


def _hide_our_frames() -> None:
    """Let an uncaught exception's traceback begin in the program, as under `python program.py`."""
    show = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None):
        shown = trace
        while shown is not None and _is_ours(shown.tb_frame):
            shown = shown.tb_next
        if shown is None and not isinstance(error, SyntaxError):
            shown = trace
        show(kind, error.with_traceback(shown), shown)

    sys.excepthook = excepthook


def run(code: CodeType, module: ModuleType) -> None:
    """Execute a program as the module `__main__`."""
    module.__dict__.setdefault("__builtins__", __builtins__)
    module.__dict__.setdefault("__annotations__", {})
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status where it ends before the program does."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from flashlight import version

        print(f"flashlight {version.flashlight} (PyTorch {version.__version__}'s API)")
        return 0
    if arguments[0] == "--config":
        from flashlight import __config__

        print(__config__.show(), end="")
        return 0
    is_module = arguments[0] == "-m"
    if is_module and len(arguments) == 1:
        print("argument expected for the -m option\n" + USAGE, end="", file=sys.stderr)
        return 2
    if arguments[0].startswith("-") and not is_module:
        print(f"unknown option {arguments[0]}\n" + USAGE, end="", file=sys.stderr)
        return 2
    import_hook.install()
    program = arguments[1:] if is_module else arguments
    # While a module is looked for, its packages may read sys.argv: Python shows them "-m".
    sys.argv[:] = ["-m", *program[1:]] if is_module else program
    _hide_our_frames()
    try:
        code, module = load_module(program[0]) if is_module else load_script(program[0])
    except CannotRun as obstacle:
        print(f"python -m flashlight: {obstacle}", file=sys.stderr)
        return 2
    if is_module:
        sys.argv[0] = module.__file__ or program[0]
    run(code, module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
