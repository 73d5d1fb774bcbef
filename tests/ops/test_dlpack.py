"""Memory shared by DLPack, against PyTorch."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import torch as reference

import flashlight as torch
from flashlight.utils import dlpack

BOTH = pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])


@BOTH
def test_memory_is_shared_in_every_way_there_is(lib):
    for take in (
        lambda tensor: lib.from_dlpack(tensor),
        lambda tensor: lib.from_dlpack(lib.to_dlpack(tensor)),
        lambda tensor: lib.from_dlpack(tensor.__dlpack__(max_version=(1, 0))),
        lambda tensor: lib.from_dlpack(np.from_dlpack(tensor)),
        lambda tensor: lib.utils.dlpack.from_dlpack(lib.utils.dlpack.to_dlpack(tensor)),
    ):
        tensor = lib.zeros(2, 3).t()
        other = take(tensor)
        assert other.stride() == (1, 3)
        other[2, 1] = 9
        assert tensor.tolist() == [[0, 0], [0, 0], [0, 9]]
    copied = lib.from_dlpack(tensor, copy=True)
    copied[0, 0] = 1
    assert tensor[0, 0] == 0


@BOTH
def test_what_is_refused(lib):
    capsule = lib.to_dlpack(lib.ones(2))
    lib.from_dlpack(capsule)
    for invalid in (capsule, 3):
        with pytest.raises(RuntimeError, match="invalid capsule"):
            lib.from_dlpack(invalid)
    with pytest.raises(AssertionError, match="already a DLPack capsule"):
        lib.from_dlpack(lib.to_dlpack(lib.ones(2)), copy=True)
    with pytest.raises(AssertionError, match="unsupported device type"):
        lib.from_dlpack(lib.ones(1), device=3)
    with pytest.raises(AssertionError, match="stream should be None"):
        lib.ones(1).__dlpack__(stream=1)
    with pytest.raises(TypeError, match="must be Tensor, not int"):
        lib.to_dlpack(3)
    with pytest.raises(BufferError):
        lib.from_dlpack(np.array(["a"]))
    for tensor in (
        lib.ones(1, requires_grad=True),
        lib.eye(2).to_sparse(),
        lib.empty(2, device="meta"),
    ):
        with pytest.raises(BufferError):
            tensor.__dlpack__()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64", "complex64"])
def test_tensors_cross_between_the_libraries(dtype):
    ours = torch.arange(3).to(getattr(torch, dtype))
    theirs = reference.from_dlpack(ours)
    assert str(theirs.dtype) == f"torch.{dtype}" and theirs.tolist() == ours.tolist()
    back = torch.from_dlpack(theirs)
    assert back.dtype is ours.dtype and back.tolist() == ours.tolist()


def test_bfloat16_and_arrays_of_mlx():
    tensor = torch.tensor([1.0, 2.5], dtype=torch.bfloat16)
    assert torch.from_dlpack(torch.to_dlpack(tensor)).tolist() == [1.0, 2.5]
    assert torch.from_dlpack(mx.array([1, 2])).tolist() == [1, 2]


def test_numbers_of_device_types():
    ours, theirs = dlpack.DLDeviceType, reference.utils.dlpack.DLDeviceType
    assert {k.name: k.value for k in ours} == {k.name: k.value for k in theirs}
    assert torch.ones(1).__dlpack_device__() == (ours.kDLCPU, 0)
