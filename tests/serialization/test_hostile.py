"""Damaged and malicious checkpoints raise a clear error, run nothing and leave nothing behind."""

from __future__ import annotations

import io
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import tarfile
import tracemalloc

import pytest
import torch

import flashlight
from flashlight._serialization import archive_writer
from flashlight._serialization.archive_writer import ArchiveWriter

CONTENTS = {
    "weight": torch.arange(12.0).reshape(3, 4),
    "row": torch.arange(12.0).reshape(3, 4)[1],
    "flag": torch.tensor([True, False]),
    "steps": [1, 2.5, "text", None],
}


def archive(pickled: bytes, **storages: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "archive")
    writer.write_record("data.pkl", pickled)
    writer.write_record("byteorder", b"little")
    for key, data in storages.items():
        writer.write_record(f"data/{key[1:]}", data)
    writer.finish()
    stream.seek(0)
    return stream


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", numel=4, kind="torch\nFloatStorage") -> bytes:
    identity = text("storage") + f"c{kind}\n".encode() + text(key) + text("cpu") + number(numel)
    return b"(" + identity + b"tQ"


def tensor(offset=0, size=(4,), stride=(1,), made_of=None) -> bytes:
    """The opcodes of a tensor on a storage."""
    arguments = (made_of or storage()) + number(offset) + numbers(*size) + numbers(*stride)
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89" + hooks + b"tR"


def load(opcodes: bytes):
    return flashlight.load(archive(b"\x80\x02" + opcodes + b".", _0=bytes(16)))


def test_the_opcodes_of_these_tests_are_sound():
    assert load(tensor()).tolist() == [0, 0, 0, 0]
    assert load(tensor(1, (3,), (0,))).tolist() == [0, 0, 0]
    very_old = b"ctorch\nTensor\n)R(" + storage() + b"K\x00K\x04\x85K\x01\x85tb"
    assert load(very_old).tolist() == [0, 0, 0, 0]


