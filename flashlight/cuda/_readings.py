"""What the driver measures on a GPU, read through `nvidia-ml-py`.

All raise ModuleNotFoundError without that package, and its own errors where there is no driver.
"""

from __future__ import annotations

import os
from typing import Any

from flashlight.cuda._utils import device_index


def _driver() -> Any:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]  an optional package
    except ImportError as error:
        raise ModuleNotFoundError(
            "nvidia-ml-py does not seem to be installed or it can't be imported."
        ) from error
    pynvml.nvmlInit()
    return pynvml


def _handle(nvml: Any, device: Any) -> Any:
    index = device_index(device)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not visible:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    chosen = visible.split(",")[index].strip()
    if chosen.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(chosen))
    return nvml.nvmlDeviceGetHandleByUUID(chosen)


def device_memory_used(device: Any = None) -> int:
    """Return the bytes in use on the GPU, by all programs."""
    nvml = _driver()
    return nvml.nvmlDeviceGetMemoryInfo(_handle(nvml, device)).used


def memory_usage(device: Any = None) -> int:
    """Return the percentage of time in which memory was read or written."""
    nvml = _driver()
    return nvml.nvmlDeviceGetUtilizationRates(_handle(nvml, device)).memory


def utilization(device: Any = None) -> int:
    """Return the percentage of time in which kernels ran."""
    nvml = _driver()
    return nvml.nvmlDeviceGetUtilizationRates(_handle(nvml, device)).gpu


def temperature(device: Any = None) -> int:
    """Return the GPU's temperature in degrees Celsius."""
    nvml = _driver()
    return nvml.nvmlDeviceGetTemperature(_handle(nvml, device), nvml.NVML_TEMPERATURE_GPU)


def power_draw(device: Any = None) -> int:
    """Return the power that the GPU draws, in milliwatts."""
    nvml = _driver()
    return nvml.nvmlDeviceGetPowerUsage(_handle(nvml, device))


def clock_rate(device: Any = None) -> int:
    """Return the clock of the multiprocessors, in megahertz."""
    nvml = _driver()
    return nvml.nvmlDeviceGetClockInfo(_handle(nvml, device), nvml.NVML_CLOCK_SM)


def list_gpu_processes(device: Any = None) -> str:
    """Return the programs on the GPU and the memory that each has, a line each."""
    try:
        nvml = _driver()
    except ModuleNotFoundError:
        return "pynvml module not found, please install nvidia-ml-py"
    lines = [f"GPU:{device_index(device)}"]
    processes = nvml.nvmlDeviceGetComputeRunningProcesses(_handle(nvml, device))
    for process in processes:
        used = (process.usedGpuMemory or 0) / 2**20
        lines.append(f"process {process.pid:>10d} uses {used:>12.3f} MB GPU memory")
    return "\n".join(lines if processes else [*lines, "no processes are running"])
