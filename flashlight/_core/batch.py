"""Arrays with lanes: what a tensor inside `torch.vmap` holds.

Such a tensor looks like one lane, and its array has, in front, a dimension for each `Level` (each
surrounding call of vmap) that its values differ over. An operation runs its body under `mx.vmap`
over these dimensions, or lane after lane if the body cannot be traced; views only change the
layout, which is a lane's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mlx.core as mx

_numbers = itertools.count()

#: Whether vmap was ever called: what most programs never pay for is asked behind this.
in_use = [False]


class Level:
    """One call of vmap: how many lanes it has, and what random numbers do in it."""

    __slots__ = ("number", "randomness", "size")

    def __init__(self, size: int, randomness: str = "error"):
        self.number = next(_numbers)
        self.size = size
        self.randomness = randomness
        in_use[0] = True

    def __repr__(self):
        return f"Level({self.number}, size={self.size})"


def sort_levels(levels) -> tuple:
    """Return levels from the outermost, which came first, to the innermost."""
    return tuple(sorted(set(levels), key=_number))


def _number(level):
    return level.number


class Batch:
    """An array with lanes; `shape` and the rest are those of one lane."""

    __slots__ = ("array", "levels")

    def __init__(self, array: mx.array, levels: tuple):
        self.array = array
        self.levels = levels

    @property
    def shape(self) -> tuple:
        """The shape of a lane."""
        return tuple(self.array.shape[len(self.levels):])

    @property
    def ndim(self) -> int:
        """The number of dimensions of a lane."""
        return self.array.ndim - len(self.levels)

    @property
    def dtype(self):
        """The type of the elements."""
        return self.array.dtype

    @property
    def size(self) -> int:
        """The number of elements of a lane."""
        total = 1
        for n in self.shape:
            total *= n
        return total

    @property
    def nbytes(self) -> int:
        """The bytes of all lanes."""
        return self.array.nbytes

    def astype(self, dtype) -> Batch:
        """Return the same lanes as another type."""
        return Batch(self.array.astype(dtype), self.levels)

    def reshape(self, *shape) -> Batch:
        """Return the same lanes in another shape."""
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        lanes = self.array.shape[:len(self.levels)]
        if -1 in shape and 0 not in shape:
            known = 1
            for n in shape:
                known *= n if n != -1 else 1
            shape = tuple(self.size // known if n == -1 else n for n in shape)
        return Batch(self.array.reshape((*lanes, *shape)), self.levels)


def levels_of(*arrays) -> tuple:
    """Return the levels that any of the arrays has lanes for."""
    return sort_levels(level for array in arrays if type(array) is Batch for level in array.levels)


def lanes_first(array, levels: tuple) -> mx.array:
    """Return the plain array of `array` with a dimension for each of `levels`, broadcast."""
    own = array.levels if type(array) is Batch else ()
    plain = array.array if type(array) is Batch else array
    if own == levels:
        return plain
    shape = array.shape
    there = dict(zip(own, plain.shape))
    plain = mx.reshape(plain, (*[there.get(level, 1) for level in levels], *shape))
    return mx.broadcast_to(plain, (*[level.size for level in levels], *shape))


def broadcast(array, shape: tuple):
    """Return `array`, or each lane of it, broadcast to `shape`."""
    if type(array) is not Batch:
        return mx.broadcast_to(array, shape)
    lanes = array.array.shape[:len(array.levels)]
    missing = (1,) * (len(shape) - array.ndim)
    plain = mx.reshape(array.array, (*lanes, *missing, *array.shape))
    return Batch(mx.broadcast_to(plain, (*lanes, *shape)), array.levels)


def along_lanes(compute: Callable, arrays: list):
    """Return `compute(arrays)` for a broadcasting function of elements: all lanes in one call."""
    levels = levels_of(*arrays)
    ndim = max(len(array.shape) for array in arrays)

    def aligned(array):
        if type(array) is not Batch:
            return array
        there = dict(zip(array.levels, array.array.shape))
        lanes = [there.get(level, 1) for level in levels]
        return mx.reshape(array.array, (*lanes, *(1,) * (ndim - array.ndim), *array.shape))

    flat, rebuild = _flatten(compute([aligned(array) for array in arrays]))
    sizes = [level.size for level in levels]
    made = []
    for array in flat:
        lane = array.shape[len(levels):]
        made.append(Batch(mx.broadcast_to(array, (*sizes, *lane)), levels))
    return rebuild(made)


def over_lanes(compute: Callable, arrays: list):
    """Return `compute(arrays)` with each lane computed by itself.

    The result has the structure that `compute` returns: an array, or arrays (and None) in a list,
    tuple or named tuple.
    """
    levels = levels_of(*arrays)
    if not levels:
        return compute(arrays)
    level, rest = levels[0], levels[1:]
    places = [i for i, a in enumerate(arrays) if type(a) is Batch and a.levels[0] is level]
    stripped = [_strip(a) if i in places else a for i, a in enumerate(arrays)]
    structure: list = []

    def lane(*own):
        filled = list(stripped)
        for place, array in zip(places, own):
            inner = stripped[place].levels if type(stripped[place]) is Batch else ()
            filled[place] = Batch(array, inner) if inner else array
        result = over_lanes(compute, filled)
        flat, rebuild = _flatten(result)
        structure[:] = [rebuild]
        return [lanes_first(array, rest) for array in flat]

    own = [arrays[place].array for place in places]
    try:
        with _gathering():
            found = mx.vmap(lane)(*own)
    except (ValueError, RuntimeError, NotImplementedError):
        # Work that MLX has no vmap rule for, or that reads values: lane after lane.
        if level.size == 0:
            raise
        lanes = [lane(*[array[i] for array in own]) for i in range(level.size)]
        found = [mx.stack(column) for column in zip(*lanes)]
    return structure[0]([Batch(array, levels) for array in found])


def _strip(batch):
    """Return a batch without its first level; its array keeps the dimension."""
    rest = batch.levels[1:]
    return Batch(batch.array, rest) if rest else batch.array


def _flatten(result):
    if isinstance(result, (mx.array, Batch)):
        return [result], lambda arrays: arrays[0]
    kept = [i for i, item in enumerate(result) if item is not None]

    def rebuild(arrays):
        items: list = [None] * len(result)
        for place, array in zip(kept, arrays):
            items[place] = array
        if hasattr(result, "_fields"):
            return type(result)(*items)
        return items if isinstance(result, list) else tuple(items)
    return [result[i] for i in kept], rebuild


class _gathering:
    """Inside, layouts are read by indices: mx.as_strided has no vmap rule."""

    def __enter__(self):
        from .reading import gathering
        self._before = gathering[0]
        gathering[0] = True

    def __exit__(self, *exception):
        from .reading import gathering
        gathering[0] = self._before
