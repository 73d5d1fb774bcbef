"""Dropping elements and channels at random; random leaky rectifiers; Gumbel softmax.

`torch.dropout` and its kin are the operations, `nn.functional`'s forms stand in `functional`. The
noise for tensors on the CPU is PyTorch's; elsewhere and in traces it comes from a key.
"""

from __future__ import annotations

import math
import warnings

import mlx.core as mx
import numpy as np

from .._core import samplers
from .._core.arrangement import preserved_stride
from .._core.device import META
from .._core.dtype import FLOATING, SCALAR_TYPE_NAME, bool_, float16, float64
from .._core.errors import not_implemented_for
from .._core.layout import Layout, contiguous
from .._core.layout import layout as layout_of
from .._core.tensor import Tensor, read, snapshot, wrap
from .._kernels import random as kernels
from .activation import functional_softmax
from .creation import empty_like, filled, zeros_like
from .drawing import (
    BERNOULLI,
    FOLLOW,
    check_generator,
    draw,
    key_for,
    source_of,
    stream_for,
    to_host,
    to_mlx,
)
from .kinds import composite, primitive, replace, store
from .random_inplace import check_probability, number, prepare

# ----- noise -----

# What SELU multiplies by for negative numbers, times its scale: where dropped elements go.
_SELU_FLOOR = 1.7580993408473766


def _kept(layout: Layout, p: float) -> mx.array:
    """Return booleans in the layout's shape that are True with probability 1 - p."""
    mask = layout_of(layout.size, layout.stride, 0, bool_, layout.device)
    return draw(BERNOULLI, source_of(FOLLOW, layout.device), mask, 1 - p)


def _noise_layout(input: Tensor, by_channel: bool) -> Layout:
    """Return the layout of the noise: the input's own strides, or a number for each channel."""
    layout = input._layout
    if not by_channel:
        return layout_of(layout.size, preserved_stride(layout), 0, layout.dtype, layout.device)
    if layout.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    size = (*layout.size[:2], *[1] * (layout.ndim - 2))
    return contiguous(size, layout.dtype, layout.device)


def _drop(input: Tensor, p: float, by_channel: bool, alpha: bool, inplace: bool) -> Tensor:
    multiply = input.mul_ if inplace else input.mul
    if p == 1:
        return multiply(filled((), 0, input.dtype, input.device))
    layout = _noise_layout(input, by_channel)
    kind = layout.dtype
    if kind.is_complex:
        raise not_implemented_for("bernoulli_scalar_cpu_", kind)
    if kind.category < 2:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {SCALAR_TYPE_NAME[kind]}"
        )
    if layout.device is META:
        return multiply(filled(tuple(layout.size), 0, kind, layout.device))
    kept = wrap(_kept(layout, p), layout.device)
    if not alpha:
        return multiply(kept.to(kind) * _rounded_inverse(1 - p, kind))
    scale = 1 / math.sqrt((_SELU_FLOOR * _SELU_FLOOR * p + 1) * (1 - p))
    noise = kept.to(kind)
    shift = (noise - 1).mul_(_SELU_FLOOR * scale).add_(_SELU_FLOOR * scale * p)
    result = multiply(noise.mul_(scale))
    return result.add_(shift) if inplace else result + shift


def _rounded_inverse(value: float, kind) -> float:
    # 1 / (1 - p) as PyTorch divides: in the dtype, half types in float32.
    if kind is float64:
        return 1.0 / value
    return float(np.float32(1) / np.float32(value))


def _family(name: str, by_channel: bool, alpha: bool):
    """Return `torch.<name>(input, p, train)` and its in-place form."""

    def drop(input, p, train, inplace):
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, "
                f"not {type(input).__name__}"
            )
        p = number(name, "p", 2, p)
        if not 0 <= p <= 1:
            raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
        if p == 0 or not train or input.numel() == 0:
            return input
        return _drop(input, p, by_channel, alpha, inplace)

    def out_of_place(input, p, train):
        return drop(input, p, train, False)

    def in_place(input, p, train):
        return drop(input, p, train, True)

    what = "whole channels" if by_channel else "elements"
    keeps = "; the mean and variance of SELU's values stay" if alpha else " and scale up the rest"
    out_of_place.__doc__ = f"If `train`, drop {what} with probability `p`{keeps}."
    in_place.__doc__ = f"`{name}` in place."
    return composite(out_of_place, name=name, out=False), composite(
        in_place, name=f"{name}_", out=False
    )


