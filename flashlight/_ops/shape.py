"""Views: other sizes, orders and windows of the same storage. Integers only."""

from __future__ import annotations

import functools
import math
import operator

import mlx.core as mx

from .._core import errors
from .._core.dtype import dtype
from .._core.layout import Layout, row_major
from .._core.tensor import Tensor, make
from .composite import as_method, composite
from .explained import invalid_combination
from .kinds import primitive, view, view_of


def infer_size(size, numel: int) -> tuple:
    """Return `size` with a -1 replaced by what fits. Raises RuntimeError if nothing does."""
    size = tuple([operator.index(n) for n in size])
    unknown = [d for d, n in enumerate(size) if n == -1]
    known = math.prod(n for n in size if n != -1)
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(n < -1 for n in size):
        raise RuntimeError(f"invalid shape dimension {min(size)}")
    if unknown:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of {numel} elements into shape {list(size)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if numel % known == 0:
            size = tuple(numel // known if n == -1 else n for n in size)
            return size
    elif known == numel:
        return size
    raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {numel}")


def view_stride(source: Layout, size: tuple) -> tuple | None:
    """Return the strides with which the storage shows `size`, or None if it would take a copy."""
    if source.numel == 0:
        return source.stride if tuple(source.size) == tuple(size) else row_major(size)
    if not source.ndim:
        return (1,) * len(size)
    stride = [0] * len(size)
    at = len(size) - 1
    step, count = source.stride[-1], 1
    for d in range(source.ndim - 1, -1, -1):
        count *= source.size[d]
        if d and (source.size[d - 1] == 1 or source.stride[d - 1] == count * step):
            continue  # still one run of memory; what it is cut into comes once it ends
        filled = 1
        while at >= 0 and (filled < count or size[at] == 1):
            stride[at] = step * filled
            filled *= size[at]
            at -= 1
        if filled != count:
            return None
        if d:
            step, count = source.stride[d - 1], 1
    return tuple(stride)


@view(varargs="size", name="view")
def _view(input: Layout, size) -> Layout:
    """Return the tensor in another size, sharing storage. Raises RuntimeError if it would take a
    copy.
    """
    size = infer_size(size, input.numel)
    stride = view_stride(input, size)
    if stride is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return input.view(size, stride)


@composite
def view_method(self, *size, dtype=None):
    """Return the tensor in another size, or its bytes as another dtype, sharing storage."""
    if size and isinstance(size[0], _DTYPE):
        dtype, size = size[0], ()
    if dtype is not None:
        return view_dtype(self, dtype)
    return _view(self, *size)


_DTYPE = dtype
view_method.__name__ = view_method.__qualname__ = "view"


def view_dtype(input: Tensor, dtype) -> Tensor:
    """Return the tensor's bytes as another dtype, sharing storage. Raises RuntimeError if they do
    not fit.
    """
    own = input._layout
    if own.dtype is dtype:
        return view_of(input, own)
    old, new = own.dtype.itemsize, dtype.itemsize
    size, stride, offset = list(own.size), list(own.stride), own.offset
    if old != new:
        if not size:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {own.dtype} as {dtype} (different element sizes)"
            )
        if stride[-1] != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {own.dtype} as {dtype} (different element "
                f"sizes), but got {stride[-1]}"
            )
    if old > new:
        ratio = old // new
        size[-1] *= ratio
        stride = [step * ratio for step in stride[:-1]] + [1]
        offset *= ratio
    elif old < new:
        ratio = new // old
        if size[-1] % ratio:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {ratio} to view {own.dtype} as {dtype} "
                f"(different element sizes), but got {size[-1]}"
            )
        if offset % ratio:
            raise RuntimeError(
                f"self.storage_offset() must be divisible by {ratio} to view {own.dtype} as "
                f"{dtype} (different element sizes), but got {offset}"
            )
        if any(step % ratio for step in stride[:-1]):
            raise RuntimeError(
                f"self.stride(1) must be divisible by {ratio} to view {own.dtype} as {dtype} "
                "(different element sizes)"
            )
        size[-1] //= ratio
        stride = [step // ratio for step in stride[:-1]] + [1]
        offset //= ratio
    target = Layout.view(own.with_dtype(dtype), size, stride, offset)
    return make(input._storage, target)


@primitive(name="_unsafe_view", node="UnsafeView")
def _reshaped(input: mx.array, size) -> mx.array:
    """Return the elements in another size, as a copy."""
    return mx.reshape(input, size)


_reshaped.gradients(input=lambda grad, input_shape: reshape(grad, input_shape))


def reshape(input, *shape, **kwargs):
    """Return the tensor in another size: a view where the strides allow it, else a copy."""
    if "shape" in kwargs:
        shape = (kwargs["shape"],)
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    size, in_place = _reshape_plan(input._layout, *shape)
    if not in_place:
        return _reshaped(input, size)
    return _view(input, *size) if size else _view(input, ())


@functools.lru_cache(maxsize=4096, typed=True)
def _reshape_plan(source: Layout, *shape) -> tuple[tuple, bool]:
    """Return the size that `shape` means, and whether the storage can show it."""
    size = infer_size(shape, source.numel)
    return size, view_stride(source, size) is not None


reshape = composite(reshape)


def expanded(source: Layout, size) -> Layout:
    """Return `source` broadcast to `size`; -1 keeps a length. Raises RuntimeError if it does not
    fit.
    """
    size = tuple([operator.index(n) for n in size])
    extra = len(size) - source.ndim
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.{source.dtype.name}{{{list(source.size)}}}, size={list(size)}): the "
            f"number of sizes provided ({len(size)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({source.ndim})"
        )
    lengths, strides = [], []
    for d, n in enumerate(size):
        if d < extra:
            if n < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, "
                    f"non-existing dimension {d}"
                )
            lengths.append(n)
            strides.append(0)
            continue
        own = source.size[d - extra]
        n = own if n == -1 else n
        if n != own and own != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({own}) at "
                f"non-singleton dimension {d}.  Target sizes: {list(size)}.  Tensor sizes: "
                f"{list(source.size)}"
            )
        lengths.append(n)
        strides.append(source.stride[d - extra] if n == own else 0)
    # Dimensions added in front have the strides that they would have with length 1.
    for d in reversed(range(extra)):
        if lengths[d] == 1:
            strides[d] = lengths[d + 1] * strides[d + 1] if d + 1 < len(lengths) else 1
    return source.view(lengths, strides)


