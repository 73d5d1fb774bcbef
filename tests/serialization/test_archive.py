"""The zip archives of checkpoints: PyTorch's layout, and nothing believed when reading."""

from __future__ import annotations

import io
import pickle
import random
import struct
import tracemalloc
import zipfile

import pytest
import torch

from flashlight._serialization.archive_reader import ArchiveReader
from flashlight._serialization.archive_writer import ArchiveWriter
from flashlight._serialization.errors import CorruptCheckpoint

RECORDS = {
    "data.pkl": b"\x80\x02}q\x00.",
    "byteorder": b"little",
    "data/0": bytes(range(256)) * 4,
    "data/1": b"",
    "data/2": b"x" * 63,
}


def written(records=RECORDS, root="archive", **options) -> bytes:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, root, **options)
    for name, data in records.items():
        writer.write_record(name, data)
    writer.finish()
    return stream.getvalue()


def without_identity(archive: bytes) -> bytes:
    entry = zipfile.ZipFile(io.BytesIO(archive)).getinfo("archive/.data/serialization_id")
    number = zipfile.ZipFile(io.BytesIO(archive)).read(entry)
    return archive.replace(number, b"").replace(struct.pack("<I", entry.CRC), b"")


def test_bytes_are_pytorchs():
    generator = random.Random(0)
    for _ in range(40):
        names = {"".join(generator.choices("abc.", k=generator.randint(1, 90))) for _ in range(4)}
        records = {name: generator.randbytes(generator.choice([0, 1, 40, 200])) for name in names}
        records["byteorder"] = b"little"
        expected = io.BytesIO()
        writer = torch._C.PyTorchFileWriter(expected, True, 64)
        for name, data in records.items():
            writer.write_record(name, data, len(data))
        writer.write_end_of_file()
        assert without_identity(written(records)) == without_identity(expected.getvalue())


@pytest.mark.parametrize("checksums", [True, False])
def test_read_what_was_written(checksums):
    reader = ArchiveReader(io.BytesIO(written(checksums=checksums)))
    for name, data in RECORDS.items():
        assert name in reader
        assert reader.read(name) == data
        start, size = reader.stored_range(name)
        assert (start % 64, size) == (0, len(data))
    with pytest.raises(CorruptCheckpoint, match="no such record"):
        reader.read("data/9")


def test_positions_count_from_where_the_stream_stands():
    stream = io.BytesIO(b"12345" + written())
    stream.seek(5)
    assert ArchiveReader(stream).read("data/2") == RECORDS["data/2"]


def test_records_that_are_compressed():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**RECORDS, "version": b"3"}.items():
            archive.writestr("archive/" + name, data)
    reader = ArchiveReader(io.BytesIO(stream.getvalue()))
    assert reader.read("data/0") == RECORDS["data/0"]
    with pytest.raises(CorruptCheckpoint, match="compressed"):
        reader.stored_range("data/0")


class Dribble(io.RawIOBase):
    """An unbuffered target that takes three bytes at a time."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data[:3]
        return min(3, len(data))


def test_unbuffered_targets_get_everything():
    stream = Dribble()
    writer = ArchiveWriter(stream, "archive")
    for name, data in RECORDS.items():
        writer.write_record(name, data)
    writer.finish()
    assert bytes(stream.data) == written()


def read_all(archive: bytes) -> dict[str, bytes]:
    reader = ArchiveReader(io.BytesIO(archive))
    return {name: reader.read(name) for name in reader.records}


def test_every_truncation_is_noticed():
    archive = written()
    for size in range(4, len(archive), 7):
        with pytest.raises(CorruptCheckpoint):
            read_all(archive[:size])


def test_flipped_bytes_never_change_what_is_read():
    archive = written()
    sound = read_all(archive)
    generator = random.Random(1)
    noticed = 0
    for _ in range(600):
        damaged = bytearray(archive)
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        try:
            found = read_all(bytes(damaged))
        except CorruptCheckpoint:
            noticed += 1
        else:
            # Padding, dates and the like carry no meaning.
            kept = {name: data for name, data in found.items() if name in sound}
            assert kept == {name: sound[name] for name in kept}
    assert noticed > 250


def test_sizes_that_the_file_can_not_hold_allocate_nothing():
    archive = written()
    entry = archive.index(b"PK\x01\x02")
    name = archive.index(b"archive/data/0", entry)
    for size in (2**31, 2**32 - 2):
        damaged = bytearray(archive)
        damaged[name - 46 + 20 : name - 46 + 28] = struct.pack("<II", size, size)
        tracemalloc.start()
        with pytest.raises(CorruptCheckpoint):
            read_all(bytes(damaged))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


def test_a_compressed_bomb_is_stopped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/version", b"3")
        archive.writestr("archive/data/0", b"\0" * 100_000)
    bomb = bytearray(stream.getvalue())
    entry = bomb.rindex(b"PK\x01\x02")
    # Once less than there is, once more than zlib can make of so few bytes.
    for claimed, message in ((1000, "longer than it says"), (2**31, "impossible size")):
        bomb[entry + 24 : entry + 28] = struct.pack("<I", claimed)
        with pytest.raises(CorruptCheckpoint, match=message):
            read_all(bytes(bomb))


def test_records_that_share_their_bytes_are_refused():
    archive = bytearray(written({"data/0": b"a" * 64, "data/1": b"a" * 64}))
    first = archive.rindex(b"archive/data/0")
    second = archive.rindex(b"archive/data/1")
    archive[second - 4 : second] = archive[first - 4 : first]
    with pytest.raises(CorruptCheckpoint):
        read_all(bytes(archive))


def test_errors_are_what_programs_catch():
    for kind in (pickle.UnpicklingError, RuntimeError):
        with pytest.raises(kind, match="central directory"):
            ArchiveReader(io.BytesIO(b"PK\x03\x04 and nothing else"))
    with pytest.raises(EOFError):
        ArchiveReader(io.BytesIO(written()[:100]))
