"""Each layer imports only from those below it, and only the lowest ones know MLX."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "flashlight"
FILES = sorted(PACKAGE.rglob("*.py"))

# A module may import from its own layer and from those before it.
LAYERS = ("_core", "_autograd", "_kernels", "_ops", "public", "compat")
USES_MLX = {"_core", "_autograd", "_kernels", "_ops", "func", "compiler"}

# The package's __init__ assembles it; the command line and torch.hub run other people's programs,
# whose `import torch` means us.
ASSEMBLES = {"__init__.py", "__main__.py", "hub.py"}


def layer_of(module: str) -> str:
    """The layer of a dotted module name without the package: "_ops.kinds" is in "_ops"."""
    top = module.partition(".")[0]
    return top if top in LAYERS else "public"


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Absolute names of imported modules, with their lines, except for those of type checkers."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    package = ["flashlight", *module.split(".")] if module else ["flashlight"]
    if not is_package:
        package = package[:-1]
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # `from flashlight import nn` names a module too.
            yield base, node.lineno
            if base == "flashlight":
                yield from ((f"flashlight.{alias.name}", node.lineno) for alias in node.names)


def found_imports(file: Path) -> list[tuple[str, int]]:
    tree = ast.parse(file.read_text())
    return list(imports(tree, module_of(file), file.name == "__init__.py"))


@pytest.fixture(scope="module")
def every_import() -> dict[Path, list[tuple[str, int]]]:
    return {file: found_imports(file) for file in FILES}


def test_imports_point_to_lower_layers(every_import):
    wrong = []
    for file, found in every_import.items():
        if file.parent == PACKAGE and file.name in ASSEMBLES:
            continue
        own = LAYERS.index(layer_of(module_of(file)))
        for name, line in found:
            if not name.startswith("flashlight."):
                continue
            if LAYERS.index(layer_of(name.removeprefix("flashlight."))) > own:
                wrong.append(f"{file.relative_to(PACKAGE)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_lower_layers_do_not_import_the_package_itself(every_import):
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line}"
        for file, found in every_import.items()
        if layer_of(module_of(file)) in ("_core", "_autograd", "_kernels", "_ops")
        for name, line in found
        if name == "flashlight"
    ]
    assert not wrong, f"`import flashlight` below the public modules: {wrong}"


def test_kernels_are_functions_of_arrays(every_import):
    allowed = ("flashlight._kernels", "mlx", "numpy")
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line} imports {name}"
        for file, found in every_import.items()
        if layer_of(module_of(file)) == "_kernels"
        for name, line in found
        if name.startswith("flashlight") and not name.startswith(allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_lower_layers_import_mlx(every_import):
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line}"
        for file, found in every_import.items()
        if module_of(file).partition(".")[0] not in USES_MLX
        for name, line in found
        if name == "mlx" or name.startswith("mlx.")
    ]
    assert not wrong, f"MLX is imported above its layers: {wrong}"


def test_nothing_imports_the_real_torch(every_import):
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line}"
        for file, found in every_import.items()
        for name, line in found
        if name == "torch" or name.startswith("torch.")
    ]
    assert not wrong, f"import flashlight's own modules instead: {wrong}"


def test_files_hold_one_concept():
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    long = [f"{file.relative_to(PACKAGE)}: {n} lines" for file, n in lengths.items() if n > 700]
    assert not long, "split by concept: " + ", ".join(long)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import mlx.core as mx", ["mlx.core"]),
        ("from ..kinds import primitive", ["flashlight.kinds"]),
        ("from . import layout", ["flashlight._ops"]),
        ("from flashlight import nn", ["flashlight", "flashlight.nn"]),
        ("def f():\n    import torch", ["torch"]),
        ("if TYPE_CHECKING:\n    import torch", []),
    ],
)
def test_the_reader_of_imports(text, expected):
    assert [name for name, _ in imports(ast.parse(text), "_ops.sub", False)] == expected
