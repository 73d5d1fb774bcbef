"""`Generator`: a stream of random numbers with a seed and a state that can be saved.

On the CPU it is PyTorch's stream, number for number, and its state bytes are PyTorch's own.
On an accelerator it is counter-based: a seed and an offset.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import mlx.core as mx
import numpy as np

from .device import ACCELERATOR, CPU, device, resolve
from .dtype import uint8
from .evaluation import evaluate
from .keys import STEP, TRACE_KEYS, KeyStream
from .mersenne import MersenneTwister
from .tensor import Tensor, read, wrap

# The seed of a new generator (PyTorch's choice: as many bits 0 as 1).
DEFAULT_SEED = 67280421310721


def check_seed(seed) -> int:
    """Return a seed as an unsigned 64-bit number; negative ones count from 2**64 down.

    Raises RuntimeError for anything but an int, ValueError if it does not fit.
    """
    if isinstance(seed, np.integer):
        raise TypeError("an integer is required")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
    if not -(1 << 63) <= seed < 1 << 64:
        raise ValueError("Overflow when unpacking long long")
    return seed % (1 << 64)


class Generator:
    """A source of random numbers, as `torch.Generator`.

    `Generator()` gives PyTorch's CPU stream; `Generator("mps")` or `Generator("cuda")` a
    counter-based one. Raises RuntimeError if there is no such device.
    """

    __slots__ = ("__weakref__", "_device", "_stream")

    def __init__(self, device="cpu") -> None:
        self._device = where = CPU if device is None else resolve(device)
        if where.type == "meta":
            raise RuntimeError("META device type not an accelerator: it has no data to draw.")
        make = MersenneTwister if where is CPU else KeyStream
        self._stream: MersenneTwister | KeyStream = make(DEFAULT_SEED)

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"

    @property
    def device(self) -> device:
        """The device whose draws this generator serves."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Start over from a seed in -2**63 .. 2**64 - 1; returns the generator."""
        self._stream.reseed(check_seed(seed))
        return self

    def seed(self) -> int:
        """Start over from a seed of the operating system's, and return it."""
        seed = int.from_bytes(os.urandom(8), "little") >> 11
        self._stream.reseed(seed)
        return seed

    def initial_seed(self) -> int:
        """Return the seed from which the stream started."""
        return self._stream.initial_seed

    def get_state(self) -> Tensor:
        """Return the state as a uint8 tensor: 5056 bytes on the CPU, 16 on an accelerator."""
        return wrap(mx.array(np.frombuffer(self._stream.state_bytes(), np.uint8)), CPU)

    def set_state(self, new_state: Tensor) -> Generator:
        """Continue from a state, PyTorch's own included; returns the generator.

        Raises TypeError unless it is a uint8 tensor, RuntimeError if it is no such state.
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if not new_state._layout.contiguous:
            raise RuntimeError("RNG state must be contiguous")
        self._stream.restore(bytes(np.asarray(evaluate(read(new_state), "set_state()"))))
        return self

    def clone_state(self) -> Generator:
        """Return a new generator in the same state."""
        twin = Generator(self._device)
        twin._stream.restore(self._stream.state_bytes())
        return twin

    __copy__ = clone_state

    def __deepcopy__(self, memo) -> Generator:
        memo[id(self)] = twin = self.clone_state()
        return twin

    def __reduce__(self):
        offset = self._stream.offset if isinstance(self._stream, KeyStream) else None
        return Generator, (self._device,), (self.initial_seed(), offset, self.get_state())

    def __setstate__(self, state) -> None:
        self.set_state(state[2])

    def get_offset(self) -> int:
        """Return how far an accelerator's stream has come. Raises RuntimeError on the CPU."""
        return self._counted().offset

    def set_offset(self, offset: int) -> Generator:
        """Move an accelerator's stream to an offset, a multiple of 4; returns the generator."""
        stream = self._counted()
        if offset % STEP:
            raise RuntimeError("offset must be a multiple of 4")
        stream.offset = offset
        return self

    def _counted(self) -> KeyStream:
        if isinstance(self._stream, KeyStream):
            return self._stream
        raise RuntimeError("CPU Generator does not use offset")

    def graphsafe_get_state(self) -> Generator:
        """Return a generator that shares this one's state; not on the CPU."""
        self._check_shareable("graphsafe_get_state")
        twin = Generator(self._device)
        twin._stream = self._stream
        return twin

    def graphsafe_set_state(self, state: Generator) -> Generator:
        """Share another generator's state from now on; not on the CPU."""
        if not isinstance(state, Generator):
            raise TypeError(f"expected a Generator, but got {type(state).__name__}")
        self._check_shareable("graphsafe_set_state")
        self._stream = state._stream
        return self

    def _check_shareable(self, method: str) -> None:
        if self._device is CPU:
            raise NotImplementedError(f"{method} is not supported in this Generator")


default_generator = Generator()
default_generator.seed()

#: The generator of draws on the accelerator, None where there is none.
accelerator_generator = None if ACCELERATOR is None else Generator(ACCELERATOR)


def seed_everything(seed: int) -> Generator:
    """Seed every generator and the random state of traces; returns the CPU's."""
    default_generator.manual_seed(seed)
    if accelerator_generator is not None:
        accelerator_generator.manual_seed(seed)
    mx.random.seed(seed % (1 << 64))
    return default_generator


def get_default_state() -> Tensor:
    """Return the default generator's state; inside `mx.compile` the key that the trace carries."""
    if TRACE_KEYS.active():
        return wrap(mx.view(TRACE_KEYS.current(), mx.uint8), CPU)
    return default_generator.get_state()


def set_default_state(state: Tensor) -> None:
    """Set what `get_default_state` returns; inside `mx.compile` only within `forked`."""
    if not TRACE_KEYS.active():
        default_generator.set_state(state)
        return
    if not TRACE_KEYS.replaying():
        raise RuntimeError(
            "inside mx.compile the random state can be set within fork_rng() only: what the trace "
            "carries from call to call is mx.random.state"
        )
    key = read(state)
    if key.dtype != mx.uint8 or key.shape != (8,):
        raise RuntimeError("inside mx.compile, a random state comes from get_rng_state() there")
    TRACE_KEYS.replay(mx.view(key, mx.uint32))


@contextlib.contextmanager
def forked(accelerator: bool = True) -> Iterator[None]:
    """Put the default generators' states back on leaving, also after an exception."""
    if TRACE_KEYS.active():
        previous = TRACE_KEYS.replay(TRACE_KEYS.current())
        try:
            yield
        finally:
            TRACE_KEYS.replay(previous)
        return
    streams = [default_generator._stream]
    if accelerator and accelerator_generator is not None:
        streams.append(accelerator_generator._stream)
    states = [stream.state_bytes() for stream in streams]
    try:
        yield
    finally:
        for stream, state in zip(streams, states):
            stream.restore(state)
