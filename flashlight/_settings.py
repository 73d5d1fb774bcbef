"""Process-wide settings at the top level of `torch`: determinism, precision, warnings."""

from __future__ import annotations

from ._core.tensor import Tensor
from ._ops.overrides import DisableTorchFunctionSubclass
from .autograd.anomaly_mode import (
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)

_settings = {
    "deterministic": False,
    "warn_only": False,
    "precision": "highest",
    "warn_always": False,
}

has_lapack = has_spectral = True
has_mkl = has_openmp = has_mkldnn = has_cuda = has_mps = False


class AcceleratorError(RuntimeError):
    """An error that an accelerator reports."""


class JITException(Exception):
    """An error of TorchScript's, which flashlight does not have; kept for except clauses."""


class FatalError(Exception):
    """An error of PyTorch's runtime; kept for except clauses."""


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Inside, no `__torch_function__` is called, neither of subclasses nor of modes."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remember the wish: on the CPU every operation is deterministic anyway."""
    _settings["deterministic"], _settings["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Tell whether deterministic algorithms were asked for."""
    return _settings["deterministic"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Tell whether a lack of deterministic algorithms should only warn."""
    return _settings["warn_only"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set 0 or "default", 1 or "warn", 2 or "error". Raises RuntimeError for anything else."""
    levels = {"default": 0, "warn": 1, "error": 2}
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    level = levels.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if level not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0 (`default`), 1 (`warn`), or 2 (`error`), but "
            f"got {debug_mode}"
        )
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """Return 0, 1 or 2: not asked for, warn, error."""
    if not _settings["deterministic"]:
        return 0
    return 1 if _settings["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Remember "highest", "high" or "medium"; products are always in full float32 here."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"{precision} is not one of 'highest', 'high', 'medium'")
    _settings["precision"] = precision


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` was given."""
    return _settings["precision"]


def set_flush_denormal(mode: bool) -> bool:
    """Return False: MLX does not change how the processor treats denormals."""
    return False


def set_warn_always(b: bool) -> None:
    """Remember whether warnings should repeat; Python's own filters decide here."""
    _settings["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """Return what `set_warn_always` was given."""
    return _settings["warn_always"]


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off."""
    set_detect_anomaly(mode, check_nan)


def get_device_module(device=None):
    """Return the module that belongs to a device's type: `torch.cpu`, `torch.cuda`, `torch.mps`."""
    import importlib

    from ._core.device import device as device_class
    from ._core.device import get_default_device

    kind = get_default_device().type if device is None else device_class(device).type
    return importlib.import_module(f"flashlight.{kind}")


def get_device(tensor: Tensor) -> int:
    """Return the index of the tensor's accelerator, -1 for the CPU."""
    return tensor.get_device()


__all__ = [
    "AcceleratorError", "DisableTorchFunction", "DisableTorchFunctionSubclass", "FatalError",
    "JITException", "are_deterministic_algorithms_enabled", "get_deterministic_debug_mode",
    "get_device", "get_device_module", "get_float32_matmul_precision", "has_cuda",
    "has_lapack", "has_mkl", "has_mkldnn", "has_mps", "has_openmp", "has_spectral",
    "is_anomaly_check_nan_enabled", "is_anomaly_enabled",
    "is_deterministic_algorithms_warn_only_enabled", "is_warn_always_enabled",
    "set_anomaly_enabled", "set_deterministic_debug_mode", "set_float32_matmul_precision",
    "set_flush_denormal", "set_warn_always", "use_deterministic_algorithms",
]  # fmt: skip
