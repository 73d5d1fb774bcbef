"""Files that PyTorch wrote load here, and the reverse."""

from __future__ import annotations

import copy
import io
import pickle
import pickletools
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

import flashlight
from flashlight._serialization.pickling import unpickler_class

DTYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
]  # fmt: skip
LIBRARIES = {"torch to flashlight": (torch, flashlight), "the reverse": (flashlight, torch)}


@pytest.fixture(params=LIBRARIES, ids=list(LIBRARIES))
def exchange(request):
    """A function that saves with one library and loads with the other."""
    source, target = LIBRARIES[request.param]

    def pass_on(build, zipped=True, **options):
        stream = io.BytesIO()
        source.save(build(source), stream, _use_new_zipfile_serialization=zipped)
        stream.seek(0)
        return target.load(stream, **options)

    return pass_on


def bits(tensor) -> bytes:
    """The values of a tensor of either library, in row-major order."""
    count = int(np.prod(tuple(tensor.shape)))
    flat = tensor.detach().reshape(-1)
    if count == 0:
        return b""
    if isinstance(tensor, torch.Tensor):
        return bytes(flat.contiguous().view(torch.uint8).numpy())
    if tensor.dtype is flashlight.bool:
        return bytes(flat.to(flashlight.uint8).numpy())
    return bytes(flat.clone().view(flashlight.uint8).numpy())


def values(library, dtype, count=24):
    """The same numbers in either library."""
    numbers = np.random.default_rng(7).integers(0, 2 if dtype == "bool" else 120, count)
    made = library.tensor(numbers.tolist(), dtype=library.int64).to(getattr(library, dtype))
    return made * 1.25 if made.is_floating_point() else made


