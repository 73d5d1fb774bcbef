"""Padding the ends of the last dimensions: with a value, mirrored, repeated or wrapped around.

Pads come in pairs, before and after, the last dimension's first; negative ones crop.
Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html
"""

from __future__ import annotations

import operator

import mlx.core as mx

from .._core.dtype import FROM_MLX, SCALAR_TYPE_NAME
from .._kernels.windows import pad_last
from .kinds import composite, primitive


@primitive(name="constant_pad_nd")
def _constant_pad(input: mx.array, padding: tuple, value) -> mx.array:
    return pad_last(input, padding, _as_number(value, input.dtype))


def _as_number(value, dtype):
    """Return `value` as PyTorch casts it: towards zero for integers."""
    category = FROM_MLX[dtype].category
    return bool(value) if category == 0 else int(value) if category == 1 else value


_constant_pad.gradients(
    input=lambda grad, padding: _constant_pad(grad, tuple((-a, -b) for a, b in padding), 0)
)


@composite
def constant_pad_nd(input, pad, value=0):
    """Pad (or crop) the last ``len(pad) / 2`` dimensions with `value`.

    Raises RuntimeError if a dimension would get a negative length.
    """
    padding = _pairs(input, pad)
    sizes = input.shape[input.ndim - len(padding) :]
    for size, (before, after) in zip(sizes, padding):
        if size + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        if size + before + after < 0:
            raise RuntimeError(
                f"The input size {size}, plus negative padding {before} and {after} resulted in a "
                "negative output size"
            )
    return _constant_pad(input, padding, 0 if value is None else value)


def _pairs(input, pad) -> tuple[tuple[int, int], ...]:
    """Return the padding of each dimension, first dimensions first."""
    pad = [operator.index(each) for each in pad]
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but "
            f"got padding length {len(pad)} and input of dimension {input.ndim}"
        )
    return tuple(zip(pad[::2], pad[1::2]))[::-1]


def _reflect(array: mx.array, axis: int, before: int, after: int) -> mx.array:
    size = array.shape[axis]
    parts = []
    if before > 0:
        parts.append(_flipped(array, axis, 1, before + 1))
    parts.append(_part(array, axis, max(-before, 0), size - max(-after, 0)))
    if after > 0:
        parts.append(_flipped(array, axis, size - 1 - after, size - 1))
    return mx.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def _replicate(array: mx.array, axis: int, before: int, after: int) -> mx.array:
    size = array.shape[axis]
    parts = []
    if before > 0:
        parts.append(mx.repeat(_part(array, axis, 0, 1), before, axis=axis))
    parts.append(_part(array, axis, max(-before, 0), size - max(-after, 0)))
    if after > 0:
        parts.append(mx.repeat(_part(array, axis, size - 1, size), after, axis=axis))
    return mx.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def _wrap_around(array: mx.array, axis: int, before: int, after: int) -> mx.array:
    size = array.shape[axis]
    parts = []
    if before > 0:
        # What was cropped from the other end is not wrapped around.
        end = size - max(-after, 0)
        parts.append(_part(array, axis, end - before, end))
    parts.append(_part(array, axis, max(-before, 0), size - max(-after, 0)))
    if after > 0:
        start = max(-before, 0)
        parts.append(_part(array, axis, start, start + after))
    return mx.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def _part(array: mx.array, axis: int, start: int, stop: int) -> mx.array:
    if start == 0 and stop == array.shape[axis]:
        return array
    return array[(*(slice(None),) * axis, slice(start, stop))]


def _flipped(array: mx.array, axis: int, start: int, stop: int) -> mx.array:
    return _part(array, axis, start, stop)[(*(slice(None),) * axis, slice(None, None, -1))]


_MODES = {"reflect": _reflect, "replicate": _replicate, "circular": _wrap_around}


@primitive(name="pad", channels_last=("input",))
def _pad_with_itself(input: mx.array, padding: tuple, mode: str) -> mx.array:
    extend = _MODES[mode]
    lead = input.ndim - len(padding)
    for position, (before, after) in enumerate(padding):
        if before or after:
            input = extend(input, lead + position, before, after)
    return input


@primitive(name="pad_backward")
def _pad_backward(grad: mx.array, shape: tuple, padding: tuple, mode: str) -> mx.array:
    """Sum the gradient of each element over its copies, those of half types in float32."""
    wide = grad.astype(mx.float32) if grad.dtype in (mx.float16, mx.bfloat16) else grad

    def body(array):
        return _pad_with_itself.operation.body(array, padding, mode)

    (found,) = mx.vjp(body, [mx.zeros(shape, wide.dtype)], [wide])[1]
    return found.astype(grad.dtype)


_pad_with_itself.gradients(
    input=lambda grad, input_shape, padding, mode: _pad_backward(
        grad, tuple(input_shape), padding, mode
    )
)
_pad_backward.gradients(grad=lambda grad, padding, mode: _pad_with_itself(grad, padding, mode))


def _check_pad_with_itself(input, padding: tuple, mode: str) -> None:
    dims = len(padding)
    if not 1 <= dims <= 3 or input.ndim not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {2 * dims} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    lead = input.ndim - dims
    sizes = input.shape[lead:]
    if mode == "circular":
        for size, pair in zip(sizes, padding):
            if max(pair) > size:
                raise RuntimeError("Padding value causes wrapping around more than once.")
            if size + sum(pair) <= 0:
                raise RuntimeError(f"circular padding {pair} leaves nothing of length {size}")
        return
    name = "reflection" if mode == "reflect" else "replication"
    if input.dtype.category == 0:
        kind = SCALAR_TYPE_NAME[input.dtype]
        raise NotImplementedError(f"\"{name}_pad{dims}d\" not implemented for '{kind}'")
    if 0 in input.shape[0 if lead == 1 else 1 :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size "
            f"and other non-zero dimensions for input, but got: {list(input.shape)}"
        )
    for position, (size, pair) in enumerate(zip(sizes, padding)):
        if mode == "reflect" and max(pair) >= size:
            raise RuntimeError(
                f"Argument #{2 * (dims - position) + 2}: Padding size should be less than the "
                f"corresponding input dimension, but got: padding {pair} at dimension "
                f"{lead + position} of input {list(input.shape)}"
            )
        if size + sum(pair) < 1:
            raise RuntimeError(
                f"input (length {size}) is too small. Calculated output length: {size + sum(pair)}"
            )


@composite(out=False)
def pad(input, pad, mode="constant", value=None):
    """Pad the last dimensions; `mode` is "constant", "reflect", "replicate" or "circular".

    `value` is for "constant". Raises RuntimeError and NotImplementedError for paddings that
    don't fit the input.
    """
    if mode == "constant":
        return constant_pad_nd(input, pad, value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    padding = _pairs(input, pad)
    _check_pad_with_itself(input, padding, mode)
    return _pad_with_itself(input, padding, mode)


FUNCTIONS = {"constant_pad_nd": constant_pad_nd}
METHODS: dict = {}
INPLACE = ()