@view(varargs="size")
def expand(input: Layout, size, implicit=False) -> Layout:
    """Return the tensor broadcast to `size`, without a copy."""
    return expanded(input, size)


@composite
def expand_as(input, other):
    """Return the tensor broadcast to the size of `other`, without a copy."""
    return expand(input, other.shape)


@composite
def broadcast_to(input, size):
    """Return the tensor broadcast to `size`, without a copy."""
    return expand(input, size)


def broadcast_tensors(*tensors):
    """Return the tensors broadcast to their common size, as views; those that have it, themselves.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    size = errors.broadcast_shapes(*[tuple(t.shape) for t in tensors])
    return tuple([t if t.shape == size else expand(t, size) for t in tensors])


def broadcast_shapes(*shapes):
    """Return the size to which sizes broadcast. Raises RuntimeError if they do not."""
    from .._core.size import Size
    found = [tuple(s) if isinstance(s, (tuple, list)) else (s,) for s in shapes]
    try:
        return Size(errors.broadcast_shapes(*found))
    except RuntimeError:
        raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape: "
                           f"{', '.join(map(str, found))}") from None


@view(varargs="dims")
def permute(input: Layout, dims) -> Layout:
    """Return the dimensions in another order."""
    dims = [operator.index(d) for d in dims]
    if len(dims) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not "
            "equal to "
            f"len(dims) = {len(dims)}".replace("(sparse_coo)", "")
        )
    wrapped = [errors.wrap_dim(d, input.ndim) for d in dims]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return input.view([input.size[d] for d in wrapped], [input.stride[d] for d in wrapped])


def _swapped(input, dim0, dim1):
    dim0, dim1 = errors.wrap_dim(dim0, input.ndim), errors.wrap_dim(dim1, input.ndim)
    if not input.ndim:
        return input
    order = list(range(input.ndim))
    order[dim0], order[dim1] = dim1, dim0
    return input.view([input.size[d] for d in order], [input.stride[d] for d in order])


@view
def transpose(input: Layout, dim0, dim1) -> Layout:
    """Return the tensor with two dimensions exchanged."""
    return _swapped(input, dim0, dim1)


@view
def t(input: Layout) -> Layout:
    """Return a matrix transposed; a vector or scalar as it is. Raises RuntimeError for more
    dimensions.
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _swapped(input, 0, 1) if input.ndim == 2 else input


