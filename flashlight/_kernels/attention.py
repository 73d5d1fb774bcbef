"""Scaled dot-product attention in memory that grows with the sequence, not with its square.

query (N, r, L, E), key (N, S, E), value (N, S, V): r query heads share each of N key heads. A
block of queries meets all of its keys at once, so that its softmax is complete, and the gradient
can compute it again from the inputs alone. `mask` (N, r, L, S) is None, bool (True takes part),
or numbers to add; with `causal`, query i sees the keys up to i. Rows that see no key are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import mlx.core as mx

from .elementary import exp
from .normalization import sum_last, widened
from .ordering import after
from .precision import HALF, on_accelerator

# Bytes of scores to have at a time. On a CPU more is slower: they leave its cache.
BLOCK, ACCELERATOR_BLOCK = 4 << 20, 256 << 20

Optional = mx.array | None


def attention(query: mx.array, key: mx.array, value: mx.array, mask: Optional, causal: bool,
              scale: float) -> mx.array:
    """softmax(query · keyᵀ · scale + mask) · value: (N, r, L, V)."""
    if 0 in query.shape or 0 in key.shape or 0 in value.shape:
        return mx.zeros((*query.shape[:3], value.shape[-1]), query.dtype)
    if _has_kernel(query, key, value, mask, causal):
        return _fused(query, key, value, mask, causal, scale)
    result, parts = None, {}
    for heads, rows, seen in _blocks(query, key, causal):
        part = query[heads, :, rows]
        part = part if result is None else after(part, result)
        weights, sums = _weights(part, key[heads, :seen], _part(mask, heads, rows, seen),
                                 rows.start if causal else None, scale)
        result = _times(weights, widened(value[heads, :seen])) / sums
        parts.setdefault(heads.start, []).append(result.astype(query.dtype))
    return _join([_join(part, 2) for part in parts.values()], 0)


def attention_weights(query: mx.array, key: mx.array, mask: Optional, causal: bool,
                      scale: float) -> mx.array:
    """softmax(query · keyᵀ · scale + mask): (N, r, L, S), all at once."""
    weights, sums = _weights(query, key, mask, 0 if causal else None, scale)
    return (weights / sums).astype(query.dtype)


def attention_gradients(
    grad: mx.array, query: mx.array, key: mx.array, value: mx.array, mask: Optional, causal: bool,
    scale: float,
) -> tuple[mx.array, mx.array, mx.array]:
    """Gradients of query, key and value for one of the result."""
    if 0 in query.shape or 0 in key.shape or 0 in value.shape:
        return mx.zeros_like(query), mx.zeros_like(key), mx.zeros_like(value)
    parts, totals = {}, {}
    last = ()
    for heads, rows, seen in _blocks(query, key, causal):
        ours = [query[heads, :, rows], grad[heads, :, rows]]
        if last:
            ours = [after(array, *last) for array in ours]
        found = _block_gradients(
            *ours, key[heads, :seen], value[heads, :seen], _part(mask, heads, rows, seen),
            rows.start if causal else None, scale)
        parts.setdefault(heads.start, []).append(found[0].astype(query.dtype))
        before = totals.get(heads.start, (None, None))
        totals[heads.start] = [_add_to_front(*pair) for pair in zip(before, found[1:], strict=True)]
        # Each of the three holds on to a block of scores until it is computed.
        last = parts[heads.start][-1], *totals[heads.start]
    unseen = key.shape[1] - seen
    key_grad, value_grad = (
        mx.pad(_join(list(arrays), 0), [(0, 0), (0, unseen), (0, 0)]).astype(key.dtype)
        for arrays in zip(*totals.values(), strict=True))
    return _join([_join(part, 2) for part in parts.values()], 0), key_grad, value_grad


def _block_gradients(query, grad, key, value, mask, first_row, scale):
    weights, sums = _weights(query, key, mask, first_row, scale)
    query, key, value = widened(query), widened(key), widened(value)
    # Divided here, where it is small: weights are not normalized.
    grad = widened(grad) / sums
    scores_grad = _times(grad, mx.swapaxes(value, 1, 2))
    along = weights * scores_grad
    scores_grad = along - weights * (sum_last(along)[..., None] / sums)
    return (_times(scores_grad, key) * scale,
            _transposed_times(scores_grad, query) * scale,
            _transposed_times(weights, grad))


def _weights(query, key, mask, first_row, scale):
    """Return e^(scores - their maximum) (N, r, L, S) and the sums of its rows, in float32."""
    scores = _times(widened(query) * scale, mx.swapaxes(widened(key), 1, 2))
    if first_row is not None:
        rows = mx.arange(first_row, first_row + query.shape[2])[:, None]
        mask = rows >= mx.arange(key.shape[1])
    if mask is not None:
        if mask.dtype == mx.bool_:
            scores = mx.where(mask, scores, mx.array(-math.inf, scores.dtype))
        else:
            scores = scores + mask.astype(scores.dtype)
    largest = mx.max(scores, axis=-1, keepdims=True)
    if mask is not None and first_row is None:
        largest = mx.where(largest == -math.inf, mx.zeros((), scores.dtype), largest)
    weights = exp(scores - largest)
    sums = sum_last(weights)[..., None]
    if mask is not None and first_row is None:
        sums = mx.where(sums == 0, mx.ones((), sums.dtype), sums)
    return weights, sums


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


def _blocks(query, key, causal) -> Iterator[tuple[slice, slice, int]]:
    """Yield (key heads, query rows, number of keys that they see)."""
    count, shared, length, _ = query.shape
    keys = key.shape[1]
    # Half precision is computed in float32.
    size = shared * keys * max(4, query.itemsize)
    budget = ACCELERATOR_BLOCK if on_accelerator() else BLOCK
    rows = min(length, max(1, budget // size))
    heads = max(1, budget // (size * length)) if rows == length else 1
    for head in range(0, count, heads):
        for row in range(0, length, rows):
            stop = min(row + rows, length)
            yield (slice(head, min(head + heads, count)), slice(row, stop),
                   min(keys, stop) if causal else keys)


def _part(mask, heads, rows, seen):
    return None if mask is None else mask[heads, :, rows, :seen]


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


def _has_kernel(query, key, value, mask, causal):
    # MLX aligns a causal mask with the last key, PyTorch with the first.
    return (on_accelerator() and query.dtype in (mx.float32, *HALF)
            and query.shape[-1] == value.shape[-1]
            and not (causal and query.shape[2] != key.shape[1]))


def _fused(query, key, value, mask, causal, scale):
    count, shared, length, width = query.shape
    # MLX wants batch and heads; the key heads can be either.
    heads = mx.reshape(query, (1, count * shared, length, width))
    if mask is not None:
        seen = mask if mask.dtype == mx.bool_ else mask > -math.inf
        mask = mx.reshape(mask, (1, count * shared, length, -1))
        mask = mask if mask.dtype == mx.bool_ else mask.astype(query.dtype)
    result = mx.fast.scaled_dot_product_attention(
        heads, key[None], value[None], scale=scale, mask="causal" if causal else mask)
    result = mx.reshape(result, query.shape)
    if mask is None:
        return result
    # MLX spreads a row that sees no key over all of them.
    return mx.where(mx.any(seen, axis=-1, keepdims=True), result, mx.zeros((), result.dtype))
