"""Tensors put together, repeated, turned and padded."""

from __future__ import annotations

import math
import operator

import mlx.core as mx

from .._core.dtype import FROM_MLX
from .._core.errors import wrap_dim, wrap_dims
from .._core.evaluation import ensure_memory
from .._core.promotion import can_cast, promote_types
from .._core.tensor import Tensor
from .conversion import as_dtype
from .kinds import composite, primitive
from .operation import check_no_overlap, write_out
from .shape import narrow, unsqueeze


def _is_legacy_empty(tensor):
    return tensor.ndim == 1 and tensor.shape[0] == 0


@primitive(name="cat", channels_last=("tensors",))
def _cat(tensors: list[mx.array], dim) -> mx.array:
    """Join arrays along a dimension."""
    return mx.concatenate(tensors, axis=dim) if len(tensors) > 1 else tensors[0]


def _cat_rule(grad, tensors_shape, dim):
    pieces, start = [], 0
    for shape in tensors_shape:
        piece = narrow(grad, dim, start, shape[dim])
        pieces.append(piece)
        start += shape[dim]
    return pieces


_cat.gradients(tensors=_cat_rule)


@composite
def cat(tensors, dim=0, *, out=None):
    """Join tensors along a dimension; all others must agree."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    tensors = list(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, but got "
                f"{type(tensor).__name__}"
            )
        if tensor.ndim == 0:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {position}) cannot be concatenated"
            )
    kind = tensors[0].dtype
    for tensor in tensors[1:]:
        kind = promote_types(kind, tensor.dtype)
    kept = [t for t in tensors if not _is_legacy_empty(t)]
    if not kept:
        kept = tensors[:1]
        wrap_dim(dim, 1)
    first = kept[0]
    dim = wrap_dim(operator.index(dim), first.ndim)
    for position, tensor in enumerate(kept[1:], 1):
        if tensor.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {tensor.ndim}"
            )
        for d, (n, m) in enumerate(zip(first.shape, tensor.shape)):
            if n != m and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {n} "
                    f"but got size {m} for tensor number {position} in the list."
                )
    joined = _cat([as_dtype(t, kind) for t in kept], dim)
    if out is not None:
        if not can_cast(joined.dtype, out.dtype):
            raise TypeError(
                "torch.cat(): input types can't be cast to the desired output type "
                f"{out.dtype.name}"
            )
        if joined.requires_grad or out.requires_grad:
            raise RuntimeError(
                "cat(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )
        check_no_overlap(out, tensors)
        return write_out(out, joined)
    return joined


@composite
def stack(tensors, dim=0, *, out=None):
    """Join tensors of one size along a new dimension."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]
    dim = wrap_dim(operator.index(dim), first.ndim + 1)
    for position, tensor in enumerate(tensors):
        if tensor.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at "
                f"entry 0 and {list(tensor.shape)} at entry {position}"
            )
    return cat(
        [unsqueeze(tensor, dim) for tensor in tensors], dim, **({} if out is None else {"out": out})
    )


def _stacker(name, prepare, dim, text):
    def join(tensors, *, out=None):
        if not len(tensors):
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        made = [prepare(tensor) for tensor in tensors]
        axis = dim(made[0]) if callable(dim) else dim
        return cat(made, axis, **({} if out is None else {"out": out}))
    join.__name__ = join.__qualname__ = name
    join.__doc__ = text
    return composite(join)


def _at_least(n):
    from .shape import atleast
    return atleast(n)


hstack = _stacker(
    "hstack", _at_least(1), lambda t: 0 if t.ndim == 1 else 1, "Join tensors side by side."
)
vstack = _stacker("vstack", _at_least(2), 0, "Join tensors one above the other.")
dstack = _stacker("dstack", _at_least(3), 2, "Join tensors along the third dimension.")
column_stack = _stacker("column_stack", lambda t: t.reshape(t.numel(), 1) if t.ndim <= 1 else t, 1,
                        "Join 1-D tensors as columns.")


@primitive(name="flip", elementwise=True)
def _flip(input: mx.array, dims) -> mx.array:
    """Reverse dimensions; a copy."""
    chosen = wrap_dims((dims,) if isinstance(dims, int) else dims, input.ndim)
    if not input.ndim:
        return input
    return input[
        tuple(slice(None, None, -1) if d in chosen else slice(None) for d in range(input.ndim))
    ]


_flip.gradients(input=lambda grad, dims: _flip(grad, dims))


@composite
def flip(input, dims):
    """Reverse dimensions; a copy."""
    if not isinstance(dims, (tuple, list)):
        raise TypeError("flip(): argument 'dims' (position 2) must be tuple of ints, not "
                        f"{type(dims).__name__}")
    return _flip(input, dims)