@composite
def movedim(input, source, destination):
    """Return the tensor with dimensions moved to other positions."""
    sources = (source,) if isinstance(source, int) else source
    targets = (destination,) if isinstance(destination, int) else destination
    if len(sources) != len(targets):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source should have the same number of "
            f"dims as destination, got {list(sources)} and {list(targets)}"
        )
    ndim = input.ndim
    sources, targets = (
        [errors.wrap_dim(d, ndim) for d in sources],
        [errors.wrap_dim(d, ndim) for d in targets],
    )
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if not ndim:
        return view_of(input, input._layout)
    order = [-1] * ndim
    for source_dim, target in zip(sources, targets):
        order[target] = source_dim
    rest = iter([d for d in range(ndim) if d not in sources])
    return permute(input, [next(rest) if d == -1 else d for d in order])


@view
def unsqueeze(input: Layout, dim) -> Layout:
    """Return the tensor with a dimension of length 1 inserted at `dim`."""
    dim = errors.wrap_dim(operator.index(dim), input.ndim + 1)
    step = input.size[dim] * input.stride[dim] if dim < input.ndim else 1
    return input.view(
        [*input.size[:dim], 1, *input.size[dim:]], [*input.stride[:dim], step, *input.stride[dim:]]
    )


def _squeeze_overload(dim=None):
    return 0 if dim is None else 2 if isinstance(dim, (tuple, list)) else 1


@view(overload=_squeeze_overload)
def squeeze(input: Layout, dim=None) -> Layout:
    """Return the tensor without dimensions of length 1: all, or those of `dim`."""
    if dim is None:
        chosen = range(input.ndim)
    elif isinstance(dim, (tuple, list)):
        chosen = errors.wrap_dims(dim, input.ndim)
    else:
        chosen = (errors.wrap_dim(operator.index(dim), input.ndim),)
    kept = [d for d in range(input.ndim) if not (d in chosen and input.size[d] == 1)]
    return input.view([input.size[d] for d in kept], [input.stride[d] for d in kept])


