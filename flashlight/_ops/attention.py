"""Scaled dot-product attention: with all weights at once if they are few, in blocks if not."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from .._core.dtype import FLOATING, bfloat16, bool_, float16, float32, int64
from .._core.errors import broadcast_shapes, not_implemented_for
from .._kernels import attention as kernels
from .._kernels.attention import Rules
from .kinds import composite, primitive

# Up to this many bytes of weights are kept for the backward pass: that is faster than computing
# them a second time.
FEW = 32 << 20
HALF = (float16, bfloat16)

#: `is_causal` of masks whose diagonal ends at the last key: `nn.attention.bias` passes it.
LOWER_RIGHT = object()


# ----- in blocks -----


@primitive(name="scaled_dot_product_attention")
def _in_blocks(
    query: mx.array, key: mx.array, value: mx.array, mask: mx.array | None, rules: Rules
) -> mx.array:
    return kernels.attention(query, key, value, mask, rules)


@primitive(name="scaled_dot_product_attention_backward")
def _in_blocks_backward(
    output: mx.array,
    query: mx.array,
    key: mx.array,
    value: mx.array,
    mask: mx.array | None,
    rules: Rules,
) -> tuple:
    return kernels.attention_gradients(output, query, key, value, mask, rules)


_in_blocks.joint_gradient(
    lambda grad, query, key, value, mask, rules: (
        *_in_blocks_backward(grad, query, key, value, mask, rules),
        None,
    )
)


# ----- all weights at once -----


@primitive(name="scaled_dot_product_attention_weights")
def _weights(
    query: mx.array, key: mx.array, mask: mx.array | None, diagonal: int | None, scale: float
) -> mx.array:
    return kernels.attention_weights(query, key, mask, diagonal, scale)


def _weights_rule(grad, query, key, result, scale):
    scores = result * (grad - (grad * result).sum(-1, keepdim=True))
    count, shared, length, _ = query.shape
    flat = scores.reshape(count, shared * length, -1)
    of_query = (flat @ key).reshape(query.shape) * scale
    of_key = flat.transpose(1, 2) @ query.reshape(count, shared * length, -1) * scale
    return of_query, of_key, scores


_weights.joint_gradient(_weights_rule)


def _all_at_once(query, key, value, mask, rules, dropout_p):
    dtype = query.dtype
    if dtype in HALF:
        query, key, value = query.float(), key.float(), value.float()
    weights = _weights(query, key, mask, rules.diagonal, rules.scale)
    if dropout_p:
        from .dropout import dropout

        weights = dropout(weights, dropout_p, True)
    count, shared, length, keys = weights.shape
    result = weights.reshape(count, shared * length, keys) @ value
    return result.reshape(count, shared, length, value.shape[2]).to(dtype)


# ----- shapes -----


def _mask_heads(mask, lead, shared):
    """Return the mask (M, 1 or r, L or 1, S or 1), and which of the M each head uses."""
    own = (1,) * (len(lead) + 2 - mask.ndim) + tuple(mask.shape)
    *outer, rows, columns = own
    own_shared = 1
    if shared > 1 and outer[-1] > 1:
        outer[-1] //= shared
        own_shared = shared
    owners = np.arange(math.prod(outer)).reshape(outer)
    of_heads = (*lead[:-1], lead[-1] // shared) if lead else ()
    owners = np.broadcast_to(owners, of_heads).reshape(-1)
    return mask.reshape(-1, own_shared, rows, columns), owners


def _repeated_heads(query, key, value):
    """Bring key and value to the same number of heads, a divisor of the query's."""
    heads, key_heads, value_heads = (t.shape[-3] for t in (query, key, value))
    if not key_heads or not value_heads or heads % key_heads or heads % value_heads:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query, but got "
            f"{key_heads} and {value_heads} heads for {heads}"
        )
    if key_heads != value_heads:
        key = key.repeat_interleave(heads // key_heads, -3)
        value = value.repeat_interleave(heads // value_heads, -3)
    return key, value


def _expanded(tensor, lead):
    shape = (*lead, *tensor.shape[-2:])
    return tensor if tuple(tensor.shape) == shape else tensor.expand(shape)


def _check_kinds(query, key, value):
    if not query.dtype is key.dtype is value.dtype:
        names = [t.dtype.name for t in (query, key, value)]
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )


def _is_fused(query, key, value, mask, dropout_p, enable_gqa):
    """Tell whether PyTorch's fused CPU kernel would run: it keeps layouts, and takes both masks."""
    if not query.ndim == key.ndim == value.ndim == 4 or dropout_p:
        return False
    if not query.shape[-1] == key.shape[-1] == value.shape[-1]:
        return False
    if mask is not None and (mask.requires_grad or mask.ndim not in (2, 4)):
        return False
    leads = [tuple(t.shape[: 1 if enable_gqa else 2]) for t in (query, key, value)]
    return leads[0] == leads[1] == leads[2] and all(
        t.shape[-1] == 1 or t.stride(-1) == 1 for t in (query, key, value)
    )


def _check(query, key, value, mask, dropout_p, is_causal, fused):
    if mask is not None and mask.dtype not in (bool_, float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.dtype.name} and query.dtype: {query.dtype.name} instead."
        )
    if query.dtype is int64:
        raise RuntimeError("expected scalar type Float but found Long")
    if query.dtype not in FLOATING:
        raise not_implemented_for("softmax_lastdim_kernel_impl", query.dtype)
    if dropout_p > 1:
        raise RuntimeError(
            f"dropout probability has to be between 0 and 1, but got {dropout_p}"
        )
    if is_causal and mask is not None and not fused:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"Expected key and value to match query {list(query.shape)}, in the last dimension, "
            f"and one another, in the last but one, but got {list(key.shape)} and "
            f"{list(value.shape)}"
        )


