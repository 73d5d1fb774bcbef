"""The generator: seeds, state bytes exchanged with PyTorch, copies, errors."""

from __future__ import annotations

import copy
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._core import samplers
from flashlight._core.device import ACCELERATOR
from flashlight._core.generator import Generator, seed_everything
from flashlight._core.keys import TRACE_KEYS, KeyStream
from flashlight._core.normals import normal
from flashlight._core.tensor import from_host

SEEDS = [0, 1, 2**31, 2**32 + 5, 2**53 + 7, 2**63, 2**64 - 1, -1, -5, -(2**63)]


def state(generator) -> bytes:
    return np.asarray(generator.get_state().tolist(), np.uint8).tobytes()


def from_bytes(record):
    return from_host(np.frombuffer(bytearray(record), np.uint8))


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds(seed):
    ours, theirs = Generator(), torch.Generator()
    assert state(ours) == state(theirs)
    assert ours.manual_seed(seed) is ours
    theirs.manual_seed(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert state(ours) == state(theirs)


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 1248, 1300])
def test_state_goes_both_ways(drawn):
    theirs = torch.Generator().manual_seed(77)
    torch.empty(drawn, dtype=torch.int32).random_(generator=theirs)
    torch.empty(3).normal_(generator=theirs)  # leaves a spare normal
    ours = Generator()
    assert ours.set_state(from_bytes(state(theirs))) is ours
    assert state(ours) == state(theirs)
    assert ours.initial_seed() == 77
    ahead = normal(ours._stream, 5, "float64")
    assert (
        ahead.tobytes()
        == torch.empty(5, dtype=torch.float64).normal_(generator=theirs).numpy().tobytes()
    )
    samplers.uniform(ours._stream, 700, "float32")
    back = torch.Generator()
    back.set_state(torch.tensor(ours.get_state().tolist(), dtype=torch.uint8))
    torch.rand(700, generator=theirs)
    assert state(back) == state(theirs) == state(ours)


def test_float_spare_travels():
    record = bytearray(state(Generator()))
    struct.pack_into("<f?", record, 5048, 1.5, True)
    theirs = torch.Generator()
    theirs.set_state(torch.frombuffer(record, dtype=torch.uint8))
    ours = Generator().set_state(from_bytes(record))
    assert state(ours) == state(theirs) == bytes(record)


def test_copies_are_independent_and_equal():
    generator = Generator().manual_seed(4)
    normal(generator._stream, 3, "float32")
    copies = [
        generator.clone_state(),
        copy.copy(generator),
        copy.deepcopy(generator),
        pickle.loads(pickle.dumps(generator)),
    ]
    before = state(generator)
    for twin in copies:
        assert state(twin) == before
        samplers.uniform(twin._stream, 3, "float32")
        assert state(twin) != before
    assert state(generator) == before


def test_seed_is_not_deterministic():
    generator = Generator()
    assert generator.seed() != generator.seed()
    assert generator.initial_seed() < 2**64


@pytest.mark.parametrize(
    "call",
    [
        lambda g, record: g.manual_seed(1.5),
        lambda g, record: g.manual_seed("3"),
        lambda g, record: g.manual_seed(True),
        lambda g, record: g.manual_seed(np.int64(3)),
        lambda g, record: g.manual_seed(2**64),
        lambda g, record: g.manual_seed(-(2**63) - 1),
        lambda g, record: g.get_offset(),
        lambda g, record: g.set_offset(4),
        lambda g, record: g.graphsafe_get_state(),
        lambda g, record: g.graphsafe_set_state(g),
        lambda g, record: g.graphsafe_set_state(3),
        lambda g, record: g.set_state([1]),
        lambda g, record: g.set_state(record(np.zeros(10, np.uint8))),
        lambda g, record: g.set_state(record(np.zeros(5056, np.uint8))),
        lambda g, record: g.set_state(record(np.zeros(5056, np.float32))),
        lambda g, record: g.set_state(record(np.zeros(2 * 5056, np.uint8)[::2])),
        lambda g, record: type(g)(device="meta"),
        lambda g, record: type(g)(device="nonsense"),
    ],
)
def test_errors_are_pytorchs(call):
    with pytest.raises(Exception) as expected:
        call(torch.Generator(), torch.from_numpy)
    with pytest.raises(type(expected.value)) as found:
        call(Generator(), from_host)
    known = ("device string", "META")
    assert str(found.value) == str(expected.value) or any(
        part in str(found.value) for part in known
    )


@pytest.mark.parametrize("field, value", [(8, 0), (8, 625), (12, 0), (16, 625)])
def test_impossible_states_are_refused(field, value):
    record = bytearray(state(Generator()))
    struct.pack_into("<i", record, field, value)
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        torch.Generator().set_state(torch.frombuffer(record, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        Generator().set_state(from_bytes(record))


def test_keys_depend_on_seed_and_offset():
    stream, other = KeyStream(3), KeyStream(4)
    keys = [tuple(source.next_key().tolist()) for source in (stream, other) for _ in range(100)]
    assert len(set(keys)) == 200
    record = stream.state_bytes()
    ahead = stream.next_key().tolist()
    stream.restore(record)
    assert stream.next_key().tolist() == ahead
    assert stream.offset == 404
    with pytest.raises(RuntimeError, match="wrong size"):
        stream.restore(b"123")


def test_trace_keys_are_state_of_the_trace():
    def draws(x):
        start = TRACE_KEYS.current()
        first = TRACE_KEYS.next_key()
        previous = TRACE_KEYS.replay(start)
        again = TRACE_KEYS.next_key()
        TRACE_KEYS.replay(previous)
        assert TRACE_KEYS.active()
        return x, first, again, TRACE_KEYS.next_key()

    compiled = mx.compile(draws, inputs=mx.random.state, outputs=mx.random.state)
    seed_everything(5)
    assert not TRACE_KEYS.active()
    runs = [[key.tolist() for key in compiled(mx.zeros(1))[1:]] for _ in range(3)]
    for first, again, second in runs:
        assert first == again != second
    assert len({str(run) for run in runs}) == 3
    seed_everything(5)
    assert [key.tolist() for key in compiled(mx.zeros(1))[1:]] == runs[0]


@pytest.mark.skipif(ACCELERATOR is None, reason="needs an accelerator")
def test_accelerator_generator():
    generator = Generator(ACCELERATOR).manual_seed(3)
    assert generator.device.type == ACCELERATOR
    assert len(generator.get_state().tolist()) == 16
    generator.set_offset(8)
    assert generator.clone_state().get_offset() == 8
    shared = generator.graphsafe_get_state()
    shared.set_offset(12)
    assert generator.get_offset() == 12
    with pytest.raises(RuntimeError, match="multiple of 4"):
        generator.set_offset(3)


def test_threads_share_a_generator_without_losing_a_number():
    source = Generator().manual_seed(6)._stream
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: normal(source, 33, "float32"), range(200)))
    alone = Generator().manual_seed(6)._stream
    expected = {normal(alone, 33, "float32").tobytes() for _ in range(200)}
    assert {part.tobytes() for part in parts} == expected
