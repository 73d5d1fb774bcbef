"""Reading and writing `x[...]`: everything PyTorch accepts, views where they can be."""

from __future__ import annotations

import operator

import mlx.core as mx
import numpy as np

from .._autograd.lanes import enter, leave, levels_of
from .._core.batch import in_use, sort_levels
from .._core.device import CPU, META
from .._core.dtype import INTEGRAL, bool_, uint8
from .._core.errors import broadcast_shapes
from .._core.evaluation import evaluate, is_traced
from .._core.layout import Layout
from .._core.tensor import TENSORS, Tensor, from_host, read, wrap
from .._kernels.precision import combine_at
from .creation import array_of, filled
from .explained import invalid_combination
from .interception import intercepted, interceptors
from .kinds import ViewNode, composite, inplace, primitive, view_of
from .overrides import call_overrides, is_override, overriding_in


def normalize(index) -> list:
    """Return the index as a list of ints, slices, None, Ellipsis and Tensors.

    Raises IndexError for what cannot be an index.
    """
    if isinstance(index, tuple) or isinstance(index, list) and _is_multi_index(index):
        items = list(index)
    else:
        items = [index]
    return [_normal(item) for item in items]


def _is_multi_index(index) -> bool:
    # PyTorch still reads a short list that holds slices or sequences as a tuple of indices.
    return len(index) < 32 and any(
        isinstance(item, (slice, list, tuple)) or item is None or item is Ellipsis
        or isinstance(item, Tensor) and item.ndim for item in index)


