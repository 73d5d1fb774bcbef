"""Tensors that a module owns: trained ones, untrained ones, and ones without a shape yet."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight._core.tensor import TENSORS
from flashlight._ops.overrides import (
    DisableTorchFunctionSubclass,
    disabled_torch_function_impl,
)
from flashlight._utils import _rebuild_parameter, _rebuild_parameter_with_state

__all__ = [
    "Parameter",
    "UninitializedParameter",
    "is_lazy",
    "Buffer",
    "UninitializedBuffer",
    "UninitializedTensorMixin",
]


class _MarkedMeta(type(Tensor)):
    """Lets other tensor classes pass for a Parameter or Buffer by a mark on the instance."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        mark = cls.__dict__.get("_mark")
        return mark is not None and isinstance(instance, Tensor) and getattr(instance, mark, False)


_ParameterMeta = _BufferMeta = _MarkedMeta


class Parameter(Tensor, metaclass=_MarkedMeta):
    """A tensor to be trained: assigned to a module's attribute, it is among its parameters.

    It shares memory with `data`. Data of another tensor class keeps that class and is marked.
    """

    _mark = "_is_param"

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True):
        if data is None:
            data = torch.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        marked = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires "
                "that detach() returns an instance of the same type, but return type "
                f"{type(marked).__name__} was found instead."
            )
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            data = self.data.clone(memory_format=torch.preserve_format)
            memo[id(self)] = type(self)(data, self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, proto: int):
        contents = (self.data, self.requires_grad, OrderedDict())
        state = self.__dict__
        if state:
            return _rebuild_parameter_with_state, (*contents, dict(state))
        return _rebuild_parameter, contents

    __torch_function__ = disabled_torch_function_impl()


# Operations take parameters as they take plain tensors, without a look for overrides.
TENSORS.add(Parameter)


class UninitializedTensorMixin:
    """What the tensors of lazy modules do before their shape is known: little but be moved."""

    cls_to_become: type[Tensor]

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Take on `shape`, uninitialised, and become an ordinary parameter or buffer."""
        data = self.data
        device = data.device if device is None else device
        dtype = data.dtype if dtype is None else dtype
        self.data = torch.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, proto: int):
        return type(self), (self.requires_grad,)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kind = type(func).__name__
        name = getattr(func, "__name__", "")
        if name in _ALLOWED or kind in ("method-wrapper", "getset_descriptor"):
            with DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you "
            "are using a `LazyModule` or explicitly manipulating "
            f"`torch.nn.parameter.{cls.__name__}` objects. When using LazyModules Call `forward` "
            "with a dummy batch to initialize the parameters before calling torch functions"
        )


#: What may be done without a shape. All casts and moves are one operation, `_to_copy`.
_ALLOWED = {
    "__hash__",
    "size",
    "copy_",
    "is_complex",
    "is_floating_point",
    "get_device",
    "_to_copy",
}


def is_lazy(param: Any) -> bool:
    """Tell whether `param` still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first forward of a lazy module finds out."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        data = torch.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            data = self.data
            memo[id(self)] = type(self)(self.requires_grad, data.device, data.dtype)
        return memo[id(self)]


class Buffer(Tensor, metaclass=_MarkedMeta):
    """A tensor to be a module's buffer: assigned to an attribute, it is among its buffers.

    Without `persistent` it stays out of the state dict. The result is a plain, marked tensor.
    """

    _mark = "_is_buffer"

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True):
        if data is None:
            data = torch.empty(0)
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked

    __torch_function__ = disabled_torch_function_impl()


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first forward of a lazy module finds out."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent: bool = True):
        data = torch.empty(0, device=device, dtype=dtype)
        buffer = Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def _module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """Return what takes this tensor's place when a module loads `other`; subclasses override it."""
    return other.detach() if assign else self.detach().copy_(other).detach()


# Only loading with `torch.__future__.set_swap_module_params_on_conversion(True)` asks for it.
Tensor.module_load = _module_load
