"""Flexible attention tile by tile: any function of scores, in memory linear in the sequence.

FlexAttention, https://arxiv.org/abs/2412.05496. Forward keeps the result and the logarithm of the
sum of each row; backward computes the scores of a tile again, and asks the tape for the derivative
of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

import flashlight as torch
from flashlight import Tensor
from flashlight._autograd.boundary import captured
from flashlight._ops.ordering import add_at, after, put_at
from flashlight.nn.attention import _tiles
from flashlight.nn.attention._tiles import EMPTY, FULL, PARTIAL, Sizes, Strip, Tile

__all__ = ["Work", "attend", "over_positions"]

_HALF = (torch.float16, torch.bfloat16)


def over_positions(function: Callable, *prefix: int) -> Callable:
    """Return a function of one position (b, h, q, kv) as one of all; `prefix` maps arguments before.

    The positions are given by the vectors of b, h, q and kv; the result is (B, H, Q, KV).
    """
    for place in (3, 2, 1, 0):
        dims = tuple([0 if dim == place else None for dim in range(4)])
        function = torch.vmap(function, in_dims=(*prefix, *dims))
    return function


class Work(NamedTuple):
    """What attention does apart from its tensors.

    `kinds` and `block` are the blocks of scores that are needed, as `_tiles.strips` takes them.
    """

    score_mod: Callable | None
    mask_mod: Callable | None
    kinds: np.ndarray
    block: tuple[int, int]
    scale: float


def check_heads(heads: int, key_heads: int, enable_gqa: bool) -> None:
    """Raise ValueError for numbers of heads of queries and keys that do not fit together."""
    if not enable_gqa and heads != key_heads:
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got "
            f"Hq={heads} and Hkv={key_heads}. Try setting enable_gqa=True for GQA."
        )
    if enable_gqa and heads % key_heads:
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads} and Hkv={key_heads}."
        )


def attend(work: Work, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H, L, E), (B or 1, H', S, E), (B or 1, H', S, V) -> (B, H, L, V), (B, H, L), (B, H, L).

    The result, the logarithms of the sums of e^scores, and the largest scores; 0 and twice -inf for
    rows that see no key. The largest scores have no gradient.
    """
    others = []
    if work.score_mod is not None and torch.is_grad_enabled():
        others = captured(over_positions(work.score_mod, 0), _example(query))
    return _Attend.apply(work, query, key, value, *others)


def _working(query: Tensor) -> torch.dtype:
    return torch.float64 if query.dtype == torch.float64 else torch.float32


def _example(query: Tensor) -> list[Tensor]:
    score = query.new_zeros((1, 1, 1, 1), dtype=_working(query)).requires_grad_()
    return [score, *[torch.zeros(1, dtype=torch.int64, device=query.device) for _ in range(4)]]


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, work, query, key, value, *others):
        ctx.work, ctx.others = work, others
        whole = Whole(work, query, key, value)
        results = whole.results()
        ctx.save_for_backward(query, key, value, *results[:2])
        ctx.mark_non_differentiable(results[2])
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx, grad, grad_sums, _):
        query, key, value, result, sums = ctx.saved_tensors
        if not query.dtype == key.dtype == value.dtype:
            raise ValueError(
                "Backward pass with mixed query, key, and value dtype is not supported, got "
                f"query.dtype={query.dtype}, key.dtype={key.dtype}, and value.dtype={value.dtype}"
            )
        grad = torch.zeros_like(result) if grad is None else grad
        whole = Whole(ctx.work, query, key, value)
        # How much a score's own weight takes back from all others of its row.
        along = (grad.to(whole.dtype) * result.to(whole.dtype)).sum(-1)
        if grad_sums is not None:
            along = along - grad_sums
        return None, *whole.gradients(grad, sums, along, ctx.others)


