"""Checks GGUF files before MLX reads them: its reader follows whatever a file says.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from typing import Any

from .errors import CorruptCheckpoint, TruncatedCheckpoint

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_DIMENSIONS = 8
LONGEST_STRING = 1 << 26

STRING, ARRAY, UINT32 = 8, 9, 4
FIXED_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

# Elements and bytes of a block, by tensor type.
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    30: (1, 2),
}


def check(path: str) -> None:
    """Raise UnpicklingError if the file is no GGUF file or reaches outside of itself."""
    with open(path, "rb") as stream:
        reader = _Reader(stream, os.path.getsize(path))
        if reader.take(4) != MAGIC:
            raise CorruptCheckpoint("the file is no GGUF file")
        version = reader.number(4)
        if version not in VERSIONS:
            raise CorruptCheckpoint(f"GGUF version {version} can't be read, only 2 and 3")
        tensors, entries = reader.number(8), reader.number(8)
        alignment = 32
        for _ in range(entries):
            key = reader.text()
            kind = reader.number(4)
            if key == "general.alignment" and kind == UINT32:
                alignment = reader.number(4)
            else:
                reader.skip_value(kind)
        if alignment == 0 or alignment & (alignment - 1):
            raise CorruptCheckpoint(f"a GGUF file can't be aligned to {alignment} bytes")
        described = [reader.tensor() for _ in range(tensors)]
        start = -(-reader.position // alignment) * alignment
        for name, offset, size in described:
            if offset % alignment or start + offset + size > reader.size:
                raise TruncatedCheckpoint(f"tensor {name!r:.60} reaches past the end of the file")


class _Reader:
    def __init__(self, stream: Any, size: int):
        self.stream = stream
        self.size = size
        self.position = 0

    def take(self, count: int) -> bytes:
        self._need(count)
        self.position += count
        return self.stream.read(count)

    def _need(self, count: int) -> None:
        if self.position + count > self.size:
            raise TruncatedCheckpoint("the GGUF file ends within its header")

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        length = self.number(8)
        if length > LONGEST_STRING:
            raise CorruptCheckpoint(f"a string of the GGUF header claims {length} bytes")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise CorruptCheckpoint("a string of the GGUF header is not UTF-8") from None

    def skip(self, count: int) -> None:
        self._need(count)
        self.position += count
        self.stream.seek(count, os.SEEK_CUR)

    def skip_value(self, kind: int) -> None:
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            item, count = self.number(4), self.number(8)
            if item in FIXED_SIZES:
                self.skip(FIXED_SIZES[item] * count)
            elif item == STRING:
                for _ in range(count):
                    self.text()
            else:
                raise CorruptCheckpoint(f"the GGUF header has an array of unknown type {item}")
        elif kind in FIXED_SIZES:
            self.skip(FIXED_SIZES[kind])
        else:
            raise CorruptCheckpoint(f"the GGUF header has a value of unknown type {kind}")

    def tensor(self) -> tuple[str, int, int]:
        """Name, offset in the data and size in bytes of the next tensor."""
        name = self.text()
        dimensions = self.number(4)
        if dimensions > MOST_DIMENSIONS:
            raise CorruptCheckpoint(f"tensor {name!r:.60} has {dimensions} dimensions")
        shape = struct.unpack(f"<{dimensions}Q", self.take(8 * dimensions))
        kind, offset = self.number(4), self.number(8)
        if kind not in BLOCKS:
            raise CorruptCheckpoint(f"tensor {name!r:.60} is of a type ({kind}) MLX does not read")
        elements, size = BLOCKS[kind]
        blocks, rest = divmod(math.prod(shape), elements)
        if rest or (shape and shape[0] % elements):
            raise CorruptCheckpoint(f"the shape {shape} of tensor {name!r:.60} breaks its blocks")
        return name, offset, blocks * size
