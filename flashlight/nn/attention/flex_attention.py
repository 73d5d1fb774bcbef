"""Attention with functions for scores and masks, as `torch.nn.attention.flex_attention`.

https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
"""

from __future__ import annotations

import inspect
import math
import warnings
import weakref
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypedDict, get_args

import numpy as np

import flashlight as torch
from flashlight import Tensor
from flashlight._core.evaluation import is_traced
from flashlight._core.tensor import read
from flashlight.nn import functional as F
from flashlight.nn.attention._block_mask import (
    _DEFAULT_SPARSE_BLOCK_SIZE,
    BlockMask,
    _compute_dq_write_order_from_block_mask,
    _dense_to_ordered,
    _sliced_mask_mod_error,
    noop_mask,
)
from flashlight.nn.attention._flex import Work, attend, check_heads, over_positions
from flashlight.nn.attention._tiles import EMPTY, FULL, PARTIAL, budget, whole

__all__ = [
    "BlockMask",
    "flex_attention",
    "AuxOutput",
    "AuxRequest",
    "FlexKernelOptions",
    "create_block_mask",
    "create_mask",
    "or_masks",
    "and_masks",
    "noop_mask",
]

_score_mod_signature = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
_mask_mod_signature = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_Backend = Literal["AUTO", "TRITON", "FLASH", "TRITON_DECODE"]

#: Accepted for programs that set it: functions always run as they are here.
_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = False

_shown: set[str] = set()


class FlexKernelOptions(TypedDict, total=False):
    """Settings of PyTorch's GPU kernels; accepted, and without effect on MLX."""

    num_warps: int
    num_stages: int
    BLOCK_M: int
    BLOCK_N: int
    BLOCK_M1: int
    BLOCK_N1: int
    BLOCK_M2: int
    BLOCK_N2: int
    PRESCALE_QK: bool
    ROWS_GUARANTEED_SAFE: bool
    BLOCKS_ARE_CONTIGUOUS: bool
    WRITE_DQ: bool
    FORCE_USE_FLEX_ATTENTION: bool
    USE_TMA: bool
    kpack: int
    matrix_instr_nonkdim: int
    waves_per_eu: int
    BACKEND: _Backend


class AuxRequest(NamedTuple):
    """Which further results `flex_attention` is to return."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """Further results (B, H, L): the logarithm of the sum of e^scores, and the largest score."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


# ----- masks -----


def _is_mask_mod(function: Callable) -> bool:
    """Tell a mask_mod (b, h, q, kv) from a score_mod. Raises AssertionError for neither."""
    code = getattr(function, "__code__", None)
    if code is not None:
        count = code.co_argcount - len(getattr(function, "__defaults__", None) or ())
    else:
        parameters = inspect.signature(function).parameters.values()
        count = sum(parameter.default is parameter.empty for parameter in parameters)
    if count not in (4, 5):
        raise AssertionError(f"Expected 4 or 5 positional args, got {count}")
    return count == 4


def _default_device(device: Any) -> Any:
    return device or torch.accelerator.current_accelerator() or "cpu"


def _mask_of_rows(mod_fn, is_mask_mod, batch, heads, rows: slice, columns, device) -> Tensor:
    counts = (slice(0, batch), slice(0, heads), rows, slice(0, columns))
    places = [torch.arange(part.start, part.stop, device=device) for part in counts]
    if is_mask_mod:
        return over_positions(mod_fn)(*places)
    scores = torch.zeros(batch, heads, rows.stop - rows.start, columns, device=device)
    return ~torch.isneginf(over_positions(mod_fn, 0)(scores, *places))


