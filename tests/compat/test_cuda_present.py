"""torch.cuda where MLX has CUDA: here in a process that takes the CPU for it."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

import flashlight as torch
from flashlight._ops import memory
from flashlight.cuda import _runtime

INFO = {
    "device_name": "NVIDIA H100", "architecture": "sm_90", "compute_capability_major": 9,
    "compute_capability_minor": 0, "total_memory": 80 << 30, "free_memory": 70 << 30,
}  # fmt: skip


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    monkeypatch.setattr(memory, "accelerator", "cuda")
    monkeypatch.setattr(memory, "device_info", lambda: dict(INFO))
    return torch.cuda


def test_one_device_answers(cuda):
    assert cuda.is_available() and cuda.is_initialized() and cuda.device_count() == 1
    cuda.init()
    properties = cuda.get_device_properties(0)
    assert properties.name == cuda.get_device_name("cuda:0") == "NVIDIA H100"
    assert properties.total_memory == 80 << 30 and cuda.mem_get_info() == (70 << 30, 80 << 30)
    assert cuda.get_device_capability() == (properties.major, properties.minor) == (9, 0)
    assert cuda.get_arch_list() == ["sm_90"]
    assert cuda.get_gencode_flags() == "-gencode compute=compute_90,code=sm_90"
    assert cuda.is_bf16_supported() and cuda.is_tf32_supported()
    assert cuda.can_device_access_peer(0, 0) is False
    with pytest.raises(AssertionError, match="Invalid device id"):
        cuda.get_device_name(1)
    with pytest.raises(AssertionError, match="Invalid peer device id"):
        cuda.can_device_access_peer(0, 1)


def test_the_current_device(cuda):
    cuda.set_device(0)
    cuda.set_device(-1)
    with cuda.device(0), cuda.device(None), cuda.device("cuda"):
        assert cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        cuda.set_device(1)
    with pytest.raises(ValueError, match="specified index"):
        cuda.set_device("cuda")
    with pytest.raises(ValueError, match="Expected a cuda device"):
        cuda.device("cpu")


def test_streams_and_events(cuda):
    stream = cuda.Stream(priority=-1)
    assert stream == cuda.current_stream() == cuda.default_stream()
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    with cuda.stream(stream):
        start.record()
        torch.ones(100, 100).sum()
        end.record(stream)
    stream.wait_event(end)
    stream.synchronize()
    assert stream.query() and end.query() and start.elapsed_time(end) >= 0
    assert isinstance(stream.record_event(), cuda.Event)
    assert repr(stream) == "<torch.cuda.Stream device=cuda cuda_stream=0x0>"
    cuda.synchronize()


def test_modes_of_synchronisation(cuda):
    cuda.set_sync_debug_mode("default")
    assert cuda.get_sync_debug_mode() == 0
    with pytest.raises(RuntimeError, match="debug_mode"):
        cuda.set_sync_debug_mode("warn")


def test_graphs_cannot_be_recorded(cuda):
    for make in (cuda.CUDAGraph, cuda.graph_pool_handle, lambda: cuda.graph(None)):
        with pytest.raises(RuntimeError, match=r"use torch\.compile"):
            make()


def test_the_runtime(cuda, monkeypatch):
    calls = []
    library = SimpleNamespace(
        cudaGetErrorString=lambda code: ctypes.c_char_p(b"out of memory").value,
        cudaProfilerStart=lambda: calls.append("start") or 0,
        cudaProfilerStop=lambda: calls.append("stop") or 0,
    )
    monkeypatch.setattr(_runtime, "_library", lambda: library)
    cuda.check_error(cuda.cudaStatus.SUCCESS)
    with pytest.raises(cuda.CudaError, match=r"^out of memory \(2\)$"):
        cuda.check_error(2)
    with cuda.profiler.profile():
        calls.append("work")
    assert calls == ["start", "work", "stop"]


def test_readings_of_the_driver(cuda, monkeypatch):
    driver = SimpleNamespace(
        NVML_TEMPERATURE_GPU=0, NVML_CLOCK_SM=1, nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: ("index", index),
        nvmlDeviceGetHandleByUUID=lambda uuid: ("uuid", uuid),
        nvmlDeviceGetTemperature=lambda handle, sensor: 40 + handle[1],
        nvmlDeviceGetPowerUsage=lambda handle: 70_000,
        nvmlDeviceGetClockInfo=lambda handle, clock: 1980,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=7, memory=3),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=11),
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [
            SimpleNamespace(pid=5, usedGpuMemory=3 << 20)
        ],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert (cuda.temperature(), cuda.temperature(1)) == (43, 41)
    assert (cuda.power_draw(), cuda.clock_rate()) == (70_000, 1980)
    assert (cuda.utilization(), cuda.memory_usage(), cuda.device_memory_used()) == (7, 3, 11)
    assert cuda.list_gpu_processes().splitlines() == [
        "GPU:0", "process          5 uses        3.000 MB GPU memory",
    ]  # fmt: skip
