"""PyTorch's CPU random stream: MT19937, its seeding rule, its state bytes, its spare normal."""

from __future__ import annotations

import struct
import threading

import numpy as np

STATE_BYTES = 5056
WORDS = 624

# The fields of PyTorch's record: seed, left, seeded, next; 624 words of 8 bytes each; three
# doubles (the middle one is the spare normal) and their flag; the float spare and its flag.
_HEAD = struct.Struct("<QiiQ")
_SPARE = struct.Struct("<dddi4x")
_SPARE_AT = _HEAD.size + 8 * WORDS
_FLOAT_SPARE = struct.Struct("<f?3x")
_FLOAT_SPARE_AT = _SPARE_AT + _SPARE.size

# Below this many words `random_raw` is the faster of NumPy's two ways to the same stream.
_FEW = 300


class MersenneTwister:
    """A stream of 32-bit words, equal to that of PyTorch's CPU generator with the same seed.

    `spare_normal` is the second value of the last pair that the scalar normal sampler made, or
    None. Whoever draws more than once for one result holds `lock` meanwhile.
    """

    __slots__ = (
        "_bits",
        "_float_spare",
        "_fresh",
        "_legacy",
        "initial_seed",
        "lock",
        "spare_normal",
    )

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        # RandomState is NumPy's frozen interface: its integer streams never change.
        self._legacy = np.random.RandomState(self._bits)
        self.lock = threading.RLock()
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start over from an unsigned 64-bit seed; the stream depends on its low half only."""
        with self.lock:
            self._legacy.seed(seed & 0xFFFFFFFF)
            self._fresh = True
            self._float_spare = bytes(_FLOAT_SPARE.size)
            self.initial_seed = seed
            self.spare_normal: float | None = None

    def words32(self, count: int) -> np.ndarray:
        """The next `count` words as uint32."""
        self._fresh = self._fresh and not count
        if count < _FEW:
            return self._bits.random_raw(count).astype(np.uint32)
        return self._legacy.randint(0, 1 << 32, count, dtype=np.uint32)

    def words64(self, count: int) -> np.ndarray:
        """The next `count` pairs of words as uint64, the first of a pair high."""
        self._fresh = self._fresh and not count
        if count < _FEW // 4:
            words = self._bits.random_raw(2 * count)
            return (words[0::2] << np.uint64(32)) | words[1::2]
        return self._legacy.randint(0, 1 << 64, count, dtype=np.uint64)

    def uniform24(self, count: int) -> np.ndarray:
        """float32 in [0, 1): the low 24 bits of a word each."""
        words = self.words32(count)
        words &= np.uint32(0xFFFFFF)
        # The view is exact, and NumPy converts signed integers faster than unsigned ones.
        values = words.view(np.int32).astype(np.float32)
        values *= np.float32(2.0**-24)
        return values

    def uniform53(self, count: int) -> np.ndarray:
        """float64 in [0, 1): the low 53 bits of a pair of words each."""
        words = self.words64(count)
        words &= np.uint64((1 << 53) - 1)
        values = words.view(np.int64).astype(np.float64)
        values *= 2.0**-53
        return values

    def state_bytes(self) -> bytes:
        """The state in PyTorch's own format, 5056 bytes."""
        with self.lock:
            state = self._bits.state["state"]
            position = int(state["pos"])
            following = 0 if self._fresh else position
            spare = self.spare_normal
            return b"".join(
                (
                    _HEAD.pack(self.initial_seed, WORDS + 1 - position, 1, following),
                    state["key"].astype("<u8").tobytes(),
                    _SPARE.pack(0.0, 0.0 if spare is None else spare, 0.0, spare is not None),
                    self._float_spare,
                )
            )

    def restore(self, record: bytes) -> None:
        """Continue from a state in PyTorch's format; RuntimeError if it is not one."""
        if len(record) != STATE_BYTES:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG "
                f"state size to be {len(record)}"
            )
        seed, left, seeded, following = _HEAD.unpack_from(record)
        if not (1 <= left <= WORDS and following <= WORDS and seeded):
            raise RuntimeError("Invalid mt19937 state")
        words = np.frombuffer(record, "<u8", WORDS, _HEAD.size).astype(np.uint32)
        _, spare, _, has_spare = _SPARE.unpack_from(record, _SPARE_AT)
        position = WORDS if left == 1 else following
        with self.lock:
            self._legacy.set_state(("MT19937", words, position))
            self._fresh = left == 1 and following == 0
            # No CPU sampler reads the float spare; it only travels with the state.
            self._float_spare = _FLOAT_SPARE.pack(
                *_FLOAT_SPARE.unpack_from(record, _FLOAT_SPARE_AT)
            )
            self.initial_seed = seed
            self.spare_normal = spare if has_spare else None
