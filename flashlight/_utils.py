"""How tensors come back from a checkpoint: the functions that its pickles call.

Their names and arguments are PyTorch's file format, at PyTorch's own path. What they get may
come from a hostile file, so nothing is believed: a tensor that would reach outside of its
storage is refused.
"""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import flashlight as torch

from ._core import host_memory
from ._core.dtype import unsupported_reason
from ._core.layout import Layout
from ._core.layout import layout as layout_of
from ._core.tensor import make
from ._ops.sparse.construction import rebuild, verify
from ._serialization import settings
from ._serialization.errors import CorruptCheckpoint


def _rebuild_tensor(storage: Any, storage_offset: int, size: Any, stride: Any) -> torch.Tensor:
    """A view of a typed storage. Raises UnpicklingError if it does not fit into the storage."""
    return _view_of(storage, storage.dtype, storage_offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: dict | None = None,
) -> torch.Tensor:
    """A view of a typed storage; hooks are never restored."""
    tensor = _rebuild_tensor(storage, storage_offset, size, stride)
    return _finish(tensor, requires_grad, metadata)


def _rebuild_tensor_v3(
    storage: Any,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: torch.dtype,
    metadata: dict | None = None,
) -> torch.Tensor:
    """A view of a storage as `dtype`, which need not have a typed storage class."""
    tensor = _view_of(storage, dtype, storage_offset, size, stride)
    return _finish(tensor, requires_grad, metadata)


def _view_of(
    storage: Any, dtype: torch.dtype, storage_offset: int, size: Any, stride: Any
) -> torch.Tensor:
    if not isinstance(storage, (torch.TypedStorage, torch.UntypedStorage)):
        raise CorruptCheckpoint(f"a tensor in a checkpoint needs a storage, not {type(storage)}")
    untyped = storage.untyped()
    if not isinstance(dtype, torch.dtype):
        raise CorruptCheckpoint(f"{dtype!r:.100} is no dtype")
    if dtype.mlx is None and untyped.device.type != "meta":
        raise pickle.UnpicklingError(unsupported_reason(dtype))
    size, stride = _naturals(size), _naturals(stride)
    (offset,) = _naturals([storage_offset])
    if len(size) != len(stride):
        raise CorruptCheckpoint(f"sizes {size} and strides {stride} differ in length")
    layout = layout_of(size, stride, offset, dtype, untyped.device)
    _check_fits(layout, untyped.nbytes())
    if untyped.device.type != "meta":
        host_memory.as_dtype(untyped._storage, layout)
    return make(untyped._storage, layout)


def _naturals(values: Sequence[Any]) -> tuple[int, ...]:
    numbers = tuple(operator.index(value) for value in values)
    if any(number < 0 or number >= 1 << 63 for number in numbers):
        raise CorruptCheckpoint(f"{numbers} are no sizes, strides or offset of a tensor")
    return numbers


def _check_fits(layout: Layout, nbytes: int) -> None:
    if layout.numel * layout.dtype.itemsize >= 1 << 63:
        raise CorruptCheckpoint(f"a tensor of size {tuple(layout.size)} can't be")
    needed = layout.extent() * layout.dtype.itemsize
    if needed > nbytes:
        raise CorruptCheckpoint(
            f"a tensor of size {tuple(layout.size)}, stride {layout.stride} and offset "
            f"{layout.offset} reaches out of bounds: it needs {needed} bytes of a storage of "
            f"{nbytes}"
        )


def _finish(tensor: torch.Tensor, requires_grad: bool, metadata: dict | None) -> torch.Tensor:
    # PyTorch leaves these two operations to whoever reads the tensor; here they are done at once.
    if metadata and metadata.get("conj"):
        tensor = tensor.conj_physical() if hasattr(tensor, "conj_physical") else tensor.conj()
    if metadata and metadata.get("neg"):
        tensor = tensor.neg()
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def _rebuild_parameter(
    data: torch.Tensor, requires_grad: bool, backward_hooks: Any
) -> torch.Tensor:
    """A parameter; hooks are never restored."""
    _check_tensor(data)
    made: Any = torch.nn.Parameter(data, bool(requires_grad))
    return made


def _rebuild_parameter_with_state(
    data: torch.Tensor, requires_grad: bool, backward_hooks: Any, state: Any
) -> torch.Tensor:
    """A parameter with the attributes that the user gave it."""
    parameter = _rebuild_parameter(data, requires_grad, backward_hooks)
    return _set_obj_state(parameter, state)


def _rebuild_meta_tensor_no_storage(
    dtype: torch.dtype, size: Any, stride: Any, requires_grad: bool
) -> torch.Tensor:
    """A tensor without data."""
    size, stride = _naturals(size), _naturals(stride)
    return torch.empty_strided(
        size, stride, dtype=dtype, device="meta", requires_grad=bool(requires_grad)
    )


