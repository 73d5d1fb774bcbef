"""Views that are copied at once, and pieces that share memory but are not tracked as views."""

from __future__ import annotations

from .._core.dtype import dtype
from .._core.tensor import make
from .complex_parts import view_as_complex, view_as_real
from .conversion import contiguous_format
from .kinds import composite
from .operation import write_out
from .shape import (
    as_strided,
    diagonal,
    expand,
    narrow,
    permute,
    select,
    slice_,
    squeeze,
    t,
    transpose,
    unfold,
    unsqueeze,
    view_method,
)
from .splitting import chunk, split, split_with_sizes, unbind


def _copier(name, look):
    """Return the operation that gives a contiguous copy of what `look` shows."""
    def copy(input, *args, out=None, **kwargs):
        made = look(input, *args, **kwargs).clone(memory_format=contiguous_format)
        return made if out is None else write_out(out, made)
    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"A copy of what `{name.removesuffix('_copy')}` shows of the tensor."
    return composite(copy)


def _pieces_copier(name, look):
    """Return the operation that gives copies of the pieces that `look` shows."""
    def copy(input, *args, out=None, **kwargs):
        made = [piece.clone(memory_format=contiguous_format)
                for piece in look(input, *args, **kwargs)]
        if out is None:
            return tuple(made)
        for target, piece in zip(out, made):
            write_out(target, piece)
        return None
    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"Copies of the pieces that `{name.removesuffix('_copy')}` shows."
    return composite(copy)


def _alias(input):
    return input


def _detach(input):
    return input.detach()


def _narrow(input, dim, start, length):
    if dim >= input.ndim > 0:  # PyTorch: no IndexError, unlike everywhere else
        raise RuntimeError(f"narrow_copy(): expected dim < {input.ndim}, got {dim}")
    return narrow(input, dim, start, length)


def _view(input, size):
    return view_method(input, dtype=size) if isinstance(size, dtype) else view_method(input, size)


_COPIES = {
    "alias_copy": _alias,
    "as_strided_copy": as_strided,
    "detach_copy": _detach,
    "diagonal_copy": diagonal,
    "expand_copy": expand,
    "narrow_copy": _narrow,
    "permute_copy": permute,
    "select_copy": select,
    "slice_copy": slice_,
    "squeeze_copy": squeeze,
    "t_copy": t,
    "transpose_copy": transpose,
    "unfold_copy": unfold,
    "unsqueeze_copy": unsqueeze,
    "view_as_complex_copy": view_as_complex,
    "view_as_real_copy": view_as_real,
    "view_copy": _view,
}
_PIECES_COPIES = {
    "split_copy": split,
    "split_with_sizes_copy": split_with_sizes,
    "unbind_copy": unbind,
}


@composite(out=False)
def slice_inverse(input, src, dim=0, start=None, end=None, step=1):
    """See `input` with the size and strides of `src`, which it was cut from: a view."""
    return as_strided(input, src.shape, src.stride(), src.storage_offset())


def _untracked(name, cut):
    """Return the operation that cuts as `cut` does, into tensors that are nobody's views."""
    def pieces(input, *args, **kwargs):
        made = []
        for piece in cut(input, *args, **kwargs):
            own = make(piece._storage, piece._layout)
            own._node, own._index = piece._node, piece._index
            made.append(own)
        return tuple(made)
    pieces.__name__ = pieces.__qualname__ = name
    pieces.__doc__ = f"As `{name.removeprefix('unsafe_')}`, for pieces that are written in turn: " \
        "autograd does not see that they share memory."
    return composite(pieces, out=False)


_UNSAFE = {
    "unsafe_chunk": chunk,
    "unsafe_split": split,
    "unsafe_split_with_sizes": split_with_sizes,
}
FUNCTIONS = {
    **{name: _copier(name, look) for name, look in _COPIES.items()},
    **{name: _pieces_copier(name, look) for name, look in _PIECES_COPIES.items()},
    **{name: _untracked(name, cut) for name, cut in _UNSAFE.items()},
}
METHODS = {name: FUNCTIONS[name] for name in ("narrow_copy", *_UNSAFE)}
FUNCTIONS["slice_inverse"] = METHODS["slice_inverse"] = slice_inverse
INPLACE = ()
