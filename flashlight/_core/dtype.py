"""Data types: PyTorch's names and properties, and the MLX and NumPy type behind each."""

from __future__ import annotations

import mlx.core as mx
import numpy as np


class dtype:
    """A data type, as `torch.dtype`. Instances are singletons and compare by identity."""

    __slots__ = (
        "name", "itemsize", "is_floating_point", "is_complex", "is_signed", "mlx", "numpy",
        "alias", "category", "real",
    )

    def __init__(self, name, itemsize, kind, mlx=None, numpy=None, alias=None):
        self.name = name
        self.itemsize = itemsize
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.is_signed = kind in "fci"
        self.mlx = mlx
        self.numpy = None if numpy is None else np.dtype(numpy)
        self.alias = alias
        self.category = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}[kind]
        self.real = self

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _by_name, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def to_real(self) -> dtype:
        """Return the type of the real part."""
        return self.real

    def to_complex(self) -> dtype:
        """Return the complex type whose parts have this precision."""
        return TO_COMPLEX.get(self, complex64)


bool_ = dtype("bool", 1, "b", mx.bool_, np.bool_)
uint8 = dtype("uint8", 1, "u", mx.uint8, np.uint8)
uint16 = dtype("uint16", 2, "u", mx.uint16, np.uint16)
uint32 = dtype("uint32", 4, "u", mx.uint32, np.uint32)
uint64 = dtype("uint64", 8, "u", mx.uint64, np.uint64)
int8 = dtype("int8", 1, "i", mx.int8, np.int8)
int16 = dtype("int16", 2, "i", mx.int16, np.int16, "short")
int32 = dtype("int32", 4, "i", mx.int32, np.int32, "int")
int64 = dtype("int64", 8, "i", mx.int64, np.int64, "long")
float16 = dtype("float16", 2, "f", mx.float16, np.float16, "half")
bfloat16 = dtype("bfloat16", 2, "f", mx.bfloat16)
float32 = dtype("float32", 4, "f", mx.float32, np.float32, "float")
float64 = dtype("float64", 8, "f", mx.float64, np.float64, "double")
complex64 = dtype("complex64", 8, "c", mx.complex64, np.complex64, "cfloat")

# Types that PyTorch has and MLX has not: the names exist, tensors of them do not.
complex32 = dtype("complex32", 4, "c", alias="chalf")
complex128 = dtype("complex128", 16, "c", numpy=np.complex128, alias="cdouble")
float8_e4m3fn = dtype("float8_e4m3fn", 1, "f")
float8_e5m2 = dtype("float8_e5m2", 1, "f")
float8_e4m3fnuz = dtype("float8_e4m3fnuz", 1, "f")
float8_e5m2fnuz = dtype("float8_e5m2fnuz", 1, "f")
float8_e8m0fnu = dtype("float8_e8m0fnu", 1, "f")
float4_e2m1fn_x2 = dtype("float4_e2m1fn_x2", 1, "f")
quint8 = dtype("quint8", 1, "u")
qint8 = dtype("qint8", 1, "i")
qint32 = dtype("qint32", 4, "i")
quint4x2 = dtype("quint4x2", 1, "u")
quint2x4 = dtype("quint2x4", 1, "u")

for _complex, _real in ((complex32, float16), (complex64, float32), (complex128, float64)):
    _complex.real = _real

TO_COMPLEX = {float16: complex32, float32: complex64, float64: complex128,
              complex32: complex32, complex64: complex64, complex128: complex128}

SUPPORTED = (bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
             float16, bfloat16, float32, float64, complex64)
UNSUPPORTED = (complex32, complex128, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz,
               float8_e5m2fnuz, float8_e8m0fnu, float4_e2m1fn_x2, quint8, qint8, qint32,
               quint4x2, quint2x4)
ALL = SUPPORTED + UNSUPPORTED
FLOATING = (float16, bfloat16, float32, float64)
INTEGRAL = (uint8, uint16, uint32, uint64, int8, int16, int32, int64)

BY_NAME = {d.name: d for d in ALL} | {d.alias: d for d in ALL if d.alias}
FROM_MLX = {d.mlx: d for d in SUPPORTED}
FROM_NUMPY = {d.numpy: d for d in ALL if d.numpy is not None}

