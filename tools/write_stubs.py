"""Writes the stubs through which a type checker sees names that are attached at import.

Operations join `flashlight` and `Tensor` from tables, so their names and parameters stand in
flashlight/_names.pyi, flashlight/_core/methods.pyi and their like. `--check` only compares.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import flashlight

PACKAGE = Path(flashlight.__file__).parent
HEADER = '"""Written by tools/write_stubs.py: change the operations, not this file."""\n\n'

# What an operation's body says of its result, and what its caller gets.
RETURNS = {"mx.array": "Tensor", "Layout": "Tensor", "Tensor": "Tensor", "None": "None"}


def names_in_source(body: list[ast.stmt]) -> set[str]:
    """The names that statements bind: what a type checker finds by itself."""
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in statement.names)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


def parameters_of(function: object, is_method: bool) -> str:
    """The parameter list of a stub: names and kinds as they are, types unsaid."""
    operation = getattr(function, "operation", None)
    free = "self, *args: Any, **kwargs: Any" if is_method else "*args: Any, **kwargs: Any"
    try:
        parameters = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return free
    if operation is not None and operation.varargs is not None:
        return free  # sizes may be given one by one
    words: list[str] = []
    starred = False
    for position, parameter in enumerate(parameters):
        if is_method and position == 0:
            if parameter.kind is parameter.VAR_POSITIONAL:
                return free
            words.append("self")
            continue
        name = parameter.name + ("_" if keyword.iskeyword(parameter.name) else "")
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = True
            name = "*" + name
        elif parameter.kind is parameter.VAR_KEYWORD:
            name = "**" + name
        elif parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            words.append("*")
        default = "" if parameter.default is parameter.empty else " = ..."
        words.append(f"{name}: Any{default}")
    if operation is not None and not any(word.startswith(("**", "out:")) for word in words):
        # out= belongs to the decorator, and so do NumPy's names for dim and keepdim.
        words.append("**kwargs: Any")
    return ", ".join(words)


def stub_of(name: str, value: object, is_method: bool) -> str:
    """One declaration."""
    indent = "    " if is_method else ""
    if isinstance(value, type):
        return f"{indent}{name}: Any"
    if isinstance(value, flashlight.dtype):
        return f"{indent}{name}: _dtype"
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        try:
            said = str(inspect.signature(value).return_annotation)
        except (TypeError, ValueError):
            said = ""
        returns = RETURNS.get(said.strip("'"), "Any")
        return f"{indent}def {name}({parameters_of(value, is_method)}) -> {returns}: ..."
    return f"{indent}{name}: Any"


def method_lines() -> Iterator[str]:
    source = ast.parse((PACKAGE / "_core" / "tensor.py").read_text())
    tensor = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "Tensor")
    known = names_in_source(tensor.body) | set(dir(object)) - {"__eq__", "__ne__", "__reduce_ex__"}
    known |= {*flashlight.Tensor.__slots__, "__slots__", "__getattr__", "__module__"}
    for name, value in sorted(vars(flashlight.Tensor).items()):
        if name not in known and name.isidentifier():
            yield stub_of(name, value, is_method=True)


def methods_stub() -> str:
    """The text of flashlight/_core/methods.pyi."""
    lines = ["from typing import Any", "", "from .tensor import Tensor", "", "class TensorMethods:"]
    return HEADER + "\n".join([*lines, *method_lines()]) + "\n"


def names_stub(module: ModuleType) -> str:
    """The names of a public module that its source doesn't bind one by one."""
    known = names_in_source(ast.parse(Path(module.__file__ or "").read_text()).body)
    lines = [
        "from typing import Any",
        "",
        "from flashlight._core.dtype import dtype as _dtype",
        "from flashlight._core.tensor import Tensor",
        "",
    ]
    for name, value in sorted(vars(module).items()):
        if name not in known and not name.startswith("_") and not isinstance(value, ModuleType):
            lines.append(stub_of(name, value, is_method=False))
    return HEADER + "\n".join(lines) + "\n"


STUBS: dict[Path, Callable[[], str]] = {
    PACKAGE / "_core" / "methods.pyi": methods_stub,
    PACKAGE / "_names.pyi": lambda: names_stub(flashlight),
    PACKAGE / "_linalg_names.pyi": lambda: names_stub(flashlight.linalg),
    PACKAGE / "nn" / "_functional_names.pyi": lambda: names_stub(flashlight.nn.functional),
}


def main() -> int:
    """Write the stubs, or with `--check` return 1 if one is out of date."""
    status = 0
    for path, text in STUBS.items():
        if "--check" not in sys.argv[1:]:
            path.write_text(text())
        elif not path.exists() or path.read_text() != text():
            print(f"{path.name} is out of date: run make docs")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