class Whole:
    """The tensors of one call, and what is done with each of their tiles."""

    def __init__(self, work: Work, query: Tensor, key: Tensor, value: Tensor):
        self.work, self.query, self.key, self.value = work, query, key, value
        self.dtype = _working(query)
        self.sizes = Sizes(
            query.shape[0], query.shape[1], query.shape[1] // max(1, key.shape[1]),
            query.shape[2], key.shape[2],
        )  # fmt: skip
        self.modify = work.score_mod and over_positions(work.score_mod, 0)
        self.see = work.mask_mod and over_positions(work.mask_mod)

    def strips(self) -> list[Strip]:
        most = _tiles.budget(self.query.device.type)
        return list(_tiles.strips(self.work.kinds, self.work.block, self.sizes, most))

    # ----- forward -----

    def results(self) -> tuple[Tensor, Tensor, Tensor]:
        shape = tuple(self.query.shape[:3])
        found = (
            self.query.new_zeros((*shape, self.value.shape[-1])),
            self.query.new_full(shape, -math.inf, dtype=self.dtype),
            self.query.new_full(shape, -math.inf, dtype=self.dtype),
        )
        before: list[Tensor] = []
        for strip in self.strips():
            for tile in strip.tiles:
                if not _width(tile):
                    continue
                query = self._rows(self.query, strip, tile)
                made = self._tile(strip, tile, after(query, before) if before else query)
                before = [made[0]]
                found = tuple(
                    _written(all_, strip, tile, part) for all_, part in zip(found, made)
                )
        return found

    def _tile(self, strip: Strip, tile: Tile, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        positions = self._positions(strip, tile)
        scores = self._scores(strip, tile, query)
        if self.modify is not None:
            scores = self.modify(scores, *positions).to(self.dtype)
        scores = _hidden(scores, self._seen(tile, positions))
        largest = scores.amax(-1, keepdim=True)
        start = torch.where(largest == -math.inf, 0.0, largest)
        weights = torch.exp(scores - start)
        sums = weights.sum(-1, keepdim=True)
        nothing = sums == 0
        sums = torch.where(nothing, 1.0, sums)
        result = _times(weights, self._columns(self.value, strip, tile)) / sums
        logarithms = torch.where(nothing, -math.inf, sums.log() + start)
        return result.to(self.query.dtype), logarithms.squeeze(-1), largest.squeeze(-1)

    # ----- backward -----

    def gradients(
        self, grad: Tensor, sums: Tensor, along: Tensor, others: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, ...]:
        """Return those of query, key, value and `others`; recorded if grad mode is on."""
        again = torch.is_grad_enabled()
        given = (self.query, self.key, self.value)
        totals = [torch.zeros_like(t, dtype=self.dtype, memory_format=torch.contiguous_format)
                  for t in given]  # fmt: skip
        of_others: list[Tensor | None] = [None] * len(others)
        before: list[Tensor] = []
        for strip in self.strips():
            for tile in strip.tiles:
                if not _width(tile):
                    continue
                own = [self._rows(t, strip, tile) for t in (self.query, grad, sums, along)]
                if before and not again:
                    own[:2] = [after(t, before) for t in own[:2]]
                *parts, found = self._tile_gradients(strip, tile, *own, others)
                before = [*parts, *[t for t in found if t is not None]]
                of_others = [_plus(*pair) for pair in zip(of_others, found, strict=True)]
                add = _plus_at if again else add_at
                places = [_places(strip, tile), *[self._key_places(strip, tile)] * 2]
                totals = [add(*all_) for all_ in zip(totals, places, parts, strict=True)]
        made = [total.to(t.dtype) for total, t in zip(totals, given, strict=True)]
        return *made, *of_others

    def _tile_gradients(self, strip, tile, query, grad, sums, along, others):
        positions = self._positions(strip, tile)
        scores = raw = self._scores(strip, tile, query)
        again = torch.is_grad_enabled()
        if self.modify is not None:
            raw = scores if again and scores.requires_grad else scores.detach().requires_grad_()
            with torch.enable_grad():
                scores = self.modify(raw, *positions).to(self.dtype)
        modified, seen = scores, self._seen(tile, positions)
        scores = _hidden(scores if again else scores.detach(), seen)
        empty = sums == -math.inf
        weights = torch.exp(scores - torch.where(empty, 0.0, sums).unsqueeze(-1))
        grad = grad.to(self.dtype)
        value, key = self._columns(self.value, strip, tile), self._columns(self.key, strip, tile)
        change = weights * (_times(grad, value.mT) - along.unsqueeze(-1))
        found: Iterable[Tensor | None] = [None] * len(others)
        if self.modify is not None:
            of_raw = None
            if modified.requires_grad:
                of_raw, *found = torch.autograd.grad(
                    modified, [raw, *others], change, create_graph=again, allow_unused=True
                )
            change = torch.zeros_like(raw) if of_raw is None else of_raw
            if seen is not None:
                change = torch.where(seen, change, 0.0)
        change = change * self.work.scale
        query = query.to(self.dtype)
        return (
            _times(change, key),
            self._summed(_transposed_times(change, query, key)),
            self._summed(_transposed_times(weights, grad, key)),
            found,
        )

    def _summed(self, part: Tensor) -> Tensor:
        """Return the gradient of keys or values that all samples share."""
        one_for_all = self.key.shape[0] == 1 < self.sizes.batch
        return part.sum(0, keepdim=True) if one_for_all else part

    # ----- parts -----

    def _rows(self, tensor: Tensor, strip: Strip, tile: Tile) -> Tensor:
        return tensor[strip.samples, strip.heads, tile.rows]

    def _columns(self, tensor: Tensor, strip: Strip, tile: Tile) -> Tensor:
        samples, heads, columns = self._key_places(strip, tile)
        tensor = tensor[samples, heads]
        if isinstance(columns, slice):
            return tensor[:, :, columns].to(self.dtype)
        positions = torch.tensor(columns, device=tensor.device)
        return tensor.index_select(2, positions).to(self.dtype)

    def _key_places(self, strip: Strip, tile: Tile) -> tuple:
        samples = slice(0, 1) if self.key.shape[0] == 1 else strip.samples
        return samples, strip.key_heads(self.sizes.shared), tile.columns

    def _scores(self, strip: Strip, tile: Tile, query: Tensor) -> Tensor:
        key = self._columns(self.key, strip, tile)
        return _times(query.to(self.dtype) * self.work.scale, key.mT)

    def _positions(self, strip: Strip, tile: Tile) -> list[Tensor]:
        device = self.query.device
        return [
            torch.arange(place.start, place.stop, device=device)
            if isinstance(place, slice)
            else torch.tensor(place, device=device)
            for place in (strip.samples, strip.heads, tile.rows, tile.columns)
        ]

    def _seen(self, tile: Tile, positions: list[Tensor]) -> Tensor | None:
        """Return which scores count, None if all do."""
        if tile.kinds is None:
            return None
        own = tile.kinds[tile.row_blocks][:, tile.column_blocks]
        if self.see is None or not (tile.kinds == PARTIAL).any():
            return torch.tensor(own != EMPTY, device=self.query.device)
        with torch.no_grad():
            seen = self.see(*positions)
        if (tile.kinds == EMPTY).any():
            seen = seen & torch.tensor(own != EMPTY, device=seen.device)
        if (tile.kinds == FULL).any():
            seen = seen | torch.tensor(own == FULL, device=seen.device)
        return seen


def _width(tile: Tile) -> int:
    columns = tile.columns
    return columns.stop - columns.start if isinstance(columns, slice) else len(columns)


def _hidden(scores: Tensor, seen: Tensor | None) -> Tensor:
    return scores if seen is None else torch.where(seen, scores, -math.inf)


def _places(strip: Strip, tile: Tile) -> tuple[slice, slice, slice]:
    return strip.samples, strip.heads, tile.rows


def _written(whole: Tensor, strip: Strip, tile: Tile, part: Tensor) -> Tensor:
    if whole.shape == part.shape:
        return part
    return put_at(whole, tuple([place.start for place in _places(strip, tile)]), part)


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other


def _plus_at(total: Tensor, places: tuple, part: Tensor) -> Tensor:
    alone = torch.zeros_like(total)
    alone[places] = part
    return total + alone


def _times(rows: Tensor, columns: Tensor) -> Tensor:
    """(b, h, L, a), (b or 1, h', a, c) -> (b, h, L, c): h / h' heads share their columns."""
    batch, heads, length, width = rows.shape
    rows = rows.reshape(batch, columns.shape[1], -1, width)
    return (rows @ columns).reshape(batch, heads, length, -1)


def _transposed_times(left: Tensor, right: Tensor, key: Tensor) -> Tensor:
    """(b, h, L, a), (b, h, L, c) -> (b, h', a, c), summed over the heads that share."""
    batch, heads = left.shape[0], key.shape[1]
    left = left.reshape(batch, heads, -1, left.shape[-1])
    return left.mT @ right.reshape(batch, heads, -1, right.shape[-1])