#: PyTorch's names for the types in error messages ("not implemented for 'Half'").
SCALAR_TYPE_NAME = {
    bool_: "Bool", uint8: "Byte", int8: "Char", int16: "Short", int32: "Int", int64: "Long",
    uint16: "UInt16", uint32: "UInt32", uint64: "UInt64", float16: "Half", bfloat16: "BFloat16",
    float32: "Float", float64: "Double", complex32: "ComplexHalf", complex64: "ComplexFloat",
    complex128: "ComplexDouble", float8_e4m3fn: "Float8_e4m3fn", float8_e5m2: "Float8_e5m2",
}


def _by_name(name):
    return BY_NAME[name]


def unsupported_reason(which: dtype) -> str:
    """Say why there are no tensors of `which`, and what to use instead."""
    instead = {"c": "complex64"}.get("c" if which.is_complex else "", "float16 or bfloat16")
    if which in (quint8, qint8, qint32, quint4x2, quint2x4):
        instead = "int8 or uint8"
    return (f"{which!r} tensors are not available: MLX has no such type and flashlight never "
            f"falls back to another precision silently; convert to {instead} first")


def check_supported(which: dtype) -> dtype:
    """Return `which`; raise TypeError if it is no dtype or MLX has no arrays of that type."""
    if not isinstance(which, dtype):
        raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(which).__name__}")
    if which.mlx is None:
        raise TypeError(unsupported_reason(which))
    return which


class _Info:
    __slots__ = ("dtype", "_fields")

    def __getattr__(self, name):
        try:
            return self._fields[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            ) from None

    def __eq__(self, other):
        return type(self) is type(other) and self._fields == other._fields

    def __hash__(self):
        return hash(self._fields["dtype"])

    def __repr__(self):
        fields = ", ".join(f"{key}={self._fields[key]}" for key in self._shown)
        return f"{type(self).__name__}({fields})"


_FLOAT_FACTS = {  # bits, exponent of the largest power of two, of the smallest normal, digits
    float16: (16, 15, -14, 11), bfloat16: (16, 127, -126, 8),
    float32: (32, 127, -126, 24), float64: (64, 1023, -1022, 53),
    float8_e4m3fn: (8, 8, -6, 4), float8_e5m2: (8, 15, -14, 3),
}


class finfo(_Info):
    """Numerical properties of a floating point type, as `torch.finfo`.

    Without argument: of the default dtype. Complex types answer for their parts.
    Raises TypeError for other types.
    """

    _shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")

    def __init__(self, type=None):
        type = _DEFAULT[0] if type is None else type
        if not isinstance(type, dtype):
            raise TypeError(
                f"finfo(): argument 'type' must be torch.dtype, not {type.__class__.__name__}"
            )
        type = type.real
        if type not in _FLOAT_FACTS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"{type!r}"
            )
        bits, top, bottom, digits = _FLOAT_FACTS[type]
        eps = 2.0 ** (1 - digits)
        largest = (2.0 - eps) * 2.0**top if type is not float8_e4m3fn else 448.0
        smallest = 2.0**bottom
        resolution = 10.0 ** -int((digits - 1) * 0.30102999566398120)
        self._fields = {
            "bits": bits, "max": largest, "min": -largest, "eps": eps, "tiny": smallest,
            "smallest_normal": smallest, "resolution": resolution, "dtype": type.name,
        }  # fmt: skip


class iinfo(_Info):
    """Numerical properties of an integer type, as `torch.iinfo`. Raises TypeError for others."""

    _shown = ("min", "max", "dtype")

    def __init__(self, type):
        if not isinstance(type, dtype):
            raise TypeError(
                f"iinfo(): argument 'type' must be torch.dtype, not {type.__class__.__name__}"
            )
        if type not in INTEGRAL:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle {type!r}")
        bits = type.itemsize * 8
        low, high = (
            (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type.is_signed else (0, 2**bits - 1)
        )
        self._fields = {"bits": bits, "min": low, "max": high, "dtype": type.name}


_DEFAULT = [float32]


def get_default_dtype() -> dtype:
    """Return the dtype of new floating point tensors."""
    return _DEFAULT[0]


def set_default_dtype(d: dtype) -> None:
    """Set the dtype of new floating point tensors. Raises TypeError for other kinds."""
    if not isinstance(d, dtype):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    if d not in FLOATING:
        raise TypeError("only floating-point types are supported as the default type")
    _DEFAULT[0] = d