dropout, dropout_ = _family("dropout", by_channel=False, alpha=False)
feature_dropout, feature_dropout_ = _family("feature_dropout", by_channel=True, alpha=False)
alpha_dropout, alpha_dropout_ = _family("alpha_dropout", by_channel=False, alpha=True)
feature_alpha_dropout, feature_alpha_dropout_ = _family(
    "feature_alpha_dropout", by_channel=True, alpha=True
)


@primitive(name="native_dropout", elementwise=True)
def _native_dropout(input: mx.array, kept, scale) -> mx.array:
    """Return `input` where `kept`, scaled."""
    return input * kept.astype(input.dtype) * scale


_native_dropout.gradients(
    input=lambda grad, kept, scale: grad * wrap(kept, grad.device).to(grad.dtype) * scale
)


@composite(out=False)
def native_dropout(input, p, train):
    """Return `dropout`'s result and the mask of what was kept; `train=None` means True."""
    p = number("native_dropout", "p", 2, p)
    layout = input._layout
    if layout.numel == 0:
        return input, empty_like(input)
    size = tuple(layout.size)
    if train is False:
        kept, scale = mx.ones(size, mx.bool_), 1.0
    elif p == 1:
        kept, scale = mx.zeros(size, mx.bool_), 0.0
    else:
        check_probability(1 - p)
        if layout.dtype.category < 2:
            kind = SCALAR_TYPE_NAME[layout.dtype]
            raise RuntimeError(f"result type Float can't be cast to the desired output type {kind}")
        kept = _kept(_noise_layout(input, False), p)
        scale = 1.0 / (1.0 - p)
    return _native_dropout(input, kept, scale), wrap(kept, layout.device)


# ----- nn.functional's forms -----


def _check_p(p) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _functional(name: str, operation, operation_, default_training: bool):
    def apply(input, p=0.5, training=default_training, inplace=False):
        _check_p(p)
        return (operation_ if inplace else operation)(input, p, training)

    apply.__doc__ = operation.__doc__.replace("`train`", "`training`")
    return composite(apply, name=name, out=False)


def _by_channel(name: str, ndims: tuple, check):
    """Return `nn.functional.<name>`; where it has no batch dimension, one is put in front."""

    def apply(input, p=0.5, training=True, inplace=False):
        _check_p(p)
        batched = check(input.dim())
        if not batched:
            input = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
        result = (feature_dropout_ if inplace else feature_dropout)(input, p, training)
        if not batched:
            result = result.squeeze_(0) if inplace else result.squeeze(0)
        return result

    apply.__doc__ = (
        f"If `training`, drop whole channels of a ({', '.join(ndims)}) input with probability `p`."
    )
    return composite(apply, name=name, out=False)


def _check_1d(ndim: int) -> bool:
    if ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input: it drops channels "
            "of inputs with one spatial dimension, a channel dimension and perhaps a batch one"
        )
    return ndim == 3


def _check_2d(ndim: int) -> bool:
    if ndim not in (3, 4):
        _warn_of_rank("dropout2d", ndim, "3D or 4D")
    if ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input, taken as (N, C, L), as PyTorch still does; use "
            "dropout1d for that, which says what is meant",
            UserWarning,
            stacklevel=5,
        )
    return True


def _check_3d(ndim: int) -> bool:
    if ndim not in (4, 5):
        _warn_of_rank("dropout3d", ndim, "4D or 5D")
    return ndim == 5


def _warn_of_rank(name: str, ndim: int, expected: str) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
        f"error in a future release; it is meant for {expected} inputs. dropout takes any.",
        UserWarning,
        stacklevel=6,
    )


# ----- rrelu -----


@primitive(name="rrelu_with_noise", node="rrelu_with_noise", elementwise=True)
def _rrelu(input: mx.array, noise) -> mx.array:
    """Return `input` with what is not positive multiplied by the noise, an array of its shape."""
    return mx.where(input > 0, input, input * noise)


_rrelu.gradients(input=lambda grad, noise: grad * wrap(noise, grad.device))


@primitive(name="rrelu_with_noise", node="rrelu_with_noise", elementwise=True)
def _leaky(input: mx.array, slope) -> mx.array:
    working = input.astype(mx.float32) if input.dtype.size == 2 else input
    return mx.where(input > 0, input, (working * slope).astype(input.dtype))


def _leaky_rule(grad, input, slope):
    return (input > 0).to(grad.dtype).mul_(1 - slope).add_(slope) * grad


_leaky.gradients(input=_leaky_rule)