@composite(out=False)
def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    *,
    scale=None,
    enable_gqa=False,
):
    """(..., L, E), (..., S, E), (..., S, V) -> (..., L, V): softmax(q · kᵀ · scale + mask) · v.

    The mask broadcasts to (..., L, S): bool, True where a key takes part, or numbers to add.
    Memory grows with L and S, not with their product. Raises RuntimeError for shapes or dtypes
    that do not fit.
    """
    _check_kinds(query, key, value)
    shape = (*query.shape[:-1], value.shape[-1])
    if 0 in shape or 0 in value.shape:
        return _nothing(shape, (query, key, value))
    fused = _is_fused(query, key, value, attn_mask, dropout_p, enable_gqa)
    _check(query, key, value, attn_mask, dropout_p, is_causal, fused)
    if enable_gqa:
        if min(query.ndim, key.ndim, value.ndim) < 3:
            raise IndexError(
                "Dimension out of range (expected to be in range of [-2, 1], but got -3)"
            )
        key, value = _repeated_heads(query, key, value)
        shared = query.shape[-3] // key.shape[-3]
    else:
        shared = 1
    length, keys, width = query.shape[-2], key.shape[-2], query.shape[-1]
    if shared == 1:
        lead = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        of_keys = lead
    else:
        outer = broadcast_shapes(query.shape[:-3], key.shape[:-3], value.shape[:-3])
        lead, of_keys = (*outer, query.shape[-3]), (*outer, key.shape[-3])
    if attn_mask is not None:
        full = (*lead, length, keys)
        shape = broadcast_shapes(full, attn_mask.shape)
        if shape != full:
            raise RuntimeError(
                f"output with shape {list(full)} doesn't match the broadcast shape {list(shape)}"
            )
    count = math.prod(of_keys)
    parts = (
        _expanded(query, lead).reshape(count, shared, length, width),
        _expanded(key, of_keys).reshape(count, keys, width),
        _expanded(value, of_keys).reshape(count, keys, value.shape[-1]),
    )
    scale = 1 / math.sqrt(width) if scale is None and width else float(scale or 0)
    diagonal = keys - length if is_causal is LOWER_RIGHT else 0 if is_causal else None
    result = _attend(parts, attn_mask, lead, Rules(scale, diagonal), max(0.0, dropout_p))
    result = result.reshape(*lead, length, value.shape[-1])
    return _laid_out_as(query, result) if fused else result


def _nothing(shape, tensors):
    """Return zeros that have the tensors in their history: there is nothing to see."""
    result = tensors[0].new_zeros(shape)
    for tensor in tensors:
        result = result + tensor.reshape(-1)[:0].sum()
    return result


def _attend(parts, mask, lead, rules, dropout_p):
    query, key, value = parts
    count, shared, length, _ = query.shape
    keys = key.shape[1]
    size = count * shared * length * keys * max(4, query.itemsize)
    differentiable_mask = mask is not None and mask.requires_grad
    at_once = size <= FEW and (query.device.type in ("cpu", "meta") or dropout_p)
    if at_once or differentiable_mask or dropout_p == 1 or 0 in (length, keys):
        if mask is not None:
            mask = mask.expand(*lead, length, keys).reshape(count, shared, length, keys)
        return _all_at_once(query, key, value, mask, rules, dropout_p)
    if mask is not None:
        mask, owners = _mask_heads(mask, lead, shared)
        rules = rules._replace(heads=owners)
    if dropout_p:
        rules = rules._replace(dropout=dropout_p, seed=_seed(query))
    return _in_blocks(query, key, value, mask, rules)


def _seed(tensor):
    """Draw a key from the generator of the tensor's device."""
    from .drawing import FOLLOW, key_for, source_of

    source = source_of(FOLLOW, tensor.device)
    key = key_for(source)
    return mx.array(source.words32(2)) if key is None else key


def _laid_out_as(query, result):
    """Give the result the query's order of dimensions in memory."""
    if query.is_contiguous():
        return result
    order = sorted(range(4), key=query.stride, reverse=True)
    back = [order.index(dim) for dim in range(4)]
    return result.permute(order).contiguous().permute(back)


FUNCTIONS: dict = {}
METHODS: dict = {}
INPLACE = ()
