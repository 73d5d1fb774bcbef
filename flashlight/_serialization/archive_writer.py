"""Writing the zip archives of `torch.save`, byte for byte as PyTorch's writer lays them out.

The layout matters: with `.format_version` 1 a reader may compute where each storage starts
instead of reading its header. Records are stored, not compressed, start at a multiple of the
alignment, and are followed by a data descriptor, so that the target need not be seekable.
Zip's fields: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

DEFAULT_ALIGNMENT = 64
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
CENTRAL_HEADER = struct.Struct("<4s6H3I5H2I")
DESCRIPTOR_32 = struct.Struct("<4s3I")
DESCRIPTOR_64 = struct.Struct("<4sI2Q")
ZIP64_END = struct.Struct("<4sQ2H2I4Q")
ZIP64_LOCATOR = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
UTF8_NAME = 1 << 11
HAS_DESCRIPTOR = 1 << 3
ZIP64_FIELD = 1
CHUNK = 1 << 24


class Entry(NamedTuple):
    """One record as the central directory lists it."""

    name: bytes
    flags: int
    crc: int
    size: int
    offset: int


class ArchiveWriter:
    """Writes records to `stream` one after the other; `finish` completes the archive.

    `root` is the folder that holds all records. With `checksums=False` every CRC-32 is 0.
    """

    def __init__(
        self,
        stream,
        root: str,
        alignment: int = DEFAULT_ALIGNMENT,
        checksums: bool = True,
    ):
        self._stream = stream
        self._root = root
        self._alignment = alignment
        self._checksums = checksums
        self._position = 0
        self._entries: list[Entry] = []

    def write_record(self, name: str, data: bytes | memoryview) -> None:
        """Add a record that holds the bytes of `data`."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        chunks = (view[start : start + CHUNK] for start in range(0, view.nbytes, CHUNK))
        self._add(name, view.nbytes, chunks)

    def reserve_record(self, name: str, size: int) -> None:
        """Add a record of `size` zero bytes whose CRC is left open, for later filling."""
        self._add(name, size, _zeros(size), checksum=False)

    def finish(self) -> None:
        """Write the records that identify the archive, and its directory."""
        self.write_record("version", b"3\n")
        self.write_record(".data/serialization_id", self._identity())
        start = self._position
        for entry in self._entries:
            self._write_directory_entry(entry)
        self._write_end(start, self._position - start)

    def _add(self, name: str, size: int, chunks: Iterable, checksum: bool = True) -> None:
        full_name = f"{self._root}/{name}".encode()
        offset = self._position
        flags = UTF8_NAME | (HAS_DESCRIPTOR if size else 0)
        extra = self._local_extra(full_name, size, offset)
        self._write(
            LOCAL_HEADER.pack(b"PK\x03\x04", 0, flags, 0, 0, 0, 0, 0, 0, len(full_name), len(extra))
        )
        self._write(full_name)
        self._write(extra)
        crc = 0
        for chunk in chunks:
            if checksum and self._checksums:
                crc = zlib.crc32(chunk, crc)
            self._write(chunk)
        if size:
            wide = offset >= MAX_32 or size >= MAX_32
            descriptor = DESCRIPTOR_64 if wide else DESCRIPTOR_32
            self._write(descriptor.pack(b"PK\x07\x08", crc, size, size))
        self._entries.append(Entry(full_name, flags, crc, size, offset))

    def _local_extra(self, name: bytes, size: int, offset: int) -> bytes:
        zip64 = _zip64_field(size, offset)
        start = offset + LOCAL_HEADER.size + len(name) + len(zip64) + 4
        padding = -start % self._alignment
        return zip64 + b"FB" + struct.pack("<H", padding) + b"Z" * padding

    def _write_directory_entry(self, entry: Entry) -> None:
        zip64 = _zip64_field(entry.size, entry.offset)
        size = min(entry.size, MAX_32)
        self._write(
            CENTRAL_HEADER.pack(
                b"PK\x01\x02",
                0,
                0,
                entry.flags,
                0,
                0,
                0,
                entry.crc,
                size,
                size,
                len(entry.name),
                len(zip64),
                0,
                0,
                0,
                0,
                min(entry.offset, MAX_32),
            )
        )
        self._write(entry.name)
        self._write(zip64)

    def _write_end(self, start: int, size: int) -> None:
        count = len(self._entries)
        end = self._position
        unix, version = 0x031E, 45
        self._write(
            ZIP64_END.pack(
                b"PK\x06\x06", ZIP64_END.size - 12, unix, version, 0, 0, count, count, size, start
            )
        )
        self._write(ZIP64_LOCATOR.pack(b"PK\x06\x07", 0, end, 1))
        few = min(count, MAX_16)
        self._write(
            END.pack(b"PK\x05\x06", 0, 0, few, few, min(size, MAX_32), min(start, MAX_32), 0)
        )

    def _identity(self) -> bytes:
        # Two numbers of 20 digits: one for the names of the records, one for their contents.
        names = hashlib.sha256(b"\0".join(entry.name for entry in self._entries))
        contents = hashlib.sha256(b"".join(struct.pack("<I", e.crc) for e in self._entries))
        halves = (int.from_bytes(half.digest()[:8], "little") for half in (names, contents))
        return "".join(f"{half:020d}" for half in halves).encode()

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._position += view.nbytes
        while view.nbytes:
            written = self._stream.write(view)
            # Unbuffered streams may take only a part; many file-like objects return nothing.
            if not isinstance(written, int) or written >= view.nbytes:
                return
            view = view[written:]


def _zip64_field(size: int, offset: int) -> bytes:
    wide = [size, size] if size >= MAX_32 else []
    if offset >= MAX_32:
        wide.append(offset)
    if not wide:
        return b""
    return struct.pack(f"<2H{len(wide)}Q", ZIP64_FIELD, 8 * len(wide), *wide)


def _zeros(size: int) -> Iterator[memoryview]:
    blank = memoryview(bytes(min(size, CHUNK)))
    for start in range(0, size, CHUNK):
        yield blank[: min(CHUNK, size - start)]
