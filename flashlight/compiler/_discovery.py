"""What a function may read and write besides its arguments, found by looking.

Starting from the function and its arguments: closures, defaults, the globals that its code
names, attributes of objects, modules, optimizers, containers. The tensors found become inputs and
outputs of the compiled function; everything else is compared before each call, so that a changed
attribute, a new learning rate or a replaced layer is noticed.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from collections.abc import Iterable
from typing import Any

import flashlight as torch
from flashlight import Tensor

_PLAIN = (int, float, complex, bool, str, bytes, type(None), type(Ellipsis), torch.dtype,
          torch.device, torch.Size, torch.memory_format, torch.layout)
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)
_MOST_OBJECTS = 50_000
#: Longer containers are data: compared by identity and length.
_MOST_ITEMS = 2_000
_TABLES = ("_parameters", "_buffers", "_modules")
_LIBRARY = torch.__name__
_STANDARD = frozenset(sys.stdlib_module_names) | {"numpy", "mlx", "builtins"}


class Untraceable(RuntimeError):
    """Why a call cannot be compiled."""


def token(value: Any) -> Any:
    """Return what tells whether `value` is still the same: itself if plain, else its identity."""
    return (type(value), value) if type(value) in _PLAIN else id(value)


class State:
    """The tensors that a call may reach, and the rest of what it depends on."""

    def __init__(self, roots: Iterable[Any]):
        self.tensors: list[Tensor] = []
        self.groups: list[dict] = []  # the parameter groups of optimizers
        self._watched: list = []  # (what it is, container)
        self._seen: dict[int, Any] = {}
        self._stack = list(roots)
        while self._stack:
            value = self._stack.pop()
            if type(value) in _PLAIN or id(value) in self._seen:
                continue
            if len(self._seen) > _MOST_OBJECTS:
                raise Untraceable("it reaches too many objects to watch")
            self._seen[id(value)] = value
            self._visit(value)

    # ----- looking -----

    def _visit(self, value):
        if isinstance(value, Tensor):
            self.tensors.append(value)
        elif isinstance(value, torch.nn.Module):
            self._watched.append(("module", value))
            for name, inner in value.__dict__.items():
                if name in _TABLES:
                    self._stack += inner.values()
                elif inner or not isinstance(inner, _CONTAINERS):
                    self._stack.append(inner)
        elif isinstance(value, _CONTAINERS):
            self._visit_container(value)
        elif isinstance(value, types.MethodType):
            self._stack += [value.__self__, value.__func__]
        elif isinstance(value, functools.partial):
            self._stack += [value.func, value.args, value.keywords]
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, types.CellType):
            self._watched.append(("cell", value))
            self._stack += _contents(value)
        elif isinstance(value, torch.optim.Optimizer):
            self.groups += value.param_groups
            self._watched.append(("object", value))
            self._stack += [value.param_groups, value.state]
        elif _is_object(value):
            self._watched.append(("object", value))
            self._stack += value.__dict__.values()

    def _visit_container(self, value):
        if len(value) > _MOST_ITEMS:
            self._watched.append(("length", value))
            return
        if type(value) is not tuple:
            self._watched.append(("dict" if isinstance(value, dict) else "items", value))
        if isinstance(value, dict):
            self._stack += [key for key in value if isinstance(key, Tensor)]
            self._stack += value.values()
        else:
            self._stack += value

    def _visit_function(self, function):
        if (function.__module__ or "").partition(".")[0] in (_LIBRARY, *_STANDARD):
            return
        self._stack += function.__closure__ or ()
        self._stack += function.__defaults__ or ()
        self._stack += (function.__kwdefaults__ or {}).values()
        if function.__dict__:
            self._stack.append(function.__dict__)
        names = _names(function.__code__)
        for name in names:
            if name not in function.__globals__:
                continue
            value = function.__globals__[name]
            if isinstance(value, types.ModuleType):
                self._visit_module_names(value, names)
                continue
            if not isinstance(value, type):
                self._watched.append((name, function.__globals__))
                self._stack.append(value)

    def _visit_module_names(self, module, names):
        if module.__name__.partition(".")[0] in (_LIBRARY, *_STANDARD):
            return
        for name in names:
            value = module.__dict__.get(name)
            if value is not None and not isinstance(value, (type, types.ModuleType)):
                self._watched.append((name, module.__dict__))
                self._stack.append(value)

    # ----- comparing -----

    def rates(self) -> set[int]:
        """Return the identities of the parameter groups whose learning rate can be an input."""
        return {id(group) for group in self.groups if type(group.get("lr")) is float}

    def snapshot(self, rates: Iterable[int] = ()) -> tuple:
        """Return what must be equal for a compiled call to be valid.

        Without the learning rates of the parameter groups whose identities are in `rates`.
        """
        taken = []
        for kind, value in self._watched:
            if kind == "dict" and id(value) in rates:
                value = {key: item for key, item in value.items() if key != "lr"}
            taken.append(_SNAPSHOTS.get(kind, _named)(kind, value))
        return tuple(taken)

    def backup(self) -> list:
        """Return shallow copies of what a call might change."""
        kept = []
        for kind, value in self._watched:
            if kind in ("module", "object"):
                kept.append((value.__dict__, dict(value.__dict__)))
                if kind == "module":
                    for name in _TABLES:
                        inner = value.__dict__[name]
                        kept.append((inner, dict(inner)))
            elif kind in ("dict", "items") and not isinstance(value, (tuple, frozenset)):
                kept.append((value, value.copy()))
        return kept


def restore(backup: list) -> None:
    """Bring containers back to what they held."""
    for container, items in backup:
        if isinstance(container, dict):
            if container.keys() != items.keys() or any(
                container[key] is not value for key, value in items.items()
            ):
                container.clear()
                container.update(items)
        elif isinstance(container, list):
            container[:] = items
        elif isinstance(container, set):
            container.clear()
            container.update(items)
        else:
            container.clear()
            container.extend(items)


def _is_object(value) -> bool:
    return (
        hasattr(value, "__dict__")
        and not isinstance(value, (type, types.ModuleType))
        and type(value).__module__.partition(".")[0] not in _STANDARD
    )


def _contents(cell) -> list:
    try:
        return [cell.cell_contents]
    except ValueError:  # not assigned yet
        return []


def _names(code: types.CodeType) -> tuple:
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return tuple(names)


def _of_module(kind, module):
    own = module.__dict__
    return (
        tuple([token(value) for value in own.values()]),
        tuple([id(value) for name in _TABLES for value in own[name].values()]),
        len(own["_forward_hooks"]) + len(own["_forward_pre_hooks"]),
    )


def _of_dict(kind, value):
    return tuple([(token(key), token(item)) for key, item in value.items()])


def _of_items(kind, value):
    return tuple([token(item) for item in value])


def _of_object(kind, value):
    return tuple([(key, token(item)) for key, item in value.__dict__.items()])


def _named(name, namespace):
    return token(namespace.get(name))


_SNAPSHOTS: dict = {
    "module": _of_module,
    "dict": _of_dict,
    "items": _of_items,
    "object": _of_object,
    "cell": lambda kind, cell: tuple(map(token, _contents(cell))),
    "length": lambda kind, value: (id(value), len(value)),
}
