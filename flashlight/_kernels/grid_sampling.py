"""Sampling of images at given positions: the kernel of `grid_sample`."""

from __future__ import annotations

import itertools
import math

import mlx.core as mx

from .precision import HALF, on_accelerator

BILINEAR, NEAREST, BICUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)


def grid_sample(input: mx.array, grid: mx.array, mode: int, padding: int,
                align_corners: bool) -> mx.array:
    """(N, C, *size), (N, *counts, rank) -> (N, C, *counts); grid in [-1, 1], x first."""
    dtype, counts = input.dtype, grid.shape[1:-1]
    # PyTorch computes half precision in float32 on accelerators only, positions included.
    if dtype in HALF and on_accelerator():
        input, grid = input.astype(mx.float32), grid.astype(mx.float32)
    size = input.shape[2:]
    batch, channels = input.shape[:2]
    flat = mx.reshape(input, (batch, channels, math.prod(size)))
    positions = []
    for dim, n in enumerate(size):
        at = mx.reshape(grid[..., len(size) - 1 - dim], (batch, math.prod(counts)))
        at = (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) / 2
        positions.append(at if mode == BICUBIC else _padded(at, n, padding, align_corners))
    if mode == NEAREST:
        result = _gathered(flat, [mx.round(at) for at in positions], size)
    elif mode == BILINEAR:
        result = _interpolated(flat, positions, size)
    else:
        result = _cubic(flat, positions, size, padding, align_corners)
    return mx.reshape(result, (batch, channels, *counts)).astype(dtype)


def _padded(at, n, padding, align_corners):
    """Bring positions into the image, as the padding asks for."""
    if padding == ZEROS:
        return at
    if padding == REFLECTION:
        low, high = (0, 2 * (n - 1)) if align_corners else (-1, 2 * n - 1)
        at = _reflected(at, low / 2, (high - low) / 2)
    # The gradient is 0 where the position is clipped, the ends included.
    inside = (at > 0) & (at < n - 1)
    return mx.where(inside, at, mx.stop_gradient(mx.clip(at, 0, n - 1)))


def _reflected(at, start, span):
    if span == 0:
        return mx.zeros_like(at)
    distance = mx.abs(at - start)
    flips = mx.stop_gradient(mx.floor(distance / span))
    rest = distance - flips * span
    return mx.where(flips % 2 == 0, rest, span - rest) + start


def _gathered(flat, at, size):
    """The elements at whole positions, 0 outside the image."""
    index, inside = None, None
    for position, n in zip(at, size, strict=True):
        within = (position >= 0) & (position < n)
        inside = within if inside is None else inside & within
        # NaN and huge positions become integers only after they are in range.
        whole = mx.where(within, position, mx.zeros((), position.dtype)).astype(mx.int32)
        index = whole if index is None else index * n + whole
    index = mx.broadcast_to(index[:, None], (*flat.shape[:2], index.shape[1]))
    found = mx.take_along_axis(flat, mx.stop_gradient(index), axis=2)
    return mx.where(inside[:, None], found, mx.zeros((), found.dtype))


def _interpolated(flat, positions, size):
    low = [mx.stop_gradient(mx.floor(at)) for at in positions]
    fractions = [at - base for at, base in zip(positions, low, strict=True)]
    total = None
    for corner in itertools.product((0, 1), repeat=len(size)):
        weight = None
        for upper, fraction in zip(reversed(corner), reversed(fractions), strict=True):
            factor = fraction if upper else 1 - fraction
            weight = factor if weight is None else weight * factor
        at = [base + upper for base, upper in zip(low, corner, strict=True)]
        part = _gathered(flat, at, size) * weight[:, None]
        total = part if total is None else total + part
    return total


def _cubic(flat, positions, size, padding, align_corners):
    low = [mx.stop_gradient(mx.floor(at)) for at in positions]
    weights = [_cubic_weights(at - base) for at, base in zip(positions, low, strict=True)]
    total = None
    for row in range(4):
        across = None
        for column in range(4):
            taps = [base + (tap - 1) for base, tap in zip(low, (row, column), strict=True)]
            taps = [_padded(at, n, padding, align_corners)
                    for at, n in zip(taps, size, strict=True)]
            # Reflection may leave halves; PyTorch truncates them.
            part = _gathered(flat, [_truncated(at) for at in taps], size)
            part = part * weights[1][column][:, None]
            across = part if across is None else across + part
        part = across * weights[0][row][:, None]
        total = part if total is None else total + part
    return total


def _truncated(at):
    return mx.sign(at) * mx.floor(mx.abs(at))


def _cubic_weights(t):
    a = -0.75
    result = []
    for x in (t + 1, t, 1 - t, 2 - t):
        if len(result) in (1, 2):
            result.append(((a + 2) * x - (a + 3)) * x * x + 1)
        else:
            result.append(((a * x - 5 * a) * x + 8 * a) * x - 4 * a)
    return result