def create_mask(
    mod_fn: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """Return the mask (B, H, Q_LEN, KV_LEN) of a mask_mod, or of a score_mod: where it isn't -inf.

    Raises AssertionError for a function of neither 4 nor 5 arguments.
    """
    is_mask_mod = _is_mask_mod(mod_fn)
    sizes = (1 if B is None else B, 1 if H is None else H)
    device = _default_device(device)
    return _mask_of_rows(mod_fn, is_mask_mod, *sizes, slice(0, Q_LEN), KV_LEN, device)


def _round_up_to_multiple(x: int, multiple: int) -> int:
    return -(-x // multiple) * multiple


def _counted(mask: Tensor, rows: int, columns: int) -> Tensor:
    """(B, H, Q, KV) -> (B, H, blocks, blocks): how many elements of each block are True."""
    length, keys = mask.shape[-2:]
    mask = F.pad(
        mask,
        (0, _round_up_to_multiple(keys, columns) - keys,
         0, _round_up_to_multiple(length, rows) - length),
    )  # fmt: skip
    batch, heads, length, keys = mask.shape
    blocks = mask.reshape(batch, heads, length // rows, rows, keys // columns, columns)
    return blocks.sum((3, 5))


def _kinds_of_blocks(counts: Tensor, size: int, separate: bool) -> tuple[Tensor, Tensor | None]:
    if not separate:
        return (counts > 0).to(torch.int8), None
    partial = (counts > 0) & (counts < size)
    return partial.to(torch.int8), (counts == size).to(torch.int8)


def _convert_mask_to_block_mask(
    mask: Tensor,
    Q_BLOCK_SIZE: int = _DEFAULT_SPARSE_BLOCK_SIZE,
    KV_BLOCK_SIZE: int = _DEFAULT_SPARSE_BLOCK_SIZE,
    separate_full_blocks: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return which blocks of a bool mask are needed: those in part, and those in full."""
    if mask.dtype != torch.bool:
        raise AssertionError(f"mask.dtype must be torch.bool, got {mask.dtype}")
    mask = mask.reshape((1,) * (4 - mask.dim()) + tuple(mask.shape))
    counts = _counted(mask, Q_BLOCK_SIZE, KV_BLOCK_SIZE)
    return _kinds_of_blocks(counts, Q_BLOCK_SIZE * KV_BLOCK_SIZE, separate_full_blocks)


def _create_sparse_block_from_block_mask(
    block_mask: tuple[Tensor, Tensor | None],
    mask_mod: Callable | None,
    seq_lengths: tuple[int, int],
    Q_BLOCK_SIZE: int = _DEFAULT_SPARSE_BLOCK_SIZE,
    KV_BLOCK_SIZE: int = _DEFAULT_SPARSE_BLOCK_SIZE,
) -> BlockMask:
    partial, full = block_mask
    return BlockMask.from_kv_blocks(
        *_dense_to_ordered(partial),
        *((None, None) if full is None else _dense_to_ordered(full)),
        BLOCK_SIZE=(Q_BLOCK_SIZE, KV_BLOCK_SIZE),
        mask_mod=mask_mod,
        seq_lengths=seq_lengths,
    )


def create_block_mask(
    mask_mod: Callable,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
) -> BlockMask:
    """Return the BlockMask of `mask_mod`(b, h, q, kv), True where a query sees a key.

    The mask is made some rows at a time. Raises AssertionError for a score_mod, ValueError for a
    `dq_kv_order` that is no bool.
    """
    device = _default_device(device)
    if not _is_mask_mod(mask_mod):
        raise AssertionError(
            f"create-block_mask requires a mask_mod function! Got {mask_mod}"
        )
    batch, heads = 1 if B is None else B, 1 if H is None else H
    rows, columns = (BLOCK_SIZE,) * 2 if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    if _compile:
        warnings.warn(
            "_compile of create_block_mask is deprecated and will be removed: use "
            "torch.compile(create_block_mask)",
            DeprecationWarning,
            stacklevel=2,
        )
    if not isinstance(dq_kv_order, bool):
        raise ValueError("dq_kv_order must be a bool when using create_block_mask")
    most = budget(torch.device(device).type) // max(1, batch * heads * KV_LEN)
    step = max(1, most // rows) * rows
    counts = [
        _counted(
            _mask_of_rows(
                mask_mod, True, batch, heads, slice(row, min(row + step, Q_LEN)), KV_LEN, device
            ),
            rows,
            columns,
        )
        for row in range(0, max(1, Q_LEN), step)
    ]
    kinds = _kinds_of_blocks(torch.cat(counts, 2), rows * columns, separate_full_blocks)
    made = _create_sparse_block_from_block_mask(kinds, mask_mod, (Q_LEN, KV_LEN), rows, columns)
    if compute_dq_write_order:
        orders = _compute_dq_write_order_from_block_mask(made, dq_kv_order)
        made.dq_write_order, made.dq_write_order_full = orders
        made.dq_kv_order_spt = dq_kv_order
    return made


def _check_callable(mask_mods: tuple) -> None:
    if not all(callable(mask) for mask in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")


def or_masks(*mask_mods: Callable) -> Callable:
    """Return the mask_mod that is True where one of `mask_mods` is; RuntimeError if no functions.
    """
    _check_callable(mask_mods)

    def or_mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = b.new_zeros((), dtype=torch.bool)
        for mask in mask_mods:
            result = result | mask(b, h, q_idx, kv_idx)
        return result

    return or_mask


def and_masks(*mask_mods: Callable) -> Callable:
    """Return the mask_mod that is True where all `mask_mods` are; RuntimeError if no functions."""
    _check_callable(mask_mods)

    def and_mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = b.new_ones((), dtype=torch.bool)
        for mask in mask_mods:
            result = result & mask(b, h, q_idx, kv_idx)
        return result

    return and_mask


# ----- the blocks of a mask, on the host -----

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _listed(counts: Tensor, indices: Tensor, columns: int) -> np.ndarray:
    """(..., R), (..., R, n) -> (B, H, R, columns): whether a row lists a column."""
    counts, indices = counts.cpu().numpy(), indices.cpu().numpy()
    found = np.zeros((*indices.shape[:-1], columns + 1), bool)
    taken = (np.arange(indices.shape[-1]) < counts[..., None]) & (indices < columns)
    np.put_along_axis(found, np.where(taken, indices, columns), True, axis=-1)
    found = found[..., :columns]
    return found.reshape((1,) * (4 - found.ndim) + found.shape)


def _blocks_of(mask: BlockMask, keys: int) -> np.ndarray:
    """Return the kind of each block (B, H, R, C); all are partial in a trace that hides them."""
    tensors = [
        mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks, mask.full_kv_indices
    ]  # fmt: skip
    state = [(t, t._version) for t in tensors if t is not None]
    columns = -(-keys // mask.BLOCK_SIZE[1])
    known = _known.get(mask)
    if known is not None and known[1] == columns and len(known[0]) == len(state) and all(
        old is new and before == now for (old, before), (new, now) in zip(known[0], state)
    ):
        return known[2]
    if is_traced(*[read(t) for t, _ in state]):
        if mask.mask_mod is noop_mask:
            raise RuntimeError(
                "flex_attention cannot see inside a trace which blocks a BlockMask has: make it "
                "outside of the compiled function, or give it a mask_mod"
            )
        return np.full((1, 1, mask.kv_indices.shape[-2], columns), PARTIAL, np.uint8)
    kinds = np.where(_listed(*tensors[:2], columns), PARTIAL, EMPTY).astype(np.uint8)
    if tensors[2] is not None:
        kinds = np.where(_listed(*tensors[2:], columns), FULL, kinds).astype(np.uint8)
    if mask.mask_mod is noop_mask:
        kinds[kinds == PARTIAL] = FULL
    _known[mask] = state, columns, kinds
    return kinds


# ----- attention -----


def _warn_once(warning_id: str, message: str, category: type[Warning] = UserWarning) -> None:
    if warning_id not in _shown:
        _shown.add(warning_id)
        warnings.warn(message, category, stacklevel=3)


def _check_options(options: FlexKernelOptions | None) -> None:
    options = {} if options is None else options
    if "BACKEND" in options and options.get("FORCE_USE_FLEX_ATTENTION", False):
        raise RuntimeError(
            "BACKEND cannot be combined with legacy FORCE_USE_FLEX_ATTENTION. BACKEND supersedes "
            "it: please specify the desired BACKEND only."
        )
    backends = get_args(_Backend)
    backend = options.get("BACKEND", "AUTO")
    if backend not in backends:
        raise ValueError(f"Invalid BACKEND value '{backend}'. Must be one of {backends}")
    for name in ("OUTPUT_LOGSUMEXP", "OUTPUT_MAX"):
        if name in options:
            raise AssertionError(f"{name} must not be in kernel_options")


def _check_tensors(query, key, value, mask, enable_gqa) -> None:
    if query.is_nested or key.is_nested or value.is_nested:
        raise NotImplementedError(
            "flex_attention does not support NestedTensor inputs. Convert inputs to dense tensors "
            "before calling flex_attention."
        )
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise ValueError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()}, key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if query.size(-1) != key.size(-1):
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension but got "
            f"E={query.size(-1)} and E={key.size(-1)}."
        )
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    heads, key_heads = query.size(1), key.size(1)
    check_heads(heads, key_heads, enable_gqa)
    batch, key_batch = query.size(0), key.size(0)
    if batch == key_batch:
        return
    if mask is None:
        raise ValueError(
            "Expect query and key/value to have the same batch size, or non-none block_mask, but "
            f"got block_mask=None, Bq={batch}, and Bkv={key_batch}."
        )
    if mask.kv_num_blocks.size(0) != batch:
        raise ValueError(
            "Expect query and key/value to have the same batch size, or block_mask and query to "
            f"have the same batch size, but got Bq={batch}, Bkv={key_batch}, "
            f"B_block_mask={mask.kv_num_blocks.size(0)}."
        )
    if not (batch > 1 and key_batch == 1):
        raise RuntimeError(f"Bq and Bkv must broadcast. Got Bq={batch} and Bkv={key_batch}")


def _check_mask(mask: BlockMask, query: Tensor, key: Tensor) -> None:
    if mask.mask_mod is _sliced_mask_mod_error:
        raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")
    given, lengths = (query.size(-2), key.size(-2)), tuple(mask.shape[-2:])
    if given == lengths:
        return
    made = (
        f"block_mask was created for block_mask.shape={mask.shape} but got q_len={given[0]} and "
        f"kv_len={given[1]}. As the block mask was created for a"
    )
    if given[0] > lengths[0] or given[1] > lengths[1]:
        raise ValueError(
            f"{made} smaller length than you're using it for, you likely need to create a new one."
        )
    raise ValueError(
        f"{made} larger length than you're using it for, create a new one of the correct length, "
        "or call block_mask._adjust(q_len, kv_len), which crops it to the upper left corner: that "
        "does not work for all mask_mods!"
    )


def _laid_out_as(query: Tensor, result: Tensor) -> Tensor:
    """Give the result the query's order of dimensions in memory, the last one innermost."""
    if query.is_contiguous():
        return result
    order = sorted(range(3), key=lambda dim: query.stride(dim), reverse=True)
    back = [order.index(dim) for dim in range(3)]
    return result.permute(*order, 3).contiguous().permute(*back, 3)


def _autocast(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    device_type = tensors[0].device.type
    if not torch.is_autocast_enabled(device_type):
        return tensors
    dtype = torch.get_autocast_dtype(device_type)
    return tuple([
        t.to(dtype) if t.is_floating_point() and t.dtype != torch.float64 else t for t in tensors
    ])


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: FlexKernelOptions | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Tensor | tuple[Tensor, Tensor] | tuple[Tensor, AuxOutput]:
    """(B, Hq, L, E), (B, Hkv, S, E), (B, Hkv, S, V) -> (B, Hq, L, V): attention with modified scores.

    `score_mod`(score, b, h, q_idx, kv_idx) gets and returns a score, all tensors of no dimensions;
    what it uses from outside gets gradients. `block_mask` tells which blocks are computed at all.
    Further results come with `return_aux`. Memory grows with L and S, not with their product.
    Raises ValueError for shapes that do not fit, RuntimeError for a sliced mask without mask_mod.
    """
    _check_tensors(query, key, value, block_mask, enable_gqa)
    if block_mask is not None:
        _check_mask(block_mask, query, key)
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, please use "
            "return_aux=AuxRequest(lse=True) instead."
        )
    if return_lse:
        _warn_once(
            "deprecated_return_lse",
            "return_lse is deprecated and will be removed in v2.10. Please use "
            "return_aux=AuxRequest(lse=True) instead.",
            FutureWarning,
        )
    _check_options(kernel_options)
    query, key, value = _autocast((query, key, value))
    if scale is None:
        scale = 1.0 / math.sqrt(query.size(-1))
    with torch.autocast(query.device.type, enabled=False):
        result, sums, largest = _attend(query, key, value, score_mod, block_mask, scale)
    result = _laid_out_as(query, result)
    if return_aux is not None:
        some = sums.numel() > 0
        return result, AuxOutput(
            sums if return_aux.lse and some else None,
            largest if return_aux.max_scores and some else None,
        )
    return (result, sums) if return_lse else result


def _attend(query, key, value, score_mod, mask, scale):
    kinds, block, mask_mod = whole(), (max(1, query.size(2)), max(1, key.size(2))), None
    if mask is not None:
        kinds, block = _blocks_of(mask, key.size(2)), mask.BLOCK_SIZE
        mask_mod = None if mask.mask_mod is noop_mask else mask.mask_mod
    return attend(Work(score_mod, mask_mod, kinds, block, float(scale)), query, key, value)
