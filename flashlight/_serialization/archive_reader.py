"""Reading the zip archives of `torch.save`, trusting nothing that the file says.

Every size and position is checked against the file before memory is asked for, so a header
that promises more than the file holds costs nothing. Records that overlap, repeat a name or
fail their checksum are refused.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from .archive_writer import (
    CENTRAL_HEADER,
    CHUNK,
    END,
    LOCAL_HEADER,
    MAX_16,
    MAX_32,
    ZIP64_END,
    ZIP64_FIELD,
    ZIP64_LOCATOR,
)
from .errors import CorruptCheckpoint, TruncatedCheckpoint

STORED, DEFLATED = 0, 8
ENCRYPTED = 1
# No deflated byte stands for more than this many: https://zlib.net/zlib_tech.html
MOST_INFLATION = 1032
HIGHEST_VERSION = 10


class Record(NamedTuple):
    """Where a record lies; `offset` is that of its data, from the start of the archive."""

    name: str
    offset: int
    stored_size: int
    size: int
    crc: int
    method: int


class ArchiveReader:
    """The records of the archive that starts at the current position of a seekable `stream`.

    Names are given without the folder that holds them all. Raises CorruptCheckpoint.
    """

    def __init__(self, stream):
        self._stream = stream
        self.start = stream.tell()
        self.length = stream.seek(0, 2) - self.start
        self.records: dict[str, Record] = {}
        self.checksums = True
        listed, limit = self._read_directory()
        self._locate(listed, limit)
        self._check_version()

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def read(self, name: str) -> bytes:
        """The contents of a small record."""
        record = self._find(name)
        data = bytearray(record.size)
        self._fill(record, memoryview(data))
        return bytes(data)

    def read_into(self, name: str, target: memoryview) -> None:
        """Copy a record into `target`, which must be as long as the record is."""
        record = self._find(name)
        if target.nbytes != record.size:
            raise CorruptCheckpoint(
                f"record {name!r} holds {record.size} bytes where {target.nbytes} are needed"
            )
        self._fill(record, target)

    def stored_range(self, name: str) -> tuple[int, int]:
        """Position in the stream and size of a record that is not compressed."""
        record = self._find(name)
        if record.method != STORED:
            raise CorruptCheckpoint(f"record {name!r} is compressed, so it can't be mapped")
        return self.start + record.offset, record.size

    def _find(self, name: str) -> Record:
        try:
            return self.records[name]
        except KeyError:
            raise CorruptCheckpoint(
                f"failed locating file {name}: the archive has no such record"
            ) from None

    def _bytes_at(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self.length:
            raise TruncatedCheckpoint(
                f"{size} bytes at position {offset} are needed, but the file ends at {self.length}"
            )
        self._stream.seek(self.start + offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise TruncatedCheckpoint(f"the file ended while {size} bytes were read at {offset}")
        return data

    def _read_directory(self) -> tuple[Iterator[tuple[bytes, int, Record]], int]:
        tail_size = min(self.length, END.size + MAX_16)
        tail = self._bytes_at(self.length - tail_size, tail_size)
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or len(tail) - found < END.size:
            raise TruncatedCheckpoint(
                "failed finding central directory: the file is cut off or is no zip archive"
            )
        end = self.length - tail_size + found
        _, disk, first_disk, here, count, size, start, _ = END.unpack_from(tail, found)
        if end >= ZIP64_LOCATOR.size:
            locator = self._bytes_at(end - ZIP64_LOCATOR.size, ZIP64_LOCATOR.size)
            if locator[:4] == b"PK\x06\x07":
                count, size, start = self._read_zip64_end(ZIP64_LOCATOR.unpack(locator)[2])
                disk = first_disk = 0
                here = count
        if disk or first_disk or here != count:
            raise CorruptCheckpoint("the archive claims to be spread over several files")
        if start + size > end or count * CENTRAL_HEADER.size > size:
            raise CorruptCheckpoint("the central directory does not fit into the file")
        return self._entries(self._bytes_at(start, size), count), start

    def _read_zip64_end(self, offset: int) -> tuple[int, int, int]:
        fields = ZIP64_END.unpack(self._bytes_at(offset, ZIP64_END.size))
        magic, _, _, _, disk, first_disk, here, count, size, start = fields
        if magic != b"PK\x06\x06" or disk or first_disk or here != count:
            raise CorruptCheckpoint("the end of the central directory is damaged")
        return count, size, start

    def _entries(self, directory: bytes, count: int) -> Iterator[tuple[bytes, int, Record]]:
        position = 0
        for _ in range(count):
            if position + CENTRAL_HEADER.size > len(directory):
                raise CorruptCheckpoint("the central directory ends within an entry")
            fields = CENTRAL_HEADER.unpack_from(directory, position)
            magic, _, _, flags, method, _, _, crc, stored, size = fields[:10]
            name_size, extra_size, comment_size, _, _, _, header = fields[10:]
            position += CENTRAL_HEADER.size
            name = directory[position : position + name_size]
            position += name_size
            extra = directory[position : position + extra_size]
            position += extra_size + comment_size
            if magic != b"PK\x01\x02" or position > len(directory):
                raise CorruptCheckpoint("an entry of the central directory is damaged")
            size, stored, header = _widen(extra, size, stored, header)
            if flags & ENCRYPTED or method not in (STORED, DEFLATED):
                raise CorruptCheckpoint(f"record {name!r} is encrypted or compressed unusually")
            if method == STORED and stored != size:
                raise CorruptCheckpoint(f"record {name!r} gives two different sizes")
            if size > stored * MOST_INFLATION:
                raise CorruptCheckpoint(f"record {name!r} claims an impossible size of {size}")
            yield name, header, Record("", 0, stored, size, crc, method)
        if position != len(directory):
            raise CorruptCheckpoint("the central directory has bytes that belong to no entry")

    def _locate(self, listed: Iterator[tuple[bytes, int, Record]], limit: int) -> None:
        spans = []
        root = None
        for raw_name, header, record in listed:
            fields = LOCAL_HEADER.unpack(self._bytes_at(header, LOCAL_HEADER.size))
            name_size, extra_size = fields[9], fields[10]
            offset = header + LOCAL_HEADER.size + name_size + extra_size
            same_name = self._bytes_at(header + LOCAL_HEADER.size, name_size) == raw_name
            if fields[0] != b"PK\x03\x04" or not same_name or fields[3] != record.method:
                raise CorruptCheckpoint(f"record {raw_name!r} and the directory disagree")
            if offset + record.stored_size > limit:
                raise TruncatedCheckpoint(f"record {raw_name!r} reaches past the end of the data")
            spans.append((header, offset + record.stored_size))
            try:
                folder, _, name = raw_name.decode().partition("/")
            except UnicodeDecodeError:
                raise CorruptCheckpoint(f"record name {raw_name!r} is not UTF-8") from None
            if name in self.records or (root is not None and folder != root):
                raise CorruptCheckpoint(f"record {raw_name!r} comes twice, or in another folder")
            root = folder
            self.records[name] = record._replace(name=name, offset=offset)
        spans.sort()
        if any(first[1] > second[0] for first, second in itertools.pairwise(spans)):
            raise CorruptCheckpoint("records of the archive overlap")

    def _check_version(self) -> None:
        name = ".data/version" if ".data/version" in self else "version"
        text = self.read(name)
        try:
            version = int(text)
        except ValueError:
            raise CorruptCheckpoint(f"the archive's version is {text!r}, not a number") from None
        if not 1 <= version <= HIGHEST_VERSION:
            raise CorruptCheckpoint(
                f"the archive has version {version}; only 1 to {HIGHEST_VERSION} can be read"
            )
        # A writer told to leave checksums out writes 0 for all of them, this one included.
        self.checksums = self.records[name].crc != 0

    def _fill(self, record: Record, target: memoryview) -> None:
        self._stream.seek(self.start + record.offset)
        crc = 0
        if record.method == STORED:
            crc = self._copy(record, target)
        else:
            crc = self._inflate(record, target)
        # Real checksums are hardly ever 0: such a record was reserved, to be filled later.
        if self.checksums and record.crc and crc != record.crc:
            raise CorruptCheckpoint(
                f"record {record.name!r} fails its checksum: the file is damaged"
            )

    def _copy(self, record: Record, target: memoryview) -> int:
        crc = 0
        readinto = getattr(self._stream, "readinto", None)
        for start in range(0, target.nbytes, CHUNK):
            part = target[start : start + CHUNK]
            filled = 0
            while filled < part.nbytes:
                rest = part[filled:]
                if readinto is None:
                    data = self._stream.read(rest.nbytes)
                    got = len(data)
                    rest[:got] = data
                else:
                    got = readinto(rest)
                if not got:
                    raise TruncatedCheckpoint(f"the file ended within record {record.name!r}")
                filled += got
            if self.checksums:
                crc = zlib.crc32(part, crc)
        return crc

    def _inflate(self, record: Record, target: memoryview) -> int:
        crc, filled, left = 0, 0, record.stored_size
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while left and not inflater.eof:
            packed = self._stream.read(min(left, 1 << 20))
            if not packed:
                break
            left -= len(packed)
            while packed:
                try:
                    data = inflater.decompress(packed, CHUNK)
                except zlib.error as error:
                    raise CorruptCheckpoint(f"record {record.name!r}: {error}") from None
                packed = inflater.unconsumed_tail
                if filled + len(data) > target.nbytes:
                    raise CorruptCheckpoint(f"record {record.name!r} is longer than it says")
                target[filled : filled + len(data)] = data
                filled += len(data)
                crc = zlib.crc32(data, crc)
        if filled != target.nbytes:
            raise TruncatedCheckpoint(f"record {record.name!r} is shorter than it says")
        return crc


def _widen(extra: bytes, size: int, stored: int, header: int) -> tuple[int, int, int]:
    """The three numbers of an entry, from its zip64 field where 32 bits did not hold them."""
    wide = [size, stored, header]
    missing = [at for at, value in enumerate(wide) if value == MAX_32]
    position = 0
    while missing and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if kind == ZIP64_FIELD:
            if length < 8 * len(missing) or position + length > len(extra):
                raise CorruptCheckpoint("a zip64 field is too short")
            values = struct.unpack_from(f"<{len(missing)}Q", extra, position)
            for at, value in zip(missing, values):
                wide[at] = value
            missing = []
        position += length
    if any(value >= 1 << 63 for value in wide):
        raise CorruptCheckpoint("an entry of the central directory is damaged")
    return wide[0], wide[1], wide[2]
