"""safetensors and GGUF files, and the safetensors library on top of flashlight."""

from __future__ import annotations

import contextlib
import json
import pickle
import random
import struct
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
import safetensors.torch
import torch

import flashlight

TENSORS = {
    name: (torch.arange(6) % 2 if name == "bool" else torch.arange(6)).reshape(2, 3).to(dtype)
    for name in (
        "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
        "float16", "bfloat16", "float32", "float64", "complex64",
    )
    for dtype in [getattr(torch, name)]
} | {"scalar": torch.tensor(2.5), "nothing": torch.zeros(0, 3)}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file(TENSORS, file, metadata={"format": "pt"})
    return file


def test_safetensors_load(path):
    found = flashlight.load(path)
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert repr(found[name].dtype) == repr(tensor.dtype)
        assert tuple(found[name].shape) == tuple(tensor.shape)
        assert found[name].tolist() == tensor.tolist()
    assert flashlight.load(path, map_location="meta")["scalar"].device.type == "meta"
    for where in ({"cpu": "cpu"}, lambda storage, tag: storage):
        with pytest.raises(RuntimeError, match="must be a device"):
            flashlight.load(path, map_location=where)


def rewritten(path, change):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 2**40]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [-6, -1], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 0]},
        {"dtype": "F32", "shape": [2.5], "data_offsets": [0, 10]},
        {"dtype": "F77", "shape": [2, 3], "data_offsets": [0, 24]},
        {"dtype": "F8_E4M3", "shape": [6], "data_offsets": [0, 6]},
        {"shape": [2, 3]},
        "nonsense",
    ],
)
def test_headers_are_not_believed(path, entry):
    rewritten(path, lambda header: header.update(float32=entry))
    with pytest.raises(pickle.UnpicklingError):
        flashlight.load(path)


def test_damaged_files(path):
    data = path.read_bytes()
    for size in (0, 7, 100, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(pickle.UnpicklingError):
            flashlight.load(path)
    generator = random.Random(5)
    for _ in range(100):
        damaged = bytearray(data)
        damaged[generator.randrange(700)] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(pickle.UnpicklingError):
            flashlight.load(path)


PROGRAM = """
import sys, torch, safetensors.torch
from safetensors import safe_open
source, target = sys.argv[1:]
assert torch.__file__ == __import__("flashlight").__file__
tensors = safetensors.torch.load_file(source)
assert all(type(tensor) is torch.Tensor for tensor in tensors.values())
again = safetensors.torch.load_file(source, backend="pread")
data = safetensors.torch.load(safetensors.torch.save(tensors))
for name, tensor in tensors.items():
    for other in (again[name], data[name]):
        assert other.dtype == tensor.dtype and other.shape == tensor.shape
        assert other.tolist() == tensor.tolist()
tensors["float32"].add_(1)
safetensors.torch.save_file(tensors, target)
with safe_open(source, "pt") as file:
    assert file.get_slice("float32")[:, 1:2].tolist() == [[1.0], [4.0]]
shared = torch.ones(4)
overlapping, strided = {"a": shared, "b": shared[:2]}, {"a": torch.ones(2, 3).t()}
for wrong, error in ((overlapping, RuntimeError), (strided, ValueError)):
    try:
        safetensors.torch.save_file(wrong, target + "2")
    except error:
        continue
    raise AssertionError(wrong)
model = torch.nn.Linear(3, 2)
model.tied = model.weight
safetensors.torch.save_model(model, target + "3")
other = torch.nn.Linear(3, 2)
other.tied = other.weight
safetensors.torch.load_model(other, target + "3")
assert other.weight.tolist() == model.weight.tolist()
"""


def test_the_unmodified_library_on_top_of_flashlight(path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    target = tmp_path / "out.safetensors"
    subprocess.run(
        [sys.executable, "-m", "flashlight", program, path, target], check=True, timeout=60
    )
    found = safetensors.torch.load_file(target)
    for name, tensor in TENSORS.items():
        expected = tensor + 1 if name == "float32" else tensor
        assert found[name].dtype == tensor.dtype
        assert found[name].tolist() == expected.tolist()


def test_gguf(tmp_path):
    path = str(tmp_path / "model.gguf")
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    half = mx.array(weights[0]).astype(mx.float16)
    mx.save_gguf(path, {"blk.0.weight": mx.array(weights), "half": half}, {"general.name": "x"})
    found = flashlight.load(path)
    assert found["blk.0.weight"].tolist() == weights.tolist()
    assert found["half"].dtype is flashlight.float16
    assert all(type(tensor) is flashlight.Tensor for tensor in found.values())
    with pytest.raises(RuntimeError, match="must be a device"):
        flashlight.load(path, map_location={})


def test_damaged_gguf_files_never_reach_the_reader(tmp_path):
    path = str(tmp_path / "model.gguf")
    arrays = {"a": mx.arange(100, dtype=mx.float32), "b": mx.ones((3, 4), dtype=mx.float16)}
    mx.save_gguf(path, arrays, {"general.name": "x", "list": ["a", "b"]})
    with open(path, "rb") as file:
        data = file.read()

    def written(damaged):
        with open(path, "wb") as file:
            file.write(damaged)

    for size in range(0, len(data) - 32, 13):
        written(data[:size])
        with pytest.raises(pickle.UnpicklingError):
            flashlight.load(path)
    header = data.index(b"\0" * 64) if b"\0" * 64 in data else 200
    for position in range(header):
        damaged = bytearray(data)
        damaged[position] ^= 0x81
        written(damaged)
        # Other names and numbers are no damage that can be seen.
        with contextlib.suppress(pickle.UnpicklingError):
            flashlight.load(path)
