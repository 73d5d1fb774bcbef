"""Questions about objects and dtypes at the top level of `torch`."""

from __future__ import annotations

from ._core.dtype import set_default_dtype
from ._core.promotion import combine, number_dtype, result_of
from ._core.tensor import Tensor


def result_type(tensor1, tensor2):
    """Return the dtype of an operation on two tensors or numbers."""
    layouts = [t._layout for t in (tensor1, tensor2) if isinstance(t, Tensor)]
    numbers = [n for n in (tensor1, tensor2) if not isinstance(n, Tensor)]
    return (
        result_of(layouts, numbers)
        if layouts
        else combine(None, None, number_dtype(numbers[0] + numbers[1]))
    )


def is_tensor(obj) -> bool:
    """Tell whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj) -> bool:
    """Tell whether `obj` is a storage."""
    from .storage import TypedStorage, UntypedStorage
    return isinstance(obj, (UntypedStorage, TypedStorage))


def set_default_tensor_type(t) -> None:
    """Set the default dtype by the name or class of a legacy tensor type."""
    from ._ops.conversion import LEGACY
    name = t if isinstance(t, str) else t.__name__
    set_default_dtype(LEGACY[name.rpartition(".")[2].removesuffix("Tensor")])


def typename(obj, /) -> str:
    """Return the name of an object's type, of a tensor's legacy type."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = (
        obj
        if isinstance(obj, type) or callable(obj) and hasattr(obj, "__qualname__")
        else type(obj)
    )
    module = getattr(kind, "__module__", "") or ""
    return f"{module}.{kind.__qualname__}" if module and module != "builtins" else kind.__qualname__
