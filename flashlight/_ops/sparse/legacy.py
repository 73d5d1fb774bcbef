"""PyTorch's first constructors of COO tensors: `torch.sparse.FloatTensor(indices, values)`."""

from __future__ import annotations

import warnings

from ..._core.tensor import Tensor
from ..conversion import LAYOUTS
from ..legacy import legacy_classes, tensortype
from .construction import sparse_coo_tensor
from .tensor import COO, SparseTensor


class sparse_tensortype(tensortype):
    """The class of the legacy types of sparse tensors: an instance is any COO tensor of the dtype.
    """

    def __instancecheck__(cls, instance) -> bool:
        return (
            isinstance(instance, SparseTensor)
            and instance.format is COO
            and instance.dtype is cls.dtype
            and instance.device.type == cls.device_type
        )

    def __call__(cls, *args, **kwargs):
        device = kwargs.pop("device", cls.device_type)
        if kwargs:
            raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
        warnings.warn(
            "torch.sparse.SparseTensor(...) is deprecated.  Please use "
            "torch.sparse_coo_tensor(..., dtype=, device=).",
            UserWarning,
            stacklevel=2,
        )
        if len(args) >= 2 and isinstance(args[1], Tensor):
            return sparse_coo_tensor(*args, dtype=cls.dtype, device=device)
        size = args[0] if len(args) == 1 and not isinstance(args[0], int) else args or (0,)
        return sparse_coo_tensor(tuple(size), dtype=cls.dtype, device=device)


def sparse_legacy_classes(device_type: str) -> dict[str, type]:
    """Return the legacy types of sparse tensors of a device by name."""
    module = "torch.sparse" if device_type == "cpu" else f"torch.{device_type}.sparse"
    made = {}
    for name, dense in legacy_classes(device_type).items():
        if name != "BoolTensor":
            members = {
                "__doc__": f"Makes COO tensors of {dense.dtype.name}; `isinstance` asks for one.",
                "__module__": module,
                "dtype": dense.dtype,
                "device_type": device_type,
                "layout": LAYOUTS[COO.name],
                "is_cuda": dense.is_cuda,
                "is_sparse": True,
            }
            made[name] = sparse_tensortype(name, (), members)
    return made


classes = sparse_legacy_classes("cpu")