def same(ours, theirs) -> None:
    """Two tensors, of different libraries, agree in everything a file holds."""
    assert type(ours).__name__ == type(theirs).__name__
    assert repr(ours.dtype) == repr(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert tuple(ours.stride()) == tuple(theirs.stride())
    assert ours.storage_offset() == theirs.storage_offset()
    assert ours.requires_grad == theirs.requires_grad
    assert bits(ours) == bits(theirs)


VIEWS = {
    "whole": lambda x: x,
    "matrix": lambda x: x.reshape(4, 6),
    "transposed": lambda x: x.reshape(4, 6).t(),
    "part": lambda x: x[5:9],
    "column": lambda x: x.reshape(4, 6)[:, 2],
    "expanded": lambda x: x[:3].expand(5, 3),
    "strided": lambda x: x.as_strided((3, 4), (5, 1), 2),
    "one number": lambda x: x[7],
    "nothing": lambda x: x[3:3],
    "a view without elements": lambda x: x.reshape(4, 6)[2:2, 1:],
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(exchange, dtype):
    def build(library):
        return {name: view(values(library, dtype)) for name, view in VIEWS.items()}

    expected = build(torch)
    for name, found in exchange(build).items():
        same(found, expected[name])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64"])
def test_the_format_before_1_6(exchange, dtype):
    def build(library):
        return {name: view(values(library, dtype)) for name, view in VIEWS.items()}

    expected = build(torch)
    for name, found in exchange(build, zipped=False).items():
        same(found, expected[name])


@pytest.mark.parametrize("zipped", [True, False])
def test_views_share_what_they_shared(exchange, zipped):
    def build(library):
        base = library.arange(12.0)
        return {"base": base, "row": base.reshape(3, 4)[1], "other": library.arange(12.0)}

    found = exchange(build, zipped)
    found["row"].fill_(-1)
    assert found["base"].tolist() == [0, 1, 2, 3, -1, -1, -1, -1, 8, 9, 10, 11]
    assert found["other"].sum().item() == 66
    base, row = found["base"].untyped_storage(), found["row"].untyped_storage()
    assert base.data_ptr() == row.data_ptr() != found["other"].untyped_storage().data_ptr()


def test_each_storage_is_written_once():
    base = flashlight.zeros(100_000)
    stream = io.BytesIO()
    flashlight.save([base[start:] for start in range(10)], stream)
    assert stream.tell() < 410_000


def test_parameters_and_leaves(exchange):
    def build(library):
        plain = library.ones(3, requires_grad=True)
        parameter = library.nn.Parameter(library.arange(3.0))
        frozen = library.nn.Parameter(library.arange(3), requires_grad=False)
        marked = library.nn.Parameter(library.arange(2.0))
        marked.note = "kept"
        return [plain, parameter, frozen, marked]

    found, expected = exchange(build), build(torch)
    for one, other in zip(found, expected):
        same(one, other)
        assert one.is_leaf
    assert found[3].note == "kept"


def test_plain_values(exchange):
    def build(library):
        ordered = OrderedDict(b=1, a=2)
        ordered._metadata = {"version": 1}
        return {
            "numbers": [1, -(2**40), 2**70, 1.5, float("inf"), True, None, 3 - 4j],
            "text": "ä\n€",
            "bytes": b"\x00\xff",
            "bytearray": bytearray(b"ab"),
            "set": {1, "a"},
            "nested": ({"a": [()]},),
            "ordered": ordered,
            "counter": Counter("abca"),
            "size": library.Size([2, 3]),
            "dtypes": [library.float32, library.bfloat16, library.uint16, library.complex128],
            "device": library.device("cpu"),
            "cuda": library.device("cuda", 1),
            "layout": library.strided,
        }

    found, expected = exchange(build), build(torch)
    for name in ("numbers", "text", "bytes", "bytearray", "set", "nested", "counter"):
        assert found[name] == expected[name]
        assert type(found[name]) is type(expected[name])
    for name in ("size", "dtypes", "device", "cuda", "layout"):
        assert repr(found[name]) == repr(expected[name])
    assert list(found["ordered"]) == ["b", "a"]
    assert found["ordered"]._metadata == {"version": 1}


def test_meta_tensors(exchange):
    found = exchange(lambda library: library.empty(2, 3, device="meta"))
    assert found.device.type == "meta"
    assert tuple(found.shape) == (2, 3)


def test_conjugate_views_come_back_conjugated():
    stream = io.BytesIO()
    torch.save([torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j]).conj().imag], stream)
    stream.seek(0)
    conjugated, negated = flashlight.load(stream)
    assert conjugated.tolist() == [1 - 2j]
    assert negated.tolist() == [-2.0]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol):
    stream = io.BytesIO()
    torch.save({"a": torch.arange(3), "b": b"x", "c": {1}}, stream, pickle_protocol=protocol)
    stream.seek(0)
    assert flashlight.load(stream)["a"].tolist() == [0, 1, 2]
    stream = io.BytesIO()
    flashlight.save({"a": flashlight.arange(3)}, stream, pickle_protocol=protocol)
    stream.seek(0)
    assert torch.load(stream, weights_only=False)["a"].tolist() == [0, 1, 2]


def test_the_pickle_is_pytorchs_to_the_letter():
    def build(library):
        x = library.arange(6.0)
        return OrderedDict(
            x=x,
            row=x.reshape(2, 3)[1],
            wide=x.to(library.uint16),
            p=library.nn.Parameter(x.clone()),
        )

    listings = []
    for library in (torch, flashlight):
        stream = io.BytesIO()
        library.save(build(library), stream)
        stream.seek(0)
        archive = torch._C.PyTorchFileReader(stream)
        listing = io.StringIO()
        pickletools.dis(archive.get_record("data.pkl"), listing)
        listings.append(listing.getvalue())
    assert listings[0] == listings[1]


def test_module_classes_go_by_pytorchs_names(exchange):
    def build(library):
        return library.nn.Sequential(library.nn.Linear(3, 2), library.nn.ReLU())

    found = exchange(build, weights_only=False)
    assert type(found).__module__.endswith("nn.modules.container")
    assert [type(layer).__name__ for layer in found] == ["Linear", "ReLU"]
    library = flashlight if isinstance(found, flashlight.nn.Module) else torch
    assert isinstance(found[0].weight, library.nn.Parameter)
    given = library.arange(6.0).reshape(2, 3)
    expected = library.relu(given @ found[0].weight.t() + found[0].bias)
    assert np.allclose(found(given).tolist(), expected.tolist(), atol=1e-6)