def _slopes(input: Tensor, low: float, high: float, generator) -> mx.array:
    """Return a random slope where `input` is not positive, 1 elsewhere; drawn in index order."""
    layout = input._layout
    source = source_of(generator or FOLLOW, layout.device)
    array = read(input)
    key = key_for(source, array)
    if key is not None:
        with stream_for(layout):
            drawn = kernels.uniform(key, tuple(layout.size), array.dtype, low, high)
            return mx.where(array <= 0, drawn, mx.array(1, array.dtype))
    leaking = to_host(input, "rrelu()") <= 0
    slopes = np.ones(leaking.shape, np.float64 if layout.dtype is float64 else np.float32)
    slopes[leaking] = samplers.rrelu_slopes(
        source, int(np.count_nonzero(leaking)), layout.dtype.name, low, high
    )
    return to_mlx(slopes, layout.dtype)


def _with_slopes(input, lower, upper, training, generator):
    """Return rrelu's result and, in training, its noise."""
    lower, upper = number("rrelu", "lower", 2, lower), number("rrelu", "upper", 3, upper)
    for name, bound in (("lower", lower), ("upper", upper)):
        if not math.isfinite(bound):
            raise RuntimeError(f"rrelu: {name} bound must be finite, got {bound:g}")
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    kind = input.dtype
    if not training:
        if kind not in FLOATING:
            raise not_implemented_for("leaky_relu_cpu", kind)
        return _leaky(input, (lower + upper) / 2), None
    if kind not in FLOATING or kind is float16:
        raise not_implemented_for("rrelu_with_noise_out_cpu", kind)
    if input.device is META or not input.numel():
        return _leaky(input, upper), None
    noise = _slopes(input, lower, upper, generator)
    return _rrelu(input, noise), noise


@composite(out=False, name="rrelu")
def rrelu(input, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    """max(0, x) + slope·min(0, x); the slope is drawn from [lower, upper), if `training`."""
    check_generator("rrelu", generator)
    return _with_slopes(input, lower, upper, training, generator)[0]


@composite(out=False, name="rrelu_")
def rrelu_(input, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    """`rrelu` in place."""
    recorded = prepare(input)
    source = input if input._node is None else snapshot(input)
    check_generator("rrelu_", generator)
    made, _ = _with_slopes(source, lower, upper, training, generator)
    return replace(input, made, recorded)


@composite(out=False)
def rrelu_with_noise(input, noise, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    """`rrelu`, which in training writes the slopes into `noise`."""
    check_generator("rrelu_with_noise", generator)
    result, drawn = _with_slopes(input, lower, upper, training, generator)
    if drawn is not None:
        store(noise, drawn)
    return result


def _functional_rrelu():
    def apply(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
        return (rrelu_ if inplace else rrelu)(input, lower, upper, training)

    apply.__doc__ = rrelu.__doc__
    return composite(apply, name="rrelu", out=False)


# ----- Gumbel softmax -----


@composite(out=False)
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Sample from the Gumbel-softmax distribution along `dim` (Jang, Gu & Poole 2017).

    With `hard`, the result is one-hot and its gradient that of the soft sample.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=4)
    template = logits.detach()
    noise = -zeros_like(template, memory_format=_contiguous()).exponential_(generator=FOLLOW).log()
    soft = functional_softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    one_hot = zeros_like(template, memory_format=_contiguous()).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


def _contiguous():
    from .conversion import contiguous_format

    return contiguous_format


functional = {
    "dropout": _functional("dropout", dropout, dropout_, True),
    "alpha_dropout": _functional("alpha_dropout", alpha_dropout, alpha_dropout_, False),
    "feature_alpha_dropout": _functional(
        "feature_alpha_dropout", feature_alpha_dropout, feature_alpha_dropout_, False
    ),
    "dropout1d": _by_channel("dropout1d", ("N, C, L", "C, L"), _check_1d),
    "dropout2d": _by_channel("dropout2d", ("N, C, H, W", "N, C, L"), _check_2d),
    "dropout3d": _by_channel("dropout3d", ("N, C, D, H, W", "C, D, H, W"), _check_3d),
    "rrelu": _functional_rrelu(),
    "rrelu_": rrelu_,
    "gumbel_softmax": gumbel_softmax,
}

_PUBLIC = (
    *(dropout, dropout_, feature_dropout, feature_dropout_, alpha_dropout, alpha_dropout_),
    *(feature_alpha_dropout, feature_alpha_dropout_, native_dropout, rrelu, rrelu_),
)
FUNCTIONS = {f.__name__: f for f in _PUBLIC}
METHODS: dict = {}
INPLACE = ()
