"""`torch.Size`: the tuple of a tensor's dimensions."""

from __future__ import annotations

import math
from operator import index


class Size(tuple):
    """The lengths of a tensor's dimensions, as `torch.Size`.

    Slicing, adding and multiplying give a `Size` again. Raises TypeError for entries that
    are not integers.
    """

    __slots__ = ()

    def __new__(cls, iterable=(), /):
        try:
            return tuple.__new__(cls, [index(n) for n in iterable])
        except TypeError:
            for position, n in enumerate(iterable):
                if not hasattr(n, "__index__"):
                    raise TypeError(f"torch.Size() takes an iterable of 'int' (item {position} is "
                                    f"'{type(n).__name__}')") from None
            raise

    def numel(self) -> int:
        """Return the product of the lengths."""
        return math.prod(self)

    def __repr__(self):
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __reduce__(self):
        return Size, (tuple(self),)

    def __getitem__(self, at):
        found = tuple.__getitem__(self, at)
        return tuple.__new__(Size, found) if isinstance(at, slice) else found

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return tuple.__new__(Size, tuple.__add__(self, other))

    def __radd__(self, other):
        return tuple.__new__(Size, tuple.__add__(tuple(other), self))

    def __mul__(self, times):
        return tuple.__new__(Size, tuple.__mul__(self, times))

    __rmul__ = __mul__


def size_of(lengths: tuple) -> Size:
    """Return a `Size` of integers that are known to be integers."""
    return tuple.__new__(Size, lengths)
