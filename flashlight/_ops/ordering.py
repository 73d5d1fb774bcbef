"""The order of lazy work, and sums that take no memory of their own."""

from __future__ import annotations

import mlx.core as mx

from .._kernels import ordering as kernels
from .kinds import primitive


@primitive(differentiable=False)
def after(input: mx.array, before: list[mx.array]) -> mx.array:
    """Return a copy of `input` that is not evaluated until all of `before` is."""
    return kernels.after(input, *before)


@primitive(differentiable=False)
def add_at(input: mx.array, places, part: mx.array) -> mx.array:
    """Return `input` with `part` added at `places`, slices or positions for each dimension.

    If nobody else holds `input`, its memory is the result's.
    """
    places = tuple([p if isinstance(p, slice) else mx.array(p) for p in places])
    return input.at[places].add(part)


@primitive(differentiable=False)
def put_at(input: mx.array, starts, part: mx.array) -> mx.array:
    """Return `input` with `part` in it, at `starts` in the leading dimensions.

    If nobody else holds `input`, its memory is the result's.
    """
    return mx.slice_update(input, part, mx.array(starts), tuple(range(len(starts))))
