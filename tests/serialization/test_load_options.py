"""What `save` and `load` take besides the object and the file."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import flashlight
from flashlight._core import host_memory
from flashlight._serialization.archive_writer import ArchiveWriter

serialization = flashlight.serialization


def saved(obj, library=flashlight, **options) -> io.BytesIO:
    stream = io.BytesIO()
    library.save(obj, stream, **options)
    stream.seek(0)
    return stream


class Unknown:
    def __init__(self):
        self.value = 1


def helper():
    """A function that pickles name."""


# Allowing classes and functions.


def test_user_classes_have_to_be_allowed():
    stream = saved({"x": Unknown()})
    with pytest.raises(pickle.UnpicklingError, match="Unknown was not an allowed global"):
        flashlight.load(stream)
    stream.seek(0)
    assert serialization.get_unsafe_globals_in_checkpoint(stream) == [f"{__name__}.Unknown"]
    stream.seek(0)
    with serialization.safe_globals([Unknown]):
        assert flashlight.load(stream)["x"].value == 1
        stream.seek(0)
        assert serialization.get_unsafe_globals_in_checkpoint(stream) == []
    assert serialization.get_safe_globals() == []
    stream.seek(0)
    assert flashlight.load(stream, weights_only=False)["x"].value == 1


def test_allowed_under_another_name():
    stream = saved({"x": Unknown()})
    with serialization.safe_globals([(Unknown, f"{__name__}.Unknown")]):
        assert isinstance(flashlight.load(stream)["x"], Unknown)
    for entry, error in (((Unknown,), ValueError), ((Unknown, 3), TypeError)):
        stream.seek(0)
        with serialization.safe_globals([entry]), pytest.raises(error):
            flashlight.load(stream)


def test_the_list_of_allowed_globals():
    serialization.add_safe_globals([Unknown, helper])
    serialization.add_safe_globals([Unknown])
    assert serialization.get_safe_globals() == [Unknown, helper]
    with serialization.safe_globals([defaultdict]):
        assert defaultdict in serialization.get_safe_globals()
    assert defaultdict not in serialization.get_safe_globals()
    serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []


def test_names_of_pytorch_are_known_to_the_scan():
    contents = {"x": torch.ones(2), "p": torch.nn.Parameter(torch.ones(2)), "d": defaultdict(int)}
    theirs = torch.serialization.get_unsafe_globals_in_checkpoint(saved(contents, torch))
    ours = serialization.get_unsafe_globals_in_checkpoint(saved(contents, torch))
    assert sorted(ours) == sorted(theirs)
    with pytest.raises(ValueError, match="Expected input to be a checkpoint"):
        serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(b"something else"))


def test_modules_need_trust():
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.linear\.Linear"):
        flashlight.load(saved(flashlight.nn.Linear(2, 2)))


# Who unpickles.


def test_pickle_module():
    stream = saved([1, 2])
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        flashlight.load(stream, pickle_module=pickle, weights_only=True)
    stream.seek(0)
    assert flashlight.load(stream, pickle_module=pickle) == [1, 2]


def test_arguments_for_the_unpickler():
    stream = saved([1])
    with pytest.warns(UserWarning, match="pickle_load_args"):
        flashlight.load(stream, errors="strict")
    stream.seek(0)
    assert flashlight.load(stream, weights_only=False, errors="strict") == [1]


@pytest.mark.parametrize(
    ("on", "off", "given", "loads"),
    [
        ("1", "0", False, False),
        ("0", "1", True, False),
        ("0", "yes", None, True),
        ("0", "0", None, False),
    ],
)
def test_environment(monkeypatch, recwarn, on, off, given, loads):
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", on)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", off)
    stream = saved(Unknown())
    if loads:
        with pytest.warns(UserWarning, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
            assert flashlight.load(stream, weights_only=given).value == 1
    else:
        with pytest.raises(pickle.UnpicklingError):
            flashlight.load(stream, weights_only=given)


def test_contradicting_environment(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="Only one of"):
        flashlight.load(saved([1]))


# Where data goes.


def test_map_location_to_meta_reads_nothing():
    stream = saved({"x": flashlight.ones(3), "y": flashlight.ones(2)})
    found = flashlight.load(stream, map_location="meta")
    assert [x.device.type for x in found.values()] == ["meta", "meta"]


@pytest.mark.parametrize("zipped", [True, False])
def test_map_location_as_a_function(zipped):
    calls = []

    def place(storage, location):
        calls.append((type(storage).__name__, storage.nbytes(), location))
        return storage if len(calls) == 1 else None

    contents = [torch.ones(3), torch.ones(2, dtype=torch.float64)]
    stream = saved(contents, torch, _use_new_zipfile_serialization=zipped)
    found = flashlight.load(stream, map_location=place)
    assert [x.tolist() for x in found] == [[1.0] * 3, [1.0] * 2]
    assert calls == [("UntypedStorage", 12, "cpu"), ("UntypedStorage", 16, "cpu")]


def test_storages_of_devices_that_are_not_here():
    archive = renamed_location(saved([torch.ones(2)], torch), "cuda:0")
    if not flashlight.cuda.is_available():
        with pytest.raises(RuntimeError, match="map_location"):
            flashlight.load(io.BytesIO(archive))
    for where in ("cpu", flashlight.device("cpu"), {"cuda:0": "cpu"}):
        found = flashlight.load(io.BytesIO(archive), map_location=where)
        assert found[0].device.type == "cpu"
    unknown = renamed_location(saved([torch.ones(2)], torch), "nowhere")
    with pytest.raises(RuntimeError, match="don't know how to restore"):
        flashlight.load(io.BytesIO(unknown))


def renamed_location(stream: io.BytesIO, location: str) -> bytes:
    records = records_of(stream)
    old = b"X\x03\x00\x00\x00cpu"
    assert old in records["data.pkl"]
    new = b"X" + struct.pack("<I", len(location)) + location.encode()
    return rewritten({**records, "data.pkl": records["data.pkl"].replace(old, new)})


def records_of(stream: io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(stream) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def rewritten(records: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "archive")
    for name, data in records.items():
        if name not in ("version", ".data/serialization_id"):
            writer.write_record(name, data)
    writer.finish()
    return stream.getvalue()


def test_packages_of_the_user():
    seen = []

    def tag(storage):
        return "shelf" if storage.nbytes() == 28 else None

    def restore(storage, location):
        if location == "shelf":
            seen.append(storage.nbytes())
            return storage

    serialization.register_package(1, tag, restore)
    try:
        assert serialization.location_tag(flashlight.ones(7).untyped_storage()) == "shelf"
        assert serialization.location_tag(flashlight.ones(8).untyped_storage()) == "cpu"
        assert flashlight.load(saved(flashlight.ones(7))).tolist() == [1.0] * 7
        assert seen == [28]
    finally:
        from flashlight._serialization import locations

        del locations._registry[0]


# Byte order, checksums, data left out.


@pytest.mark.parametrize("dtype", ["float32", "int16", "bfloat16", "complex64", "uint8", "float64"])
def test_big_endian_files(dtype):
    tensor = torch.arange(1, 5).to(getattr(torch, dtype))
    records = records_of(saved(tensor, torch))
    width = {"complex64": 4}.get(dtype, tensor.element_size())
    records["data/0"] = np.frombuffer(records["data/0"], f"u{width}").byteswap().tobytes()
    records["byteorder"] = b"big"
    assert flashlight.load(io.BytesIO(rewritten(records))).tolist() == tensor.tolist()
    del records["byteorder"]
    with pytest.raises(TypeError):
        serialization.set_default_load_endianness("big")
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        assert flashlight.load(io.BytesIO(rewritten(records))).tolist() == tensor.tolist()
    finally:
        serialization.set_default_load_endianness(None)


def test_checksums_can_be_left_out():
    assert serialization.get_crc32_options() is True
    serialization.set_crc32_options(False)
    try:
        stream = saved(flashlight.arange(100))
    finally:
        serialization.set_crc32_options(True)
    with zipfile.ZipFile(stream) as archive:
        assert {entry.CRC for entry in archive.infolist()} == {0}
    for library in (torch, flashlight):
        stream.seek(0)
        assert library.load(stream).sum().item() == 4950


def test_skip_data(tmp_path):
    path = tmp_path / "x.pt"
    with serialization.skip_data():
        flashlight.save({"x": flashlight.ones(5)}, path)
    for library in (torch, flashlight):
        assert library.load(path)["x"].tolist() == [0.0] * 5
    flashlight.save({"x": flashlight.ones(5)}, path)
    with serialization.skip_data():
        assert flashlight.load(path)["x"].tolist() == [0.0] * 5
    assert flashlight.load(path)["x"].tolist() == [1.0] * 5


# Mapped files.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "int64", "complex64", "uint16"])
def test_mapped_files(tmp_path, dtype):
    path = tmp_path / "x.pt"
    tensor = (torch.arange(24) % 5).to(getattr(torch, dtype)).reshape(4, 6)
    torch.save([tensor, tensor[1], torch.zeros(0)], path)
    before = path.read_bytes()
    whole, row, nothing = flashlight.load(path, mmap=True)
    assert isinstance(whole._storage, host_memory.MappedStorage), "read before it was used"
    assert whole.tolist() == tensor.tolist()
    assert nothing.tolist() == []
    assert not isinstance(whole._storage, host_memory.MappedStorage)
    row.fill_(0)
    assert not any(whole[1].tolist())
    assert path.read_bytes() == before, "a private mapping must not reach the file"


def test_files_mapped_for_writing(tmp_path):
    path = tmp_path / "x.pt"
    flashlight.save(flashlight.zeros(1000), path)
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    with serialization.set_default_mmap_options(mmap.MAP_SHARED):
        tensor = flashlight.load(path, mmap=True)
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    tensor.fill_(3)
    del tensor
    assert torch.load(path).sum().item() == 3000
    with pytest.raises(ValueError, match="MAP_PRIVATE"):
        serialization.set_default_mmap_options(1234)


def test_what_can_not_be_mapped(tmp_path):
    with pytest.raises(ValueError, match="file path"):
        flashlight.load(saved([1]), mmap=True)
    path = tmp_path / "old.pt"
    torch.save(torch.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="_use_new_zipfile_serialization=True"):
        flashlight.load(path, mmap=True)


# Files.


class Forward(io.BytesIO):
    def seek(self, *position):
        raise io.UnsupportedOperation("seek")


def test_files_that_can_not_be_used():
    with pytest.raises(io.UnsupportedOperation, match="pre-load"):
        flashlight.load(Forward(saved([1]).getvalue()))
    with pytest.raises(AttributeError, match="'write' attribute"):
        flashlight.save([1], 3)
    with pytest.raises(RuntimeError, match="Parent directory"):
        flashlight.save([1], "no/such/folder/x.pt")
    with pytest.raises(FileNotFoundError):
        flashlight.load("no/such/file.pt")


def test_targets_need_not_be_seekable():
    target = Forward()
    flashlight.save(flashlight.arange(4), target)
    assert torch.load(io.BytesIO(target.getvalue())).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("zipped", [True, False])
def test_positions_in_a_stream(zipped):
    stream = io.BytesIO(b"1234567")
    stream.seek(7)
    flashlight.save([1, flashlight.ones(2)], stream, _use_new_zipfile_serialization=zipped)
    stream.seek(7)
    assert flashlight.load(stream)[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths(tmp_path, kind):
    path = kind(str(tmp_path / "model.v1.pt"))
    flashlight.save([1, 2], path)
    assert flashlight.load(path) == [1, 2]
    with zipfile.ZipFile(os.fsdecode(path)) as archive:
        assert archive.namelist()[0] == "model.v1/data.pkl"


def test_gzip(tmp_path):
    import gzip

    path = tmp_path / "x.pt.gz"
    with gzip.open(path, "wb") as target:
        flashlight.save(flashlight.arange(5), target)
    with gzip.open(path, "rb") as source:
        assert flashlight.load(source).tolist() == [0, 1, 2, 3, 4]


def test_the_same_bytes_as_two_types_can_not_be_saved():
    x = flashlight.ones(4)
    for library, tensors in ((flashlight, [x, x.view(flashlight.int32)]),):
        with pytest.raises(RuntimeError, match="different types"):
            library.save(tensors, io.BytesIO())


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_storages_themselves():
    storage = flashlight.arange(3.0).untyped_storage()
    for library in (torch, flashlight):
        found = library.load(saved([storage, storage]))
        assert found[0].nbytes() == 12
        assert found[0].data_ptr() == found[1].data_ptr()
    stream = saved(OrderedDict(s=torch.arange(3.0).untyped_storage()), torch)
    assert flashlight.load(stream)["s"].tolist() == [0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64]


def test_byte_order_of_this_machine():
    assert records_of(saved([1]))["byteorder"] == sys.byteorder.encode()
