"""Evaluation order: keeping large intermediates from being alive at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import mlx.core as mx


def after(array: mx.array, *before: mx.array) -> mx.array:
    """Return a copy of `array` that is not evaluated until all of `before` is.

    MLX walks a graph breadth first, so that independent pieces of work all allocate at once.
    `mx.depends` orders them too, but has neither a vmap nor a jvp rule; joining nothing does.
    """
    nothing = [mx.reshape(mx.atleast_1d(one)[:0], (0,)).astype(array.dtype) for one in before]
    joined = mx.concatenate([mx.reshape(array, (-1,)), *nothing])
    return mx.reshape(joined, array.shape)


def in_turn(function: Callable[..., mx.array],
            pieces: Iterable[tuple[mx.array, ...]]) -> Iterator[mx.array]:
    """Yield function(*piece) for each piece, each waiting for the result before."""
    result = None
    for piece in pieces:
        if result is not None:
            piece = tuple(after(array, result) for array in piece)
        result = function(*piece)
        yield result