BAD_TENSORS = {
    "too long": {"size": (5,)},
    "offset past the end": {"offset": 4, "size": (1,)},
    "negative offset": {"offset": -1},
    "negative size": {"size": (-4,)},
    "negative stride": {"size": (2,), "stride": (-1,)},
    "strides past the end": {"size": (2, 2), "stride": (4, 1)},
    "sizes that overflow": {"size": (2**62, 2**62), "stride": (0, 0)},
    "numbers that overflow": {"size": (2**70,), "stride": (0,)},
    "more strides than sizes": {"size": (2,), "stride": (1, 1)},
    "a storage that is not there": {"made_of": storage("7")},
    "more elements than bytes": {"made_of": storage(numel=5)},
    "fewer elements than bytes": {"made_of": storage(numel=3)},
    "a negative number of elements": {"made_of": storage(numel=-4)},
    "a huge number of elements": {"made_of": storage(numel=2**61)},
    "an absurd number of elements": {"made_of": storage(numel=2**90)},
    "another record as storage": {"made_of": storage("../byteorder")},
    "a class that is no storage": {"made_of": storage(kind="collections\nOrderedDict")},
    "a type that MLX lacks": {"made_of": storage(numel=1, kind="torch\nComplexDoubleStorage")},
    "a number as storage": {"made_of": number(3)},
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_stay_within_their_storage(case):
    tracemalloc.start()
    with pytest.raises(pickle.UnpicklingError):
        load(tensor(**BAD_TENSORS[case]))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def called(function: str, *arguments: bytes) -> bytes:
    return f"c{function}\n".encode() + b"(" + b"".join(arguments) + b"tR"


HOSTILE = {
    "a shell": called("os\nsystem", text("true")),
    "a module of a module": called("os.path\njoin", text("a")),
    "builtins": called("builtins\neval", text("1")),
    "builtins of Python 2": called("__builtin__\neval", text("1")),
    "ours, by our name": called("flashlight.serialization\nload", text("/dev/null")),
    "ours, by PyTorch's name": called("torch\nload", text("/dev/null")),
    "a method": b"ctorch\nTensor.numpy\n)R",
    "an attribute of what is allowed": b"ccollections\nOrderedDict.fromkeys\n)R",
    "memory": called("__builtin__\nbytearray", number(2**40)),
    "memory, through what rebuilds": called(
        "torch._tensor\n_rebuild_from_type_v2",
        b"c__builtin__\nbytearray\n" + number(2**40) + b"\x85" + b"ctorch\nTensor\n}",
    ),
    "memory, as a tensor": called("torch\nTensor", number(2**40)),
    "memory, as a storage": called("torch.storage\nUntypedStorage", number(2**40)),
    "a codec": called("_codecs\nencode", text("x"), text("idna")),
    "calling a dtype": b"ctorch\nfloat32\n)R",
    "calling a storage type": b"ctorch\nFloatStorage\n)R",
    "building a class": b"ccollections\nOrderedDict\n}" + text("x") + b"K\x01sb",
    "building a function": b"ctorch._utils\n_rebuild_tensor_v2\n}b",
    "building a device": called("torch\ndevice", text("cpu")) + b"}" + text("x") + b"K\x01sb",
    "slots of an OrderedDict": b"ccollections\nOrderedDict\n)R"
    + b"N}"
    + text("x")
    + b"K\x01s\x86b",
    "a size of text": called("torch\nSize", text("abc") + b"\x85"),
    "a parameter of a list": called("torch._utils\n_rebuild_parameter", b"]\x88}"),
    "a class that is no tensor's": called(
        "torch._tensor\n_rebuild_from_type_v2",
        b"ctorch._utils\n_rebuild_parameter\n)ccollections\nOrderedDict\n}",
    ),
    "attributes that are no names": called(
        "torch._utils\n_rebuild_parameter_with_state",
        tensor() + b"\x88}" + b"}" + text("__class__") + b"K\x01s",
    ),
    "a meta tensor of negative size": called(
        "torch._utils\n_rebuild_meta_tensor_no_storage",
        b"ctorch\nfloat32\n" + numbers(-1) + numbers(1) + b"\x89",
    ),
    "a quantized tensor": called("torch._utils\n_rebuild_qtensor"),
    "a layout": called("torch.serialization\n_get_layout", text("__builtins__")),
    "integers that need grad": tensor(made_of=storage(numel=4, kind="torch\nIntStorage")).replace(
        b"\x89", b"\x88"
    ),
    "a state that is no tensor's": b"ctorch\nTensor\n)R}b",
    "a state with a list for data": b"ctorch\nTensor\n)R(]\x88}\x88}tb",
    "a state out of bounds": b"ctorch\nTensor\n)R(" + storage() + b"K\x00K\x05\x85K\x01\x85tb",
    "a persistent id of another kind": b"(" + text("module") + b"ctorch\nTensor\nNNtQ",
    "a persistent id with parts missing": b"(" + text("storage") + b"tQ",
    "a persistent id with a list as key": b"("
    + text("storage")
    + b"ctorch\nFloatStorage\n](K\x01K\x02tQ",
    "no pickle at all": b"\xff\xff",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles(case):
    tracemalloc.start()
    with pytest.raises(pickle.UnpicklingError):
        load(HOSTILE[case])
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_user_permission_does_not_open_blocked_modules():
    with flashlight.serialization.safe_globals([os.getcwd, (os.getcwd, "os.getcwd")]):
        with pytest.raises(pickle.UnpicklingError, match="blocked"):
            load(called("os\ngetcwd"))
        with pytest.raises(pickle.UnpicklingError, match="blocked"):
            load(called("posix\ngetcwd"))


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_saves_of_a_malicious_object(zipped, capsys):
    stream = io.BytesIO()
    torch.save(
        {"weight": torch.ones(2), "x": Evil()}, stream, _use_new_zipfile_serialization=zipped
    )
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="GLOBAL print was not an allowed global"):
        flashlight.load(stream)
    assert capsys.readouterr().out == ""


def saved(zipped=True) -> bytes:
    stream = io.BytesIO()
    torch.save(CONTENTS, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files(zipped):
    data = saved(zipped)
    for size in [*range(20), *range(20, len(data) - 1, 41)]:
        with pytest.raises(pickle.UnpicklingError):
            flashlight.load(io.BytesIO(data[:size]))
    with pytest.raises(EOFError):
        flashlight.load(io.BytesIO(b""))


def test_flipped_bits_of_an_archive_never_give_other_values():
    data = saved()
    generator = random.Random(3)
    noticed = 0
    for _ in range(250):
        damaged = bytearray(data)
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        try:
            found = flashlight.load(io.BytesIO(damaged))
        except pickle.UnpicklingError:
            noticed += 1
        else:
            assert found["weight"].tolist() == CONTENTS["weight"].tolist()
            assert found["steps"] == CONTENTS["steps"]
    assert noticed > 60


def test_flipped_bits_of_an_older_file_raise_or_load():
    data = saved(zipped=False)
    generator = random.Random(4)
    for _ in range(250):
        damaged = bytearray(data)
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        try:
            found = flashlight.load(io.BytesIO(damaged))
        except (pickle.UnpicklingError, RuntimeError) as error:
            # A location that is no more "cpu" is the one thing that is not damage.
            assert isinstance(error, pickle.UnpicklingError) or "location" in str(error)
        else:
            repr(found)


def test_older_files_that_claim_more_than_they_hold():
    data = saved(zipped=False)
    numel = data.index(b"FloatStorage")
    at = data.index(b"K\x0c", numel)
    damaged = data[:at] + b"J\xff\xff\xff\x7f" + data[at + 2 :]
    tracemalloc.start()
    with pytest.raises(pickle.UnpicklingError, match="whole file"):
        flashlight.load(io.BytesIO(damaged))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("weights_only", [True, False])
def test_other_files(tmp_path, weights_only):
    for data in (b"", b"PK\x03\x04", b"hello world", bytes(1000), b"\x80\x02]."):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            flashlight.load(io.BytesIO(data), weights_only=weights_only)
    path = tmp_path / "old.tar"
    with tarfile.open(path, "w") as target:
        target.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    with pytest.raises(pickle.UnpicklingError, match=r"\.tar format"):
        flashlight.load(path, weights_only=weights_only)


def test_torchscript_archives_are_not_run():
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "archive")
    writer.write_record("constants.pkl", b"\x80\x02).")
    writer.finish()
    stream.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        flashlight.load(stream)


# Saves that do not end well.


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.pt"
    flashlight.save({"epoch": 1, "x": flashlight.arange(1000)}, path)
    return path


def alone(path) -> bool:
    return os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_save_leaves_the_old_file(checkpoint, monkeypatch, error):
    before = checkpoint.read_bytes()

    def stop(self, name, size, chunks, checksum=True):
        if name == "data/1":
            raise error("the disk is full")
        add(self, name, size, chunks, checksum)

    add = archive_writer.ArchiveWriter._add
    monkeypatch.setattr(archive_writer.ArchiveWriter, "_add", stop)
    with pytest.raises(error):
        flashlight.save([flashlight.ones(1000), flashlight.zeros(1000)], checkpoint)
    assert checkpoint.read_bytes() == before
    assert alone(checkpoint)


def test_an_object_that_can_not_be_saved_leaves_the_old_file(checkpoint):
    before = checkpoint.read_bytes()
    for zipped in (True, False):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            flashlight.save(
                [flashlight.ones(3), lambda: 0], checkpoint, _use_new_zipfile_serialization=zipped
            )
    assert checkpoint.read_bytes() == before
    assert alone(checkpoint)


KILLED = """
import os, signal, sys
import flashlight
from flashlight._serialization.archive_writer import ArchiveWriter
add = ArchiveWriter._add
def die(self, name, *rest, **options):
    add(self, name, *rest, **options)
    if name == "data/0":
        self._stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
ArchiveWriter._add = die
flashlight.save([flashlight.ones(100000), flashlight.ones(5)], sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_save_killed_halfway_leaves_the_old_file(checkpoint):
    before = checkpoint.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(checkpoint)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert checkpoint.read_bytes() == before
    assert flashlight.load(checkpoint)["epoch"] == 1


def test_the_new_file_has_the_old_ones_permissions(checkpoint, tmp_path):
    checkpoint.chmod(0o640)
    flashlight.save([2], checkpoint)
    assert checkpoint.stat().st_mode & 0o777 == 0o640
    mask = os.umask(0o027)
    try:
        flashlight.save([2], tmp_path / "new.pt")
    finally:
        os.umask(mask)
    assert (tmp_path / "new.pt").stat().st_mode & 0o777 == 0o640


def test_links_stay_links(checkpoint, tmp_path):
    link = tmp_path / "latest.pt"
    link.symlink_to(checkpoint.name)
    flashlight.save([3], link)
    assert link.is_symlink()
    assert flashlight.load(checkpoint) == [3]
