"""Products of matrices in groups and with scales."""

from __future__ import annotations

from enum import Enum

import flashlight as torch
from flashlight import Tensor, dtype


class ScalingType(Enum):
    """What one scale of a float8 matrix is for."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(Enum):
    """How the scales of a float8 matrix are ordered."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: dtype | None = None,
) -> Tensor:
    """Multiply groups: batches (G, M, K) by (G, K, N), or parts of a matrix that end at `offs`.

    A 2-d `mat_a` with a 3-d `mat_b` is divided by rows, a 2-d `mat_b` with a 3-d `mat_a` by
    columns, two 2-d ones along the dimension that is summed. Raises RuntimeError for other
    shapes, for a bias, or if `offs` is missing or not needed.
    """
    dims = mat_a.dim(), mat_b.dim()
    if not set(dims) <= {2, 3}:
        raise RuntimeError(f"grouped_mm: expected 2- or 3-d tensors, got {dims[0]}d and {dims[1]}d")
    if bias is not None:
        raise RuntimeError("grouped_mm: a bias is not supported; add it to the result")
    if (offs is not None) is (dims == (3, 3)):
        raise RuntimeError("grouped_mm: offs is for 2-d tensors: they need it, others refuse it")
    if offs is None:
        result = torch.bmm(mat_a, mat_b)
    else:
        ends = offs.tolist()
        parts = list(zip([0, *ends[:-1]], ends))
        if dims == (2, 3):
            groups = [mat_a[low:high] @ mat_b[i] for i, (low, high) in enumerate(parts)]
            result = torch.cat(groups)
        elif dims == (3, 2):
            groups = [mat_a[i] @ mat_b[:, low:high] for i, (low, high) in enumerate(parts)]
            result = torch.cat(groups, 1)
        else:
            groups = [mat_a[:, low:high] @ mat_b[low:high] for low, high in parts]
            result = torch.stack(groups)
    return result if out_dtype is None else result.to(out_dtype)


def _refuse(name: str) -> None:
    raise NotImplementedError(
        f"{name} multiplies float8 matrices, and MLX has no float8 dtype: multiply the scaled "
        "matrices with torch.matmul, or see mlx.core.quantized_matmul"
    )


def scaled_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | list[Tensor],
    scale_recipe_a: ScalingType | list[ScalingType],
    scale_b: Tensor | list[Tensor],
    scale_recipe_b: ScalingType | list[ScalingType],
    swizzle_a: SwizzleType | list[SwizzleType] | None = None,
    swizzle_b: SwizzleType | list[SwizzleType] | None = None,
    bias: Tensor | None = None,
    output_dtype: dtype | None = None,
    contraction_dim: list[int] | tuple[int, ...] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """Multiply scaled float8 matrices: NotImplementedError, MLX has none."""
    _refuse("scaled_mm")


def scaled_grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | list[Tensor],
    scale_recipe_a: ScalingType | list[ScalingType],
    scale_b: Tensor | list[Tensor],
    scale_recipe_b: ScalingType | list[ScalingType],
    swizzle_a: SwizzleType | list[SwizzleType] | None = None,
    swizzle_b: SwizzleType | list[SwizzleType] | None = None,
    bias: Tensor | None = None,
    offs: Tensor | None = None,
    output_dtype: dtype | None = None,
    contraction_dim: list[int] | tuple[int, ...] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """Multiply groups of scaled float8 matrices: NotImplementedError, MLX has none."""
    _refuse("scaled_grouped_mm")
