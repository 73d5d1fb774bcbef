"""Images: resizing, sampling at given positions, and the grids of affine maps."""

from __future__ import annotations

import functools
import operator
import warnings

import mlx.core as mx

from .._core.dtype import FLOATING, float32, float64, uint8
from .._core.dtype import SCALAR_TYPE_NAME as TYPE_NAMES
from .._core.errors import not_implemented_for
from .._core.tensor import Tensor
from .._kernels import grid_sampling
from .._kernels import vision as kernels
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .kinds import composite, primitive

# ----- interpolate -----

#: Filter, ranks and name of the node of each mode.
_MODES = {
    "nearest": (kernels.NEAREST, (1, 2, 3), "upsample_nearest"),
    "nearest-exact": (kernels.NEAREST_EXACT, (1, 2, 3), "upsample_nearest_exact"),
    "linear": (kernels.LINEAR, (1,), "upsample_linear"),
    "bilinear": (kernels.LINEAR, (2,), "upsample_bilinear"),
    "trilinear": (kernels.LINEAR, (3,), "upsample_trilinear"),
    "bicubic": (kernels.CUBIC, (2,), "upsample_bicubic"),
    "lanczos": (kernels.LANCZOS, (2,), "upsample_lanczos"),
}
_AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}


def _table_keys(array, mode, size, counts, scales, align_corners, antialias):
    double = array.dtype in (mx.float64, mx.uint8)
    return [
        (mode, n, count, scale, align_corners, antialias, double)
        for n, count, scale in zip(size, counts, scales, strict=True)
    ]


def _resize_body(input: mx.array, mode, counts, scales, align_corners, antialias):
    keys = _table_keys(input, mode, input.shape[2:], counts, scales, align_corners, antialias)
    result = input
    if input.dtype == mx.uint8:
        for axis in reversed(range(2, input.ndim)):
            result = kernels.resample_bytes(result, axis, kernels.table(*keys[axis - 2]))
        return result
    # PyTorch's kernel for two dimensions keeps linear weights in float32.
    half = None if mode == kernels.LINEAR and input.ndim == 4 else kernels.kept_in(input)
    for axis, key in enumerate(keys, 2):
        result = kernels.resample(result, axis, kernels.table(*key, half))
    return result.astype(input.dtype)


@primitive(name="interpolate_backward")
def _resize_backward(
    output: mx.array, size, mode, counts, scales, align_corners, antialias, name
) -> mx.array:
    keys = _table_keys(output, mode, size, counts, scales, align_corners, antialias)
    result = output
    for axis, (key, n) in enumerate(zip(keys, size, strict=True), 2):
        result = kernels.resample(result, axis, kernels.transposed(key, n))
    return result.astype(output.dtype)


@functools.cache
def _resize(name):
    """The primitive whose node has PyTorch's name for this mode and rank."""

    def rule(grad, input_shape, mode, counts, scales, align_corners, antialias):
        size = tuple(input_shape)[2:]
        return _resize_backward(grad, size, mode, counts, scales, align_corners, antialias, name)

    operation = primitive(_resize_body, name=name.replace("_d", "d"), node=name, channels_last=("input",))
    operation.gradients(input=rule)
    return operation


_resize_backward.gradients(
    output=lambda grad, mode, counts, scales, align_corners, antialias, name: _resize(name)(
        grad, mode, counts, scales, align_corners, antialias
    )
)


def _integer(value):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, "
            f"int], but got size with types [{type(value)}]"
        ) from None


def _wanted(input, size, scale_factor, recompute):
    """Return the result's lengths, and the scale of each dimension where it counts."""
    rank = input.ndim - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given, what = (size, "output size") if size is not None else (scale_factor, "scale_factor")
    if not isinstance(given, (tuple, list)):
        given = [given] * rank
    elif len(given) != rank:
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(input.shape[2:])} and {what} of {given}."
        )
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return tuple(_integer(n) for n in given), (None,) * rank
    counts = tuple(int(n * float(scale)) for n, scale in zip(input.shape[2:], given, strict=True))
    return counts, (None,) * rank if recompute else tuple(float(scale) for scale in given)


@composite(out=False)
def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """(N, C, *lengths) -> (N, C, *size), resized by 'nearest', 'linear', 'bicubic', 'area', …

    Raises ValueError for arguments that contradict one another, NotImplementedError for a mode
    that does not fit the number of dimensions.
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | "
            "bilinear | bicubic | trilinear"
        )
    counts, scales = _wanted(
        input, size, scale_factor, recompute_scale_factor or (mode == "area" and size is None)
    )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode == "area" and input.ndim in _AREA:
        return _AREA[input.ndim](input, counts[0] if input.ndim == 3 else counts)
    rank = input.ndim - 2
    if rank not in (1, 2, 3) or mode not in _MODES:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the "
            f"modes: {' | '.join(_MODES)} | area (got {mode})"
        )
    code, ranks, name = _MODES[mode]
    if rank not in ranks:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs {ranks[0] + 2}D input"
        )
    _check_resize(input, counts, mode, antialias)
    name = f"{name}{rank}_d{'_aa' if antialias else ''}"
    return _resize(name)(input, code, counts, scales, bool(align_corners), bool(antialias))


def _check_resize(input, counts, mode, antialias):
    size = tuple(input.shape[2:])
    if min(size) <= 0 or min(counts) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {size} output {counts}"
        )
    if input.shape[1] == 0:
        raise RuntimeError(
            f"Non-empty {input.ndim}D data tensor expected but got a tensor with sizes "
            f"{list(input.shape)}"
        )
    bytes_too = mode.startswith("nearest") or input.ndim == 4
    supported = (float32, float64) if antialias else FLOATING
    if input.dtype not in supported and not (bytes_too and input.dtype is uint8):
        raise not_implemented_for("compute_indices_weights", input.dtype)


def _deprecated(name):
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=5,
    )


@composite(out=False)
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` by its former name; warns."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(out=False)
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` to the nearest element; warns."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


@composite(out=False)
def upsample_bilinear(input, size=None, scale_factor=None):
    """Bilinear `interpolate` with aligned corners; warns."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ----- grid_sample -----


