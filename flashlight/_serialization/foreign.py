"""Files of other projects that hold a dict of tensors: safetensors and GGUF."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import flashlight as torch
from flashlight._core import host_memory
from flashlight._core.device import CPU
from flashlight._core.dtype import BY_NAME
from flashlight._core.tensor import wrap
from flashlight._untyped_storage import facade

from . import gguf, locations
from .errors import CorruptCheckpoint, TruncatedCheckpoint
from .zip_format import check_loadable

SUFFIXES = (".safetensors", ".gguf")
LONGEST_HEADER = 100_000_000

# https://github.com/huggingface/safetensors#format
SAFETENSORS_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def load(path: str, map_location: Any) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors or GGUF file by name.

    `map_location` may be a device only. Raises RuntimeError for others, UnpicklingError for a
    damaged file.
    """
    if map_location is not None and not isinstance(map_location, (str, bytes, torch.device)):
        raise RuntimeError(
            f"a {path.rpartition('.')[2]} file holds no locations to map: map_location must be a "
            "device"
        )
    device = "cpu" if map_location is None else map_location
    place = locations.restorer(device)
    if path.endswith(".gguf"):
        gguf.check(path)
        try:
            arrays = host_memory.load_gguf(path)
        except (RuntimeError, ValueError) as error:
            raise CorruptCheckpoint(f"MLX can't read the GGUF file: {error}") from error
        return {name: wrap(array, CPU).to(device) for name, array in arrays.items()}
    with open(path, "rb") as stream:
        return {
            name: _view(place(facade(storage), "cpu"), storage.layout.dtype, shape)
            for name, storage, shape in _safetensors(stream)
        }


def _view(storage: Any, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    strides = [math.prod(shape[at + 1 :]) for at in range(len(shape))]
    owner = torch.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)
    return torch._utils._rebuild_tensor(owner, 0, shape, strides)


def _safetensors(stream: Any):
    end = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(8)
    if len(head) < 8:
        raise TruncatedCheckpoint("the safetensors file has no header")
    (size,) = struct.unpack("<Q", head)
    if size > min(LONGEST_HEADER, end - 8):
        raise TruncatedCheckpoint(f"the safetensors header claims {size} bytes")
    try:
        header = json.loads(stream.read(size))
        header.pop("__metadata__", None)
        entries = [
            (name, entry["dtype"], list(entry["shape"]), *map(int, entry["data_offsets"]))
            for name, entry in header.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptCheckpoint(f"the safetensors header is damaged ({error})") from None
    for name, kind, shape, start, stop in sorted(entries, key=lambda entry: entry[3]):
        if kind not in SAFETENSORS_DTYPES:
            raise CorruptCheckpoint(f"tensor {name!r:.50} is of unknown type {kind!r:.50}")
        dtype = BY_NAME[SAFETENSORS_DTYPES[kind]]
        check_loadable(dtype)
        counts = all(type(length) is int and length >= 0 for length in shape)
        if not counts or not 0 <= start <= stop <= end - 8 - size:
            raise CorruptCheckpoint(f"tensor {name!r:.50} lies outside of the file")
        if stop - start != math.prod(shape) * dtype.itemsize:
            raise CorruptCheckpoint(f"the size of tensor {name!r:.50} does not fit its shape")
        numel = math.prod(shape)
        storage, memory = host_memory.new_storage(numel, dtype, CPU)
        stream.seek(8 + size + start)
        filled = 0
        while filled < memory.nbytes:
            got = stream.readinto(memory[filled:])
            if not got:
                raise TruncatedCheckpoint(f"the file ends within tensor {name!r:.50}")
            filled += got
        if dtype is torch.bool:
            host_memory.normalize_bools(memory)
        yield name, storage, shape