def flip_method(self, *args, dims=None):
    """Reverse dimensions, given together or one by one; a copy."""
    if dims is None:
        if not args:
            raise TypeError('flip() missing 1 required positional arguments: "dims"')
        dims = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    return flip(self, dims)


flip_method.__name__ = flip_method.__qualname__ = "flip"


@composite
def fliplr(input):
    """Reverse the columns."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return _flip(input, (1,))


@composite
def flipud(input):
    """Reverse the rows."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return _flip(input, (0,))


@primitive
def roll(input: mx.array, shifts, dims=()) -> mx.array:
    """Shift along dimensions; what leaves at one end comes back at the other."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return mx.roll(input, shifts[0]) if input.size else input
    if len(shifts) != len(dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    for dim in dims:
        if not input.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        wrap_dim(dim, input.ndim)
    if input.size == 0:
        return input
    for shift, dim in zip(shifts, dims):
        input = mx.roll(input, shift, axis=dim)
    return input


roll.gradients(input=lambda grad, shifts, dims: roll(
    grad, -shifts if isinstance(shifts, int) else [-s for s in shifts], dims))


@composite
def rot90(input, k=1, dims=(0, 1)):
    """Turn by k quarters in the plane of two dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    for dim in dims:
        if not -input.ndim <= dim < input.ndim:
            raise RuntimeError(
                f"Rotation dim{list(dims).index(dim)} out of range, dim{list(dims).index(dim)} = "
                f"{dim}"
            )
    k %= 4
    if k == 1:
        return _flip(input, (dims[1],)).transpose(dims[0], dims[1])
    if k == 2:
        return _flip(input, dims)
    if k == 3:
        return _flip(input, (dims[0],)).transpose(dims[0], dims[1])
    return input.clone()


@primitive(name="repeat")
def _repeat(input: mx.array, repeats) -> mx.array:
    """Tile an array."""
    ensure_memory(math.prod(input.shape) * math.prod(repeats) * FROM_MLX[input.dtype].itemsize)
    return mx.tile(input, repeats)


def _repeat_rule(grad, input_shape, repeats):
    extra = len(repeats) - len(input_shape)
    if 0 in repeats:
        return grad.new_zeros(input_shape)
    if extra:
        grad = (
            grad.sum(tuple(range(extra)))
            if not builtin_all_one(repeats[:extra])
            else grad.reshape(grad.shape[extra:])
        )
    parts, dims = [], []
    for times, n in zip(repeats[extra:], input_shape):
        if times != 1:
            dims.append(len(parts))
            parts.append(times)
        parts.append(n)
    return grad.reshape(parts).sum(dims) if dims else grad.reshape(input_shape)


def builtin_all_one(values):
    """Whether all numbers are 1."""
    return set(values) <= {1}


_repeat.gradients(input=_repeat_rule)


@composite
def repeat(input, *repeats, **kwargs):
    """Repeat the tensor along its dimensions (new ones in front)."""
    if "repeats" in kwargs:
        repeats = (kwargs["repeats"],)
    if len(repeats) == 1 and isinstance(repeats[0], (tuple, list)):
        repeats = repeats[0]
    repeats = tuple([operator.index(n) for n in repeats])
    if len(repeats) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if min(repeats, default=1) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(repeats)}: {list(repeats)}"
        )
    if not repeats:
        return input.clone()
    return _repeat(input, repeats)


@composite
def tile(input, *dims):
    """Repeat the tensor; counts for leading dimensions may be left out."""
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    return repeat(input, (1,) * (input.ndim - len(dims)) + tuple(dims))


