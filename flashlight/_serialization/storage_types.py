"""The typed storage classes that checkpoints name, and the dtype that each stands for."""

from __future__ import annotations

from flashlight._core import dtype as dtypes

STORAGE_DTYPES = {
    "DoubleStorage": dtypes.float64,
    "FloatStorage": dtypes.float32,
    "HalfStorage": dtypes.float16,
    "BFloat16Storage": dtypes.bfloat16,
    "LongStorage": dtypes.int64,
    "IntStorage": dtypes.int32,
    "ShortStorage": dtypes.int16,
    "CharStorage": dtypes.int8,
    "ByteStorage": dtypes.uint8,
    "BoolStorage": dtypes.bool_,
    "ComplexDoubleStorage": dtypes.complex128,
    "ComplexFloatStorage": dtypes.complex64,
    "QUInt8Storage": dtypes.quint8,
    "QInt8Storage": dtypes.qint8,
    "QInt32Storage": dtypes.qint32,
    "QUInt4x2Storage": dtypes.quint4x2,
    "QUInt2x4Storage": dtypes.quint2x4,
}
STORAGE_NAMES = {dtype: name for name, dtype in STORAGE_DTYPES.items()}
UNTYPED = "UntypedStorage"


class StorageType:
    """What a storage class in a checkpoint tells: the dtype of the storage's elements."""

    def __init__(self, name: str):
        self.name = name
        self._dtype = dtypes.uint8 if name == UNTYPED else STORAGE_DTYPES[name]

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return self._dtype

    def __str__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


_TYPES = {name: StorageType(name) for name in [*STORAGE_DTYPES, UNTYPED]}


def storage_type(name: str) -> StorageType | None:
    """The kind of storage with that class name, or None."""
    return _TYPES.get(name)
