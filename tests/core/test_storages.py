"""`UntypedStorage` and `TypedStorage` against PyTorch's, and memory shared with files and forks."""

from __future__ import annotations

import copy
import ctypes
import os
import pickle

import mlx.core as mx
import numpy as np
import pytest
import torch

import flashlight
from flashlight import storage as storages
from flashlight._core.tensor import wrap

BOTH = pytest.mark.parametrize("library", [torch, flashlight], ids=["torch", "flashlight"])
pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")


@BOTH
def test_bytes_of_a_tensor(library):
    x = library.arange(3.0)
    storage = x.untyped_storage()
    assert storage is x[1:].untyped_storage()
    sizes = len(storage), storage.nbytes(), storage.size(), storage.element_size()
    assert sizes == (12,) * 3 + (1,)
    assert storage.tolist() == [0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64]
    assert list(storage) == storage.tolist()
    assert (storage[6], storage[-1]) == (128, 64)
    assert str(storage.device) == "cpu"
    assert storage.data_ptr() == x.data_ptr() != 0
    assert storage.untyped() is storage
    assert not storage.is_shared() and not storage.is_cuda and storage.get_device() is None
    assert storage.type() == "torch.storage.UntypedStorage"
    assert library.is_storage(storage)


@BOTH
def test_writes_reach_the_tensor(library):
    x = library.arange(3.0)
    storage = x.untyped_storage()
    storage[3] = 64
    assert x.tolist() == [2.0, 1.0, 2.0]
    storage.fill_(0)
    assert x.tolist() == [0.0, 0.0, 0.0]
    storage.copy_(library.tensor([5.0, 6.0, 7.0]).untyped_storage())
    assert x.tolist() == [5.0, 6.0, 7.0]
    x[0] = 1
    assert storage[3] == 63
    storage[0:2] = 255
    assert storage.tolist()[:4] == [255, 255, 128, 63]


@BOTH
def test_parts_share(library):
    x = library.arange(4, dtype=library.int16)
    part = x.untyped_storage()[2:6]
    assert part.tolist() == [1, 0, 2, 0]
    part[0] = 9
    assert x.tolist() == [0, 9, 2, 3]
    x[2] = 7
    assert part.tolist() == [9, 0, 7, 0]


@BOTH
def test_copies_do_not_share(library):
    x = library.arange(3.0)
    for made in (x.untyped_storage().clone(), copy.copy(x.untyped_storage())):
        made.fill_(0)
    assert x.tolist() == [0.0, 1.0, 2.0]
    assert x.untyped_storage().cpu() is x.untyped_storage()


@BOTH
def test_making_one(library):
    assert library.UntypedStorage().nbytes() == 0
    assert library.UntypedStorage(5).nbytes() == 5
    assert library.UntypedStorage([1, 2, 255]).tolist() == [1, 2, 255]
    assert library.UntypedStorage(3, device="meta").device.type == "meta"
    for wrong in (-1, "abc", [1.5]):
        with pytest.raises((RuntimeError, TypeError)):
            library.UntypedStorage(wrong)


@BOTH
def test_wrong_indices(library):
    storage = library.UntypedStorage([1, 2, 3])
    for index, error in ((3, IndexError), (-4, IndexError), ("a", TypeError)):
        with pytest.raises(error):
            storage[index]
    with pytest.raises(RuntimeError, match="step of 2"):
        storage[::2]
    with pytest.raises(NotImplementedError):
        library.UntypedStorage(3, device="meta")[0]


@BOTH
def test_resizing(library):
    x = library.arange(4.0)
    storage = x.untyped_storage()
    storage.resize_(8)
    assert storage.nbytes() == 8
    storage.resize_(16)
    assert x.tolist()[:2] == [0.0, 1.0]
    assert storage.resizable()


@BOTH
@pytest.mark.parametrize("order", ["little", "big", "native"])
def test_from_a_buffer(library, order):
    data = bytes(range(12))
    made = library.UntypedStorage.from_buffer(data, order, count=2, offset=4, dtype=library.int32)
    swapped = [7, 6, 5, 4, 11, 10, 9, 8]
    assert made.tolist() == (swapped if order == "big" else sorted(swapped))


