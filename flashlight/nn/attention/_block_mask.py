"""`BlockMask`: which blocks of queries and keys attention has to compute.

https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NoReturn

import flashlight as torch
from flashlight import Tensor

_DEFAULT_SPARSE_BLOCK_SIZE = 128
_MODULE = "flashlight.nn.attention.flex_attention"


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Return True: every query sees every key."""
    return batch.new_ones(size=(), dtype=torch.bool, device=batch.device)


def _sliced_mask_mod_error(
    batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor
) -> NoReturn:
    """Stand for the mask_mod of a mask that was sliced. Raises RuntimeError."""
    raise RuntimeError(
        "Cannot use mask_mod from a sliced BlockMask: positions are those of the slice now. Set "
        "the slice's mask_mod to one made from the original mask's, with the offset that fits"
    )


noop_mask.__module__ = _sliced_mask_mod_error.__module__ = _MODULE


# ----- dense and ordered forms -----


def _ordered_to_dense(num_blocks_in_row: Tensor, col_indices: Tensor, num_cols: int) -> Tensor:
    """(..., R), (..., R, n) -> (..., R, num_cols): 1 where a row lists a column, else 0."""
    places = torch.arange(col_indices.shape[-1], dtype=torch.int32, device=col_indices.device)
    listed = places < num_blocks_in_row.unsqueeze(-1)
    # What is not listed goes to a column of its own.
    columns = torch.where(listed, col_indices, num_cols).long()
    shape = (*col_indices.shape[:-1], num_cols + 1)
    dense = torch.zeros(shape, dtype=torch.int32, device=col_indices.device)
    return dense.scatter(-1, columns, 1)[..., :num_cols].contiguous()


def _dense_to_ordered(dense_mask: Tensor) -> tuple[Tensor, Tensor]:
    """(..., R, C) -> (..., R), (..., R, C): how many columns each row has, these first."""
    dense_mask = dense_mask.to(torch.int32)
    indices = torch.argsort(dense_mask, dim=-1, descending=True, stable=True)
    return dense_mask.sum(-1).to(torch.int32).contiguous(), indices.to(torch.int32).contiguous()


def _transpose_ordered(num_blocks_in_row: Tensor, col_indices: Tensor) -> tuple[Tensor, Tensor]:
    dense = _ordered_to_dense(num_blocks_in_row, col_indices, col_indices.shape[-1])
    return _dense_to_ordered(dense.transpose(-2, -1))


def _adjust_num_blocks_and_indices(
    num_blocks: Tensor, indices: Tensor, new_num_rows: int, new_num_cols: int
) -> tuple[Tensor, Tensor]:
    indices = indices[:, :, :new_num_rows, :new_num_cols]
    num_blocks = num_blocks[:, :, :new_num_rows].clamp(max=new_num_cols)
    return (indices < num_blocks.unsqueeze(-1)).sum(-1).to(torch.int32), indices


def _compute_dq_write_order_from_block_mask(
    block_mask: BlockMask, dq_kv_order: bool | None = False
) -> tuple[Tensor, Tensor | None]:
    """Return the turn of each listed query block among those that write the same gradient.

    Turns go by ascending keys, or descending ones. Raises ValueError without `q_indices`.
    """
    if block_mask.q_num_blocks is None or block_mask.q_indices is None:
        raise ValueError(
            "BlockMask must have q_num_blocks and q_indices to compute dq_write_order"
        )
    columns = block_mask.q_indices.shape[-2]
    dense = _ordered_to_dense(block_mask.kv_num_blocks, block_mask.kv_indices, columns)
    if block_mask.full_kv_indices is not None:
        full = _ordered_to_dense(block_mask.full_kv_num_blocks, block_mask.full_kv_indices, columns)
        dense = (dense + full).clamp(max=1)
    sums = dense.cumsum(-1)
    turns = (sums[..., -1:] - 1 - (sums - dense)) if dq_kv_order else sums - dense

    def of(queries: Tensor) -> Tensor:
        rows = queries.long().clamp(0, dense.shape[-2] - 1)
        by_key = turns.mT.expand(*rows.shape[:-1], turns.shape[-2])
        return by_key.gather(-1, rows).to(torch.int32)

    full_order = None
    if block_mask.full_kv_indices is not None and block_mask.full_q_indices is not None:
        full_order = of(block_mask.full_q_indices)
    return of(block_mask.q_indices), full_order


# ----- the mask -----


def _both_or_none(name: str, counts: Tensor | None, indices: Tensor | None) -> None:
    if (counts is None) != (indices is None):
        raise AssertionError(
            f"full_{name}_num_blocks and full_{name}_indices must be both provided or omitted"
        )


