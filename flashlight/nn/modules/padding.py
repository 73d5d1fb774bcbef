"""Padding the ends of dimensions, from the last one backwards.

A number pads all ends alike; a tuple gives ``(left, right, top, bottom, front, back)``.
"""

from __future__ import annotations

from flashlight import Tensor
from flashlight.nn import functional as F
from flashlight.nn.common_types import _size_2_t, _size_4_t, _size_6_t, _size_any_t

from .module import Module
from .utils import _ntuple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """Padding with values of the input, in `_spatial` dimensions."""

    __constants__ = ["padding"]
    _spatial: int
    _mode: str

    def __init__(self, padding: _size_any_t) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._spatial)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        unbatched, batched = self._spatial + 1, self._spatial + 2
        if input.dim() not in (unbatched, batched):
            raise ValueError(
                f"expected {unbatched}D or {batched}D input (got {input.dim()}D input)"
            )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return super().forward(input)


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]
    value: float

    def __init__(self, padding: _size_any_t, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class CircularPad1d(_CircularPadNd):
    """Pad the last dimension with the values from its other end."""

    padding: _size_2_t
    _spatial = 1


class CircularPad2d(_CircularPadNd):
    """Pad the last 2 dimensions with the values from their other ends."""

    padding: _size_4_t
    _spatial = 2


class CircularPad3d(_CircularPadNd):
    """Pad the last 3 dimensions with the values from their other ends."""

    padding: _size_6_t
    _spatial = 3


class ConstantPad1d(_ConstantPadNd):
    """Pad the last dimension with `value`."""

    padding: _size_2_t
    _spatial = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad the last 2 dimensions with `value`."""

    padding: _size_4_t
    _spatial = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad the last 3 dimensions with `value`."""

    padding: _size_6_t
    _spatial = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pad the last dimension with its mirror image, the border not repeated."""

    padding: _size_2_t
    _spatial = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pad the last 2 dimensions with their mirror image, the border not repeated."""

    padding: _size_4_t
    _spatial = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pad the last 3 dimensions with their mirror image, the border not repeated."""

    padding: _size_6_t
    _spatial = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pad the last dimension with its border values."""

    padding: _size_2_t
    _spatial = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pad the last 2 dimensions with their border values."""

    padding: _size_4_t
    _spatial = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pad the last 3 dimensions with their border values."""

    padding: _size_6_t
    _spatial = 3


class ZeroPad1d(ConstantPad1d):
    """Pad the last dimension with zeros."""

    def __init__(self, padding: _size_2_t) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pad the last 2 dimensions with zeros."""

    def __init__(self, padding: _size_4_t) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pad the last 3 dimensions with zeros."""

    def __init__(self, padding: _size_6_t) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
