"""Names that few programs use: control flow, files, operations of sparse tensors only."""

from __future__ import annotations

import numpy as np
import pytest
import torch as reference

import flashlight as torch

BOTH = pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])


def test_cond():
    x = torch.ones(2, 3, requires_grad=True)
    made = torch.cond(x.sum() > 3, lambda x: x * 2, lambda x: x - 1, (x,))
    made.sum().backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2
    assert torch.cond(False, lambda: "yes", lambda: "no") == "no"
    assert torch.cond(x.sum() < 3, lambda d: d["a"], lambda d: -d["a"], ({"a": x},))[0, 0] == -1
    for arguments, text in (
        ((torch.ones(2) > 0, abs, abs, (x,)), "single-element tensor"),
        ((x.sum() > 0, 3, abs, (x,)), "branches to be callable"),
        ((x.sum() > 0, pow, pow, (x, 3)), "only consists of tensor leaves"),
    ):
        with pytest.raises(RuntimeError, match=text):
            torch.cond(*arguments)


def test_while_loop():
    x = torch.ones(2)
    count, doubled = torch.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (torch.tensor(0), x)
    )
    assert count == 3 and doubled.tolist() == [8.0, 8.0]
    assert torch.while_loop(lambda x: False, lambda x: x, [x]) == (x,)
    assert torch.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, (x,)).tolist() == [5.0, 5.0]
    for condition, body, text in (
        (lambda x: x > 0, abs, "one element"),
        (lambda x: x.sum() < 9, lambda x: (x + 1, x), "same metadata"),
        (lambda x: x.sum() < 9, lambda x: torch.cat([x, x]), "same metadata"),
        (lambda x: x.sum() < 9, lambda x: x.double(), "same metadata"),
        (3, abs, "callable"),
    ):
        with pytest.raises(RuntimeError, match=text):
            torch.while_loop(condition, body, (x,))


@BOTH
def test_from_file(lib, tmp_path):
    path = str(tmp_path / "numbers")
    np.arange(6, dtype=np.float32).tofile(path)
    tensor = lib.from_file(path, size=4)
    tensor += 1  # private: the file stays as it is
    assert tensor.tolist() == [1, 2, 3, 4] and lib.from_file(path, False, 2).tolist() == [0, 1]
    assert lib.from_file(path, size=1, dtype=lib.int64).tolist() == [0x3F800000 << 32]
    assert lib.from_file(path).shape == (0,)
    assert lib.from_file(path, size=2, requires_grad=True).requires_grad
    for size, name in ((7, path), (2, path + "_not")):
        with pytest.raises(RuntimeError):
            lib.from_file(name, size=size)
    with pytest.raises(TypeError, match="must be str, not int"):
        lib.from_file(3, size=1)
    shared = str(tmp_path / "shared")
    lib.from_file(shared, True, 2).fill_(3)
    assert lib.from_file(shared, True, 3).tolist() == [3, 3, 0]
    assert np.fromfile(shared, np.float32).tolist() == [3, 3, 0]


@BOTH
def test_slice_inverse_is_a_view_of_what_was_cut(lib):
    whole = lib.arange(12.0).reshape(4, 3)
    found = whole[:2].slice_inverse(whole, 0, 0, 2)
    assert found.shape == (4, 3) and found.data_ptr() == whole.data_ptr()
    assert lib.slice_inverse(whole[1:3], whole, 0, 1, 3).tolist() == whole.tolist()


@BOTH
@pytest.mark.filterwarnings("ignore:Sparse")
def test_operations_of_sparse_tensors_only(lib):
    twice = lib.sparse_coo_tensor(lib.tensor([[0, 0]]), lib.tensor([3.0, 4.0]), (3,))
    assert lib.native_norm(twice) == lib.native_norm(twice, 1) == 7
    assert lib.native_norm(twice, 2, [], False, None) == 7
    for arguments in ((twice, 1, [0], True, None), (twice, 2, [0], False, lib.float64)):
        with pytest.raises(RuntimeError):
            lib.native_norm(*arguments)
    eye = lib.eye(2)
    assert lib.spmm(eye.to_sparse(), eye + 1).tolist() == [[2, 1], [1, 2]]
    added = lib.saddmm(eye.to_sparse(), eye.to_sparse(), eye, beta=2, alpha=3)
    assert added.to_dense().tolist() == [[5, 0], [0, 5]]
    resized = eye.to_sparse().sparse_resize_((3, 3), 2, 0)
    assert resized.shape == (3, 3) and resized._nnz() == 2
    assert eye.to_sparse().sparse_resize_and_clear_((3, 3), 2, 0)._nnz() == 0
    assert eye.to_sparse().resize_as_sparse_(resized).shape == (3, 3)
    for refused in (
        lambda: lib.native_norm(eye),
        lambda: lib.Tensor.sparse_resize_(eye, (3, 3), 2, 0),
        lambda: eye.sparse_resize_and_clear_((3, 3), 2, 0),
        lambda: eye.resize_as_sparse_(resized),
    ):
        with pytest.raises((NotImplementedError, RuntimeError)):
            refused()


@BOTH
@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_names_of_storages(lib):
    tensor = lib.ones(2)
    assert isinstance(tensor.untyped_storage(), lib.StorageBase)
    assert not isinstance(tensor.storage(), lib.StorageBase)
    assert lib.Storage is lib.FloatStorage and tensor.name is None
    assert isinstance(tensor.storage(), lib.Storage)
    assert not isinstance(tensor.storage(), lib.cuda.FloatStorage)
