"""Views of a tensor in pieces: split, chunk, unbind."""

from __future__ import annotations

import operator

from .._core import errors
from .._core.evaluation import ensure_memory
from .._core.layout import Layout
from .._core.tensor import Tensor
from .kinds import composite, view
from .shape import slice_

PIECE = 500  # bytes, at least, that a view of one piece occupies


def _pieces(input, lengths, dim):
    made, start = [], input.offset
    for n in lengths:
        made.append(input.replace(dim, n, offset=start))
        start += n * input.stride[dim]
    return made


def _split_layout(input, split_size_or_sections, dim):
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = errors.wrap_dim(dim, input.ndim)
    n = input.size[dim]
    if isinstance(split_size_or_sections, (list, tuple)):
        lengths = [operator.index(k) for k in split_size_or_sections]
        if sum(lengths) != n or any(k < 0 for k in lengths):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
                f"at dimension {dim}), but got split_sizes={lengths}"
            )
    else:
        step = operator.index(split_size_or_sections)
        if step < 0 or (step == 0 and n):
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={step}"
                if step < 0
                else "split_size can only be 0 if dimension size is 0, but got "
                f"dimension size of {n}"
            )
        ensure_memory(n // step * PIECE if n else 0)
        lengths = [min(step, n - at) for at in range(0, n, step)] if n else [0]
    return _pieces(input, lengths, dim)


@view(many=True, name="split")
def _split(tensor: Layout, split_size_or_sections, dim=0) -> list:
    """Return the tensor in pieces of a length (the last may be shorter) or of several lengths."""
    return _split_layout(tensor, split_size_or_sections, dim)


@view(many=True, name="split")
def split_method(self: Layout, split_size, dim=0) -> list:
    """Return the tensor in pieces of a length (the last may be shorter) or of several lengths."""
    return _split_layout(self, split_size, dim)


split = _split


@composite
def split_with_sizes(input, split_sizes, dim=0):
    """Return the tensor in pieces of several lengths."""
    return _split(input, tuple(split_sizes), dim)


@composite
def chunk(input, chunks, dim=0):
    """Return the tensor in at most `chunks` pieces of one length (the last may be shorter)."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.shape[errors.wrap_dim(dim, input.ndim)]
    step = -(-n // chunks)
    if step == 0:
        return _split(input, (0,) * chunks, dim)
    return _split(input, step, dim)


@composite
def tensor_split(input, indices_or_sections, dim=0):
    """Return the tensor in pieces that are nearly equal, or cut before the given indices."""
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = errors.wrap_dim(dim, input.ndim)
    n = input.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        ensure_memory(sections * PIECE)
        small, extra = divmod(n, sections)
        bounds = [0]
        for piece in range(sections):
            bounds.append(bounds[-1] + small + (piece < extra))
    else:
        bounds = [0, *[min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections], n]
    return tuple([slice_(input, dim, a, max(a, b)) for a, b in zip(bounds, bounds[1:])])


def _directional(name, dim, least):
    def cut(input, indices_or_sections):
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} "
                f"dimension{'s'[: least > 1]}, but got a tensor with {input.ndim} dimensions!"
            )
        axis = 0 if name == "hsplit" and input.ndim == 1 else dim
        if isinstance(indices_or_sections, int) and (
                indices_or_sections <= 0 or input.shape[axis] % indices_or_sections):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {axis}, but the size of the "
                f"dimension {input.shape[axis]} is not divisible by the split_size "
                f"{indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, axis)
    cut.__name__ = cut.__qualname__ = name
    cut.__doc__ = f"Return the tensor in pieces along dimension {dim}."
    return composite(cut)


hsplit, vsplit, dsplit = (
    _directional("hsplit", 1, 1),
    _directional("vsplit", 0, 2),
    _directional("dsplit", 2, 3),
)


@view(many=True)
def unbind(input: Layout, dim=0) -> list:
    """Return the entries of a dimension, which goes away."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = errors.wrap_dim(dim, input.ndim)
    size, stride = (
        [*input.size[:dim], *input.size[dim + 1 :]],
        [*input.stride[:dim], *input.stride[dim + 1 :]],
    )
    ensure_memory(input.size[dim] * PIECE)
    return [
        input.view(size, stride, input.offset + i * input.stride[dim])
        for i in range(input.size[dim])
    ]

FUNCTIONS = {
    f.__name__: f
    for f in (split, split_with_sizes, chunk, tensor_split, hsplit, vsplit, dsplit, unbind)
}
METHODS = FUNCTIONS | {"split": split_method}
INPLACE = ()
