"""Settings of the libraries behind PyTorch, and which of them there are here.

MLX has its own kernels, so most settings are kept and read back, and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_frozen = [False]


def disable_global_flags() -> None:
    """Forbid to set flags other than by their context managers."""
    _frozen[0] = True


def flags_frozen() -> bool:
    """Tell whether flags can be set by their context managers only."""
    return _frozen[0]


@contextmanager
def __allow_nonbracketed_mutation() -> Iterator[None]:
    """Allow to set flags inside of the `with`, whatever was forbidden."""
    before, _frozen[0] = _frozen[0], False
    try:
        yield
    finally:
        _frozen[0] = before


#: kept for programs that set it: products are always in full float32
fp32_precision: str = "none"


@contextmanager
def set_for_a_while(module: ModuleType, **values: Any) -> Iterator[None]:
    """Set attributes of a module inside of a `with`; None leaves one as it is."""
    values = {name: value for name, value in values.items() if value is not None}
    before = {name: getattr(module, name) for name in values}
    module.__dict__.update(values)
    try:
        yield
    finally:
        module.__dict__.update(before)


from flashlight.backends import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    kleidiai,
    mha,
    miopen,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    python_native,
    quantized,
    xnnpack,
)