def meshgrid(*tensors, indexing=None):
    """Return coordinate grids of 1-D tensors, as views."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        import warnings

        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for tensor in tensors:
        if tensor.ndim > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                f"{tensor.ndim}D"
            )
        if tensor.dtype is not tensors[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = [tensor.numel() for tensor in tensors]
    grids = []
    for d, tensor in enumerate(tensors):
        view = tensor.reshape([shape[d] if i == d else 1 for i in range(len(shape))])
        grids.append(view.expand(shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors):
    """Return all combinations of the elements of 1-D tensors, one a row."""
    for tensor in tensors:
        if tensor.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(tensor.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input, r=2, with_replacement=False):
    """Return all combinations of `r` elements of a 1-D tensor, one a row."""
    import itertools

    from .creation import tensor as make_tensor
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input.numel()), r))
    index = make_tensor(rows).long().reshape(-1)
    return input.index_select(0, index).reshape(len(rows), r)


def block_diag(*tensors):
    """Return the matrix with the tensors (of at most two dimensions) along its diagonal."""
    blocks = []
    for position, tensor in enumerate(tensors):
        if tensor.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{position} has {tensor.ndim} dimensions"
            )
        blocks.append(tensor.reshape(1, -1) if tensor.ndim < 2 else tensor)
    if not blocks:
        from .creation import zeros
        return zeros(1, 0)
    kind = blocks[0].dtype
    for block in blocks:
        kind = promote_types(kind, block.dtype)
    columns = math.fsum(block.shape[1] for block in blocks)
    rows, start = [], 0
    for block in blocks:
        block = as_dtype(block, kind)
        left = block.new_zeros(block.shape[0], start)
        right = block.new_zeros(block.shape[0], int(columns) - start - block.shape[1])
        rows.append(cat([left, block, right], 1))
        start += block.shape[1]
    return cat(rows, 0)


# ----- diagonals and triangles -----


def _triangle(name, upper):
    def body(input: mx.array, diagonal=0) -> mx.array:
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = input.shape[-2:]
        distance = mx.arange(columns)[None, :] - mx.arange(rows)[:, None]
        kept = distance >= diagonal if upper else distance <= diagonal
        return mx.where(kept, input, mx.zeros((), input.dtype))
    body.__name__, body.__module__ = name, __name__
    body.__doc__ = f"The {'upper' if upper else 'lower'} triangle of matrices, zeros elsewhere."
    made = primitive(body)
    made.gradients(input=lambda grad, diagonal: made(grad, diagonal))
    return made


triu, tril = _triangle("triu", True), _triangle("tril", False)


def _triangle_indices(name, upper):
    def indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False):
        from .._core.device import resolve
        from .._core.dtype import int32, int64
        from .creation import tensor as make_tensor
        for label, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{label} must be non-negative, got{n}")
        if dtype is not None and dtype not in (int32, int64):
            raise RuntimeError(f"\"{name}\" not implemented for '{dtype.name}'")
        import numpy as np
        made = np.triu_indices(row, offset, col) if upper else np.tril_indices(row, offset, col)
        return make_tensor(
            np.stack(made).astype(np.int64), dtype=dtype or int64, device=resolve(device)
        )

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = (
        f"The positions of the {'upper' if upper else 'lower'} triangle of a matrix, (2, count)."
    )
    return indices


triu_indices, tril_indices = (
    _triangle_indices("triu_indices", True),
    _triangle_indices("tril_indices", False),
)


@composite
def diag(input, diagonal=0):
    """A vector as a diagonal matrix, or the diagonal of a matrix (a copy)."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return input.diagonal(diagonal).clone()
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")


@primitive
def diag_embed(input: mx.array, offset=0, dim1=-2, dim2=-1) -> mx.array:
    """Matrices with the last dimension along a diagonal."""
    ndim = input.ndim + 1
    dim1, dim2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input.shape[-1] + abs(offset)
    rows, columns = mx.arange(n)[:, None], mx.arange(n)[None, :]
    on = columns - rows == offset
    width = input.shape[-1]
    if width == 0:
        made = mx.zeros((*input.shape[:-1], n, n), input.dtype)
    else:
        ends = [(0, 0)] * (input.ndim - 1) + [(max(-offset, 0), max(offset, 0))]
        made = mx.where(on, mx.pad(input, ends)[..., :, None], mx.zeros((), input.dtype))
    order = [d for d in range(ndim) if d not in (dim1, dim2)]
    final = [0] * ndim
    for position, d in enumerate(order):
        final[d] = position
    final[dim1], final[dim2] = ndim - 2, ndim - 1
    return mx.transpose(made, final)


diag_embed.gradients(input=lambda grad, offset, dim1, dim2: grad.diagonal(offset, dim1, dim2))


@composite
def diagflat(input, offset=0):
    """The elements as a diagonal matrix."""
    return diag_embed(input.reshape(-1), offset)


FUNCTIONS = {
    f.__name__: f
    for f in (
        cat, stack, hstack, vstack, dstack, column_stack, flip, fliplr, flipud, roll, rot90, tile,
        meshgrid, cartesian_prod, combinations, block_diag, triu, tril, triu_indices,
        tril_indices, diag, diag_embed, diagflat,
    )
}
FUNCTIONS |= {"concat": cat, "concatenate": cat, "row_stack": vstack}
METHODS = {
    name: FUNCTIONS[name]
    for name in (
        "flip", "fliplr", "flipud", "roll", "rot90", "tile", "triu", "tril", "diag", "diag_embed",
        "diagflat",
    )
}
METHODS["repeat"] = repeat
METHODS["flip"] = flip_method
INPLACE = ("triu", "tril")
