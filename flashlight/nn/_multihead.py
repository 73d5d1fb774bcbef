"""Multi-head attention as a function: projections, masks, and attention in between."""

from __future__ import annotations

import math
import warnings

import flashlight as torch
from flashlight import Tensor, dtype

from .._ops.attention import scaled_dot_product_attention
from .._ops.dropout import dropout
from .._ops.matmul import linear
from .._ops.padding import pad

Shape = tuple[int, ...]


def _expect(name: str, found, wanted) -> None:
    if tuple(found) != tuple(wanted):
        raise AssertionError(f"expecting {name} of {tuple(wanted)}, but got {found}")


def _in_projection_packed(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Project by one weight of three parts, in one product where the inputs are the same object."""
    if q is k and k is v:
        return linear(q, w, b).chunk(3, -1)
    size = q.size(-1)
    if k is v:
        w_q, w_kv = w.split([size, 2 * size])
        b_q, b_kv = (None, None) if b is None else b.split([size, 2 * size])
        return linear(q, w_q, b_q), *linear(k, w_kv, b_kv).chunk(2, -1)
    biases = (None, None, None) if b is None else b.chunk(3)
    return tuple(linear(*each) for each in zip((q, k, v), w.chunk(3), biases))


def _in_projection(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    b_q: Tensor | None = None,
    b_k: Tensor | None = None,
    b_v: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Project by a weight each; AssertionError if shapes don't fit."""
    size = q.size(-1)
    projected = []
    for name, input, weight, bias in (
        ("query", q, w_q, b_q),
        ("key", k, w_k, b_k),
        ("value", v, w_v, b_v),
    ):
        _expect(f"{name} weights shape", weight.shape, (size, input.size(-1)))
        if bias is not None:
            _expect(f"{name} bias shape", bias.shape, (size,))
        projected.append(linear(input, weight, bias))
    return tuple(projected)


def _mha_shape_check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Tell whether there is a batch; AssertionError if numbers of dimensions don't fit."""
    dims = query.dim()
    if dims not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor"
        )
    kind = f"For {'batched (3-D)' if dims == 3 else 'unbatched (2-D)'} `query`, expected "
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"{kind}`key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"{kind}`key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"{kind}`attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D "
                "tensor instead"
            )
        if dims == 2 and attn_mask.dim() == 3:
            wanted = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != wanted:
                raise AssertionError(
                    f"Expected `attn_mask` shape to be {wanted} but got {attn_mask.shape}"
                )
    return dims == 3


def _canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other_type: dtype | None,
    other_name: str,
    target_type: dtype,
    check_other: bool = True,
) -> Tensor | None:
    """Return a mask to add: floats as they are, True as -inf; AssertionError for other dtypes."""
    if mask is None:
        return None
    is_float = mask.is_floating_point()
    if not is_float and mask.dtype is not torch.bool:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type "
            "for both instead.",
            stacklevel=2,
        )
    if is_float:
        return mask
    zeros = torch.zeros_like(mask, dtype=target_type)
    return zeros.masked_fill_(mask, float("-inf"))


