"""Scaled dot-product attention in memory that grows with the sequence, not with its square.

query (N, r, L, E), key (N, S, E), value (N, S, V): r query heads share each of N key heads. A
block of queries meets all of its keys at once, so that its softmax is complete, and the gradient
can compute it again from the inputs alone. Rows that see no key are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from .elementary import exp
from .normalization import sum_last, widened
from .ordering import after
from .precision import HALF, on_accelerator

# Bytes of scores to have at a time. On a CPU more is slower: they leave its cache.
BLOCK, ACCELERATOR_BLOCK = 4 << 20, 256 << 20

Optional = mx.array | None


class Rules(NamedTuple):
    """What decides about the weights, apart from queries and keys.

    `diagonal`: query i sees the keys up to i + diagonal. `heads` tells for each of the N heads which one of a
    mask (M, 1 or r, 1 or L, 1 or S) is its own. `dropout` is the probability that a weight is
    dropped, and `seed` the key from which the same choice can be made again.
    """

    scale: float
    diagonal: int | None = None
    heads: np.ndarray | None = None
    dropout: float = 0.0
    seed: Optional = None


def attention(query: mx.array, key: mx.array, value: mx.array, mask: Optional,
              rules: Rules) -> mx.array:
    """softmax(query · keyᵀ · scale + mask) · value: (N, r, L, V).

    A bool mask is True where a key takes part, any other is added.
    """
    if 0 in query.shape or 0 in key.shape or 0 in value.shape:
        return mx.zeros((*query.shape[:3], value.shape[-1]), query.dtype)
    if _has_kernel(query, key, value, mask, rules):
        return _fused(query, key, value, mask, rules)
    result, parts = None, {}
    for block in _blocks(query, key, mask, rules):
        part = query[block.heads, :, block.rows]
        part = part if result is None else after(part, result)
        weights, sums = _weights(part, key[block.heads, :block.seen], block, rules)
        if rules.dropout:
            weights = weights * _kept(weights, block, rules)
        result = _times(weights, widened(value[block.heads, :block.seen])) / sums
        parts.setdefault(block.heads.start, []).append(result.astype(query.dtype))
    return _join([_join(part, 2) for part in parts.values()], 0)


def attention_weights(query: mx.array, key: mx.array, mask: Optional, diagonal: int | None,
                      scale: float) -> mx.array:
    """softmax(query · keyᵀ · scale + mask): (N, r, L, S), all at once; the mask of that shape."""
    everything = Block(slice(0, query.shape[0]), slice(0, query.shape[2]), key.shape[1], mask, 0)
    weights, sums = _weights(query, key, everything, Rules(scale, diagonal))
    return (weights / sums).astype(query.dtype)


def attention_gradients(
    grad: mx.array, query: mx.array, key: mx.array, value: mx.array, mask: Optional, rules: Rules,
) -> tuple[mx.array, mx.array, mx.array]:
    """Gradients of query, key and value for one of the result."""
    if 0 in query.shape or 0 in key.shape or 0 in value.shape:
        return mx.zeros_like(query), mx.zeros_like(key), mx.zeros_like(value)
    parts, totals = {}, {}
    last, seen = (), 0
    for block in _blocks(query, key, mask, rules):
        ours = [query[block.heads, :, block.rows], grad[block.heads, :, block.rows]]
        if last:
            ours = [after(array, *last) for array in ours]
        seen = block.seen
        found = _block_gradients(*ours, key[block.heads, :seen], value[block.heads, :seen], block,
                                 rules)
        head = block.heads.start
        parts.setdefault(head, []).append(found[0].astype(query.dtype))
        before = totals.get(head, (None, None))
        totals[head] = [_add_to_front(*pair) for pair in zip(before, found[1:], strict=True)]
        # Each of the three holds on to a block of scores until it is computed.
        last = parts[head][-1], *totals[head]
    unseen = key.shape[1] - seen
    key_grad, value_grad = (
        mx.pad(_join(list(arrays), 0), [(0, 0), (0, unseen), (0, 0)]).astype(key.dtype)
        for arrays in zip(*totals.values(), strict=True))
    return _join([_join(part, 2) for part in parts.values()], 0), key_grad, value_grad


class Block(NamedTuple):
    """Some heads, some of their rows, how many keys these see, and their part of the mask."""

    heads: slice
    rows: slice
    seen: int
    mask: Optional
    number: int


def _blocks(query, key, mask, rules) -> Iterator[Block]:
    count, shared, length, _ = query.shape
    keys = key.shape[1]
    # Half precision is computed in float32.
    size = shared * keys * max(4, query.itemsize)
    budget = ACCELERATOR_BLOCK if on_accelerator() else BLOCK
    rows = min(length, max(1, budget // size))
    heads = max(1, budget // (size * length)) if rows == length else 1
    number = 0
    for head in range(0, count, heads):
        for row in range(0, length, rows):
            of_heads = slice(head, min(head + heads, count))
            of_rows = slice(row, min(row + rows, length))
            seen = keys
            if rules.diagonal is not None:
                seen = min(keys, max(1, of_rows.stop + rules.diagonal))
            part = _mask_part(mask, rules.heads, of_heads, of_rows, seen)
            yield Block(of_heads, of_rows, seen, part, number)
            number += 1


def _mask_part(mask, owners, heads, rows, seen):
    if mask is None:
        return None
    mask = mask[:, :, rows if mask.shape[2] > 1 else slice(None),
                :seen if mask.shape[3] > 1 else None]
    if mask.shape[0] == 1:
        return mask
    if owners is None:
        return mask[heads]
    return mx.take(mask, mx.array(owners[heads]), axis=0)


def _block_gradients(query, grad, key, value, block, rules):
    weights, sums = _weights(query, key, block, rules)
    query, key, value = widened(query), widened(key), widened(value)
    # Divided here, where it is small: weights are not normalized.
    grad = widened(grad) / sums
    scores_grad = _times(grad, mx.swapaxes(value, 1, 2))
    used = weights
    if rules.dropout:
        kept = _kept(weights, block, rules)
        used, scores_grad = weights * kept, scores_grad * kept
    along = weights * scores_grad
    scores_grad = along - weights * (sum_last(along)[..., None] / sums)
    return (_times(scores_grad, key) * rules.scale,
            _transposed_times(scores_grad, query) * rules.scale,
            _transposed_times(used, grad))


def _weights(query, key, block, rules):
    """Return e^(scores - their maximum) (N, r, L, S) and the sums of its rows, in float32."""
    scores = _times(widened(query) * rules.scale, mx.swapaxes(widened(key), 1, 2))
    mask = block.mask
    if rules.diagonal is not None:
        rows = mx.arange(block.rows.start, block.rows.stop) + rules.diagonal
        earlier = rows[:, None] >= mx.arange(key.shape[1])
        mask = earlier if mask is None else _both(mask, earlier)
    if mask is not None:
        if mask.dtype == mx.bool_:
            # Added, as in PyTorch: MLX selects slowly, and this has the mask's size.
            mask = mx.where(mask, mx.zeros((), scores.dtype), mx.array(-math.inf, scores.dtype))
        scores = scores + mask.astype(scores.dtype)
    largest = mx.max(scores, axis=-1, keepdims=True)
    may_be_empty = block.mask is not None or (rules.diagonal or 0) < 0
    if may_be_empty:
        largest = mx.where(largest == -math.inf, mx.zeros((), scores.dtype), largest)
    weights = exp(scores - largest)
    sums = sum_last(weights)[..., None]
    if may_be_empty:
        sums = mx.where(sums == 0, mx.ones((), sums.dtype), sums)
    return weights, sums


def _both(mask, earlier):
    if mask.dtype == mx.bool_:
        return mx.logical_and(mask, earlier)
    return mx.where(earlier, mask, mx.array(-math.inf, mask.dtype))


def _kept(weights, block, rules):
    """1 / (1 - p) where a weight is kept, 0 where it is dropped; the same in each pass."""
    key = rules.seed + mx.array([0, block.number], mx.uint32)
    kept = mx.random.bernoulli(1.0 - rules.dropout, weights.shape, key=key)
    return kept.astype(weights.dtype) * (1.0 / (1.0 - rules.dropout))


def _times(rows, columns):
    """(N, r, L, a), (N, a, b) -> (N, r, L, b)."""
    count, shared, length, width = rows.shape
    product = mx.matmul(mx.reshape(rows, (count, shared * length, width)), columns)
    return mx.reshape(product, (count, shared, length, columns.shape[2]))


def _transposed_times(left, right):
    """(N, r, L, a), (N, r, L, b) -> (N, a, b)."""
    count, shared, length, width = left.shape
    left = mx.reshape(left, (count, shared * length, width))
    right = mx.reshape(right, (count, shared * length, right.shape[3]))
    return mx.matmul(mx.swapaxes(left, 1, 2), right)


def _add_to_front(total, part):
    """Add gradients of all keys so far, of which there are more in each block of a causal pass."""
    if total is None:
        return part
    common = total.shape[1]
    if common == part.shape[1]:
        return total + part
    return mx.concatenate([total + part[:, :common], part[:, common:]], axis=1)


def _join(parts, axis):
    return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=axis)


def _has_kernel(query, key, value, mask, rules):
    # MLX aligns a causal mask with the last key.
    return (on_accelerator() and query.dtype in (mx.float32, *HALF) and not rules.dropout
            and query.shape[-1] == value.shape[-1]
            and (rules.diagonal is None or mask is None
                 and 0 <= rules.diagonal == key.shape[1] - query.shape[2]))


def _fused(query, key, value, mask, rules):
    count, shared, length, width = query.shape
    keys = key.shape[1]
    if mask is not None:
        mask = _mask_part(mask, rules.heads, slice(0, count), slice(0, length), keys)
        mask = mx.broadcast_to(mask, (count, shared, length, keys))
        seen = mask if mask.dtype == mx.bool_ else mask > -math.inf
        mask = mx.reshape(mask, (1, count * shared, length, keys))
        mask = mask if mask.dtype == mx.bool_ else mask.astype(query.dtype)
    # MLX wants batch and heads; the key heads can be either.
    result = mx.fast.scaled_dot_product_attention(
        mx.reshape(query, (1, count * shared, length, width)), key[None], value[None],
        scale=rules.scale, mask=mask if rules.diagonal is None else "causal")
    result = mx.reshape(result, query.shape)
    if mask is None:
        return result
    # MLX spreads a row that sees no key over all of them.
    return mx.where(mx.any(seen, axis=-1, keepdims=True), result, mx.zeros((), result.dtype))
