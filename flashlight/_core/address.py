"""What `data_ptr()` returns: where the data is now, compared by which data it is.

A storage's memory moves at each write, since arrays are never changed in place. Programs use
`data_ptr()` for two things: to tell whether tensors share, which must not change at a write,
and to let C code read. An `Address` serves both.
"""

from __future__ import annotations


class Address(int):
    """A real address, as an integer; comparing and hashing go by storage and position in it.

    The memory may be read until the next write to the tensor, and must not be written to.
    """

    place: int

    def __new__(cls, value: int, place: int) -> Address:
        made = int.__new__(cls, value)
        made.place = place
        return made

    def __hash__(self):
        return hash(self.place)

    def __eq__(self, other):
        return self.place == _place(other)

    def __ne__(self, other):
        return self.place != _place(other)

    def __lt__(self, other):
        return self.place < _place(other)

    def __le__(self, other):
        return self.place <= _place(other)

    def __gt__(self, other):
        return self.place > _place(other)

    def __ge__(self, other):
        return self.place >= _place(other)

    def __add__(self, distance):
        return Address(int(self) + distance, self.place + distance)

    __radd__ = __add__

    def __sub__(self, other):
        if isinstance(other, Address):
            return self.place - other.place
        return Address(int(self) - other, self.place - other)

    def __reduce__(self):
        return Address, (int(self), self.place)


def _place(other):
    return other.place if isinstance(other, Address) else other