def _none_or_dtype(input: Tensor | None) -> dtype | None:
    if input is None:
        return None
    if isinstance(input, Tensor):
        return input.dtype
    raise RuntimeError("input to _none_or_dtype() must be None or torch.Tensor")


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What nn.MultiheadAttention computes: (L, N, E), (S, N, Ek), (S, N, Ev) -> (L, N, E), weights.

    Raises AssertionError for inputs and weights that don't fit, RuntimeError for such masks.
    """
    is_batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        # Equal arguments stay the same object: the projection then takes one product.
        batched = {id(each): each.unsqueeze(1) for each in (query, key, value)}
        query, key, value = (batched[id(each)] for each in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, embed_dim = query.shape
    head_dim = _head_dim(embed_dim, embed_dim_to_check, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    padding = _canonical_mask(
        key_padding_mask,
        "key_padding_mask",
        _none_or_dtype(attn_mask),
        "attn_mask",
        query.dtype,
    )
    if is_causal and padding is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = _canonical_mask(
            attn_mask, "attn_mask", None, "", query.dtype, check_other=False
        )
        is_causal = False
    if not use_separate_proj_weight:
        _same_shapes("key shape", key.shape, "value shape", value.shape)
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    else:
        _same_shapes("key's sequence and batch dims", key.shape[:2], "value's", value.shape[:2])
        weights = {"q": q_proj_weight, "k": k_proj_weight, "v": v_proj_weight}
        for name, weight in weights.items():
            if weight is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = _in_projection(query, key, value, *weights.values(), *biases)
    heads = batch * num_heads
    attn_mask = _checked_attn_mask(attn_mask, heads, length, key.shape[0])

    added = 0
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError(
                f"bias cannot be added to static {'value' if static_k is None else 'key'}."
            )
        k = torch.cat([k, bias_k.repeat(1, batch, 1)])
        v = torch.cat([v, bias_v.repeat(1, batch, 1)])
        added += 1
    elif bias_k is not None or bias_v is not None:
        given, absent = ("bias_k", "bias_v") if bias_v is None else ("bias_v", "bias_k")
        raise AssertionError(f"{given} is set but {absent} is None")
    q = q.reshape(length, heads, head_dim).transpose(0, 1)
    k = _by_head(k, static_k, "static_k", heads, head_dim)
    v = _by_head(v, static_v, "static_v", heads, head_dim)
    if add_zero_attn:
        k = pad(k, (0, 0, 0, 1))
        v = pad(v, (0, 0, 0, 1))
        added += 1
    if added:
        # What was added is hidden from no one.
        attn_mask = None if attn_mask is None else pad(attn_mask, (0, added))
        padding = None if padding is None else pad(padding, (0, added))
    source = k.size(1)
    attn_mask = _with_padding(attn_mask, padding, batch, num_heads, source)

    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = torch.bmm(q * math.sqrt(1.0 / head_dim), k.transpose(1, 2))
        weights = torch.softmax(scores if attn_mask is None else scores + attn_mask, dim=-1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p, True)
        output = torch.bmm(weights, v)
        weights = weights.reshape(batch, num_heads, length, source)
        if average_attn_weights:
            weights = weights.mean(dim=1)
    else:
        shape = (batch, num_heads, -1, head_dim)
        if attn_mask is not None:
            single = attn_mask.size(0) == 1
            attn_mask = (
                attn_mask.unsqueeze(0)
                if single
                else attn_mask.reshape(batch, num_heads, -1, source)
            )
        output = scaled_dot_product_attention(
            q.reshape(shape), k.reshape(shape), v.reshape(shape), attn_mask, dropout_p, is_causal
        ).reshape(heads, length, head_dim)
    output = output.transpose(0, 1).reshape(length * batch, embed_dim)
    output = linear(output, out_proj_weight, out_proj_bias)
    output = output.reshape(length, batch, output.size(1))
    if not is_batched:
        output = output.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return output, weights


def _head_dim(embed_dim: int, wanted: int, num_heads: int) -> int:
    if embed_dim != wanted:
        raise AssertionError(f"was expecting embedding dimension of {wanted}, but got {embed_dim}")
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    return embed_dim // num_heads


def _same_shapes(name: str, found: Shape, other_name: str, other: Shape) -> None:
    if tuple(found) != tuple(other):
        verb = "do" if name.endswith("dims") else "does"
        raise AssertionError(f"{name} {found} {verb} not match {other_name} {other}")


def _checked_attn_mask(mask: Tensor | None, heads: int, length: int, source: int) -> Tensor | None:
    """Return the mask with a dimension for heads; RuntimeError for other shapes."""
    if mask is None:
        return None
    if mask.dim() not in (2, 3):
        raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")
    wanted = (length, source) if mask.dim() == 2 else (heads, length, source)
    if tuple(mask.shape) != wanted:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {wanted}."
        )
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _by_head(
    projected: Tensor, static: Tensor | None, name: str, heads: int, head_dim: int
) -> Tensor:
    """Return keys or values as (heads, S, head_dim), the given ones if there are."""
    if static is None:
        return projected.reshape(projected.shape[0], heads, head_dim).transpose(0, 1)
    for dim, wanted in ((0, heads), (2, head_dim)):
        if static.size(dim) != wanted:
            raise AssertionError(
                f"expecting {name}.size({dim}) of {wanted}, but got {static.size(dim)}"
            )
    return static


def _with_padding(
    mask: Tensor | None, padding: Tensor | None, batch: int, num_heads: int, source: int
) -> Tensor | None:
    """Return `mask` plus the mask of padded keys, (N, S)."""
    if padding is None:
        return mask
    for dim, wanted in enumerate((batch, source)):
        if padding.shape[dim] != wanted:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{dim}] to be {wanted}, but got "
                f"{padding.shape[dim]}"
            )
    padding = padding.view(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(batch * num_heads, 1, source)
    return padding if mask is None else mask + padding
