"""Types for annotations, as in `torch.types`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias, Union

from ._core.device import device
from ._core.dtype import dtype
from ._core.size import Size
from ._core.tensor import Tensor
from ._ops.conversion import layout
from ._symbolic import SymBool, SymFloat, SymInt
from .storage import TypedStorage as Storage

_int, _float, _bool, _complex, _str, _bytes = int, float, bool, complex, str, bytes
_dtype, _layout = dtype, layout
_device: TypeAlias = device
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrOptionalTensors: TypeAlias = Tensor | Sequence[Tensor | None]
_TensorOrTensorsOrGradEdge: TypeAlias = Any
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_symsize: TypeAlias = _size
Number: TypeAlias = int | float | bool
_Number = (int, float, bool)
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Device: TypeAlias = Union[_device, str, int, None]  # noqa: UP007  torch.types has a Union
IntLikeType: TypeAlias = int | SymInt
FloatLikeType: TypeAlias = float | SymFloat
BoolLikeType: TypeAlias = bool | SymBool
py_sym_types = (SymInt, SymFloat, SymBool)
PySymType: TypeAlias = SymInt | SymFloat | SymBool

__all__ = ["Number", "Device", "FileLike", "Storage"]