@view(node="slice")
def narrow(input: Layout, dim, start, length) -> Layout:
    """Return the `length` entries of `dim` from `start` on."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim = errors.wrap_dim(dim, input.ndim)
    if isinstance(start, Tensor):
        if start.ndim or start.dtype.category != 1:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    n = input.size[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {start})"
        )
    start += n if start < 0 else 0
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return input.replace(dim, length, offset=input.offset + start * input.stride[dim])


@view
def select(input: Layout, dim, index) -> Layout:
    """Return the entry `index` of a dimension, which goes away."""
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = errors.wrap_dim(dim, input.ndim)
    index = index.item() if isinstance(index, Tensor) else operator.index(index)
    n = input.size[dim]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.size)} at "
            f"dimension {dim}"
        )
    index += n if index < 0 else 0
    return input.view(
        [*input.size[:dim], *input.size[dim + 1 :]],
        [*input.stride[:dim], *input.stride[dim + 1 :]],
        input.offset + index * input.stride[dim],
    )


@view(name="slice")
def slice_(input: Layout, dim=0, start=None, end=None, step=1) -> Layout:
    """Return every `step`-th entry of `dim` from `start` up to `end`."""
    dim = errors.wrap_dim(dim, input.ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    n = input.size[dim]
    start, end, _ = slice(start, end).indices(n)
    return input.replace(dim, max(0, -((start - end) // step)), input.stride[dim] * step,
                         input.offset + start * input.stride[dim])


@view
def as_strided(input: Layout, size, stride, storage_offset=None) -> Layout:
    """Return any layout over the storage. Raises RuntimeError if it reaches beyond."""
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: size {list(size)}, stride {list(stride)}"
        )
    if any(step < 0 for step in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(f"Trying to create tensor with negative dimension in size {list(size)}")
    if storage_offset is not None and storage_offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    return input.view(
        [operator.index(n) for n in size], [operator.index(n) for n in stride], storage_offset
    )


def _checked_as_strided(input, size, stride, storage_offset=None):
    """Return any layout over the storage. Raises RuntimeError if it reaches beyond."""
    made = as_strided(input, size, stride, storage_offset)
    needed = made._layout.extent() if made.numel() else 0
    available = input._storage.nbytes() // input.dtype.itemsize
    if needed > available:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset "
            f"{made.storage_offset()}, and itemsize {input.element_size()} requiring a storage "
            f"size of {needed * input.element_size()} are out of bounds for storage of size "
            f"{available * input.element_size()}"
        )
    return made


_checked_as_strided.__name__ = _checked_as_strided.__qualname__ = "as_strided"


@view
def unfold(input: Layout, dimension, size, step) -> Layout:
    """Return the windows of `size` entries of a dimension, `step` apart, as a last dimension."""
    dim = errors.wrap_dim(dimension, input.ndim)
    n = input.size[dim] if input.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input.ndim:
        return input.view((size,), (1,))
    own = input.stride[dim]
    sizes, strides = list(input.size), list(input.stride)
    sizes[dim], strides[dim] = (n - size) // step + 1, own * step
    return input.view([*sizes, size], [*strides, own])


@view
def diagonal(input: Layout, offset=0, dim1=0, dim2=1) -> Layout:
    """Return a diagonal of two dimensions, as a last dimension."""
    dim1, dim2 = errors.wrap_dim(dim1, input.ndim), errors.wrap_dim(dim2, input.ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = input.size[dim1], input.size[dim2]
    start = input.offset
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    if count:
        start += offset * input.stride[dim2] if offset >= 0 else -offset * input.stride[dim1]
    kept = [d for d in range(input.ndim) if d not in (dim1, dim2)]
    return input.view(
        [*[input.size[d] for d in kept], count],
        [*[input.stride[d] for d in kept], input.stride[dim1] + input.stride[dim2]],
        start,
    )


@composite
def flatten(input, start_dim=0, end_dim=-1):
    """Return the tensor with a range of dimensions made one."""
    ndim = input.ndim
    start, end = errors.wrap_dim(start_dim, ndim), errors.wrap_dim(end_dim, ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not ndim:
        return reshape(input, (1,))
    if start == end:
        return input
    shape = tuple(input.shape)
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


@composite
def unflatten(input, dim, sizes):
    """Return the tensor with a dimension split into several; one of `sizes` may be -1."""
    dim = errors.wrap_dim(dim, input.ndim)
    sizes = tuple(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        inner = infer_size(sizes, input.shape[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({input.shape[dim]}) in the input tensor"
        ) from None
    shape = tuple(input.shape)
    return _view(input, (*shape[:dim], *inner, *shape[dim + 1:]))


@composite
def ravel(input):
    """Return the tensor as one dimension, a view if it can be."""
    return reshape(input, (-1,))


def view_as(self, other):
    """Return this tensor in the size of `other`, sharing storage."""
    if not isinstance(other, Tensor):
        raise invalid_combination("view_as", (other,), {})
    return _view(self, other.shape)


def reshape_as(self, other):
    """Return this tensor in the size of `other`."""
    if not isinstance(other, Tensor):
        raise invalid_combination("reshape_as", (other,), {})
    return reshape(self, other.shape)


def atleast(n):
    """Return the function that gives tensors at least `n` dimensions."""
    def at_least(*tensors):
        if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
            tensors = tensors[0]
        elif len(tensors) == 1:
            return raise_rank(tensors[0])
        return tuple([raise_rank(tensor) for tensor in tensors])

    def raise_rank(tensor):
        if tensor.ndim == 0:
            return reshape(tensor, (1,) * n)
        if tensor.ndim == 1 and n > 1:
            return unsqueeze(tensor, 0) if n == 2 else unsqueeze(unsqueeze(tensor, 0), -1)
        if tensor.ndim == 2 and n == 3:
            return unsqueeze(tensor, -1)
        return tensor
    at_least.__name__ = at_least.__qualname__ = f"atleast_{n}d"
    at_least.__doc__ = f"Return the tensors with at least {n} dimensions."
    return composite(at_least)


atleast_1d, atleast_2d, atleast_3d = atleast(1), atleast(2), atleast(3)


def _transposed(self):
    if self.ndim not in (0, 2):
        import warnings

        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an error in a future release. Consider `x.mT` to "
            "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
            "reverse the dimensions of a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return permute(self, tuple(range(self.ndim - 1, -1, -1)))


def _matrix_transposed(self):
    if self.ndim < 2:
        raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got "
                           f"{self.ndim}-D tensor.")
    return transpose(self, -2, -1)


PROPERTIES = {
    "T": property(_transposed, doc="The dimensions reversed."),
    "mT": property(_matrix_transposed, doc="Matrices transposed."),
}
for _name, _property in PROPERTIES.items():
    setattr(Tensor, _name, _property)

swapaxes = swapdims = transpose
FUNCTIONS = {
    f.__name__: f
    for f in (
        reshape, broadcast_to, broadcast_tensors, broadcast_shapes, permute, transpose, t,
        movedim, unsqueeze, squeeze, narrow, select, unfold, diagonal, flatten, unflatten, ravel,
        atleast_1d, atleast_2d, atleast_3d,
    )
}
FUNCTIONS |= {
    "as_strided": _checked_as_strided,
    "swapaxes": transpose,
    "swapdims": transpose,
    "moveaxis": movedim,
}
FUNCTIONS.pop("unfold")
METHODS = {
    k: f
    for k, f in FUNCTIONS.items()
    if k not in ("broadcast_tensors", "broadcast_shapes") and not k.startswith("atleast")
}
METHODS |= {"view": view_method, "expand": expand, "expand_as": expand_as, "view_as": view_as,
            "reshape_as": reshape_as, "unfold": unfold, "unflatten": as_method(unflatten)}
INPLACE = ()


def _geometry_inplace(operation):
    def change(self, *args, **kwargs):
        own = self._layout
        made = operation(self, *args, **kwargs)
        if self._node is not None:
            self._node, self._index = made._node, made._index
        self._layout = made._layout
        return self if own is not None else made
    change.__name__ = change.__qualname__ = f"{operation.__name__}_"
    change.__doc__ = f"{operation.__doc__} Changes this tensor's geometry in place."
    return change


for _operation in (unsqueeze, squeeze, t, transpose):
    METHODS[f"{_operation.__name__}_"] = _geometry_inplace(_operation)
METHODS["swapaxes_"] = METHODS["swapdims_"] = METHODS["transpose_"]
METHODS["as_strided_"] = _geometry_inplace(_checked_as_strided)
