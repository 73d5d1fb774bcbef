"""Attention within sequences of several lengths, packed one after the other.

https://docs.pytorch.org/docs/2.13/nn.attention.varlen.html
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import flashlight as torch
from flashlight import Tensor
from flashlight.nn.attention._flex import Work, attend, check_heads
from flashlight.nn.attention._tiles import EMPTY, FULL, PARTIAL

__all__ = ["varlen_attn", "varlen_attn_out", "AuxRequest"]

_BLOCK = 128


class AuxRequest(NamedTuple):
    """Which further results are to be returned."""

    lse: bool = False


def varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor | None,
    max_q: int,
    max_k: int,
    *,
    return_aux: AuxRequest | None = None,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
    seqused_k: Tensor | None = None,
    block_table: Tensor | None = None,
    num_splits: int | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """(T, Hq, E), (S, Hkv, E), (S, Hkv, V) -> (T, Hq, V): each sequence attends to itself.

    Sequence i has the queries from `cu_seq_q[i]` up to `cu_seq_q[i + 1]`, and keys likewise, of
    which `seqused_k[i]` count. `window_size` is how many keys to the left and right a query sees
    (-1: all), the last query being level with the last key. With a `block_table` (N, pages), keys
    and values are pages (P, page size, Hkv, E) that it puts in order. `return_aux` adds the
    logarithms (Hq, T) of the sums of e^scores. Raises ValueError for numbers of heads that do not
    fit; RuntimeError for a gradient through `seqused_k` or `block_table`.
    """
    heads = query.size(1)
    key_heads = key.size(1 if block_table is None else 2)
    check_heads(heads, key_heads, enable_gqa)
    if len(window_size) != 2:
        raise ValueError(f"window_size must have length 2, got {len(window_size)}")
    if torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value)):
        for name, given in (("seqused_k", seqused_k), ("block_table", block_table)):
            if given is not None:
                raise RuntimeError(f"{name} is an inference-only parameter.")
    if block_table is not None and seqused_k is None:
        raise RuntimeError("block_table needs seqused_k")
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else float(scale)
    bounds: list[int] = cu_seq_q.tolist()
    lengths = [stop - start for start, stop in zip(bounds, bounds[1:])]
    keys, values = (_of_sequences(t, cu_seq_k, seqused_k, block_table) for t in (key, value))
    results, logarithms = [], []
    for q, k, v in zip(query.split(lengths), keys, values, strict=True):
        result, sums = _attend(q, k, v, scale, tuple(window_size))
        results.append(result)
        logarithms.append(sums)
    joined = torch.cat(results)
    if return_aux is not None and return_aux.lse:
        return joined, torch.cat(logarithms, 1)
    return joined


def _of_sequences(
    tensor: Tensor, bounds: Tensor | None, used: Tensor | None, table: Tensor | None
) -> list[Tensor]:
    """Return the keys or values of each sequence."""
    counts: Any = None if used is None else used.tolist()
    if table is not None:
        return [
            tensor.index_select(0, pages.long()).flatten(0, 1)[:count]
            for pages, count in zip(table.clamp(min=0), counts, strict=True)
        ]
    if bounds is None:
        raise RuntimeError("cu_seq_k can only be None with a block_table")
    places = bounds.tolist()
    parts = tensor.split([stop - start for start, stop in zip(places, places[1:])])
    if counts is None:
        return list(parts)
    return [part[:count] for part, count in zip(parts, counts, strict=True)]


def _attend(query, key, value, scale, window) -> tuple[Tensor, Tensor]:
    """(L, H, E), (S, H', E), (S, H', V) -> (L, H, V), (H, L)."""
    length, keys = query.shape[0], key.shape[0]
    shift = keys - length
    left, right = (math.inf if side < 0 else side for side in window)

    def near(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        return (kv >= q + shift - left) & (kv <= q + shift + right)

    kinds = _band(length, keys, shift, left, right)
    work = Work(None, near, kinds, (_BLOCK, _BLOCK), scale)
    batched = [t.transpose(0, 1).unsqueeze(0) for t in (query, key, value)]
    result, sums, _ = attend(work, *batched)
    return result.squeeze(0).transpose(0, 1), sums.squeeze(0)


def _band(length: int, keys: int, shift: int, left: float, right: float) -> np.ndarray:
    """Return the kinds of the blocks of a band: the first and last key of each row are known."""
    first_row = np.arange(0, max(1, length), _BLOCK)[:, None]
    last_row = np.minimum(first_row + _BLOCK, length) - 1
    first = np.arange(0, max(1, keys), _BLOCK)
    last = np.minimum(first + _BLOCK, keys) - 1
    touched = (last >= first_row + shift - left) & (first <= last_row + shift + right)
    inside = (first >= last_row + shift - left) & (last <= first_row + shift + right)
    kinds = np.where(inside, FULL, np.where(touched, PARTIAL, EMPTY))
    return kinds.astype(np.uint8)[None, None]


def varlen_attn_out(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor | None,
    max_q: int,
    max_k: int,
    *,
    return_aux: AuxRequest | None = None,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
    seqused_k: Tensor | None = None,
    block_table: Tensor | None = None,
    num_splits: int | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Write the result of `varlen_attn` into `out` and return it; no gradient is recorded."""
    with torch.no_grad():
        result, sums = varlen_attn(
            query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, return_aux=AuxRequest(True),
            scale=scale, window_size=window_size, enable_gqa=enable_gqa, seqused_k=seqused_k,
            block_table=block_table, num_splits=num_splits,
        )  # fmt: skip
        out.copy_(result)
    return (out, sums) if return_aux is not None and return_aux.lse else out