def test_state_dicts(exchange):
    layers = {}

    def build(library):
        layers["saved"] = library.nn.Linear(4, 3)
        return layers["saved"].state_dict()

    found = exchange(build)
    library = flashlight if isinstance(found["weight"], flashlight.Tensor) else torch
    layer = library.nn.Linear(4, 3)
    layer.load_state_dict(found)
    assert layer.weight.tolist() == layers["saved"].weight.tolist()
    assert found._metadata == layers["saved"].state_dict()._metadata


@pytest.mark.parametrize(
    ("name", "options"),
    [("Adam", {"amsgrad": True}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("RMSprop", {})],
)
def test_a_training_run_goes_on_in_the_other_library(exchange, name, options):
    def step(library, layer, optimizer):
        optimizer.zero_grad()
        x = library.arange(8.0).reshape(2, 4) / 8
        layer(x).pow(2).sum().backward()
        optimizer.step()

    def make(library):
        layer = library.nn.Linear(4, 3)
        return layer, getattr(library.optim, name)(layer.parameters(), lr=0.1, **options)

    runs = {}

    def build(library):
        runs["first"] = library, *make(library)
        for _ in range(3):
            step(*runs["first"])
        return {"layer": runs["first"][1].state_dict(), "optimizer": runs["first"][2].state_dict()}

    found = exchange(build)
    other = torch if runs["first"][0] is flashlight else flashlight
    layer, optimizer = make(other)
    layer.load_state_dict(found["layer"])
    optimizer.load_state_dict(found["optimizer"])
    for _ in range(3):
        step(*runs["first"])
        step(other, layer, optimizer)
    expected = runs["first"][1].weight.tolist()
    assert np.allclose(layer.weight.tolist(), expected, rtol=1e-5, atol=1e-7)


class Marked(flashlight.Tensor):
    pass


def test_subclasses_of_ours_round_trip():
    saved = flashlight.arange(3.0).as_subclass(Marked)
    saved.note = "kept"
    stream = io.BytesIO()
    flashlight.save(saved, stream)
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Marked was not an allowed global"):
        flashlight.load(stream)
    stream.seek(0)
    with flashlight.serialization.safe_globals([Marked]):
        found = flashlight.load(stream)
    assert type(found) is Marked
    assert found.note == "kept"
    assert found.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_pickle(dtype):
    saved = values(flashlight, dtype).reshape(4, 6).t()
    found = pickle.loads(pickle.dumps([saved, saved[1]]))
    assert [one.dtype for one in found] == [saved.dtype] * 2
    assert bits(found[0]) == bits(saved)
    assert found[0].stride() == saved.stride()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool"])
def test_plain_pickles_of_pytorch(dtype):
    saved = values(torch, dtype).reshape(4, 6)
    data = pickle.dumps({"whole": saved, "row": saved[1], "p": torch.nn.Parameter(torch.ones(2))})
    # Under the import hook the names lead here by themselves.
    found = unpickler_class(pickle)(io.BytesIO(data)).load()
    same(found["whole"], saved)
    same(found["row"], saved[1])
    assert type(found["p"]) is flashlight.nn.Parameter


@pytest.mark.parametrize("dtype", DTYPES)
def test_deepcopy(dtype):
    saved = values(flashlight, dtype).reshape(4, 6)
    whole, row = copy.deepcopy([saved, saved[1]])
    assert whole.dtype is saved.dtype and bits(whole) == bits(saved)
    row.fill_(0)
    assert not any(whole[1].tolist()), "copies of views must share as the views did"
    assert bits(saved) == bits(values(flashlight, dtype).reshape(4, 6))


def test_deepcopy_of_leaves_and_results():
    leaf = flashlight.ones(3, requires_grad=True)
    (leaf * 2).sum().backward()
    leaf.note = ["kept"]
    found = copy.deepcopy(leaf)
    assert found.requires_grad and found.is_leaf
    assert found.grad.tolist() == [2, 2, 2] and found.grad is not leaf.grad
    assert found.note == ["kept"] and found.note is not leaf.note
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(leaf * 2)
