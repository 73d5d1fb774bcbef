"""Indices as NumPy arrays: keys that order them, duplicates, compressed forms, look-ups.

Which elements a sparse tensor keeps decides the sizes of what follows, so this work waits for
them on the host; values stay MLX's.
"""

from __future__ import annotations

import math

import numpy as np


def keys(indices: np.ndarray, size: tuple) -> np.ndarray:
    """Return for each column of `indices` (dims, n) its position in a row-major `size`."""
    found = np.zeros(indices.shape[1], np.int64)
    for row, length in zip(indices, size):
        found = found * length + row
    return found


def unfold(keys: np.ndarray, size: tuple) -> np.ndarray:
    """Return the indices (dims, n) of positions in a row-major `size`."""
    found = np.empty((len(size), keys.shape[0]), np.int64)
    for dim in range(len(size) - 1, -1, -1):
        keys, found[dim] = np.divmod(keys, max(size[dim], 1))
    return found


def is_increasing(keys: np.ndarray) -> bool:
    """Tell whether the keys are sorted and all different."""
    return bool((keys[1:] > keys[:-1]).all())


def distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different keys in order, and for each key its place among them."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    place = np.empty(len(keys), np.int64)
    place[order] = np.cumsum(first) - 1
    return ordered[first], place


def first_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different keys in order, and where each is met first."""
    return np.unique(keys, return_index=True)


def find(wanted: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each wanted key is among the sorted `known` ones, and whether it is there."""
    if not len(known):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def compress(rows: np.ndarray, count: int) -> np.ndarray:
    """Return, for sorted row numbers, where each of `count` rows begins, and the end."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]).astype(np.int64)


def expand(starts: np.ndarray) -> np.ndarray:
    """Return the row number of each element from where the rows begin."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def expand_batches(compressed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (batch, row) numbers of each element, from compressed indices (*batch, rows + 1)."""
    starts = compressed.reshape(-1, compressed.shape[-1]).astype(np.int64)
    batches, rows = starts.shape[0], starts.shape[1] - 1
    counts = np.diff(starts, axis=1)
    row = np.repeat(np.tile(np.arange(rows), batches), counts.reshape(-1))
    batch = np.repeat(np.arange(batches), counts.sum(1))
    return batch, row


def count(size) -> int:
    """Return the number of elements of a size."""
    return math.prod(size)
