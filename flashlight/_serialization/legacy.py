"""The formats of `torch.save` before PyTorch 1.6: a sequence of pickles, then the storages.

Storages come last, so tensors are built over memory that is filled afterwards. The still older
tar files, which can't be read without executing them, are refused.
"""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any

import flashlight as torch
from flashlight._core import host_memory
from flashlight._core.device import CPU
from flashlight._ops.sparse.construction import verify
from flashlight._untyped_storage import facade

from . import locations, settings
from .allowed import WeightsOnly
from .errors import CorruptCheckpoint, TruncatedCheckpoint
from .pickling import (
    STORAGES,
    pickler_class,
    same_dtype_check,
    storage_dtype,
    storage_parts,
    unpickler_class,
)
from .restricted import RestrictedUnpickler
from .zip_format import check_loadable, text, typed

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
COUNT = struct.Struct("<q")


def save(obj: Any, stream: Any, pickle_module: Any, pickle_protocol: int) -> None:
    """Write `obj` in the format before PyTorch 1.6."""
    storages: dict[str, tuple[torch.UntypedStorage, torch.dtype]] = {}
    check_dtype = same_dtype_check()

    def persistent_id(item: Any) -> tuple | None:
        if not isinstance(item, STORAGES):
            return None
        storage, dtype, kind, numel = storage_parts(item)
        check_dtype(storage, dtype)
        key = str(storage._cdata)
        storages.setdefault(key, (storage, dtype))
        return ("storage", kind, key, locations.location_tag(storage), numel, None)

    class Pickler(pickler_class(pickle_module)):
        pass

    Pickler.persistent_id = staticmethod(persistent_id)
    machine = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": struct.calcsize("l")},
    }
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, machine):
        pickle_module.dump(head, stream, protocol=pickle_protocol)
    Pickler(stream, protocol=pickle_protocol).dump(obj)
    keys = sorted(storages)
    pickle_module.dump(keys, stream, protocol=pickle_protocol)
    stream.flush()
    for key in keys:
        storage, dtype = storages[key]
        stream.write(COUNT.pack(storage.nbytes() // dtype.itemsize))
        stream.write(host_memory.storage_bytes(storage._storage))


def load(
    stream: Any, map_location: Any, pickle_module: Any, pickle_load_args: dict[str, Any]
) -> Any:
    """The object in a file of the format before PyTorch 1.6; `pickle_module` None restricts it.

    Raises UnpicklingError for anything else.
    """
    start = stream.tell()
    if _is_tar(stream):
        raise CorruptCheckpoint(
            "the file is in the .tar format of PyTorch before 0.1.10, which flashlight does not "
            "load; load it with PyTorch and save it again"
        )
    stream.seek(start)
    storages = LegacyStorages(stream, map_location)
    make = _unpicklers(stream, storages, pickle_module, pickle_load_args)
    if _load_head(make) != MAGIC_NUMBER:
        raise CorruptCheckpoint("Invalid magic number; corrupt file?")
    version = make().load()
    if version != PROTOCOL_VERSION:
        raise CorruptCheckpoint(f"Invalid protocol version: {version!r:.50}")
    machine = make().load()
    before = settings.local.map_location, settings.local.unverified
    settings.local.map_location, settings.local.unverified = map_location, []
    try:
        result = make().load()
        sparse = settings.local.unverified
    finally:
        settings.local.map_location, settings.local.unverified = before
    keys = make().load()
    little = not isinstance(machine, dict) or machine.get("little_endian", True)
    storages.fill(keys, "little" if little else "big")
    for tensor in sparse:
        _verify(tensor)
    return result


def _verify(tensor: Any) -> None:
    try:
        verify(tensor)
    except RuntimeError as error:
        raise CorruptCheckpoint(f"a sparse tensor in the checkpoint is damaged: {error}") from None


def _is_tar(stream: Any) -> bool:
    head = stream.read(512)
    return len(head) == 512 and head[257:262] == b"ustar"


def _load_head(make: Any) -> Any:
    try:
        return make().load()
    except TruncatedCheckpoint:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise CorruptCheckpoint(
            f"the file is neither a zip archive nor an older checkpoint ({error})"
        ) from None


def _unpicklers(
    stream: Any, storages: LegacyStorages, pickle_module: Any, arguments: dict[str, Any]
) -> Any:
    if pickle_module is None:
        policy = WeightsOnly()
        return lambda: RestrictedUnpickler(stream, policy, storages.load, arguments["encoding"])
    kind = unpickler_class(pickle_module)

    def make() -> Any:
        unpickler = kind(stream, **arguments)
        unpickler.persistent_load = storages.load
        return unpickler

    return make


class LegacyStorages:
    """Storages that tensors already use while their data is still to be read."""

    def __init__(self, stream: Any, map_location: Any):
        self._stream = stream
        self._restore = locations.restorer(map_location)
        self._to_meta = locations.is_meta(map_location)
        here = stream.tell()
        self._end = stream.seek(0, 2)
        stream.seek(here)
        self._claimed = 0
        self._loaded: dict[Any, torch.TypedStorage] = {}
        self._unfilled: dict[Any, tuple[torch.dtype, memoryview]] = {}

    def load(self, saved_id: Any) -> Any:
        """The storage of a persistent id, or the class that an old file quotes the source of."""
        if not isinstance(saved_id, tuple) or not saved_id:
            raise CorruptCheckpoint(f"{saved_id!r:.100} is no persistent id")
        kind_of_id = text(saved_id[0])
        if kind_of_id == "module" and len(saved_id) >= 2:
            return saved_id[1]
        if kind_of_id != "storage" or len(saved_id) != 6:
            raise CorruptCheckpoint(f"unknown kind of persistent id: {kind_of_id!r:.50}")
        _, kind, key, location, numel, view = saved_id
        key = text(key)
        if key not in self._loaded:
            if type(numel) is not int or numel < 0:
                raise CorruptCheckpoint(f"{numel!r:.50} is no number of elements")
            self._loaded[key] = self._make(storage_dtype(kind), numel, key, text(location))
        return self._loaded[key] if view is None else self._view(key, view)

    def _make(self, dtype: torch.dtype, numel: int, key: Any, location: str) -> torch.TypedStorage:
        nbytes = numel * dtype.itemsize
        self._claimed += nbytes
        if self._claimed > self._end:
            raise TruncatedCheckpoint(
                f"storage {key!r:.50} needs {nbytes} bytes, but the whole file has {self._end}"
            )
        if self._to_meta:
            self._unfilled[key] = (dtype, memoryview(bytearray(0)))
            return typed(torch.UntypedStorage(nbytes, device="meta"), dtype)
        check_loadable(dtype)
        storage, memory = host_memory.new_storage(numel, dtype, CPU)
        host_memory.clear(memory)
        self._unfilled[key] = (dtype, memory)
        return typed(self._restore(facade(storage), location), dtype)

    def _view(self, key: Any, view: Any) -> torch.TypedStorage:
        # Files of PyTorch before 0.4 have storages that are parts of others.
        try:
            _, offset, size = view
            root = self._loaded[key]
            if type(offset) is not int or type(size) is not int or min(offset, size) < 0:
                raise ValueError
            if offset + size > len(root):
                raise ValueError
        except (TypeError, ValueError):
            raise CorruptCheckpoint(f"{view!r:.100} is no part of a storage") from None
        if offset == 0 and size == len(root):
            return root
        raise CorruptCheckpoint(
            "the checkpoint has a storage that is a part of another, as only PyTorch before 0.4 "
            "wrote them; load it with PyTorch and save it again"
        )

    def fill(self, keys: Any, byte_order: str) -> None:
        """Read the data, which follows in the stream, into the storages made so far."""
        if not isinstance(keys, list) or len(keys) != len(set(map(str, keys))):
            raise CorruptCheckpoint("the list of storages is damaged")
        if settings.local.skip_data:
            return
        for key in keys:
            key = text(key)
            if key not in self._unfilled:
                raise CorruptCheckpoint(f"storage {key!r:.50} belongs to no tensor")
            dtype, memory = self._unfilled.pop(key)
            (numel,) = COUNT.unpack(self._read(COUNT.size))
            expected = self._loaded[key].nbytes() // dtype.itemsize
            if numel != expected:
                raise CorruptCheckpoint(
                    f"storage {key!r:.50} has {numel} elements where {expected} are expected"
                )
            if self._to_meta:
                self._stream.seek(expected * dtype.itemsize, 1)
                continue
            self._read_into(memory)
            if byte_order != sys.byteorder:
                host_memory.byteswap(memory, dtype.to_real().itemsize)
            if dtype is torch.bool:
                host_memory.normalize_bools(memory)
        if self._unfilled:
            raise TruncatedCheckpoint(f"{len(self._unfilled)} storages are missing from the file")

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise TruncatedCheckpoint("the file ends within its storages")
        return data

    def _read_into(self, memory: memoryview) -> None:
        piece = 1 << 24
        for start in range(0, memory.nbytes, piece):
            part = memory[start : start + piece]
            part[:] = self._read(part.nbytes)
