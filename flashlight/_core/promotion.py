"""Type promotion: one table for pairs of dtypes, one function for tensors and numbers."""

from __future__ import annotations

import functools

from .dtype import (
    SCALAR_TYPE_NAME,
    TO_COMPLEX,
    bool_,
    complex64,
    dtype,
    float32,
    float64,
    get_default_dtype,
    int16,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip

BOOL, INTEGER, FLOAT, COMPLEX = range(4)
_WIDE_UNSIGNED = (uint16, uint32, uint64)


@functools.cache
def promote_types(type1: dtype, type2: dtype) -> dtype:
    """Return the smallest dtype that holds the values of both, as `torch.promote_types`."""
    a, b = type1, type2
    for argument in (a, b):
        if not isinstance(argument, dtype):
            raise TypeError("promote_types(): arguments must be torch.dtype, not "
                            f"{type(argument).__name__}")
    if a is b:
        return a
    if a.category < b.category:
        a, b = b, a
    if b in _WIDE_UNSIGNED and a.category != FLOAT or a in _WIDE_UNSIGNED:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{_long_name(type1)} and {_long_name(type2)}")
    if a.category == COMPLEX:
        wide = promote_types(a.real, b.real) if b.category >= FLOAT else a.real
        return TO_COMPLEX.get(wide, complex64)
    if a.category == FLOAT:
        if a.itemsize == 1 or b.category == FLOAT and b.itemsize == 1:
            raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote "
                               f"{_long_name(type1)} and {_long_name(type2)}")
        if b.category != FLOAT or a is float64:
            return a
        if b is float64:
            return b
        return float32  # the two halves, or one with float32
    if b is bool_:
        return a
    if uint8 in (a, b):
        signed = b if a is uint8 else a
        return int16 if signed.itemsize == 1 else signed
    return a if a.itemsize > b.itemsize else b


def _long_name(which):
    return SCALAR_TYPE_NAME.get(which, which.name)


def number_dtype(number) -> dtype:
    """Return the dtype of a Python number on its own."""
    if isinstance(number, bool):
        return bool_
    if isinstance(number, int):
        return int64
    if isinstance(number, float):
        return get_default_dtype()
    return TO_COMPLEX.get(get_default_dtype(), complex64)


def combine(dimensioned: dtype | None, scalar: dtype | None, number: dtype | None) -> dtype:
    """Return the result dtype of tensors with dimensions, 0-d tensors and Python numbers.

    A weaker kind counts only if its category (bool < integer < float < complex) is higher.
    """
    return _override(_override(dimensioned, scalar), number)


def _override(strong, weak):
    if strong is None or weak is None:
        return weak if strong is None else strong
    if strong.category == COMPLEX:
        return strong
    if strong.category == FLOAT:
        return TO_COMPLEX.get(strong, complex64) if weak.category == COMPLEX else strong
    if strong is bool_ or weak.category >= FLOAT:
        return promote_types(strong, weak)
    return strong


def result_of(layouts, numbers=()) -> dtype:
    """Return the dtype in which operands of these layouts and Python numbers meet."""
    dimensioned = scalar = number = None
    for layout in layouts:
        if layout.ndim:
            dimensioned = (
                layout.dtype if dimensioned is None else promote_types(dimensioned, layout.dtype)
            )
        else:
            scalar = layout.dtype if scalar is None else promote_types(scalar, layout.dtype)
    for value in numbers:
        own = number_dtype(value)
        number = own if number is None else promote_types(number, own)
    return combine(dimensioned, scalar, number)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Tell whether PyTorch lets an in-place operation cast between the two."""
    if from_.category == COMPLEX and to.category != COMPLEX:
        return False
    if from_.category == FLOAT and to.category < FLOAT:
        return False
    return not (from_.category != BOOL and to.category == BOOL)


def to_floating(which: dtype) -> dtype:
    """Return `which`, or the default dtype for integers and bool."""
    return get_default_dtype() if which.category < FLOAT else which


__all__ = ["promote_types", "can_cast", "result_of", "to_floating", "number_dtype", "combine"]
