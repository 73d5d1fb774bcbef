"""Causal masks that need no memory, as `attn_mask` of `scaled_dot_product_attention`."""

from __future__ import annotations

from enum import IntEnum, auto
from warnings import warn

import flashlight as torch
from flashlight import Tensor
from flashlight._ops.attention import LOWER_RIGHT
from flashlight.nn import functional as F

__all__ = ["causal_upper_left", "causal_lower_right", "CausalVariant", "CausalBias"]


class CausalVariant(IntEnum):
    """Which corner the diagonal of a mask that is not square starts from."""

    UPPER_LEFT = auto()
    LOWER_RIGHT = auto()


class CausalBias(Tensor):
    """A causal mask (seq_len_q, seq_len_kv) by its description; only attention takes it."""

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int):
        return Tensor._make_subclass(cls, torch.empty(0))

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        self.variant = variant
        self.seq_len_q = seq_len_q
        self.seq_len_kv = seq_len_kv
        if seq_len_q > seq_len_kv and variant is CausalVariant.LOWER_RIGHT:
            warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > "
                "seq_len_kv!",
                stacklevel=2,
            )

    def _materialize(self, device=None) -> Tensor:
        """Return the mask: True where a query may look."""
        shape = (self.seq_len_q, self.seq_len_kv)
        ones = torch.ones(shape, device=device or "cpu", dtype=torch.bool)
        if self.variant is CausalVariant.UPPER_LEFT:
            return torch.tril(ones)
        return torch.tril(ones, diagonal=self.seq_len_kv - self.seq_len_q)

    @staticmethod
    def _dispatch(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: CausalBias,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if is_causal:
            raise ValueError("CausalBias should not be used with causal=True")
        lengths = query.shape[-2], key.shape[-2]
        square = attn_mask.seq_len_q == attn_mask.seq_len_kv
        lower_right = attn_mask.variant is CausalVariant.LOWER_RIGHT and not square
        if lower_right and lengths != (attn_mask.seq_len_q, attn_mask.seq_len_kv):
            raise RuntimeError(
                f"the mask ({attn_mask.seq_len_q}, {attn_mask.seq_len_kv}) does not fit "
                f"{lengths[0]} queries and {lengths[1]} keys"
            )
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=dropout_p,
            is_causal=LOWER_RIGHT if lower_right else True,
            scale=scale,
            enable_gqa=enable_gqa,
        )

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            return cls._dispatch(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs or {})

    def __repr__(self) -> str:
        return repr(self._materialize())


def causal_upper_left(*size) -> CausalBias:
    """Return the mask of a lower triangle that starts in the upper left corner."""
    if len(size) != 2:
        raise AssertionError("causal_upper_left only supports 2D tensors")
    return CausalBias(CausalVariant.UPPER_LEFT, *size)


def causal_lower_right(*size) -> CausalBias:
    """Return the mask of a lower triangle that ends in the lower right corner."""
    if len(size) != 2:
        raise AssertionError("causal_lower_right only supports 2D tensors")
    return CausalBias(CausalVariant.LOWER_RIGHT, *size)
