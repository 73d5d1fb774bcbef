"""Keys for MLX's own random bits: a counter-based source for accelerators, and a trace's key.

Inside `mx.compile` no number exists yet, so draws there cannot come from a generator on the
host: it would be read once, while tracing, and every later call would see the same numbers.
They take their keys from `mx.random.state` instead, which `mx.compile` carries from call to call if
it is given as `inputs=` and as `outputs=`.
"""

from __future__ import annotations

import struct
import threading

import mlx.core as mx

from .evaluation import is_traced

_RECORD = struct.Struct("<Qq")
STATE_BYTES = _RECORD.size

_MASK = (1 << 64) - 1

# PyTorch counts a CUDA generator's offset in steps of four.
STEP = 4


def _mix(value: int) -> int:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class KeyStream:
    """A key for every draw, made from a seed and an offset that counts the draws."""

    __slots__ = ("initial_seed", "lock", "offset")

    def __init__(self, seed: int) -> None:
        self.lock = threading.RLock()
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start over from an unsigned 64-bit seed."""
        with self.lock:
            self.initial_seed = seed
            self.offset = 0

    def next_key(self) -> mx.array:
        """Return the key for the next draw, uint32 of shape (2,)."""
        with self.lock:
            offset, self.offset = self.offset, self.offset + STEP
        # Hashed twice: seeds that differ by the increment must not share their keys.
        key = _mix((_mix(self.initial_seed) + (offset // STEP + 1) * 0x9E3779B97F4A7C15) & _MASK)
        return mx.array([key >> 32, key & 0xFFFFFFFF], mx.uint32)

    def state_bytes(self) -> bytes:
        """Return seed and offset, 16 bytes."""
        with self.lock:
            return _RECORD.pack(self.initial_seed, self.offset)

    def restore(self, record: bytes) -> None:
        """Continue from `state_bytes`. Raises RuntimeError if the length is wrong."""
        if len(record) != STATE_BYTES:
            raise RuntimeError("RNG state is wrong size")
        with self.lock:
            self.initial_seed, self.offset = _RECORD.unpack(record)


class _Replayed(threading.local):
    key: mx.array | None = None


class TraceKeys:
    """The keys of the trace that is being made: `mx.random.state`, or a replay of its past.

    MLX's state cannot be set to a traced key, so repeating draws (checkpointing does) is done by
    taking keys from `replayed` as long as there is one.
    """

    def __init__(self) -> None:
        self._replayed = _Replayed()
        self._lost = 0

    def active(self) -> bool:
        """Tell whether a trace is being made that has a random state."""
        if self._replayed.key is not None:
            return True
        try:
            return is_traced(mx.random.state[0])
        except RuntimeError:
            # A trace that failed has left its placeholder behind: start a new state.
            self._lost += 1
            mx.random.seed(_mix(self._lost))
            return False

    def current(self) -> mx.array:
        """Return the key from which the next draw's is made."""
        replayed = self._replayed.key
        return mx.random.state[0] if replayed is None else replayed

    def replaying(self) -> bool:
        """Tell whether keys come from a replay."""
        return self._replayed.key is not None

    def replay(self, key: mx.array | None) -> mx.array | None:
        """Take keys from `key` on; None goes back to the state. Returns what was replayed."""
        previous, self._replayed.key = self._replayed.key, key
        return previous

    def next_key(self) -> mx.array:
        """Return the key for the next draw, and advance."""
        following, key = mx.random.split(self.current())
        if self._replayed.key is not None:
            self._replayed.key = following
        else:
            # Only a draw of MLX's own advances its state, to what `following` is here.
            mx.random.uniform(shape=())
        return key


TRACE_KEYS = TraceKeys()
