"""Tensor's methods for saving, copying and seeing its storage.

Attached to the class when the package is imported.
"""

from __future__ import annotations

import copy
import copyreg
from collections import OrderedDict
from typing import Any

from . import _utils
from ._core.tensor import Tensor, make
from ._ops.sparse import SparseTensor
from ._serialization.errors import CorruptCheckpoint
from ._serialization.storage_types import STORAGE_NAMES
from ._untyped_storage import untyped_storage_of
from .storage import LEGACY_CLASSES, TypedStorage, UntypedStorage, _warn_typed_storage_removal
from .utils.hooks import warn_if_has_hooks

_slot_names: Any = vars(copyreg)["_slotnames"]  # as the copy module uses it


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes behind this tensor and its views."""
    return untyped_storage_of(self)


def _typed_storage(self: Tensor) -> TypedStorage:
    return TypedStorage(wrap_storage=untyped_storage_of(self), dtype=self.dtype, _internal=True)


def storage(self: Tensor) -> TypedStorage:
    """The elements behind this tensor and its views; PyTorch advises `untyped_storage()`."""
    _warn_typed_storage_removal(stacklevel=2)
    return _typed_storage(self)


def storage_type(self: Tensor) -> type:
    """The typed storage class for this tensor's elements, such as `FloatStorage`."""
    name = STORAGE_NAMES.get(self.dtype)
    return TypedStorage if name is None else LEGACY_CLASSES[name]


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors see the same storage in the same way."""
    if not isinstance(tensor, Tensor):
        raise TypeError("is_set_to(): argument 'tensor' (position 1) must be Tensor, not "
                        f"{type(tensor).__name__}")
    return self._storage is tensor._storage and self._layout is tensor._layout


def data_ptr(self: Tensor) -> int:
    """Where the first element is until the next write; 0 for a tensor without elements.

    Equal for tensors that start at one element of one storage, also after writes. Evaluates.
    """
    if self.numel() == 0 or self.device.type == "meta":
        return 0
    return untyped_storage_of(self).data_ptr() + self.storage_offset() * self.element_size()


def is_shared(self: Tensor) -> bool:
    """Whether other processes may share this tensor's memory."""
    return untyped_storage_of(self).is_shared()


def share_memory_(self: Tensor) -> Tensor:
    """Move the data to memory that forked processes share; their writes are seen here."""
    untyped_storage_of(self).share_memory_()
    return self


def reduce_ex(self: Tensor, protocol: int) -> tuple:
    """How a tensor is pickled: a function of `torch._utils` and its arguments."""
    state = _object_state(self)
    if isinstance(self, SparseTensor) and state.pop("_is_param", False):
        parts = (self.detach(), self.requires_grad, OrderedDict())
        with_state = _utils._rebuild_parameter_with_state, (*parts, state)
        return with_state if state else (_utils._rebuild_parameter, parts)
    if type(self) in (Tensor, SparseTensor) and not state:
        return _reduce_data(self)
    function, arguments = _reduce_data(self)
    return _rebuild_from_type_v2, (function, type(self), arguments, state)


def _reduce_data(tensor: Tensor) -> tuple:
    warn_if_has_hooks(tensor)
    if isinstance(tensor, SparseTensor):
        return _utils._rebuild_sparse_tensor, (tensor.layout, _sparse_parts(tensor))
    # New tuples, as PyTorch's: the pickler would write a shared one as a reference.
    size, stride = ((*lengths,) for lengths in (tensor.size(), tensor.stride()))
    if tensor.device.type == "meta":
        # Without data there is nothing to share: each is saved by itself.
        arguments = (tensor.dtype, size, stride, tensor.requires_grad)
        return _utils._rebuild_meta_tensor_no_storage, arguments
    offset = tensor.storage_offset()
    common = (offset, size, stride, tensor.requires_grad, OrderedDict())
    if tensor.dtype in STORAGE_NAMES:
        return _utils._rebuild_tensor_v2, (_typed_storage(tensor), *common)
    return _utils._rebuild_tensor_v3, (untyped_storage_of(tensor), *common, tensor.dtype)


