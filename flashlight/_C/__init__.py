"""Those names of PyTorch's C++ module that packages reach into and that have an answer here."""

from __future__ import annotations

from flashlight import Generator, Size, Tensor, device, dtype, layout, memory_format
from flashlight._C import _functorch as _functorch
from flashlight._C import _nn as _nn
from flashlight._core.evaluation import local as _local
from flashlight._ops import memory as _memory
from flashlight._ops.host import LinAlgError as _LinAlgError
from flashlight._ops.overrides import DisableTorchFunctionSubclass, _disabled
from flashlight._settings import DisableTorchFunction
from flashlight.futures import Future
from flashlight.overrides import _get_current_function_mode_stack

__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "Future", "Generator", "Size",
    "TensorBase", "device",
    "dtype", "layout", "memory_format",
]  # fmt: skip

_TensorMeta = type(Tensor)
_TensorBase = TensorBase = Tensor
_disabled_torch_function_impl = _disabled
_has_cuda = _memory.accelerator == "cuda"
_has_mps = _memory.accelerator == "mps"
_GLIBCXX_USE_CXX11_ABI = True


def _log_api_usage_once(event: str) -> None:
    """Do nothing: nobody listens."""


def _get_tracing_state() -> None:
    """Return None: TorchScript is switched off, so nothing is traced."""


def _get_accelerator(check: bool | None = None) -> device:
    """Return the accelerator's device, or the CPU's."""
    return device(_memory.accelerator or "cpu")


def _get_default_device() -> str:
    """Return "cpu", the type of device of legacy constructors."""
    return "cpu"


def _get_privateuse1_backend_name() -> str:
    """Return the name of the device that nobody has taken."""
    return "privateuseone"


def _get_cudnn_enabled() -> bool:
    """Return the setting of torch.backends.cudnn."""
    from flashlight.backends import cudnn

    return cudnn.enabled


def _is_torch_function_mode_enabled() -> bool:
    """Tell whether a TorchFunctionMode is on."""
    return bool(_get_current_function_mode_stack())


def _are_functorch_transforms_active() -> bool:
    """Tell whether a function of torch.func is running."""
    return bool(_local.levels or _local.__dict__.get("transforms"))


def _is_alias_of(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors share their storage."""
    return a._storage is b._storage