def _grid_sampler_body(input: mx.array, grid: mx.array, mode, padding, align_corners):
    return grid_sampling.grid_sample(input, grid, mode, padding, align_corners)


_GRID_SAMPLERS = {
    rank: primitive(_grid_sampler_body, name=f"grid_sampler_{rank}d", node=f"grid_sampler{rank}_d")
    for rank in (2, 3)
}


def _check_grid(input, grid, mode):
    size, counts = list(input.shape), list(grid.shape)
    if size[0] != counts[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {size} and grid with sizes {counts}"
        )
    if counts[-1] != len(size) - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {len(size) - 2} in last dimension, but "
            f"got grid with sizes {counts}"
        )
    if 0 in size[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {size}"
        )
    if len(size) not in (4, 5) or len(size) != len(counts):
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {size} and grid with sizes {counts}"
        )
    if mode == grid_sampling.BICUBIC and len(size) == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            f"expected scalar type {TYPE_NAMES[input.dtype]} but found {TYPE_NAMES[grid.dtype]}"
        )
    if input.dtype not in FLOATING:
        raise not_implemented_for("grid_sampler_2d_cpu_kernel_impl", input.dtype)


@composite(out=False)
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sample` with numbers for its modes."""
    if input.ndim < 2 or grid.ndim < 2:
        raise RuntimeError("grid_sampler(): expected 4D or 5D input and grid")
    _check_grid(input, grid, interpolation_mode)
    sampler = _GRID_SAMPLERS[input.ndim - 2]
    return sampler(input, grid, interpolation_mode, padding_mode, bool(align_corners))


def _choice(name, value, choices):
    if value not in choices:
        quoted = [f"'{choice}'" for choice in choices]
        raise ValueError(
            f"nn.functional.grid_sample(): expected {name} to be {', '.join(quoted[:-1])} or "
            f"{quoted[-1]}, but got: '{value}'"
        )
    return choices.index(value)


def _default_alignment(align_corners):
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
            "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
            "documentation of grid_sample for details.",
            stacklevel=5,
        )
    return bool(align_corners)


@composite(out=False)
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """(N, C, H, W), (N, H', W', 2) -> (N, C, H', W'): the image at positions in [-1, 1], x first.

    Also (N, C, D, H, W) with (N, D', H', W', 3). Raises ValueError for unknown modes.
    """
    code = _choice("mode", mode, ("bilinear", "nearest", "bicubic"))
    edge = _choice("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    return grid_sampler(input, grid, code, edge, _default_alignment(align_corners))


# ----- affine_grid -----


@primitive(node="affine_grid_generator")
def _affine_grid(theta: mx.array, size, align_corners) -> mx.array:
    base = kernels.identity_grid(size[2:], align_corners, theta.dtype)
    grid = mx.matmul(base, mx.swapaxes(theta, 1, 2))
    return mx.reshape(grid, (size[0], *size[2:], len(size) - 2))


_affine_grid.gradients(
    theta=lambda grad, size, align_corners: _affine_grid_backward(grad, size, align_corners)
)


@primitive(name="affine_grid_generator_backward")
def _affine_grid_backward(output: mx.array, size, align_corners) -> mx.array:
    base = kernels.identity_grid(size[2:], align_corners, output.dtype)
    rows = mx.reshape(output, (size[0], -1, len(size) - 2))
    return mx.matmul(mx.swapaxes(rows, 1, 2), base)


_affine_grid_backward.gradients(
    output=lambda grad, size, align_corners: _affine_grid(grad, size, align_corners)
)


@composite(out=False)
def affine_grid_generator(theta, size, align_corners):
    """`affine_grid` without a default for `align_corners`."""
    size = tuple(int(n) for n in size)
    rank = len(size) - 2
    if theta.shape[0] != size[0]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{size[0]}, {rank + 1}] but got: [{theta.shape[0]}, {rank + 1}]."
        )
    return _affine_grid(theta, size, bool(align_corners))


@composite(out=False)
def affine_grid(theta, size, align_corners=None):
    """(N, 2, 3), size (N, C, H, W) -> (N, H, W, 2): where each pixel goes; or (N, 3, 4) in 3-D.

    Raises ValueError for other shapes.
    """
    align_corners = _default_alignment(align_corners)
    if not isinstance(theta, Tensor) or not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    rank = len(size) - 2
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return affine_grid_generator(theta, size, align_corners)


FUNCTIONS = {
    "affine_grid_generator": affine_grid_generator,
    "grid_sampler": grid_sampler,
    "grid_sampler_2d": grid_sampler,
    "grid_sampler_3d": grid_sampler,
}
METHODS: dict = {}
INPLACE = ()
