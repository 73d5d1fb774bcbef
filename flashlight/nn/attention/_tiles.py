"""Which parts of the scores flexible attention computes: tiles of rows and the columns they need.

A `Strip` is some heads of some samples, a `Tile` some of its rows with every column that one of
them needs, so that a softmax is complete. Together they have a bounded number of scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from flashlight._kernels.attention import ACCELERATOR_BLOCK, BLOCK

#: What a block is: no query of it sees a key, some do (the mask tells), all do.
EMPTY, PARTIAL, FULL = 0, 1, 2

#: Rows are put together as long as at most this share of the scores is computed for nothing.
_WASTE = 0.4


class Sizes(NamedTuple):
    """How many samples, query heads, query heads for one key head, queries and keys there are."""

    batch: int
    heads: int
    shared: int
    rows: int
    columns: int


class Tile(NamedTuple):
    """Rows, the columns (a slice, or positions), and the kinds of blocks, None if all are full.

    `kinds` (R, C) is by rows and columns of blocks; `row_blocks` and `column_blocks` tell which of
    them each row and column belongs to.
    """

    rows: slice
    columns: slice | np.ndarray
    kinds: np.ndarray | None = None
    row_blocks: np.ndarray | None = None
    column_blocks: np.ndarray | None = None


class Strip(NamedTuple):
    """Samples and query heads, and their tiles from the first row to the last."""

    samples: slice
    heads: slice
    tiles: list[Tile]

    def key_heads(self, shared: int) -> slice:
        """Return the key heads that these query heads use."""
        return slice(self.heads.start // shared, -(-self.heads.stop // shared))


def budget(device_type: str) -> int:
    """Return how many scores to have at a time."""
    return (BLOCK if device_type in ("cpu", "meta") else ACCELERATOR_BLOCK) // 4


def whole() -> np.ndarray:
    """Return the kinds of blocks for attention of all to all."""
    return np.full((1, 1, 1, 1), FULL, np.uint8)


def strips(
    kinds: np.ndarray, block: tuple[int, int], sizes: Sizes, most: int
) -> Iterator[Strip]:
    """Yield all that has to be computed, at most about `most` scores in a tile.

    `kinds` (B or 1, H or 1, R, C) is by blocks of `block` queries and keys.
    """
    kinds = kinds[:, :, : -(-sizes.rows // block[0]), : -(-sizes.columns // block[1])]
    for dim in (0, 1):
        first = kinds.take([0], axis=dim)
        if (kinds == first).all():
            kinds = first
    for samples in _owners(kinds.shape[0], sizes.batch):
        for heads in _owners(kinds.shape[1], sizes.heads):
            own = kinds[samples.start % kinds.shape[0], heads.start % kinds.shape[1]]
            yield from _of_pattern(own, block, samples, heads, sizes, most)


def _owners(count: int, total: int) -> Iterable[slice]:
    return [slice(0, total)] if count == 1 else [slice(i, i + 1) for i in range(total)]


def _of_pattern(kinds, block, samples, heads, sizes, most):
    """Yield the strips of samples and heads whose blocks are alike."""
    needed = kinds != EMPTY
    widths = np.minimum(block[1], sizes.columns - block[1] * np.arange(kinds.shape[1]))
    scores = needed @ np.maximum(widths, 0)
    # As many heads as fit if all rows go together; if they do not, with the widest rows.
    union = int(widths[needed.any(axis=0)].sum()) * sizes.rows
    exact = int((scores * np.minimum(block[0], sizes.rows)).sum())
    if 0 < union <= most and union * (1 - _WASTE) <= exact:
        count = most // union
    else:
        count = most // max(1, int(scores.max(initial=0)) * min(block[0], sizes.rows, 64))
    for part in _parts(samples, heads, sizes.shared, max(1, count)):
        pairs = (part[0].stop - part[0].start) * (part[1].stop - part[1].start)
        tiles = list(_tiles(kinds, block, widths, sizes, max(1, most // pairs)))
        yield Strip(*part, tiles)


def _parts(samples, heads, shared, count):
    """Yield pairs of samples and heads, about `count` heads in each; groups stay whole or single.
    """
    many = heads.stop - heads.start
    if count >= many:
        step = max(1, count // many)
        for start in range(samples.start, samples.stop, step):
            yield slice(start, min(start + step, samples.stop)), heads
        return
    step = count // shared * shared or 1
    for sample in range(samples.start, samples.stop):
        for start in range(heads.start, heads.stop, step):
            yield slice(sample, sample + 1), slice(start, min(start + step, heads.stop))


def _tiles(kinds, block, widths, sizes, most):
    """Yield the tiles of one pattern, at most `most` scores in each head of one."""
    first, count = 0, kinds.shape[0]
    while first < count:
        needed = kinds[first] != EMPTY
        exact = width = int(widths[needed].sum())
        last = first + 1
        while last < count:
            more = kinds[last] != EMPTY
            together = int(widths[needed | more].sum())
            exact_then = exact + int(widths[more].sum())
            rows = (last + 1 - first) * block[0]
            wasted = 1 - exact_then / max(1, together * (last + 1 - first))
            if rows * together > most or wasted > _WASTE:
                break
            needed, width, exact, last = needed | more, together, exact_then, last + 1
        start, stop = first * block[0], min(last * block[0], sizes.rows)
        step = max(1, most // max(1, width))
        for row in range(start, stop, step):
            yield _tile(kinds, block, sizes, slice(row, min(row + step, stop)), needed)
        first = last


def _tile(kinds, block, sizes, rows, needed):
    found = np.flatnonzero(needed)
    contiguous = len(found) == 0 or found[-1] - found[0] == len(found) - 1
    if contiguous:
        start = int(found[0]) * block[1] if len(found) else 0
        stop = min(start + len(found) * block[1], sizes.columns)
        columns: slice | np.ndarray = slice(start, stop)
        positions = np.arange(start, stop)
    else:
        positions = (found[:, None] * block[1] + np.arange(block[1])).reshape(-1)
        columns = positions = positions[positions < sizes.columns]
    row_blocks = np.arange(rows.start, rows.stop) // block[0]
    top = row_blocks[0]
    own = kinds[top : row_blocks[-1] + 1][:, found]
    if (own == FULL).all():
        return Tile(rows, columns)
    places = np.searchsorted(found, positions // block[1])
    return Tile(rows, columns, own, row_blocks - top, places)