def _rebuild_device_tensor_from_cpu_tensor(
    data: torch.Tensor, dtype: torch.dtype, device: str, requires_grad: bool
) -> torch.Tensor:
    """A tensor of a device whose storages can't be saved, from its copy on the CPU."""
    _check_tensor(data)
    moved = data.to(dtype=dtype, device=_restore_device(device))
    return moved.requires_grad_(bool(requires_grad))


def _rebuild_device_tensor_from_numpy(
    data: Any, dtype: torch.dtype, device: str, requires_grad: bool
) -> torch.Tensor:
    """The same, from files of PyTorch before 2.6."""
    moved = torch.from_numpy(data).to(dtype=dtype, device=_restore_device(device))
    return moved.requires_grad_(bool(requires_grad))


def _restore_device(device: Any) -> Any:
    map_location = settings.local.map_location
    if map_location is None:
        return device
    if isinstance(map_location, dict):
        return map_location.get(device, device)
    if isinstance(map_location, (str, torch.device)):
        return map_location
    raise RuntimeError("a tensor saved without storage can't go through a callable map_location")


def _rebuild_sparse_tensor(layout: Any, data: tuple) -> torch.Tensor:
    """A sparse tensor. Raises RuntimeError for parts that do not fit together."""
    count = 1 if str(layout) == "torch.sparse_coo" else 2
    made = rebuild(layout, tuple(data[:count]), *data[count:])
    if settings.local.unverified is not None:
        settings.local.unverified.append(made)
    elif not settings.local.skip_data:
        verify(made)
    return made


def _rebuild_qtensor(*arguments: Any) -> torch.Tensor:
    """Raises UnpicklingError: there are no quantized tensors."""
    raise CorruptCheckpoint(
        "the checkpoint holds a quantized tensor, which flashlight lacks; save dequantize() instead"
    )


def _rebuild_nested_tensor(*arguments: Any) -> torch.Tensor:
    """Raises UnpicklingError: nested tensors are not read from checkpoints."""
    raise CorruptCheckpoint(
        "the checkpoint holds a nested tensor, which flashlight can't load; save unbind() instead"
    )


def _rebuild_wrapper_subclass(*arguments: Any) -> torch.Tensor:
    """Raises UnpicklingError: there are no wrapper subclasses."""
    raise CorruptCheckpoint("the checkpoint holds a wrapper subclass, which flashlight can't load")


REBUILD_FUNCTIONS: tuple[Callable[..., torch.Tensor], ...] = (
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_qtensor,
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
    _rebuild_sparse_tensor,
    _rebuild_meta_tensor_no_storage,
    _rebuild_nested_tensor,
    _rebuild_wrapper_subclass,
    _rebuild_device_tensor_from_numpy,
    _rebuild_device_tensor_from_cpu_tensor,
)


def _check_tensor(data: Any) -> None:
    if not isinstance(data, torch.Tensor):
        raise CorruptCheckpoint(f"a checkpoint has {type(data).__name__} in place of a tensor")


def _set_obj_state(obj: Any, state: Any) -> Any:
    """Give a tensor the attributes, and the slots of its class, that it was saved with."""
    slots = None
    if isinstance(state, tuple):
        if len(state) != 2:
            raise RuntimeError(f"Invalid serialized state: {state!r:.200}")
        state, slots = state
    for part in (state, slots):
        for name, value in (part or {}).items():
            if type(name) is not str or name.startswith("__"):
                raise CorruptCheckpoint(f"{name!r:.50} is no attribute to restore")
            if part is state:
                obj.__dict__[name] = value
            else:
                setattr(obj, name, value)
    return obj


# ----- what packages reach for -----


def _flatten_dense_tensors(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the elements of several tensors, one after the other."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _unflatten_dense_tensors(
    flat: torch.Tensor, tensors: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Return views of `flat` with the sizes of several tensors, one after the other."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


def _element_size(dtype: torch.dtype) -> int:
    """Return the bytes of an element. Raises RuntimeError for what is no dtype."""
    if not isinstance(dtype, torch.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return dtype.itemsize


def _get_available_device_type() -> str | None:
    """Return the accelerator's type, if there is one."""
    accelerator = torch.accelerator.current_accelerator()
    return None if accelerator is None else accelerator.type


def _get_device_module(device_type: str) -> Any:
    """Return `torch.cuda` for "cuda". Raises RuntimeError if there is no such module."""
    module = getattr(torch, device_type, None)
    if module is None:
        raise RuntimeError(
            f"Device '{device_type}' does not have a corresponding module registered as "
            f"'torch.{device_type}'."
        )
    return module


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """Return a device's index; -1 for the CPU if allowed, the current one's for None if optional.

    Raises ValueError otherwise.
    """
    if isinstance(device, str):
        device = torch.device(device)
    index = device if isinstance(device, int) else None
    if isinstance(device, torch.device):
        if device.type == "cpu" and not allow_cpu:
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        index = -1 if device.type == "cpu" else device.index
    if index is not None:
        return index
    if not optional:
        raise ValueError(
            f"Expected a torch.device with a specified index or an integer, but got:{device}"
        )
    return torch.accelerator.current_device_index()
