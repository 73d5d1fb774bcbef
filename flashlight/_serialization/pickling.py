"""Picklers that write PyTorch's names and leave storages to the archive, and their reverse."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar

import flashlight as torch
from flashlight.storage import LEGACY_CLASSES, TypedStorage, UntypedStorage

from . import names
from .storage_types import UNTYPED, StorageType, storage_type

STORAGES = (UntypedStorage, TypedStorage)

# PyTorch's old name of a module in files that `torch.save` wrote.
RENAMED_MODULES = {"torch.tensor": "torch._tensor"}


def storage_parts(item: Any) -> tuple[Any, torch.dtype, type, int]:
    """Untyped storage, dtype, class to name and number of elements of a storage.

    Raises KeyError for a typed storage whose dtype no checkpoint can name.
    """
    if isinstance(item, UntypedStorage):
        return item, torch.uint8, UntypedStorage, item.nbytes()
    kind = LEGACY_CLASSES[item.pickle_storage_type()]
    return item._untyped_storage, item.dtype, kind, len(item)


def pickler_class(pickle_module: Any) -> type:
    """A pickler that writes our classes and functions under PyTorch's names."""
    # Only Python's own pickler, written in Python, lets a subclass choose the names.
    base: Any = pickle._Pickler if pickle_module is pickle else pickle_module.Pickler
    if not hasattr(base, "save_global") or not hasattr(base, "dispatch"):
        return base

    class ArchivePickler(base):
        dispatch: ClassVar[dict[type, Any]] = dict(base.dispatch)

        def save_global(self, obj: Any, name: str | None = None) -> None:
            saved = names.saved_name(obj, name or getattr(obj, "__qualname__", ""))
            if saved is None or "." in saved[1]:
                super().save_global(obj, name)
            else:
                self._write_name(obj, *saved)

        def save_dtype(self, obj: torch.dtype) -> None:
            self._write_name(obj, names.THEIRS, obj.name)

        def _write_name(self, obj: Any, module: str, name: str) -> None:
            if self.proto >= 4:
                self.save(module)
                self.save(name)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(obj)

        dispatch[FunctionType] = save_global
        dispatch[torch.dtype] = save_dtype

    return ArchivePickler


def unpickler_class(pickle_module: Any) -> type:
    """An unpickler without restrictions that reads PyTorch's names as ours."""

    class ArchiveUnpickler(pickle_module.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if type(name) is str and name.endswith("Storage") and name != UNTYPED:
                kind = storage_type(name)
                if kind is not None:
                    return kind
            module = RENAMED_MODULES.get(module, module)
            if names.is_theirs(module):
                return names.resolve(module, name)
            return super().find_class(module, name)

    return ArchiveUnpickler


def storage_dtype(kind: Any) -> torch.dtype:
    """The dtype that the storage class in a persistent id stands for."""
    if kind is UntypedStorage:
        return torch.uint8
    if isinstance(kind, StorageType):
        return kind.dtype
    raise pickle.UnpicklingError(f"{kind!r:.100} in a persistent id is no storage class")


def same_dtype_check() -> Callable[[Any, torch.dtype], None]:
    """A function that refuses one storage being saved as two types, which the format can't hold."""
    seen: dict[int, torch.dtype] = {}

    def check(storage: Any, dtype: torch.dtype) -> None:
        shared = storage.nbytes() and storage.device.type != "meta"
        if shared and seen.setdefault(storage._cdata, dtype) is not dtype:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types; clone one of them first"
            )

    return check
