"""`repr`, `str` and `format` of tensors.

Attached to the class when the package is imported. The formats are `_core.printing`'s.
"""

from __future__ import annotations

from typing import Any

from ._core import host_memory, printing
from ._core.batched_storage import BatchedStorage
from ._core.dtype import bfloat16, bool_, complex64, complex128, float64, get_default_dtype, int64
from ._core.evaluation import local
from ._core.printing import get_printoptions, printoptions, set_printoptions
from ._core.tensor import Tensor, read, wrap
from ._ops.sparse import SparseTensor

__all__ = ["PRINT_OPTS", "get_printoptions", "printoptions", "set_printoptions"]

PRINT_OPTS = printing.options


def _str(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """The text of a tensor; `tensor_contents` replaces its values."""
    if isinstance(self, SparseTensor):
        return _sparse_str(self, tensor_contents)
    if isinstance(self._storage, BatchedStorage):
        return _lanes_str(self)
    default = get_default_dtype()
    name = repr(self.dtype)
    default_complex = complex128 if default is float64 else complex64
    implied = self.dtype in (default, default_complex, int64, bool_)
    return printing.tensor_text(
        tuple(self._layout.size),
        _reader(self),
        prefix=_prefix(self),
        dtype=None if implied else name,
        dtype_if_empty=None if self.dtype is default else name,
        device=None if self.device.type == "cpu" else str(self.device),
        history=_history(self),
        contents=tensor_contents,
        decode=host_memory.from_bfloat16_bits if self.dtype is bfloat16 else None,
    )


def _lanes_str(tensor: Tensor) -> str:
    """The text of a tensor inside vmap: its lanes, and the depth of the call that made them."""
    batch: Any = tensor._storage.read(tensor._layout)
    levels = batch.levels
    inner = wrap(batch.array if len(levels) == 1 else batch.array.swapaxes(0, len(levels) - 1),
                 tensor.device)
    depth = local.levels.index(levels[-1]) + 1 if levels[-1] in local.levels else "?"
    value = "\n    ".join(str(inner).splitlines())
    return f"BatchedTensor(lvl={depth}, bdim=0, value=\n    {value}\n)"


def _sparse_str(tensor: SparseTensor, contents: str | None) -> str:
    format = tensor.format
    is_coo = format.name == "sparse_coo"
    names = ("indices",) if is_coo else (format.compressed_name, format.plain_name)
    parts = dict(zip((*names, "values"), (*tensor._storage.indices, tensor._storage.values)))
    if contents is None:
        lines = [f"{name}=tensor({_contents(part, name)})" for name, part in parts.items()]
        contents = (",\n" + " " * len("tensor(")).join(lines)
    suffixes = [] if tensor.device.type == "cpu" else [f"device='{tensor.device}'"]
    suffixes += [f"size={tuple(tensor.shape)}"]
    if tensor.device.type != "meta":
        suffixes += [f"nnz={tensor._nnz()}"]
    default = get_default_dtype()
    default_complex = complex128 if default is float64 else complex64
    if tensor.dtype not in (default, default_complex, int64, bool_):
        suffixes += [f"dtype={tensor.dtype!r}"]
    suffixes += [f"layout={tensor.layout!r}", *_history(tensor)]
    return printing.assemble("tensor", contents, suffixes, force_newline=is_coo)


def _contents(part: Tensor, name: str) -> str:
    read_values = _reader(part)
    size = f", size={tuple(part.shape)}"
    if read_values is None:
        return f"...{size}"
    if not part.numel():
        return f"[]{size}"
    decode = host_memory.from_bfloat16_bits if part.dtype is bfloat16 else None
    indent = len("tensor(") + len(name) + len("=tensor(")
    return printing.format_values(read_values(), indent, decode)


def _prefix(tensor: Tensor) -> str:
    cls = type(tensor)
    plain = cls in (Tensor, SparseTensor) or (cls.__module__, cls.__name__) in PLAIN_SUBCLASSES
    return "tensor" if plain else cls.__name__


# A Parameter says what it is by itself, before the text.
PLAIN_SUBCLASSES = {("flashlight.nn.parameter", "Parameter")}


def _reader(tensor: Tensor) -> Any:
    if tensor.device.type == "meta":
        return None
    if tensor.numel() == 0:
        return lambda: None
    try:
        values = host_memory.numpy_values(read(tensor), "printing")
    except RuntimeError as error:
        if "inside mx.compile" in str(error):
            return None
        raise
    return lambda: values


def _history(tensor: Tensor) -> list[str]:
    try:
        grad_fn = tensor.grad_fn
    except RuntimeError:
        return ["grad_fn=<Invalid>"]
    if grad_fn is not None:
        return [f"grad_fn=<{grad_fn.name().rpartition(':')[2]}>"]
    return ["requires_grad=True"] if tensor.requires_grad else []


def tensor_repr(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """The text of the tensor, as PyTorch prints it."""
    text = _str(self, tensor_contents=tensor_contents)
    if isinstance(self, SparseTensor) and getattr(self, "_is_param", False):
        return f"Parameter containing:\n{text}"
    if _prefix(self) != "tensor" and getattr(self, "_is_param", False):
        return f"Parameter({text})"
    return text


def tensor_format(self: Tensor, format_spec: str) -> str:
    """`format` of the number for tensors without dimensions, else of the text.

    Raises TypeError for a format of anything but a number.
    """
    if self.dim() == 0 and type(self) is Tensor and self.device.type != "meta":
        return format(self.item(), format_spec)
    return object.__format__(self, format_spec)


Tensor.__repr__ = tensor_repr
Tensor.__format__ = tensor_format


_str_intern = _str
