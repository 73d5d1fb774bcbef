"""Comparisons of whole tensors: close, all close, equal."""

from __future__ import annotations

from .._core.dtype import get_default_dtype
from .arithmetic import add, bitwise_or, eq, logical_and
from .conversion import as_dtype
from .kinds import composite
from .pointwise import abs_, isfinite, isnan


@composite
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |input - other| <= atol + rtol * |other|."""
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.name} did not match {other.dtype.name}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(
            f"{'rtol' if rtol < 0 else 'atol'} must be greater than or equal to zero, but got "
            f"{rtol if rtol < 0 else atol}"
        )
    close = eq(input, other)
    if equal_nan and input.dtype.category >= 2:
        close = bitwise_or(close, logical_and(isnan(input), isnan(other)))
    if rtol == 0 and atol == 0:
        return close
    if input.dtype.category < 2:
        input, other = as_dtype(input, get_default_dtype()), as_dtype(other, get_default_dtype())
    allowed = add(abs_(other) * rtol, atol)
    error = abs_(input - other)
    return bitwise_or(close, logical_and(isfinite(error), error <= allowed))


@composite
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close; a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@composite
def equal(input, other):
    """Whether two tensors have one size and equal elements; a Python bool."""
    if input.shape != other.shape:
        return False
    return bool(eq(input, other).all().item())

FUNCTIONS = {f.__name__: f for f in (isclose, allclose, equal)}
METHODS = FUNCTIONS
INPLACE = ()
