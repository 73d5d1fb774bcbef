"""The windows of `torch` itself: `(window_length,)` tensors, periodic unless told otherwise.

Steps and factors are rounded to the dtype one by one, as PyTorch's are, which shows in half
precision. For further windows see `torch.signal.windows`.
"""

from __future__ import annotations

import math
import operator

from .._core.dtype import get_default_dtype
from .creation import ones
from .ranges import arange


def _window(name, window_length, periodic, shape, dtype, layout, device, requires_grad):
    """`shape` of 0, 1, ... and the last of them; a periodic window leaves out its last point."""
    try:
        length = operator.index(window_length)
    except TypeError:
        raise TypeError(
            f"{name}(): argument 'window_length' (position 1) must be int, "
            f"not {type(window_length).__name__}"
        ) from None
    dtype = dtype or get_default_dtype()
    if getattr(layout, "name", "strided") != "strided":
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    if dtype.is_complex and length > 1:
        raise NotImplementedError(f"{name} is not implemented for {dtype}")
    if length < 2:
        window = ones(length, dtype=dtype, device=device)
    else:
        points = arange(length + 1 if periodic else length, dtype=dtype, device=device)
        window = shape(points, points.numel() - 1).narrow(0, 0, length)
    return window.requires_grad_() if requires_grad else window


def hann_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """1/2 - cos(2 pi n / N) / 2."""
    return _raised_cosine(
        "hann_window", window_length, periodic, 0.5, 0.5, dtype, layout, device, requires_grad
    )


def hamming_window(
    window_length,
    periodic=True,
    alpha=0.54,
    beta=0.46,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """alpha - beta cos(2 pi n / N)."""
    return _raised_cosine(
        "hamming_window", window_length, periodic, alpha, beta, dtype, layout, device, requires_grad
    )


def _raised_cosine(name, window_length, periodic, alpha, beta, *options):
    def shape(n, last):
        return (n * n.new_tensor(2 * math.pi / last)).cos() * n.new_tensor(-beta) + alpha

    return _window(name, window_length, periodic, shape, *options)


def bartlett_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """1 - |2 n / N - 1|: a triangle."""

    def shape(n, last):
        rising = n * n.new_tensor(2 / last)
        return rising.minimum(2 - rising)

    return _window(
        "bartlett_window", window_length, periodic, shape, dtype, layout, device, requires_grad
    )


def blackman_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""

    def shape(n, last):
        angle = n * n.new_tensor(math.pi / last)
        return (angle * 4).cos() * n.new_tensor(0.08) - (angle * 2).cos() * 0.5 + 0.42

    return _window(
        "blackman_window", window_length, periodic, shape, dtype, layout, device, requires_grad
    )


def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta)."""

    def shape(n, last):
        # One kernel in PyTorch: half precision is rounded only once, at the end.
        wide = n.float() if n.dtype.itemsize == 2 else n
        root = (1 - (2 * wide / last - 1) ** 2).sqrt()
        return ((beta * root).i0() / wide.new_tensor(beta).i0()).to(n.dtype)

    return _window(
        "kaiser_window", window_length, periodic, shape, dtype, layout, device, requires_grad
    )


FUNCTIONS = {
    "bartlett_window": bartlett_window,
    "blackman_window": blackman_window,
    "hamming_window": hamming_window,
    "hann_window": hann_window,
    "kaiser_window": kaiser_window,
}
METHODS: dict = {}
INPLACE = ()