def _sparse_parts(tensor: SparseTensor) -> tuple:
    indices, values = tensor._storage.indices, tensor._storage.values
    parts = (*(part.detach() for part in indices), values.detach(), tensor.size())
    return (*parts, tensor.is_coalesced()) if tensor.is_sparse else parts


def _object_state(tensor: Tensor) -> Any:
    """Attributes and slots that the user's class or program added; empty if there are none."""
    cls = type(tensor)
    if "__getstate__" in _own_names(cls):
        return tensor.__getstate__()
    slots = {
        name: getattr(tensor, name)
        for name in _slot_names(cls)
        if name not in Tensor.__slots__ and hasattr(tensor, name)
    }
    attributes = dict(tensor.__dict__)
    return (attributes, slots) if slots else attributes


def _own_names(cls: type) -> set[str]:
    names: set[str] = set()
    for base in cls.__mro__:
        if base is Tensor:
            break
        names.update(vars(base))
    return names


def _rebuild_from_type_v2(function: Any, cls: type, arguments: tuple, state: Any) -> Tensor:
    """A tensor of class `cls` with the attributes it was saved with."""
    return _with_type_and_state(function(*arguments), cls, state)


def _with_type_and_state(tensor: Tensor, cls: type, state: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise CorruptCheckpoint(f"a checkpoint has {type(tensor).__name__} in place of a tensor")
    if type(tensor) is not cls:
        tensor = tensor.as_subclass(cls)
    if "__setstate__" in _own_names(cls):
        tensor.__setstate__(state)
        return tensor
    return _utils._set_obj_state(tensor, state)


def set_state(self: Tensor, state: tuple) -> None:
    """Restore a tensor of a very old file, which was made empty first.

    Raises RuntimeError for a tensor that is not a leaf.
    """
    if not self.is_leaf:
        raise RuntimeError("__setstate__ can be only called on leaf Tensors")
    _set_legacy_state(self, state)


def _set_legacy_state(tensor: Tensor, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) not in (3, 4, 5):
        raise CorruptCheckpoint("the state of a tensor is damaged")
    if len(state) == 4:
        tensor.data = _utils._rebuild_tensor(*state)
        return
    if len(state) == 5:
        if not isinstance(state[0], Tensor):
            raise CorruptCheckpoint("the state of a tensor is damaged")
        tensor.data = state[0]
        state = (state[3], state[4], state[2])
    tensor.requires_grad = bool(state[0])


def deepcopy(self: Tensor, memo: dict) -> Tensor:
    """A copy with its own storage, which copies of other views of the same storage share.

    Raises RuntimeError for tensors with a history.
    """
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; detach() the tensor first"
        )
    if id(self) in memo:
        return memo[id(self)]
    if self.device.type == "meta":
        made = self.detach().clone()
    else:
        made = make(copy.deepcopy(untyped_storage_of(self), memo)._storage, self._layout)
    if type(self) is not Tensor:
        made = made.as_subclass(type(self))
    if self.requires_grad:
        made.requires_grad_()
    if self.grad is not None:
        made.grad = copy.deepcopy(self.grad, memo)
    for name in _slot_names(type(self)):
        if name not in Tensor.__slots__ and hasattr(self, name):
            setattr(made, name, copy.deepcopy(getattr(self, name), memo))
    made.__dict__.update(copy.deepcopy(self.__dict__, memo))
    memo[id(self)] = made
    return made


def _backward_hooks(self: Tensor) -> OrderedDict | None:
    node = self._node
    hooks = node is not None and (node.tensor_hooks or {}).get(self._index)
    return OrderedDict(hooks) if hooks else None


METHODS = {
    "_backward_hooks": property(_backward_hooks),
    "untyped_storage": untyped_storage,
    "storage": storage,
    "_typed_storage": _typed_storage,
    "storage_type": storage_type,
    "is_set_to": is_set_to,
    "data_ptr": data_ptr,
    "is_shared": is_shared,
    "share_memory_": share_memory_,
    "__reduce_ex__": reduce_ex,
    "__setstate__": set_state,
    "__deepcopy__": deepcopy,
}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
