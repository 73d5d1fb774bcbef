"""Arguments that give a whole number for each spatial dimension."""

from __future__ import annotations

import operator

from .._core.tensor import Tensor


def lengths(function: str, name: str, value, rank: int, optional: bool = False) -> tuple[int, ...]:
    """Return `rank` integers from one integer or from a sequence of one or of `rank`.

    Raises TypeError for anything but integers and RuntimeError for another number of them.
    """
    if optional and (value is None or value == () or value == []):
        return ()
    if isinstance(value, (tuple, list)) or (isinstance(value, Tensor) and value.ndim):
        items = value.tolist() if isinstance(value, Tensor) else value
        found = tuple([_index(function, name, item, "tuple of ints") for item in items])
        if len(found) == 1:
            return found * rank
        if len(found) != rank:
            raise RuntimeError(
                f"{function}: expected {name} to be one integer or a list of "
                f"{rank}, one for each dimension, but got {list(found)}"
            )
        return found
    return (_index(function, name, value, "tuple of ints"),) * rank


def integer(function: str, name: str, value) -> int:
    """Return `value` as an int. Raises TypeError if it is none."""
    return _index(function, name, value, "int")


def _index(function, name, value, wanted):
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{function}(): argument '{name}' must be {wanted}, not {type(value).__name__}"
        ) from None
