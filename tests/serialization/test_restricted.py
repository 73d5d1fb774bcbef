"""The restricted unpickler: sound pickles come back, everything else raises and runs nothing."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
from collections import OrderedDict

import pytest

from flashlight._serialization.restricted import RestrictedUnpickler, scan_globals


class NothingAllowed:
    """A policy that allows OrderedDict and notes what else was asked for."""

    def __init__(self):
        self.asked = []

    def find(self, module, name):
        if (module, name) in (("collections", "OrderedDict"), ("builtins", "set")):
            return OrderedDict if name == "OrderedDict" else set
        self.asked.append(f"{module}.{name}")
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def call(self, function, arguments):
        if function is OrderedDict or function is set:
            return function(*arguments)
        raise pickle.UnpicklingError("unrecognized function")

    create = call

    def build(self, instance, state):
        raise pickle.UnpicklingError("nothing is built")


def load(data: bytes, **options):
    return RestrictedUnpickler(
        io.BytesIO(data), NothingAllowed(), lambda saved: ("loaded", saved), **options
    ).load()


VALUES = [
    None,
    True,
    [1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**80, -(2**80)],
    (1.5, float("inf"), -0.0),
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    "text",
    "ä€\udc80" * 100,
    {"a": [1, {"b": (2, 3)}], 4: None, (1, ("x",)): 5},
    OrderedDict(a=1, b=OrderedDict(c=2)),
    [[]] * 3,
    ["x" * 300, "y" * 70000],
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_sound_pickles_come_back(protocol):
    for value in VALUES:
        assert load(pickle.dumps(value, protocol)) == value
    if protocol > 2:
        for value in (b"bytes", b"b" * 300, {1, "a"}, bytearray(b"z")):
            if protocol == 5 or not isinstance(value, bytearray):
                assert load(pickle.dumps(value, max(protocol, 4))) == value


def test_one_object_stays_one():
    shared = [1]
    found = load(pickle.dumps({"a": shared, "b": shared}, 2))
    assert found["a"] is found["b"]


def test_strings_of_python_2():
    assert load(b"\x80\x02U\x03abc.") == "abc"
    assert load(b"\x80\x02U\x03\xe4bc.", encoding="latin1") == "äbc"
    assert load(b"\x80\x02U\x03\xe4bc.", encoding="bytes") == b"\xe4bc"


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


HOSTILE = {
    "a call": pickle.dumps(Evil(), 2),
    "a call, protocol 5": pickle.dumps(Evil(), 5),
    "a protocol 0 call": b"cos\nsystem\n(S'true'\ntR.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "calling what was loaded": b"\x80\x02X\x01\x00\x00\x00a)R.",
    "building a list": b"\x80\x02]}b.",
    "building a class": b"\x80\x02ccollections\nOrderedDict\n}b.",
    "creating from a list": b"\x80\x02])\x81.",
    "arguments that are no tuple": b"\x80\x02ccollections\nOrderedDict\n]R.",
    "appending to a dict": b"\x80\x02}K\x01a.",
    "items of a list": b"\x80\x02]K\x01K\x02s.",
    "items of a class": b"\x80\x02ccollections\nOrderedDict\nK\x01K\x02s.",
    "an unhashable key": b"\x80\x02}]K\x02s.",
    "an odd number of items": b"\x80\x02}(K\x01u.",
    "an empty stack": b"\x80\x020.",
    "no mark": b"\x80\x02K\x01t.",
    "stack underflow": b"\x80\x02\x86.",
    "an unknown memo": b"\x80\x02h\x07.",
    "a string longer than the file": b"\x80\x02X\xff\xff\xff\xffabc.",
    "an even longer string": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "bytes longer than the file": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
    "no end": b"\x80\x02K\x01",
    "nothing": b"",
    "bad utf-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "an unknown opcode": b"\x80\x02\xf0.",
    "a future protocol": b"\x80\x63K\x01.",
    "a persistent id that is a list": b"\x80\x02]Q.",
    "a persistent id of no storage": b"\x80\x02X\x06\x00\x00\x00module\x85Q.",
    "a stacked name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "a key that would exhaust the C stack": (b"\x80\x02}K\x01" + b"\x85" * 200_000 + b"K\x02s."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_raise_and_run_nothing(name, capsys):
    with pytest.raises(pickle.UnpicklingError):
        load(HOSTILE[name])
    assert capsys.readouterr().out == ""


def test_persistent_ids_are_handed_over():
    data = b"\x80\x02X\x07\x00\x00\x00storageX\x01\x00\x00\x000\x86Q."
    assert load(data) == ("loaded", ("storage", "0"))


def test_flipped_bits_raise_or_load_plain_values():
    generator = random.Random(2)
    for value in VALUES:
        data = pickle.dumps(value, 2)
        for _ in range(60):
            damaged = bytearray(data)
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            with contextlib.suppress(pickle.UnpicklingError):
                load(bytes(damaged))


@pytest.mark.parametrize("protocol", [2, 4])
def test_names_are_found_without_running_anything(protocol, capsys):
    found = set(scan_globals(io.BytesIO(pickle.dumps([Evil(), OrderedDict()], protocol))))
    assert ("collections", "OrderedDict") in found
    assert ({("builtins", "print"), ("__builtin__", "print")} & found) != set()
    assert capsys.readouterr().out == ""
