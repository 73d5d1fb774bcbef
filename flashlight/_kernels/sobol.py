"""Sobol sequences on the host, as integers of 30 bits.

Direction numbers: S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional
projections", SIAM J. Sci. Comput. 30 (2008); their table new-joe-kuo-6.21201, copyright 2008 by the
authors under a BSD licence, https://web.maths.unsw.edu.au/~fkuo/sobol/ (joe_kuo.npz here, written
by tools/make_sobol_table.py).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

BITS = 30
DIMENSIONS = 21201


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Each dimension's polynomial and its initial numbers, (21201,) and (21201, 18)."""
    with np.load(Path(__file__).with_name("joe_kuo.npz")) as table:
        polynomials = table["polynomials"].astype(np.int64)
        bits = np.unpackbits(table["numbers"])
    degrees = np.frexp(polynomials)[1] - 1
    initial = np.zeros((DIMENSIONS, int(degrees.max())), np.int64)
    initial[:, 0] = 1
    start = 0
    for i in range(1, initial.shape[1]):
        rows = degrees > i
        end = start + int(rows.sum()) * i
        halves = bits[start:end].reshape(-1, i) @ (1 << np.arange(i))
        initial[rows, i] = 2 * halves + 1
        start = end
    return polynomials, initial


def directions(dimension: int) -> np.ndarray:
    """Return the direction numbers of the first dimensions, (dimension, 30)."""
    polynomials, initial = (part[:dimension] for part in _table())
    made = np.zeros((dimension, BITS), np.int64)
    shifts = np.arange(BITS - 1, -1, -1)
    made[0] = 1 << shifts
    degrees = np.frexp(polynomials)[1] - 1
    for degree in range(1, int(degrees.max()) + 1):
        rows = degrees == degree
        part, polynomial = made[rows], polynomials[rows]
        part[:, :degree] = initial[rows, :degree] << shifts[:degree]
        for j in range(degree, BITS):
            part[:, j] = part[:, j - degree] ^ (part[:, j - degree] >> degree)
            for k in range(1, degree):
                part[:, j] ^= part[:, j - k] * (polynomial >> (degree - k) & 1)
        made[rows] = part
    return made


def scrambled(state: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return the direction numbers (d, 30), their bits multiplied by matrices (d, 30, 30) of 0 and 1.

    The matrices count as lower triangular ones with a diagonal of ones.
    """
    shifts = np.arange(BITS - 1, -1, -1)
    lower = np.tril(matrices, -1).astype(np.float32) + np.eye(BITS, dtype=np.float32)
    bits = (state[:, None, :] >> shifts[:, None] & 1).astype(np.float32)
    product = np.matmul(lower, bits).astype(np.int64) & 1
    return (product << shifts[:, None]).sum(1)


def _changed_bits(first: int, count: int) -> np.ndarray:
    """Which direction number is next: the position of the lowest zero bit of first, first + 1, ..."""
    lowest = ~np.arange(first, first + count, dtype=np.int64)
    return np.frexp(lowest & -lowest)[1] - 1


def draw(point: np.ndarray, state: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return the `count` points that follow `point`, which is number `first`: (count, dimension)."""
    steps = state.T[_changed_bits(first, count)]
    if count:
        steps[0] ^= point
    return np.bitwise_xor.accumulate(steps, axis=0, out=steps)


def skip(point: np.ndarray, state: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return the point that comes `count` after `point`, which is number `first`."""
    here, there = first ^ first >> 1, (first + count) ^ (first + count) >> 1
    differing = [bit for bit in range(BITS) if (here ^ there) >> bit & 1]
    return point ^ np.bitwise_xor.reduce(state[:, differing], axis=1)
