"""The format of `torch.save` since PyTorch 1.6: a pickle and one record per storage.

Within the pickle a storage is ("storage", class, key, location, number of elements); its
bytes are in the record `data/<key>`.
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from typing import Any

import numpy as np

import flashlight as torch
from flashlight._core import host_memory
from flashlight._core.device import CPU
from flashlight._core.dtype import unsupported_reason
from flashlight._untyped_storage import facade

from . import locations, settings
from .allowed import WeightsOnly
from .archive_reader import ArchiveReader
from .archive_writer import ArchiveWriter
from .errors import CorruptCheckpoint
from .pickling import (
    STORAGES,
    pickler_class,
    same_dtype_check,
    storage_dtype,
    storage_parts,
    unpickler_class,
)
from .restricted import RestrictedUnpickler


def save(
    obj: Any,
    stream: Any,
    root: str,
    pickle_module: Any,
    pickle_protocol: int,
    byteorder_record: bool = True,
) -> None:
    """Write `obj` to `stream` as an archive whose records are in the folder `root`."""
    storages: dict[int, tuple[str, torch.UntypedStorage]] = {}
    check_dtype = same_dtype_check()

    def persistent_id(item: Any) -> tuple | None:
        if not isinstance(item, STORAGES):
            return None
        storage, dtype, kind, numel = storage_parts(item)
        check_dtype(storage, dtype)
        key, _ = storages.setdefault(storage._cdata, (str(len(storages)), storage))
        return ("storage", kind, key, locations.location_tag(storage), numel)

    class Pickler(pickler_class(pickle_module)):
        pass

    Pickler.persistent_id = staticmethod(persistent_id)
    buffer = io.BytesIO()
    Pickler(buffer, protocol=pickle_protocol).dump(obj)

    alignment = settings.save.storage_alignment
    writer = ArchiveWriter(stream, root, alignment, settings.get_crc32_options())
    writer.write_record("data.pkl", buffer.getbuffer())
    writer.write_record(".format_version", b"1")
    writer.write_record(".storage_alignment", str(alignment).encode())
    if byteorder_record:
        writer.write_record("byteorder", sys.byteorder.encode())
    for key, storage in storages.values():
        if settings.local.skip_data or storage.device.type == "meta":
            writer.reserve_record(f"data/{key}", storage.nbytes())
        else:
            writer.write_record(f"data/{key}", host_memory.storage_bytes(storage._storage))
    writer.finish()


def load(
    reader: ArchiveReader,
    map_location: Any,
    pickle_module: Any,
    mapped: tuple[np.ndarray, bool] | None,
    pickle_load_args: dict[str, Any],
) -> Any:
    """The object in an archive.

    `pickle_module` None restricts what the pickle may do. `mapped` is the whole file in memory,
    and whether writes to it reach the file; storages are then parts of it.
    """
    storages = StorageLoader(reader, map_location, mapped)
    stream = io.BytesIO(reader.read("data.pkl"))
    if pickle_module is None:
        encoding = pickle_load_args["encoding"]
        unpickler = RestrictedUnpickler(stream, WeightsOnly(), storages.load, encoding)
    else:
        unpickler = unpickler_class(pickle_module)(stream, **pickle_load_args)
        unpickler.persistent_load = storages.load
    before = settings.local.map_location
    settings.local.map_location = map_location
    try:
        return unpickler.load()
    finally:
        settings.local.map_location = before


class StorageLoader:
    """Reads storages out of an archive, each once."""

    def __init__(
        self, reader: ArchiveReader, map_location: Any, mapped: tuple[np.ndarray, bool] | None
    ):
        self._reader = reader
        self._restore = locations.restorer(map_location)
        self._to_meta = locations.is_meta(map_location)
        self._mapped = mapped
        self._loaded: dict[str, torch.TypedStorage] = {}
        self._swap = _byte_order(reader) != sys.byteorder

    def load(self, saved_id: Any) -> torch.TypedStorage:
        """The storage of a persistent id. Raises UnpicklingError if that makes no sense."""
        try:
            kind_of_id, kind, key, location, numel = saved_id
        except (TypeError, ValueError):
            raise CorruptCheckpoint(f"{saved_id!r:.100} is no id of a storage") from None
        if text(kind_of_id) != "storage":
            raise CorruptCheckpoint(f"unknown kind of persistent id: {kind_of_id!r:.50}")
        key, location = text(key), text(location)
        if key not in self._loaded:
            if type(numel) is not int or numel < 0:
                raise CorruptCheckpoint(f"{numel!r:.50} is no number of elements")
            self._loaded[key] = self._read(storage_dtype(kind), numel, key, location)
        return self._loaded[key]

    def _read(self, dtype: torch.dtype, numel: int, key: str, location: str) -> torch.TypedStorage:
        name = f"data/{key}"
        nbytes = numel * dtype.itemsize
        if nbytes >= 1 << 63:
            raise CorruptCheckpoint(f"storage {key!r} claims {numel} elements")
        if self._to_meta:
            return typed(torch.UntypedStorage(nbytes, device="meta"), dtype)
        check_loadable(dtype)
        record = self._reader.records.get(name)
        if record is None or record.size != nbytes:
            raise CorruptCheckpoint(
                f"storage {key!r} needs {nbytes} bytes, but the archive has "
                f"{'none' if record is None else record.size} of them"
            )
        if self._mapped is not None and not settings.local.skip_data:
            storage = self._map(name, dtype, *self._mapped)
        else:
            storage, memory = host_memory.new_storage(numel, dtype, CPU)
            self._fill(name, dtype, memory)
        return typed(self._restore(facade(storage), location), dtype)

    def _fill(self, name: str, dtype: torch.dtype, memory: memoryview) -> None:
        if settings.local.skip_data:
            host_memory.clear(memory)
            return
        self._reader.read_into(name, memory)
        if self._swap:
            host_memory.byteswap(memory, dtype.to_real().itemsize)
        if dtype is torch.bool:
            host_memory.normalize_bools(memory)

    def _map(self, name: str, dtype: torch.dtype, whole: np.ndarray, shared: bool) -> Any:
        if self._swap:
            raise RuntimeError(
                "mmap=True needs a checkpoint in this machine's byte order; load it without mmap"
            )
        start, size = self._reader.stored_range(name)
        part = whole[start : start + size]
        return host_memory.mapped_storage(part, dtype, CPU, shared)


def check_loadable(dtype: torch.dtype) -> None:
    """Raise UnpicklingError if MLX has no arrays of that type."""
    if dtype.mlx is None:
        raise pickle.UnpicklingError(unsupported_reason(dtype))


def typed(untyped: Any, dtype: torch.dtype) -> torch.TypedStorage:
    return torch.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)


def text(value: Any) -> Any:
    return value.decode("ascii") if isinstance(value, bytes) else value


def _byte_order(reader: ArchiveReader) -> str:
    if "byteorder" in reader:
        order = reader.read("byteorder")
        if order not in (b"little", b"big"):
            raise CorruptCheckpoint(f"Unknown endianness type: {order!r:.50}")
        return order.decode()
    default = settings.get_default_load_endianness()
    if default is None and sys.byteorder == "big":
        warnings.warn(
            "this checkpoint does not say its byte order and is read as little endian; use "
            "torch.serialization.set_default_load_endianness to change that",
            UserWarning,
            stacklevel=2,
        )
    orders: dict[Any, str] = {
        settings.LoadEndianness.BIG: "big",
        settings.LoadEndianness.NATIVE: sys.byteorder,
    }
    return orders.get(default, "little")
