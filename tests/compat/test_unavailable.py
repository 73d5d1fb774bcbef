"""Devices and services that are not there answer as in a PyTorch built without them."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest
import torch as reference

import flashlight as torch

CALLS = {
    "xpu": {
        "can_device_access_peer": (0, 1), "device": (0,), "device_of": ("tensor",),
        "get_stream_from_external": (0,), "manual_seed": (1,), "manual_seed_all": (1,),
        "set_device": (0,), "set_per_process_memory_fraction": (0.5,), "set_rng_state": ("tensor",),
        "set_rng_state_all": ([],), "set_stream": (None,), "stream": (None,),
        "StreamContext": (None,),
    },
    "mtia": {"manual_seed": (1,), "manual_seed_all": (1,)},
    "cuda": {
        "FloatStorage": (3,), "LongTensor": (3,), "StreamContext": (None,),
        "can_device_access_peer": (0, 1), "device": (0,), "device_of": ("tensor",),
        "graph": (None,), "make_graphed_callables": (abs, ()), "manual_seed": (1,),
        "manual_seed_all": (1,), "set_device": (-1,), "set_rng_state_all": ([],),
        "set_stream": (None,), "set_sync_debug_mode": (0,), "stream": (None,),
    },
}  # fmt: skip
#: MLX's counters and settings, which are there without CUDA; and where PyTorch without CUDA fails
#: over a function that its library lacks.
OTHERWISE = {
    "ComplexDoubleStorage", "caching_allocator_disabled", "check_error", "CudaError", "cudaStatus",
    "get_allocator_backend",
    "get_per_process_memory_fraction", "get_rng_state", "initial_seed",
    "is_current_stream_capturing", "max_memory_allocated", "max_memory_cached",
    "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_cached", "memory_reserved",
    "memory_stats", "memory_stats_as_nested_dict", "memory_summary",
    "reset_accumulated_host_memory_stats", "reset_accumulated_memory_stats",
    "reset_max_memory_allocated", "reset_max_memory_cached", "reset_peak_host_memory_stats",
    "reset_peak_memory_stats", "set_per_process_memory_fraction", "set_rng_state",
}  # fmt: skip


def answer(lib, module, name, arguments):
    """What a call returns, or the class of what it raises; contexts are entered."""
    arguments = [lib.ones(1) if each == "tensor" else each for each in arguments]
    try:
        made = getattr(getattr(lib, module), name)(*arguments)
        return repr(made.__enter__()) if hasattr(made, "__enter__") else repr(made)
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("module", "name"),
    [(m, name) for m in CALLS for name in getattr(torch, m).__all__
     if m != "cuda" or (not torch.cuda.is_available() and name not in OTHERWISE)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_answers_without_the_device(module, name):
    ours, theirs = (getattr(getattr(lib, module), name) for lib in (torch, reference))
    if isinstance(ours, ModuleType):
        assert isinstance(theirs, ModuleType)
        return
    if not callable(ours):
        assert ours == theirs
        return
    arguments = CALLS[module].get(name, ())
    assert answer(torch, module, name, arguments) == answer(reference, module, name, arguments)
    if not inspect.isclass(ours):
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_distributed_says_that_it_is_not_there():
    assert torch.distributed.is_available() is False
    assert not hasattr(torch.distributed, "is_initialized")
    with pytest.raises(AttributeError, match=r"is_available\(\) returns False"):
        torch.distributed.init_process_group("gloo")
    with pytest.raises(ModuleNotFoundError, match="train in one process"):
        importlib.import_module("flashlight.distributed.fsdp")
    for name in torch.distributed.__all__:
        ours, theirs = getattr(torch.distributed, name), getattr(reference.distributed, name)
        if isinstance(theirs, type) and issubclass(theirs, Exception):
            assert [c.__name__ for c in ours.__mro__] == [c.__name__ for c in theirs.__mro__]


def test_events_of_metal_need_metal():
    if not torch.mps.is_available():
        with pytest.raises(RuntimeError):
            torch.mps.Event(enable_timing=True)


@pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])
def test_operations_of_dsls_can_be_disabled(lib):
    native = lib.backends.python_native
    assert native.available_dsls == [] and native.get_dsl_operations("triton") == []
    native.disable_operations("one")
    with native.operations_disabled("two"):
        assert native.is_operation_disabled("one") and native.is_operation_disabled("two")
    assert not native.is_operation_disabled("two")
    native.enable_operations("one")
    assert not native.is_operation_disabled("one")


def test_freed_memory_is_kept_unless_told_otherwise():
    def kept():
        torch.rand(1000, 1000).sum().item()
        return torch.cuda.memory_reserved() - torch.cuda.memory_allocated()

    assert kept() > 0
    with torch.cuda.caching_allocator_disabled():
        assert kept() == 0
    assert kept() > 0
