"""PyTorch's messages, one function each."""

from __future__ import annotations


def dim_out_of_range(dim: int, ndim: int) -> IndexError:
    """A dimension that the tensor does not have."""
    limit = max(ndim, 1)
    return IndexError(
        f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], "
        f"but got {dim})"
    )


def wrap_dim(dim: int, ndim: int) -> int:
    """Return `dim` counted from the front. Raises IndexError if there is no such dimension.

    A 0-d tensor answers to 0 and -1.
    """
    limit = ndim or 1
    if not -limit <= dim < limit:
        raise dim_out_of_range(dim, ndim)
    return dim + limit if dim < 0 else dim


def wrap_dims(dims, ndim: int) -> tuple[int, ...]:
    """Return several dimensions counted from the front. Raises RuntimeError if one is repeated."""
    wrapped = tuple(wrap_dim(dim, ndim) for dim in dims)
    for position, dim in enumerate(wrapped):
        if dim in wrapped[:position]:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return wrapped


def broadcast_shapes(*shapes) -> tuple[int, ...]:
    """Return the shape to which all broadcast. Raises RuntimeError if they do not."""
    ndim = max(map(len, shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for axis in range(-1, -len(shape) - 1, -1):
            n = shape[axis]
            if n != 1 and n != result[axis]:
                if result[axis] != 1:
                    raise RuntimeError(
                        f"The size of tensor a ({result[axis]}) must match the size of tensor b "
                        f"({n}) at non-singleton dimension {ndim + axis}"
                    )
                result[axis] = n
    return tuple(result)


def not_implemented_for(name: str, dtype) -> NotImplementedError:
    """An operation that PyTorch does not have for a dtype."""
    from .dtype import SCALAR_TYPE_NAME

    return NotImplementedError(
        f"\"{name}\" not implemented for '{SCALAR_TYPE_NAME.get(dtype, dtype.name)}'"
    )
