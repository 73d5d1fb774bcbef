"""Structures of trees as text."""

from __future__ import annotations

import builtins
import collections
import functools
import json
import sys
from collections import defaultdict, namedtuple
from enum import Enum
from typing import Any

PROTOCOL = 1


class EnumEncoder(json.JSONEncoder):
    """Writes members of enumerations by name."""

    def default(self, obj: object) -> Any:
        """Return what stands for `obj`."""
        if isinstance(obj, Enum):
            cls = type(obj)
            return {
                "__enum__": True,
                "fqn": f"{cls.__module__}:{cls.__qualname__}",
                "name": obj.name,
            }
        return super().default(obj)


def enum_object_hook(obj: dict[str, Any]) -> Any:
    """Return the member that a dict stands for, or the dict."""
    if "__enum__" not in obj:
        return obj
    module, _, name = obj["fqn"].partition(":")
    return _found(module, name)[obj["name"]]


def _found(module: str, name: str) -> Any:
    # What a text names is looked up, never imported: reading must not run anything.
    value: Any = {"builtins": builtins, "collections": collections}.get(module)
    value = sys.modules.get(module) if value is None else value
    if value is None:
        raise NotImplementedError(f"{module} must be imported before a structure that names it")
    for part in name.split("."):
        value = getattr(value, part)
    return value


def treespec_dumps(treespec: Any, protocol: int | None = None) -> str:
    """Return a structure as JSON.

    Raises NotImplementedError for a class without a serialized name, TypeError for a context that
    JSON cannot hold, ValueError for an unknown protocol.
    """
    from flashlight.utils._pytree import TreeSpec

    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "Expected `treespec` to be an instance of PyTreeSpec but got item of type "
            f"{type(treespec)}."
        )
    _check_protocol(PROTOCOL if protocol is None else protocol)
    return json.dumps((PROTOCOL, _as_json(treespec)), cls=EnumEncoder)


def _check_protocol(protocol: int) -> None:
    if protocol != PROTOCOL:
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{PROTOCOL}]")


def _as_json(spec: Any) -> dict[str, Any]:
    from flashlight.utils._pytree import SUPPORTED_SERIALIZED_TYPES

    if spec.is_leaf():
        return {"type": None, "context": None, "children_spec": []}
    known = SUPPORTED_SERIALIZED_TYPES.get(spec.type)
    if known is None or known.serialized_type_name is None:
        raise NotImplementedError(
            f"No registered serialization name for {spec.type} found. Please register it with a "
            "`serialized_type_name`."
        )
    context = spec.context
    if spec.type is namedtuple:
        named = SUPPORTED_SERIALIZED_TYPES.get(context)
        if named is None or named.serialized_type_name is None:
            raise NotImplementedError(
                f"Can't serialize TreeSpec of namedtuple class {context} because we didn't "
                "register a serializated_type_name. Please register using `_register_namedtuple`."
            )
        context = named.serialized_type_name
    elif spec.type is defaultdict:
        factory, keys = context
        context = {
            "default_factory_module": factory.__module__,
            "default_factory_name": factory.__qualname__,
            "dict_context": keys,
        }
    elif known.to_dumpable_context is not None:
        context = known.to_dumpable_context(context)
    else:
        try:
            context = json.dumps(context, cls=EnumEncoder)
        except TypeError as error:
            raise TypeError(
                "Unable to serialize context. Please make the context json dump-able, or register "
                "a custom serializer using _register_pytree_node."
            ) from error
    return {
        "type": known.serialized_type_name,
        "context": context,
        "children_spec": [_as_json(child) for child in spec.children()],
    }


@functools.lru_cache
def treespec_loads(serialized: str) -> Any:
    """Return the structure in a text of `treespec_dumps`.

    Raises NotImplementedError for a name that is not registered, ValueError for an unknown
    protocol.
    """
    protocol, spec = json.loads(serialized)
    _check_protocol(protocol)
    return _from_json(spec)


def _from_json(text: dict[str, Any]) -> Any:
    from flashlight.utils._pytree import (
        SERIALIZED_TYPE_TO_PYTHON_TYPE,
        SUPPORTED_SERIALIZED_TYPES,
        TreeSpec,
        treespec_leaf,
    )

    name, context = text["type"], text["context"]
    if name is None:
        return treespec_leaf()
    if name not in SERIALIZED_TYPE_TO_PYTHON_TYPE:
        raise NotImplementedError(f"Deserializing {name} in pytree is not registered.")
    kind = SERIALIZED_TYPE_TO_PYTHON_TYPE[name]
    known = SUPPORTED_SERIALIZED_TYPES[kind]
    if kind is namedtuple:
        context = SERIALIZED_TYPE_TO_PYTHON_TYPE[context]
    elif kind is defaultdict:
        factory = _found(context["default_factory_module"], context["default_factory_name"])
        context = [factory, context["dict_context"]]
    elif known.from_dumpable_context is not None:
        context = known.from_dumpable_context(context)
    else:
        context = json.loads(context, object_hook=enum_object_hook)
    return TreeSpec(kind, context, [_from_json(child) for child in text["children_spec"]])


class _Asterisk:
    def __repr__(self) -> str:
        return "*"


def treespec_pprint(treespec: Any) -> str:
    """Return the tree of a structure with asterisks for leaves."""
    return repr(treespec.unflatten([_Asterisk() for _ in range(treespec.num_leaves)]))
