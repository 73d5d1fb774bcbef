"""Batches of sequences of different lengths: padded with a value, or packed without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flashlight as torch
from flashlight import Tensor

from .._arguments import _parse_to

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


def bind(optional: Any, fn: Callable) -> Any:
    """Return `fn` of the value, or None for None."""
    return None if optional is None else fn(optional)


class PackedSequence(PackedSequence_):
    """Sequences sorted by length, step by step: the first elements of all, then the second, ….

    `batch_sizes` counts the sequences left at each step; `sorted_indices` tells where each came
    from. Made by `pack_sequence` and `pack_padded_sequence`; fed to recurrent layers.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never "
                "be created manually. They should be instantiated by functions like "
                "pack_sequence and pack_padded_sequences in nn.utils.rnn. https://pytorch.org/"
                "docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move or cast the data, as Tensor.to; the same object if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        _, _, non_blocking, memory_format = _parse_to(*args, **kwargs)
        options = {} if memory_format is None else {"memory_format": memory_format}

        def move(indices: Tensor) -> Tensor:
            return indices.to(data.device, non_blocking=non_blocking, **options)

        return type(self)(
            data,
            self.batch_sizes,
            bind(self.sorted_indices, move),
            bind(self.unsorted_indices, move),
        )

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move the data to a CUDA device."""
        return self._to_kind("cuda", args, kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move the data to the CPU."""
        return self._to_kind("cpu", args, kwargs)

    def _to_kind(self, kind: str, args: tuple, kwargs: dict) -> PackedSequence:
        device = _parse_to(*args, **kwargs)[0] or self.data.device
        if device.type != kind:
            kwargs["device"] = kind
        return self.to(*args, **kwargs)

    def double(self) -> PackedSequence:
        """Cast the data to float64."""
        return self.to(dtype=torch.double)

    def float(self) -> PackedSequence:
        """Cast the data to float32."""
        return self.to(dtype=torch.float)

    def half(self) -> PackedSequence:
        """Cast the data to float16."""
        return self.to(dtype=torch.half)

    def long(self) -> PackedSequence:
        """Cast the data to int64."""
        return self.to(dtype=torch.long)

    def int(self) -> PackedSequence:
        """Cast the data to int32."""
        return self.to(dtype=torch.int)

    def short(self) -> PackedSequence:
        """Cast the data to int16."""
        return self.to(dtype=torch.short)

    def char(self) -> PackedSequence:
        """Cast the data to int8."""
        return self.to(dtype=torch.int8)

    def byte(self) -> PackedSequence:
        """Cast the data to uint8."""
        return self.to(dtype=torch.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()

    def pin_memory(self) -> PackedSequence:
        """Pin the data."""

        def pin(indices: Tensor) -> Tensor:
            return indices.pin_memory()

        return type(self)(
            self.data.pin_memory(),
            self.batch_sizes,
            bind(self.sorted_indices, pin),
            bind(self.unsorted_indices, pin),
        )


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes `permutation`; None for None."""
    if permutation is None:
        return None
    order = torch.arange(permutation.numel(), device=permutation.device)
    return torch.empty_like(permutation).scatter_(0, permutation, order)


def _packed_rows(batch_sizes: list[int], batch: int) -> Tensor:
    """Return where the packed elements are in a padded batch ``(steps, batch)``, flattened."""
    return torch.tensor(
        [
            step * batch + sequence
            for step, size in enumerate(batch_sizes)
            for sequence in range(size)
        ],
        dtype=torch.int64,
    )


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | list[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack a padded batch (T, B, *), (B, T, *) with `batch_first`, of sequences of `lengths`.

    With `enforce_sorted` they must be in order of decreasing length. Raises RuntimeError for
    lengths that don't fit.
    """
    lengths = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = torch.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    counts = _check_lengths(input, lengths)
    batch_sizes = [sum(count > step for count in counts) for step in range(counts[0])]
    rows = _packed_rows(batch_sizes, len(counts)).to(input.device)
    data = input.reshape(-1, *input.shape[2:]).index_select(0, rows)
    return PackedSequence(data, torch.tensor(batch_sizes, device="cpu"), sorted_indices, None)


def _check_lengths(input: Tensor, lengths: Tensor) -> list[int]:
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if lengths.dim() != 1:
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D cpu Long tensor"
        )
    counts = lengths.tolist()
    steps, batch = input.shape[:2]
    if len(counts) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})"
        )
    if min(counts) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if counts != sorted(counts, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[0] > steps:
        # PyTorch reads past the end here.
        raise RuntimeError(
            f"Expected all `lengths` to be at most the padded length {steps}, but got {counts[0]}"
        )
    return counts


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: return the padded batch and the lengths.

    Raises ValueError if `total_length`, to which it pads, is less than the longest sequence.
    """
    batch_sizes = sequence.batch_sizes.tolist()
    steps = longest = len(batch_sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        steps = total_length
    batch = batch_sizes[0]
    data = sequence.data
    rows = _packed_rows(batch_sizes, batch).to(data.device)
    padded = data.new_full((steps * batch, *data.shape[1:]), padding_value)
    padded = padded.index_copy(0, rows, data).reshape(steps, batch, *data.shape[1:])
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = torch.tensor(
        [sum(size > row for size in batch_sizes) for row in range(batch)], device="cpu"
    )
    order = sequence.unsorted_indices
    if order is None:
        return padded, lengths
    return padded.index_select(0 if batch_first else 1, order), lengths[order.cpu()]


def pad_sequence(
    sequences: Tensor | list[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences (L, *) of different lengths: (T, B, *), or (B, T, *) with `batch_first`."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    first = sequences[0]
    if any(sequence.dim() == 0 for sequence in sequences):
        raise RuntimeError("pad_sequence: sequences need at least one dimension")
    longest = max(sequence.size(0) for sequence in sequences)
    padded = []
    for sequence in sequences:
        missing = longest - sequence.size(0)
        if missing:
            filler = first.new_full((missing, *first.shape[1:]), padding_value)
            parts = [sequence.to(first.dtype), filler]
            sequence = torch.cat(parts if padding_side == "right" else parts[::-1])
        padded.append(sequence.to(first.dtype))
    return torch.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Undo `pad_sequence`: return the sequences of the given lengths."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [
        sequence[:length]
        for sequence, length in zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)
    ]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, *); with `enforce_sorted` in order of decreasing length."""
    lengths = torch.as_tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`: return the sequences."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
