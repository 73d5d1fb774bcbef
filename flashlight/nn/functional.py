"""The functions behind the layers. Most are operations; here they get their public names."""
# ruff: noqa: F401  The imports are what this module is.

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from flashlight import Tensor

from .._core.dtype import int64
from .._ops import FUNCTIONS
from .._ops import activation as _activation
from .._ops import binary_cross_entropy as _binary_cross_entropy
from .._ops import dropout as _dropout
from .._ops import embedding as _embedding
from .._ops import loss as _loss
from .._ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from .._ops.attention import scaled_dot_product_attention
from .._ops.batch_normalization import batch_norm, instance_norm
from .._ops.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .._ops.ctc import ctc_loss
from .._ops.distance import cosine_similarity, normalize, pairwise_distance, pdist
from .._ops.matmul import bilinear, linear
from .._ops.normalization import group_norm, layer_norm, local_response_norm, rms_norm
from .._ops.overrides import has_hook
from .._ops.padding import pad
from .._ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from .._ops.rearrangement import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from .._ops.vision import (
    affine_grid,
    grid_sample,
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from ._multihead import (
    _canonical_mask,
    _in_projection,
    _in_projection_packed,
    _mha_shape_check,
    _none_or_dtype,
    multi_head_attention_forward,
)
from ._products import (
    ScalingType,
    SwizzleType,
    grouped_mm,
    scaled_grouped_mm,
    scaled_mm,
)

native_channel_shuffle = channel_shuffle

if TYPE_CHECKING:
    from ._functional_names import *  # noqa: F403
    from .modules.linear_cross_entropy_options import LinearCrossEntropyOptions


for _family in (_activation, _binary_cross_entropy, _dropout, _embedding, _loss):
    # These tables say what is public here: the functions of torch.* may take other arguments.
    globals().update(_family.functional)

for _name, _function in list(globals().items()):
    # Pickles name a function by its public place: models keep activations as attributes.
    if isinstance(_function, FunctionType) and FUNCTIONS.get(_name) is not _function:
        _function.__module__ = __name__


def has_torch_function(relevant_args) -> bool:
    """Tell whether one of the arguments handles calls by its own `__torch_function__`."""
    return any(map(has_hook, relevant_args))


def has_torch_function_unary(arg) -> bool:
    """Tell whether the argument handles calls by its own `__torch_function__`."""
    return has_hook(arg)


def has_torch_function_variadic(*args) -> bool:
    """Tell whether one of the arguments handles calls by its own `__torch_function__`."""
    return any(map(has_hook, args))


def assert_int_or_pair(arg, arg_name: str, message: str) -> None:
    """Raise AssertionError unless `arg` is an int or has two elements."""
    if not isinstance(arg, int) and len(arg) != 2:
        raise AssertionError(message.format(arg_name))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """Cross entropy of ``linear(input, linear_weight, linear_bias)``: (N, F), (C, *, F), (N, *).

    `options` say in which dtype to compute, where PyTorch's apply; there is no chunking. Raises
    RuntimeError for shapes that don't fit.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    classes, features = tuple(linear_weight.shape[:-1]), linear_weight.shape[-1]
    if input.shape[-1] != features:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {features}, respectively"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != classes:
        raise RuntimeError(f"expected linear_bias shape {classes}, got {tuple(linear_bias.shape)}")
    if len(classes) > 1 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {features}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    shape = (*input.shape[:-1], *classes)
    if ignore_index is not None and tuple(target.shape) == shape:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    operands = [
        input,
        linear_weight.reshape(-1, features),
        None if linear_bias is None else linear_bias.reshape(-1),
        weight,
    ]
    dtype = input.dtype
    plain = len(classes) == 1 and label_smoothing == 0.0 and target.dtype is int64
    if options is not None and plain:
        wide = options._dtype_for(dtype)
        operands = [None if each is None else each.to(wide) for each in operands]
    logits = linear(*operands[:3]).reshape(shape)
    return _loss.cross_entropy(
        logits,
        target,
        weight=operands[3],
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    ).to(dtype)
