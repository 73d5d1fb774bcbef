"""Operations that PyTorch replaces by kernels written in Python's DSLs (Triton, CuteDSL): none here.

Names of operations can be disabled and enabled again, for programs that do so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

available_dsls: list[str] = []
all_dsls: list[str] = []
_disabled: set[str] = set()


def get_dsl_operations(dsl_name: str) -> list[str]:
    """Return no operations."""
    return []


def disable_operations(*op_symbols: str) -> None:
    """Remember that no DSL is to replace these operations."""
    _disabled.update(op_symbols)


def enable_operations(*op_symbols: str) -> None:
    """Forget that these operations were disabled."""
    _disabled.difference_update(op_symbols)


def is_operation_disabled(op_symbol: str) -> bool:
    """Tell whether an operation was disabled."""
    return op_symbol in _disabled


@contextmanager
def operations_disabled(*op_symbols: str) -> Iterator[None]:
    """Disable operations inside of a `with`."""
    before = set(_disabled)
    _disabled.update(op_symbols)
    try:
        yield
    finally:
        _disabled.clear()
        _disabled.update(before)
