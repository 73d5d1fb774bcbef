"""What changes how checkpoints are written and read: PyTorch's settings of that name."""

from __future__ import annotations

import sys
import threading
from enum import Enum
from typing import Any

IS_WINDOWS = sys.platform == "win32"
MAP_SHARED, MAP_PRIVATE = (None, None) if IS_WINDOWS else (1, 2)


class LoadEndianness(Enum):
    """Byte order of checkpoints that don't say theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class load:
    """Settings of `load`."""

    mmap: bool = False
    endianness: LoadEndianness | None = None
    mmap_flags: int | None = MAP_PRIVATE
    calculate_storage_offsets: bool = False


class save:
    """Settings of `save`."""

    compute_crc32: bool = True
    use_pinned_memory_for_d2h: bool = False
    storage_alignment: int = 64


class _Local(threading.local):
    map_location: Any = None
    #: Sparse tensors whose indices are still to be read and checked; None if they can be at once.
    unverified: list | None = None
    skip_data: bool = False


local = _Local()


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed for checkpoints that don't say theirs; None means little."""
    return load.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the byte order assumed for checkpoints that don't say theirs.

    Raises TypeError for anything but a LoadEndianness or None.
    """
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    load.endianness = endianness


def get_crc32_options() -> bool:
    """Whether `save` writes the checksum of each record."""
    return save.compute_crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Set whether `save` writes the checksum of each record; without, damage goes unnoticed."""
    save.compute_crc32 = compute_crc32


def get_default_mmap_options() -> int | None:
    """How `load(mmap=True)` maps files: `mmap.MAP_PRIVATE` or `mmap.MAP_SHARED`."""
    return load.mmap_flags


class set_default_mmap_options:
    """Set how `load(mmap=True)` maps files; also a context manager.

    With `mmap.MAP_SHARED`, writing to a loaded tensor writes to the file. Raises ValueError for
    other flags, RuntimeError on Windows.
    """

    def __init__(self, flags: int) -> None:
        if IS_WINDOWS:
            raise RuntimeError("the mmap options can't be changed on Windows")
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected "
                f"mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}"
            )
        self.prev = load.mmap_flags
        load.mmap_flags = flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        load.mmap_flags = self.prev


class skip_data:
    """Context manager: `save` leaves room for the data but writes none, `load` reads none.

    What is loaded has zeros. `materialize_fake_tensors` is accepted for compatibility.
    """

    def __init__(self, materialize_fake_tensors: bool = False):
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self._before = local.skip_data
        local.skip_data = True

    def __exit__(self, *exception: object) -> None:
        local.skip_data = self._before
