"""The functions behind the layers. Most are operations; here they get their public names."""

from __future__ import annotations

import math
import warnings

from typing import TYPE_CHECKING

from flashlight import Tensor

from .._ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    fractional_max_pool2d,
    fractional_max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
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
from .._ops.distance import cosine_similarity, normalize, one_hot, pairwise_distance, pdist
from .._ops.matmul import bilinear, linear
from .._ops.normalization import group_norm, layer_norm, local_response_norm, rms_norm
from .._ops.padding import pad
from .._ops.pointwise import sigmoid, tanh
from .._ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .._ops.rearrangement import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
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
    from .modules.linear_cross_entropy_options import LinearCrossEntropyOptions


# TODO: explicit imports once these families are there
def _temporary():
    import importlib

    for family in ("activation", "dropout", "loss", "embedding", "vision", "attention"):
        try:
            module = importlib.import_module(f"flashlight._ops.{family}")
        except ImportError:
            continue
        globals().update(getattr(module, "functional", {}))
        for name in dir(module):
            if not name.startswith("_") and name not in globals():
                globals()[name] = getattr(module, name)


_temporary()