@BOTH
def test_wrong_buffers(library):
    from_buffer = library.UntypedStorage.from_buffer
    for arguments, options in (
        ((bytes(5), "little"), {"dtype": library.int16}),
        ((bytes(4), "little"), {"dtype": library.int16, "offset": 9}),
        ((bytes(4), "little"), {"dtype": library.int16, "count": 3}),
        ((bytes(4), "sideways"), {"dtype": library.int16}),
    ):
        with pytest.raises(ValueError):
            from_buffer(*arguments, **options)


@BOTH
def test_byteswap(library):
    x = library.tensor([1, 258], dtype=library.int16)
    x.untyped_storage().byteswap(library.int16)
    assert x.tolist() == [256, 513]


@BOTH
def test_conversions(library):
    storage = library.UntypedStorage([0, 1, 200])
    assert storage.float().tolist() == [0.0, 1.0, 200.0]
    assert storage.bool().tolist() == [False, True, True]
    assert storage.long().dtype is library.int64
    assert type(storage.half()).__name__ == "TypedStorage"
    with pytest.raises(TypeError):
        storage._to("float")


@BOTH
def test_typed_storages(library):
    x = library.arange(4.0)
    typed = x.storage()
    assert type(typed).__name__ == "TypedStorage"
    assert typed.dtype is library.float32 and len(typed) == typed.size() == 4
    assert typed.nbytes() == 16 and typed.element_size() == 4
    assert typed.tolist() == [0.0, 1.0, 2.0, 3.0] == list(typed)
    assert typed[2] == 2.0 == typed[-2]
    typed[2] = 9
    assert x.tolist() == [0.0, 1.0, 9.0, 3.0]
    assert typed.type() == "torch.FloatStorage" and typed.pickle_storage_type() == "FloatStorage"
    assert isinstance(typed, library.FloatStorage) and not isinstance(typed, library.IntStorage)
    assert typed.int().tolist() == [0, 1, 9, 3]
    assert typed.untyped() is x.untyped_storage()
    assert repr(typed).endswith(
        "[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 4]"
    )
    for index, error in ((4, IndexError), ("a", RuntimeError)):
        with pytest.raises(error):
            typed[index]
    typed.fill_(1).copy_(library.FloatStorage([4, 3, 2, 1]))
    assert x.tolist() == [4.0, 3.0, 2.0, 1.0]


@BOTH
def test_legacy_classes_make_typed_storages(library):
    made = library.IntStorage([1, 2])
    assert type(made).__name__ == "TypedStorage" and made.dtype is library.int32
    assert library.FloatStorage(3).nbytes() == 12
    shared = library.arange(2.0).untyped_storage()
    assert library.FloatStorage(wrap_storage=shared).tolist() == [0.0, 1.0]
    assert library.ShortStorage.from_buffer(b"\1\0\2\0", "little").tolist() == [1, 2]
    assert library.TypedStorage([1, 2], dtype=library.float64).tolist() == [1.0, 2.0]
    for wrong in ({"wrap_storage": 3, "dtype": library.float32}, {"wrap_storage": shared}):
        with pytest.raises((RuntimeError, TypeError)):
            library.TypedStorage(**wrong)
    for wrong in ({"device": "cpu"}, {"dtype": library.float32}, {"wrap_storage": shared}):
        with pytest.raises(RuntimeError):
            library.FloatStorage(2, **wrong)


@BOTH
def test_tensors_tell_their_storage(library):
    x = library.ones(3)
    assert x.storage_type() is library.FloatStorage
    assert x.is_set_to(x.view(3)) and not x.is_set_to(x[1:]) and not x.is_set_to(x.clone())