def _normal(item):
    if isinstance(item, (bool, np.bool_)):
        return bool(item)
    if item is None or item is Ellipsis:
        return item
    if type(item) is int:
        return item
    if isinstance(item, slice):
        return slice(
            *[
                None if bound is None else _bound(bound)
                for bound in (item.start, item.stop, item.step)
            ]
        )
    if isinstance(item, Tensor):
        if item.dtype is bool_ or item.dtype is uint8:
            return item
        if item.dtype not in INTEGRAL:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if item.ndim == 0 and item._layout.device is not META and not is_traced(read(item)):
            return int(item.item())
        return item
    if isinstance(item, np.ndarray):
        return _normal(
            from_host(np.ascontiguousarray(item)) if item.ndim else wrap(array_of(item, None), CPU)
        )
    if isinstance(item, (list, tuple, range)):
        made = wrap(array_of(list(item), None), CPU)
        if made.numel() == 0:
            made = made.long()
        return _normal(made)
    if hasattr(item, "__index__"):
        return operator.index(item)
    raise IndexError(
        f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _bound(bound):
    if isinstance(bound, Tensor):
        return int(bound.item())
    try:
        return operator.index(bound)
    except TypeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


def _consumed(items) -> int:
    total = 0
    for item in items:
        if isinstance(item, Tensor):
            total += max(item.ndim, 0) if item.dtype in (bool_, uint8) else 1
        elif item is not None and item is not Ellipsis and not isinstance(item, bool):
            total += 1
    return total


def apply_views(source: Layout, items: list):
    """Return the layout after ints, slices and None, and the tensors left to index with, by
    dimension.

    A bool stands for a new dimension that it masks. Raises IndexError for too many indices.
    """
    used = _consumed(items)
    if used > source.ndim:
        if not source.ndim:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                             "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
        raise IndexError(f"too many indices for tensor of dimension {source.ndim}")
    if sum(item is Ellipsis for item in items) > 1:
        items = _one_ellipsis(items)
    size, stride, offset = [], [], source.offset
    tensors: dict = {}
    dim = 0
    for item in items:
        if item is Ellipsis:
            for _ in range(source.ndim - used):
                size.append(source.size[dim])
                stride.append(source.stride[dim])
                dim += 1
        elif item is None or isinstance(item, bool):
            if isinstance(item, bool):
                tensors[len(size)] = wrap(mx.array([item]), source.device)
            size.append(1)
            stride.append(source.size[dim] * source.stride[dim] if dim < source.ndim else 1)
        elif isinstance(item, slice):
            n = source.size[dim]
            step = 1 if item.step is None else item.step
            if step <= 0:
                raise ValueError("step must be greater than zero")
            start, stop, _ = slice(item.start, item.stop).indices(n)
            offset += start * source.stride[dim]
            size.append(max(0, -((start - stop) // step)))
            stride.append(source.stride[dim] * step)
            dim += 1
        elif isinstance(item, int):
            n = source.size[dim]
            if not -n <= item < n:
                raise IndexError(f"index {item} is out of bounds for dimension {dim} with size {n}")
            offset += (item + n if item < 0 else item) * source.stride[dim]
            dim += 1
        else:
            tensors[len(size)] = item
            count = max(item.ndim, 0) if item.dtype in (bool_, uint8) else 1
            if item.dtype in (bool_, uint8) and item.ndim == 0:
                size.append(1)
                stride.append(1)
                tensors[len(size) - 1] = item.reshape(1)
                continue
            for _ in range(count):
                size.append(source.size[dim])
                stride.append(source.stride[dim])
                dim += 1
    size += source.size[dim:]
    stride += source.stride[dim:]
    return source.view(size, stride, offset), tensors


def _one_ellipsis(items):
    seen, made = False, []
    for item in items:
        if item is Ellipsis and seen:
            item = slice(None)
        seen = seen or item is Ellipsis
        made.append(item)
    return made


def expand_masks(size, tensors: dict) -> dict:
    """Return the index tensors with masks replaced by the positions of their true elements.

    Raises IndexError for a mask of the wrong shape.
    """
    made: dict = {}
    for dim, tensor in tensors.items():
        if tensor.dtype is not bool_ and tensor.dtype is not uint8:
            made[dim] = tensor
            continue
        for axis, n in enumerate(tensor.shape):
            if n != size[dim + axis]:
                raise IndexError(
                    f"The shape of the mask {list(tensor.shape)} at index {axis} does not match "
                    f"the shape of the indexed tensor {list(size)} at index {dim + axis}"
                )
        for axis, positions in enumerate(true_positions(tensor)):
            made[dim + axis] = positions
    return made


def true_positions(mask: Tensor) -> list:
    """Return the coordinates of the nonzero elements, one int64 tensor for each dimension."""
    host = np.asarray(evaluate(read(mask), "a boolean mask"))
    return [wrap(mx.array(found.astype(np.int64)), mask.device) for found in np.nonzero(host)]


def check_bounds(indices, size, dims) -> None:
    """Raise IndexError if an index is out of range: MLX would read or write any memory."""
    for index, dim in zip(indices, dims):
        n = size[dim]
        if index.size == 0 or is_traced(index):
            continue
        low, high = int(mx.min(index).item()), int(mx.max(index).item())
        if low < -n or high >= n:
            raise IndexError(
                f"index {low if low < -n else high} is out of bounds for dimension {dim} with "
                f"size {n}"
            )


def _broadcast_indices(indices):
    try:
        shape = broadcast_shapes(*[tuple(i.shape) for i in indices])
    except RuntimeError:
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            f"{', '.join(str(list(i.shape)) for i in indices)}"
        ) from None
    return [mx.broadcast_to(i, shape) for i in indices], shape


def _place(dims, ndim):
    """Return whether the dimensions indexed by tensors are adjacent, and so keep their place."""
    return list(dims) == list(range(dims[0], dims[0] + len(dims)))


def _to_front(array, dims):
    order = [*dims, *[d for d in range(array.ndim) if d not in dims]]
    return mx.transpose(array, order) if order != list(range(array.ndim)) else array


def _flat_index(indices, lengths):
    """Return one index into the flattened leading dimensions."""
    total = None
    for index, n in zip(indices, lengths):
        index = index.astype(mx.int64) if index.dtype not in (mx.int32, mx.int64) else index
        index = mx.where(index < 0, index + n, index)
        total = index if total is None else total * n + index
    return total


@primitive(name="index")
def _index(input: mx.array, indices: list[mx.array], dims) -> mx.array:
    """Return the elements at `indices`, tensors for the dimensions `dims`."""
    size = tuple(input.shape)
    check_bounds(indices, size, dims)
    everywhere, shape = _broadcast_indices(indices)
    if len(dims) == 1:
        return mx.take(input, everywhere[0], axis=dims[0])
    front = _to_front(input, dims)
    lengths = [size[d] for d in dims]
    rest = tuple(front.shape[len(dims):])
    flat = (
        front.reshape((-1, *rest))
        if 0 not in front.shape
        else mx.zeros((_product(lengths), *rest), input.dtype)
    )
    # Made of the indices as they are: broadcasting comes last.
    taken = mx.take(flat, mx.broadcast_to(_flat_index(indices, lengths), shape), axis=0)
    if _place(dims, len(size)) and dims[0]:
        k = len(shape)
        order = [*range(k, k + dims[0]), *range(k), *range(k + dims[0], taken.ndim)]
        taken = mx.transpose(taken, order)
    return taken


def _product(lengths):
    total = 1
    for n in lengths:
        total *= n
    return total


_index.gradients(input=lambda grad, indices, dims, input_shape: _index_put(
    grad.new_zeros(input_shape), indices, grad, dims, True))


@primitive(name="index_put", scatters=True)
def _index_put(
    input: mx.array, indices: list[mx.array], values: mx.array, dims, accumulate
) -> mx.array:
    """Return `input` with the elements at `indices` replaced by `values`, or `values` added to
    them.
    """
    size = tuple(input.shape)
    check_bounds(indices, size, dims)
    indices, shape = _broadcast_indices(indices)
    lengths = [size[d] for d in dims]
    order = [*dims, *[d for d in range(len(size)) if d not in dims]]
    front = mx.transpose(input, order)
    rest = tuple(front.shape[len(dims):])
    k = len(shape)
    adjacent = _place(dims, len(size))
    target = (
        [
            *[size[d] for d in range(dims[0])],
            *shape,
            *[size[d] for d in range(dims[0] + len(dims), len(size))],
        ]
        if adjacent
        else [*shape, *rest]
    )
    try:
        values = mx.broadcast_to(values, target)
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"indexing result of shape {target}"
        ) from None
    if adjacent and dims[0]:
        first = dims[0]
        values = mx.transpose(
            values, [*range(first, first + k), *range(first), *range(first + k, values.ndim)]
        )
    count = _product(shape)
    if count == 0 or 0 in size:
        return input
    flat = front.reshape((_product(lengths), *rest))
    index = _flat_index(indices, lengths).reshape(-1)
    values = values.reshape((count, *rest)).astype(input.dtype)
    if accumulate:
        if input.dtype == mx.bool_:
            flat = flat.astype(mx.int32).at[index].add(values.astype(mx.int32)) != 0
        else:
            flat = combine_at(flat, index, values)
    else:
        flat = mx.array(flat)
        flat[index] = values
    inverse = [order.index(d) for d in range(len(size))]
    return mx.transpose(flat.reshape(front.shape), inverse)


_index_put.gradients(
    input=lambda grad, indices, dims, accumulate: grad if accumulate else _index_put(
        grad, indices, grad.new_zeros(()), dims, False),
    values=lambda grad, indices, dims: _index(grad, indices, dims),
)


def getitem(self, key):
    """Return `self[key]`: a view for ints, slices, None and Ellipsis, else a copy."""
    if interceptors:
        return intercepted(getitem, _getitem_whole, (self, key), {})
    return _getitem(self, key)


def _getitem_whole(args, kwargs):
    return _getitem(*args, **kwargs)


def _getitem(self, index):
    if type(self) not in TENSORS and is_override(self):
        return call_overrides(getitem, overriding_in((self,)), (self, index), {})
    kind = type(index)
    own = self._layout
    if kind is int and own.ndim:
        n = own.size[0]
        if not -n <= index < n:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {n}")
        target = own.view(
            own.size[1:],
            own.stride[1:],
            own.offset + (index + n if index < 0 else index) * own.stride[0],
        )
        return view_of(self, target, SelectBackward0)
    key = _hashable(index if kind is tuple else (index,))
    if key is not None:
        found = _views.get((own, key))
        if found is None:
            items = normalize(index)
            if len(_views) > 4096:
                _views.clear()
            found = _views[own, key] = apply_views(own, items)[0], _last_view(items)
        return view_of(self, *found)
    items = normalize(index)
    target, tensors = apply_views(own, items)
    if not tensors:
        return view_of(self, target, _last_view(items))
    base = self if target is own else view_of(self, target, _last_view(items))
    tensors = expand_masks(target.size, tensors)
    if in_use[0]:
        return _looked_up(base, list(tensors.values()), tuple(tensors))
    return _index(base, list(tensors.values()), tuple(tensors))


#: The layout and the kind of node of views by index, by layout and index.
_views: dict = {}


def _hashable(items: tuple) -> tuple | None:
    """Return a key for an index of ints, slices of ints, None and Ellipsis; None for others."""
    key = []
    for item in items:
        kind = type(item)
        if kind is slice:
            item = item.start, item.stop, item.step
            for bound in item:
                if bound is not None and type(bound) is not int:
                    return None
        elif kind is not int and item is not None and item is not Ellipsis:
            return None
        key.append(item)
    return tuple(key)


def _looked_up(base, indices, dims):
    """Index inside vmap; a tensor that all lanes share is indexed once, outside of them.

    Inside, each lane's gradient would have the size of the whole tensor.
    """
    levels = sort_levels({level for index in indices for level in levels_of(index)})
    if not levels or levels_of(base):
        return _index(base, indices, dims)
    ndim = max(index.ndim for index in indices)
    outside = []
    for index in indices:
        index = index.reshape((1,) * (ndim - index.ndim) + tuple(index.shape))
        own = levels_of(index)
        for level in reversed(levels):
            index = leave(index, level, 0) if level in own else index.unsqueeze(0)
        outside.append(index)
    found = _index(base, outside, dims)
    place = dims[0] if _place(dims, base.ndim) else 0
    for level in levels:
        found = enter(found, level, place)
    return found


class AliasBackward0(ViewNode):
    """The node of `x[...]`."""

    __slots__ = ()


class SelectBackward0(ViewNode):
    """The node of a view whose last index was an integer."""

    __slots__ = ()


class SliceBackward0(ViewNode):
    """The node of a view whose last index was a slice."""

    __slots__ = ()


class UnsqueezeBackward0(ViewNode):
    """The node of a view whose last index was None."""

    __slots__ = ()


def _last_view(items) -> type:
    """Return the node class of the last view that PyTorch would take: one for each index."""
    for item in reversed(items):
        if item is None:
            return UnsqueezeBackward0
        if isinstance(item, slice) and item != slice(None):
            return SliceBackward0
        if type(item) is int:
            return SelectBackward0
    return AliasBackward0


getitem.__name__ = getitem.__qualname__ = "__getitem__"


def _as_value(self, value):
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        return filled(
            (), value.item() if isinstance(value, np.generic) else value, self.dtype, self.device
        )
    if isinstance(value, np.ndarray):
        return from_host(value)
    if isinstance(value, (list, tuple)):
        return wrap(array_of(value, self.dtype), self.device)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{self.dtype.name} tensor")


def setitem(self, key, value) -> None:
    """Write `value`, broadcast, into `self[key]`, with its history."""
    if interceptors:
        intercepted(setitem, _setitem_whole, (self, key, value), {})
    else:
        _setitem(self, key, value)


def _setitem_whole(args, kwargs):
    return _setitem(*args, **kwargs)


def _setitem(self, index, value) -> None:
    if type(self) not in TENSORS and is_override(self) or is_override(value):
        call_overrides(setitem, overriding_in((self, value)), (self, index, value), {})
        return
    own = self._layout
    items = normalize(index)
    target, tensors = apply_views(own, items)
    value = _as_value(self, value)
    if not tensors:
        region = self if target is own else view_of(self, target)
        if value.ndim > region.ndim:
            extra = value.ndim - region.ndim
            if all(n == 1 for n in value.shape[:extra]):
                value = value.reshape(value.shape[extra:])
        try:
            region.copy_(value)
        except RuntimeError as error:
            if "expand" in str(error) or "must match" in str(error):
                raise RuntimeError(
                    f"The expanded size of the tensor {list(region.shape)} must match the "
                    f"existing size {list(value.shape)} at non-singleton dimension"
                ) from None
            raise
        return
    if value.dtype is not self.dtype and (value.ndim == 0 or isinstance(value, Tensor)):
        value = value.to(self.dtype)
    region = self if target is own else view_of(self, target)
    mask = _whole_mask(tensors, target)
    if mask is not None and value.numel() == 1:
        region.masked_fill_(mask, value.reshape(()))
        return
    tensors = expand_masks(target.size, tensors)
    while value.ndim and value.shape[0] == 1 and value.ndim > region.ndim:
        value = value.reshape(value.shape[1:])
    index_put_raw_(region, list(tensors.values()), value, tuple(tensors), False)


def _whole_mask(tensors, target):
    if len(tensors) != 1:
        return None
    (dim, tensor), = tensors.items()
    if tensor.dtype is bool_ and dim == 0 and tuple(tensor.shape) == tuple(target.size):
        return tensor
    return None


setitem.__name__ = setitem.__qualname__ = "__setitem__"
index_put_raw_ = inplace(_index_put, "index_put_")


def _align(input, indices):
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            "index_put(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    tensors: dict = {}
    dim = 0
    for index in indices:
        if index is None:
            dim += 1
            continue
        if index.dtype not in INTEGRAL and index.dtype is not bool_:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        tensors[dim] = index
        dim += index.ndim if index.dtype in (bool_, uint8) else 1
    if dim > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {dim})")
    return expand_masks(input.shape, tensors)


def index_put_(self, indices, values, accumulate=False):
    """Write `values` at the positions given by tensors for the leading dimensions, or add them."""
    if not isinstance(values, Tensor):
        raise invalid_combination("index_put_", (indices, values), {})
    if values.dtype is not self.dtype:
        raise RuntimeError("Index put requires the source and destination dtypes match, got "
                           f"{self.dtype} for the destination and {values.dtype} for the source.")
    tensors = _align(self, indices)
    return index_put_raw_(self, list(tensors.values()), values, tuple(tensors), accumulate)


@composite
def index_put(input, indices, values, accumulate=False):
    """Return `input` with `values` at (or added to) the positions given by tensors."""
    return input.clone().index_put_(indices, values, accumulate)


@composite
def index(input, indices):
    """Return the elements at the positions given by tensors for the leading dimensions."""
    tensors = _align(input, indices)
    return _index(input, list(tensors.values()), tuple(tensors))


@primitive(differentiable=False)
def nonzero_static(input: mx.array, *, size, fill_value=-1) -> mx.array:
    """Return the first `size` positions of nonzero elements, filled up with `fill_value`."""
    found = np.argwhere(np.asarray(evaluate(input != 0, "nonzero_static()")))[:size]
    made = np.full((size, input.ndim), fill_value, np.int64)
    made[:len(found)] = found
    return mx.array(made)


@composite
def nonzero(input, *, as_tuple=False):
    """Return the positions of the nonzero elements: (count, ndim), or one tensor a dimension."""
    if input._layout.device is META:
        raise NotImplementedError("nonzero: the size depends on data, which meta tensors have not")
    if input.dtype.name == "bfloat16":
        input = input != 0
    host = np.asarray(evaluate(read(input), "nonzero()"))
    found = np.nonzero(host if host.ndim else host.reshape(1))
    if as_tuple:
        return tuple([wrap(mx.array(axis.astype(np.int64)), input.device) for axis in found])
    positions = np.transpose(found)[:, :input.ndim]
    return wrap(
        mx.array(positions.astype(np.int64).reshape(len(positions), input.ndim)), input.device
    )


@composite
def argwhere(input):
    """Return the positions of the nonzero elements, (count, ndim)."""
    return nonzero(input)


@composite(out=False)
def unravel_index(indices, shape):
    """The coordinates of positions in a flattened tensor of `shape`, one tensor a dimension.

    Raises TypeError for positions that are no integers, ValueError for negative sizes.
    """
    if indices.dtype.category != 1:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if isinstance(shape, int):
        shape = (shape,)
    for size in shape:
        if not isinstance(size, int):
            raise TypeError("expected 'shape' sequence to only contain ints, but got "
                            f"{type(size)}")
    if any(size < 0 for size in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(shape)}")
    coordinates, step = [], 1
    for size in reversed(tuple(shape)):
        coordinates.append((indices // step) % size)
        step *= size
    return tuple(reversed(coordinates))


FUNCTIONS = {f.__name__: f for f in (nonzero, nonzero_static, argwhere, index_put)}
METHODS = {"__getitem__": getitem, "__setitem__": setitem, "index_put_": index_put_} | FUNCTIONS
FUNCTIONS["unravel_index"] = unravel_index
INPLACE = ()