class BlockMask:
    """A sparse mask (B, H, Q_LEN, KV_LEN) by blocks, for `flex_attention`.

    For each row of blocks it lists how many (`kv_num_blocks`: (B, H, ROWS)) and which
    (`kv_indices`: (B, H, ROWS, COLUMNS)) are to be computed, with `mask_mod` deciding inside; those
    listed by `full_kv_…` need no `mask_mod`. The `q_…` are the same by columns.
    """

    __module__ = _MODULE

    seq_lengths: tuple[int, int]
    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor | None
    full_kv_indices: Tensor | None
    q_num_blocks: Tensor | None
    q_indices: Tensor | None
    full_q_num_blocks: Tensor | None
    full_q_indices: Tensor | None
    dq_write_order: Tensor | None
    dq_write_order_full: Tensor | None
    dq_kv_order: Tensor | None
    dq_kv_order_spt: bool | None
    BLOCK_SIZE: tuple[int, int]
    mask_mod: Callable

    _TENSOR_ATTRS = [
        "kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks",
        "q_indices", "full_q_num_blocks", "full_q_indices", "dq_write_order",
        "dq_write_order_full", "dq_kv_order",
    ]  # fmt: skip

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None,
        q_num_blocks: Tensor | None,
        q_indices: Tensor | None,
        full_q_num_blocks: Tensor | None,
        full_q_indices: Tensor | None,
        BLOCK_SIZE: tuple[int, int] = (_DEFAULT_SPARSE_BLOCK_SIZE, _DEFAULT_SPARSE_BLOCK_SIZE),
        mask_mod: Callable = noop_mask,
        *,
        dq_write_order: Tensor | None = None,
        dq_write_order_full: Tensor | None = None,
        dq_kv_order: Tensor | None = None,
        dq_kv_order_spt: bool | None = None,
    ) -> None:
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if kv_num_blocks is None:
            raise AssertionError("kv_num_blocks must be provided")
        _both_or_none("kv", full_kv_num_blocks, full_kv_indices)
        _both_or_none("q", full_q_num_blocks, full_q_indices)
        if dq_write_order_full is not None and dq_write_order is None:
            raise ValueError("dq_write_order_full requires dq_write_order")
        self.seq_lengths = seq_lengths
        self.kv_num_blocks = kv_num_blocks
        self.kv_indices = kv_indices
        self.full_kv_num_blocks = full_kv_num_blocks
        self.full_kv_indices = full_kv_indices
        self.q_num_blocks = q_num_blocks
        self.q_indices = q_indices
        self.full_q_num_blocks = full_q_num_blocks
        self.full_q_indices = full_q_indices
        self.dq_write_order = dq_write_order
        self.dq_write_order_full = dq_write_order_full
        self.dq_kv_order = dq_kv_order
        self.dq_kv_order_spt = dq_kv_order_spt
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: Callable | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
        *,
        dq_write_order: Tensor | None = None,
        dq_write_order_full: Tensor | None = None,
        dq_kv_order: Tensor | bool | None = None,
    ) -> BlockMask:
        """Return a mask from the lists of blocks by rows; `q_…` are found from them.

        Raises RuntimeError for indices of less than 2 dimensions, AssertionError if only one of
        `full_kv_…` is given.
        """
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        _both_or_none("kv", full_kv_num_blocks, full_kv_indices)
        of_queries: tuple = (None, None, None, None)
        if compute_q_blocks:
            of_queries = (*_transpose_ordered(kv_num_blocks, kv_indices), None, None)
            if full_kv_num_blocks is not None:
                full = _transpose_ordered(full_kv_num_blocks, full_kv_indices)
                of_queries = (*of_queries[:2], *full)
        if isinstance(BLOCK_SIZE, int):
            BLOCK_SIZE = (BLOCK_SIZE, BLOCK_SIZE)
        if seq_lengths is None:
            rows, columns = kv_indices.shape[-2:]
            seq_lengths = (rows * BLOCK_SIZE[0], columns * BLOCK_SIZE[1])
        if dq_kv_order is not None and not isinstance(dq_kv_order, (bool, Tensor)):
            raise ValueError("dq_kv_order must be a bool, Tensor, or None")
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            *of_queries,
            BLOCK_SIZE=BLOCK_SIZE,
            mask_mod=noop_mask if mask_mod is None else mask_mod,
            dq_write_order=dq_write_order,
            dq_write_order_full=dq_write_order_full,
            dq_kv_order=dq_kv_order if isinstance(dq_kv_order, Tensor) else None,
            dq_kv_order_spt=dq_kv_order if isinstance(dq_kv_order, bool) else None,
        )

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """Return lengths, tensors, block size and mask_mod; the pairs as two items each, or one."""
        pairs = (self.seq_lengths, self.BLOCK_SIZE)
        lengths, block = pairs if flatten else ((pairs[0],), (pairs[1],))
        tensors = [getattr(self, name) for name in self._TENSOR_ATTRS]
        return (*lengths, *tensors, self.dq_kv_order_spt, *block, self.mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def __str__(self) -> str:
        return (
            f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
            f"{self.to_string().strip()}\n)"
        )

    def __repr__(self) -> str:
        def shape_of(tensor: Tensor | None):
            return None if tensor is None else tensor.shape

        lines = [f"{name}={shape_of(getattr(self, name))}" for name in self._TENSOR_ATTRS[:8]]
        lines += [
            f"BLOCK_SIZE={self.BLOCK_SIZE}",
            f"shape={self.shape}",
            f"sparsity={self.sparsity():.2f}%",
            f"mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}",
        ]
        return "BlockMask(\n    " + ",\n    ".join(lines) + "\n)"

    def _rebuilt(self, arguments: tuple, seq_lengths: tuple[int, int], mask_mod) -> BlockMask:
        made = BlockMask.from_kv_blocks(
            *arguments,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=mask_mod,
            seq_lengths=seq_lengths,
            compute_q_blocks=self.q_indices is not None,
        )
        made.dq_kv_order_spt = self.dq_kv_order_spt
        if self.dq_write_order is not None:
            orders = _compute_dq_write_order_from_block_mask(made, self.dq_kv_order_spt)
            made.dq_write_order, made.dq_write_order_full = orders
        return made

    def _refuse_order(self, doing: str) -> None:
        if self.dq_kv_order is not None:
            raise NotImplementedError(
                f"{doing} BlockMask with tensor dq_kv_order is not supported yet. Construct a new "
                "BlockMask with matching precomputed dq_write_order metadata."
            )

    def __getitem__(self, index: int | slice | Tensor | tuple) -> BlockMask:
        """Return the mask of some samples, heads and rows of blocks; its mask_mod must be set anew.

        A number keeps its dimension, with one entry.
        """
        self._refuse_order("Slicing")
        index = index if isinstance(index, tuple) else (index,)
        places = []
        sizes = self.kv_num_blocks.shape[:3]
        everything = (slice(None),) * 3
        for place, size in zip((*index, *everything)[:3], sizes, strict=True):
            if isinstance(place, int):
                place = place + size if -size <= place < 0 else place
                place = slice(place, place + 1)
            places.append(place)
        tensors = [getattr(self, name) for name in self._TENSOR_ATTRS[:4]]
        found = tuple([None if t is None else t[tuple(places)] for t in tensors])
        return self._rebuilt(found, self.seq_lengths, _sliced_mask_mod_error)

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """Return the upper left corner of the mask, for shorter sequences."""
        self._refuse_order("Adjusting")
        rows, columns = (
            -(-length // size) for length, size in zip((new_q_len, new_kv_len), self.BLOCK_SIZE)
        )
        found: tuple = _adjust_num_blocks_and_indices(
            self.kv_num_blocks, self.kv_indices, rows, columns
        )
        if self.full_kv_num_blocks is not None:
            found += _adjust_num_blocks_and_indices(
                self.full_kv_num_blocks, self.full_kv_indices, rows, columns
            )
        return self._rebuilt(found, (new_q_len, new_kv_len), self.mask_mod)

    def numel(self) -> int:
        """Return how many elements the mask has."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """Return the percentage of elements in blocks that are not computed."""
        blocks = self.kv_num_blocks.sum().item()
        if self.full_kv_num_blocks is not None:
            blocks += self.full_kv_num_blocks.sum().item()
        return 100 * (1 - blocks * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel())

    def to_dense(self) -> Tensor:
        """Return (B, H, ROWS, COLUMNS) of int32: 1 for the blocks that are computed."""
        columns = self.kv_indices.shape[-1]
        dense = _ordered_to_dense(self.kv_num_blocks, self.kv_indices, columns)
        if self.full_kv_num_blocks is None:
            return dense
        columns = self.full_kv_indices.shape[-1]
        return dense | _ordered_to_dense(self.full_kv_num_blocks, self.full_kv_indices, columns)

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """Return a picture: of at most `grid_size` cells (all for -1), of at most `limit` heads."""
        dense = self.to_dense()
        *batch, rows, columns = dense.shape
        most = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        steps = [max(1, -(-n // m)) for n, m in zip((rows, columns), most, strict=True)]
        pictures = []
        for number, place in enumerate(itertools.product(*[range(n) for n in batch])):
            if number == limit:
                pictures += [
                    "...",
                    "To print out more, set BlockMask.to_string(limit=N)",
                    "You can also index (BlockMask[batch, head]) to choose a specific batch or head",
                ]
                break
            pictures.append(f"{place}\n" + _picture(dense[place].tolist(), columns, *steps))
        return "\n".join(pictures)

    def to(self, device: torch.device | str) -> BlockMask:
        """Return the mask with its tensors on `device`."""
        tensors = {name: getattr(self, name) for name in self._TENSOR_ATTRS}
        moved = {name: None if t is None else t.to(device) for name, t in tensors.items()}
        return BlockMask(
            self.seq_lengths,
            **moved,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
            dq_kv_order_spt=self.dq_kv_order_spt,
        )


def _picture(rows: list[list[int]], columns: int, row_step: int, column_step: int) -> str:
    lines = []
    for top in range(0, len(rows), row_step):
        line = ""
        for left in range(0, columns, column_step):
            cells = [
                cell
                for row in rows[top : top + row_step]
                for cell in row[left : left + column_step]
            ]
            line += ("█" if all(cells) else "░" if any(cells) else " ") * 2
        lines.append(line + "\n")
    return "".join(lines)
