"""Whether there is CUDA, and which device is meant."""

from __future__ import annotations

from typing import Any

from flashlight import device as _device
from flashlight._ops import memory as _memory


def is_available() -> bool:
    """Tell whether this build of MLX runs on CUDA."""
    return _memory.accelerator == "cuda"


def check() -> None:
    """Raise AssertionError without CUDA."""
    if not is_available():
        raise AssertionError(
            "Torch not compiled with CUDA enabled: this build of MLX has no CUDA; install "
            "flashlight-mlx[cuda12] or [cuda13] on a machine with an NVIDIA GPU"
        )


def device_index(device: Any, optional: bool = True) -> int:
    """Return a device's index: 0 for None and a device without one, if they are allowed.

    Raises ValueError for devices of other types.
    """
    if isinstance(device, int):
        return device
    if device is not None:
        device = _device(device)
        if device.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {device}")
        if device.index is not None:
            return device.index
    if not optional:
        raise ValueError(
            f"Expected a torch.device with a specified index or an integer, but got:{device}"
        )
    return 0


def check_index(device: Any, what: str = "device") -> None:
    """Raise AssertionError without CUDA, and for all but device 0: MLX drives one GPU a process."""
    check()
    if device_index(device) != 0:
        raise AssertionError(f"Invalid {what} id")
