"""Moving elements between channels, pixels and blocks: shuffles, im2col and its reverse."""

from __future__ import annotations

import math

import mlx.core as mx

from .._kernels import windows
from .kinds import composite, primitive
from .lengths import lengths

# ----- pixels and channels -----


@composite(out=False)
def pixel_shuffle(input, upscale_factor):
    """(*, C·r², H, W) -> (*, C, H·r, W·r) (https://arxiv.org/abs/1609.05158).

    Raises RuntimeError below 3 dimensions or if the channels are no multiple of r².
    """
    factor = upscale_factor
    _check_image("pixel_shuffle", input)
    if factor <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {factor}")
    *batch, channels, height, width = input.shape
    if channels % factor**2:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {factor**2}"
        )
    kept = channels // factor**2
    lead = len(batch)
    order = [*range(lead), lead, lead + 3, lead + 1, lead + 4, lead + 2]
    split = input.reshape(*batch, kept, factor, factor, height, width).permute(order)
    return split.reshape(*batch, kept, height * factor, width * factor)


@composite(out=False)
def pixel_unshuffle(input, downscale_factor):
    """(*, C, H·r, W·r) -> (*, C·r², H, W), the reverse of `pixel_shuffle`.

    Raises RuntimeError below 3 dimensions or if height or width are no multiples of r.
    """
    factor = downscale_factor
    _check_image("pixel_unshuffle", input)
    if factor <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {factor}")
    *batch, channels, height, width = input.shape
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={size} is not divisible by {factor}"
            )
    lead = len(batch)
    order = [*range(lead), lead, lead + 2, lead + 4, lead + 1, lead + 3]
    rows, columns = height // factor, width // factor
    split = input.reshape(*batch, channels, rows, factor, columns, factor).permute(order)
    return split.reshape(*batch, channels * factor**2, rows, columns)


def _check_image(name: str, input) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with "
            f"{input.ndim} dimension(s)"
        )


@composite(out=False)
def channel_shuffle(input, groups):
    """Interleave the channels of `groups` groups, (N, C, *) (https://arxiv.org/abs/1707.01083).

    Raises RuntimeError below 3 dimensions or if the channels are no multiple of `groups`.
    """
    if input.ndim < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    batch, channels, *spatial = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    split = input.reshape(batch, groups, channels // groups, *spatial)
    return split.transpose(1, 2).reshape(input.shape)


# ----- blocks -----


@primitive(name="im2col")
def _unfold(
    input: mx.array, kernel: tuple, dilation: tuple, padding: tuple, stride: tuple
) -> mx.array:
    padded = windows.pad_last(input, [(each, each) for each in padding])
    blocks = windows.unfold(padded, kernel, stride, dilation)
    batch, channels = input.shape[:2]
    return mx.reshape(blocks, (batch, channels * math.prod(kernel), math.prod(blocks.shape[-2:])))


@primitive(name="col2im")
def _fold(
    input: mx.array, size: tuple, kernel: tuple, dilation: tuple, padding: tuple, stride: tuple
) -> mx.array:
    padded = tuple(length + 2 * each for length, each in zip(size, padding))
    counts = windows.window_counts(padded, kernel, stride, dilation)
    channels = input.shape[1] // math.prod(kernel)
    blocks = mx.reshape(input, (input.shape[0], channels, *kernel, *counts))
    image = windows.fold(blocks, padded, stride, dilation)
    return windows.pad_last(image, [(-each, -each) for each in padding])


_unfold.gradients(
    input=lambda grad, input_shape, kernel, dilation, padding, stride: _fold(
        grad, tuple(input_shape[2:]), kernel, dilation, padding, stride
    )
)
_fold.gradients(
    input=lambda grad, kernel, dilation, padding, stride: _unfold(
        grad, kernel, dilation, padding, stride
    )
)


def _block_settings(kernel_size, dilation, padding, stride) -> dict[str, tuple[int, ...]]:
    given = {
        "kernel_size": kernel_size,
        "dilation": dilation,
        "padding": padding,
        "stride": stride,
    }
    found = {}
    for name, value in given.items():
        found[name] = _two(name, value)
        lowest = 0 if name == "padding" else 1
        if min(found[name]) < lowest:
            label = name.replace("_", " ")
            short = label.split()[0]
            bound = "non-negative" if name == "padding" else "greater than zero"
            raise RuntimeError(
                f"{label} should be {bound}, but got {short}_height: {found[name][0]} "
                f"{short}_width: {found[name][1]}"
            )
    return found


def _two(name: str, value) -> tuple[int, ...]:
    if isinstance(value, (tuple, list)) and len(value) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(value)}")
    return lengths("fold", name, value, 2)


@composite(out=False)
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Take the blocks out of an image, (N, C, H, W) -> (N, C·kernel, blocks); N may be missing.

    Raises RuntimeError for settings and inputs without blocks.
    """
    settings = _block_settings(kernel_size, dilation, padding, stride)
    if input.ndim not in (3, 4) or 0 in input.shape[input.ndim - 3 :]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel, dilation, padding, stride = settings.values()
    spatial = tuple(input.shape[-2:])
    counts = _block_counts(spatial, kernel, dilation, padding, stride)
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {spatial}, kernel_size={kernel}, "
            f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding "
            f"blocks as {counts}, but its components must be at least one."
        )
    if input.ndim == 3:
        return _unfold(input.unsqueeze(0), kernel, dilation, padding, stride).squeeze(0)
    return _unfold(input, kernel, dilation, padding, stride)


def _block_counts(spatial, kernel, dilation, padding, stride) -> tuple[int, ...]:
    return tuple(
        (size + 2 * pad - step * (length - 1) - 1) // move + 1
        for size, length, step, pad, move in zip(spatial, kernel, dilation, padding, stride)
    )


@composite(out=False)
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Add blocks up into an image, (N, C·kernel, blocks) -> (N, C, *output_size).

    N may be missing. Raises RuntimeError if the number or size of the blocks does not fit.
    """
    size = _two("output_size", output_size)
    settings = _block_settings(kernel_size, dilation, padding, stride)
    kernel, dilation, padding, stride = settings.values()
    if input.ndim not in (2, 3) or 0 in input.shape[input.ndim - 2 :]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    rows, blocks = input.shape[-2:]
    if rows % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size={kernel}."
        )
    counts = _block_counts(size, kernel, dilation, padding, stride)
    given = (
        f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, "
        f"padding={padding}, stride={stride}, "
    )
    if min(counts) < 1:
        raise RuntimeError(
            f"{given}calculated shape of the array of sliding blocks as {counts}, which is too "
            "small (non-positive)"
        )
    if blocks != math.prod(counts):
        raise RuntimeError(
            f"{given}expected size of input's dimension 2 to match the calculated number of "
            f"sliding blocks {counts[0]} * {counts[1]} = {math.prod(counts)}, but got "
            f"input.size(2)={blocks}."
        )
    if input.ndim == 2:
        return _fold(input.unsqueeze(0), size, kernel, dilation, padding, stride).squeeze(0)
    return _fold(input, size, kernel, dilation, padding, stride)


_PUBLIC = (channel_shuffle, pixel_shuffle, pixel_unshuffle)
FUNCTIONS = {function.__name__: function for function in _PUBLIC}
FUNCTIONS["native_channel_shuffle"] = channel_shuffle
METHODS: dict = {}
INPLACE = ()
