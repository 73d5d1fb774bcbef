"""Views written out of place, and the diagonal written in place."""

from __future__ import annotations

import mlx.core as mx

from .._core.device import CPU
from .._core.dtype import FROM_MLX
from .._core.layout import layout as layout_of
from .._core.reading import recipe
from .kinds import composite, primitive
from .shape import select, slice_


def _writer(name, look, text):
    def write(input, src, *args, **kwargs):
        made = input.clone()
        region = look(made, *args, **kwargs)
        if region.shape != src.shape:
            raise RuntimeError(
                f"expected src to have a size equal to the {name.partition('_')[0]} of self. src "
                f"size = {list(src.shape)}, {name.partition('_')[0]} size = {list(region.shape)}"
            )
        region.copy_(src)
        return made
    write.__name__ = write.__qualname__ = name
    write.__doc__ = text
    return composite(write)


select_scatter = _writer("select_scatter", lambda made, dim, index: select(made, dim, index),
                         "Return `input` with one entry of a dimension replaced.")
slice_scatter = _writer("slice_scatter", lambda made, dim=0, start=None, end=None, step=1: slice_(
    made, dim, start, end, step), "Return `input` with a slice of a dimension replaced.")
diagonal_scatter = _writer("diagonal_scatter", lambda made, offset=0, dim1=0, dim2=1: made.diagonal(
    offset, dim1, dim2), "Return `input` with a diagonal replaced.")


@primitive
def as_strided_scatter(
    input: mx.array, src: mx.array, size, stride, storage_offset=None
) -> mx.array:
    """Return `input` with a strided view of its elements, counted row by row, replaced."""
    if tuple(src.shape) != tuple(size):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(size)}"
        )
    target = layout_of(
        tuple(size), tuple(stride), storage_offset or 0, FROM_MLX[input.dtype], CPU
    )
    return recipe(tuple(input.shape), target).write(input, src)


as_strided_scatter.gradients(
    input=lambda grad, src_shape, size, stride, storage_offset: as_strided_scatter(
        grad, grad.new_zeros(src_shape), size, stride, storage_offset
    ),
    src=lambda grad, size, stride, storage_offset: grad.contiguous().as_strided(
        size, stride, storage_offset or 0
    ),
)


def fill_diagonal_(self, fill_value, wrap=False):
    """Fill the main diagonal; with `wrap`, again below every block of a tall matrix."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = sum(self.stride())
    rows, columns = self.shape[0], self.shape[1]
    count = min(self.shape)
    self.as_strided((count,), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and self.ndim == 2 and rows > columns + 1:
        start = (columns + 1) * self.stride(0)
        while start < rows * self.stride(0):
            left = -(-(rows - start // self.stride(0)) // 1)
            self.as_strided((min(columns, left),), (step,), self.storage_offset() + start).fill_(
                fill_value
            )
            start += (columns + 1) * self.stride(0)
    return self


FUNCTIONS = {
    f.__name__: f for f in (select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter)
}
METHODS = FUNCTIONS | {"fill_diagonal_": fill_diagonal_}
INPLACE = ()
