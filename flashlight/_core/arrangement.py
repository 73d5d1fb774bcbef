"""How results lie in memory: which strides an operation's result takes from its operands."""

from __future__ import annotations

import functools

from .layout import Layout, row_major


@functools.lru_cache(maxsize=4096)
def elementwise_stride(operands: tuple[Layout, ...], size: tuple) -> tuple:
    """Return the strides, dense, of an elementwise result of `size`.

    They are those of operands that all agree; otherwise the dimensions are ordered by the strides
    of the first operand that tells two of them apart (PyTorch's TensorIterator does the same).
    """
    same_size = all(operand.size == size for operand in operands)
    if same_size:
        if all(operand.contiguous for operand in operands):
            return row_major(size)
        first = operands[0]
        if first.is_dense() and all(operand.stride == first.stride for operand in operands):
            return first.stride
    steps = [_aligned(operand, size) for operand in operands]
    order = list(range(len(size)))[::-1]  # from the innermost in memory to the outermost
    for place in range(1, len(order)):
        moving = place
        for other in reversed(range(place)):
            comparison = _compare(order[other], order[moving], steps, size)
            if comparison > 0:
                order[other], order[moving] = order[moving], order[other]
                moving = other
            elif comparison < 0:
                break
    return ordered_stride(size, order)


def ordered_stride(size: tuple, order: list[int]) -> tuple:
    """Return dense strides for dimensions that lie in memory in this order, the innermost first."""
    stride, step = [0] * len(size), 1
    if order == list(range(len(size)))[::-1]:
        return row_major(size)
    for d in order:
        stride[d] = step
        step *= max(size[d], 1)
    return tuple(stride)


def _aligned(operand, size):
    """Return an operand's steps along the result's dimensions, 0 where it is broadcast."""
    missing = len(size) - operand.ndim
    return [0] * missing + [
        0 if own == 1 and n != 1 else step
        for own, step, n in zip(operand.size, operand.stride, size[missing:])
    ]


def _compare(inner, outer, steps, size):
    """Return 1 if the two dimensions have to change places, -1 if not, 0 if nothing tells."""
    for step in steps:
        if step[inner] == 0 or step[outer] == 0:
            continue
        if step[inner] != step[outer]:
            return 1 if step[inner] > step[outer] else -1
        if size[inner] > size[outer]:
            return 1
    return 0


def preserved_stride(source: Layout) -> tuple:
    """Return the strides, dense, of a copy that keeps the order of `source`'s dimensions."""
    if source.is_dense():
        return source.stride
    steps = source.stride
    order = sorted(range(source.ndim), key=lambda d: (steps[d] == 0, -steps[d]))
    return ordered_stride(source.size, order[::-1])


def channels_last_stride(size: tuple) -> tuple:
    """Return the strides of a channels-last tensor of 4 or 5 dimensions."""
    return ordered_stride(size, [1, *range(len(size) - 1, 1, -1), 0])


def is_channels_last(layout: Layout) -> bool:
    """Tell whether a layout's strides ask for a channels-last result.

    What could be either, such as one channel of one pixel, does not.
    """
    size, stride = layout.size, layout.stride
    if layout.ndim not in (4, 5) or stride[1] == 0 or 0 in size:
        return False
    least = 0
    for d in (1, *range(layout.ndim - 1, 1, -1), 0):
        if stride[d] < least or (d == 0 and least == stride[1]):
            return False
        least = stride[d] * max(size[d], 1)
    return True