@BOTH
def test_tensors_take_storages(library):
    shared = library.UntypedStorage([1, 0, 2, 0])
    x = library.tensor([], dtype=library.int16).set_(shared, 0, (2,), (1,))
    assert x.tolist() == [1, 2]
    y = library.asarray(shared, dtype=library.uint8)
    assert y.dtype is library.uint8
    shared[0] = 5
    assert (x.tolist(), y.tolist()) == ([5, 2], [5, 0, 2, 0])


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "bool"])
def test_storages_pickle(library, dtype):
    x = library.ones(3, dtype=getattr(library, dtype))
    found = pickle.loads(pickle.dumps(x.storage()))
    assert found.dtype is x.dtype and found.tolist() == x.storage().tolist()
    found = copy.deepcopy([x.untyped_storage(), x.untyped_storage()])
    assert found[0] is found[1] is not x.untyped_storage()


def test_text_is_pytorchs():
    for build in (
        lambda library: library.UntypedStorage([1, 2]),
        lambda library: library.UntypedStorage(2, device="meta"),
        lambda library: library.FloatStorage([1.5, 2]),
    ):
        assert repr(build(flashlight)) == repr(build(torch))


def test_the_deprecation_is_told_once(monkeypatch):
    monkeypatch.setattr(storages, "_warned", False)
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        flashlight.ones(2).storage()
    flashlight.ones(2).storage()


@BOTH
@pytest.mark.parametrize("shared", [True, False])
def test_files_as_storages(library, shared, tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    x = library.FloatStorage.from_file(str(path), shared, 4)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (x.filename == str(path)) is shared
    x[1] = 9
    assert x.tolist() == [0.0, 9.0, 2.0, 3.0]
    del x
    assert np.fromfile(path, np.float32).tolist() == [0.0, 9.0 if shared else 1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError):
        library.UntypedStorage.from_file(str(path), False, 17)
    assert library.UntypedStorage.from_file(str(tmp_path / "new"), True, 8).tolist() == [0] * 8


@pytest.mark.filterwarnings("ignore:This process")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_forked_processes_share(dtype):
    x = flashlight.zeros(3, dtype=getattr(flashlight, dtype))
    assert x.share_memory_() is x
    assert x.is_shared() and x.untyped_storage().is_shared()
    child = os.fork()
    if child == 0:
        try:
            x.untyped_storage()  # MLX's threads are not in the child: write through the memory
            x._storage.host[1] = 16256 if dtype == "bfloat16" else 1
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert x.tolist() == [0.0, 1.0, 0.0]
    x.add_(1)
    assert x.is_shared() and x.tolist() == [1.0, 2.0, 1.0]


@BOTH
def test_addresses_tell_what_is_shared(library):
    x = library.arange(12.0).reshape(3, 4)
    address = x.data_ptr()
    assert address == x.t().data_ptr() == x.untyped_storage().data_ptr()
    assert x[1].data_ptr() == address + 16 == 16 + address
    assert x[1].data_ptr() - address == 16 and x[2].data_ptr() - 32 == address
    assert address != library.arange(12.0).data_ptr()
    assert sorted([x[2].data_ptr(), address, x[1].data_ptr()])[0] == address
    assert {address: "x"}[x.view(-1).data_ptr()] == "x"
    x.add_(1)
    x[1] = 7
    assert x.data_ptr() == address, "a write must not change what shares with what"
    assert library.empty(0).data_ptr() == 0
    assert address != 0 and bool(address)


@BOTH
def test_addresses_can_be_read_from(library):
    transposed = library.arange(6).reshape(2, 3).t().contiguous()
    for x in (library.arange(6), transposed, -library.arange(6)):
        x.mul_(3)
        row = x.view(-1)[2:]
        assert (ctypes.c_int64 * 4).from_address(row.data_ptr())[:] == row.tolist()
    x.numpy()[2] = 5
    assert ctypes.c_int64.from_address(x.data_ptr() + 16).value == 5


def test_an_address_in_a_trace_is_no_error():
    seen = []

    def double(array):
        x = wrap(array, flashlight.device("cpu"))
        seen.append(x.data_ptr() == x.view(-1).data_ptr() != 0)
        return array * 2

    mx.vmap(double)(mx.zeros((3, 2)))
    assert seen == [True]
