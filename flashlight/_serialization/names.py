"""The names under which checkpoints know classes and functions: PyTorch's.

A file written here must load in PyTorch and the reverse, so our modules are written under
PyTorch's names and PyTorch's are read as ours.
"""

from __future__ import annotations

import importlib
import sys
from pickle import UnpicklingError
from typing import Any

OURS, THEIRS = "flashlight", "torch"

# Where PyTorch keeps what lives in our private modules; the first that has the object counts.
PUBLIC_MODULES = (
    "",
    ".nn.functional",
    ".special",
    ".linalg",
    ".fft",
    ".autograd",
    ".autograd.grad_mode",
    ".serialization",
    ".storage",
)
PRIVATE_MODULES = {"_utils", "_tensor"}  # at PyTorch's own paths, although private


def is_ours(module: str) -> bool:
    """True for this package and its modules."""
    return module == OURS or module.startswith(OURS + ".")


def is_theirs(module: str) -> bool:
    """True for PyTorch's name and its modules' names."""
    return module == THEIRS or module.startswith(THEIRS + ".")


def to_theirs(module: str) -> str:
    """PyTorch's name of a module of ours; other names stay."""
    return THEIRS + module[len(OURS) :] if is_ours(module) else module


def to_ours(module: str) -> str:
    """Our name of a module of PyTorch's; other names stay."""
    return OURS + module[len(THEIRS) :] if is_theirs(module) else module


def saved_name(item: Any, qualname: str) -> tuple[str, str] | None:
    """Module and name under which a class or function of ours is written; None if not ours."""
    module = getattr(item, "__module__", None)
    if not isinstance(module, str) or not is_ours(module):
        return None
    inner = module.split(".")[1:2]
    if inner and inner[0].startswith("_") and inner[0] not in PRIVATE_MODULES:
        for public in PUBLIC_MODULES:
            found = sys.modules.get(OURS + public)
            if found is not None and getattr(found, qualname, None) is item:
                return THEIRS + public, qualname
    return to_theirs(module), qualname


def resolve(module: str, qualname: str) -> Any:
    """The object that a name in a checkpoint stands for; PyTorch's names give ours.

    Raises UnpicklingError if there is none.
    """
    ours = to_ours(module)
    try:
        found: Any = importlib.import_module(ours)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        reason = "flashlight has no such name" if is_theirs(module) else str(error)
        raise UnpicklingError(
            f"the checkpoint needs {module}.{qualname}, which can't be loaded: {reason}"
        ) from error
    return found
