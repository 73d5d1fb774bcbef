"""Discrete Fourier transforms, as in `torch.fft`.

Three operations do all the work: complex to complex, real to the half of a Hermitian spectrum,
and back. Each is the gradient of another, up to the weight of the middle frequencies of a half
spectrum, which stand for their conjugates too.

MLX transforms in single precision only. In double precision there are no spectra, as there is
no complex128; what begins and ends real is done by NumPy.
"""

from __future__ import annotations

import math
import operator

import mlx.core as mx
import numpy as np

from .._core.dtype import (
    FLOATING,
    SCALAR_TYPE_NAME,
    TO_COMPLEX,
    check_supported,
    float64,
    get_default_dtype,
)
from .._core.errors import wrap_dim
from .._core.promotion import to_floating
from .._core.tensor import Tensor
from .complex_parts import conj
from .host import from_numpy, to_numpy
from .joining import cat, roll
from .kinds import composite, primitive
from .operation import write_out
from .padding import constant_pad_nd
from .ranges import arange
from .shape import narrow

# ----- on arrays -----


def _scaled(array: mx.array, scale: float) -> mx.array:
    return array if scale == 1 else array * scale


def _weighted(array, axis: int, size: int, middle: float, library=mx):
    """Multiply the middle frequencies of a half spectrum of `size` points by `middle`."""
    if middle == 1:
        return array
    weights = np.full(size // 2 + 1, middle)
    weights[0] = 1
    if size % 2 == 0:
        weights[-1] = 1
    shape = [1] * array.ndim
    shape[axis] = -1
    weights = weights.reshape(shape)
    return array * (weights if library is np else mx.array(weights, mx.float32))


@primitive(name="_fft_c2c", node="FftC2C")
def _complex_transform(input: mx.array, dims, inverse, scale) -> mx.array:
    """The transform of every frequency, forwards or backwards, times `scale`."""
    if input.size == 0:
        return input.astype(mx.complex64)
    if inverse:
        return _scaled(mx.fft.ifftn(input, axes=dims, norm="forward"), scale)
    return _scaled(mx.fft.fftn(input, axes=dims), scale)


def _complex_rule(grad, dims, inverse, scale, input_dtype):
    made = _complex_transform(grad, dims, not inverse, scale)
    return made if input_dtype.is_complex else made.real


_complex_transform.gradients(input=_complex_rule)


@primitive(name="_fft_r2c", node="FftR2C")
def _real_to_half(input: mx.array, dims, scale, middle=1.0) -> mx.array:
    """The non-negative frequencies (along the last of `dims`) of a real tensor, times `scale`."""
    size = input.shape[dims[-1]]
    if input.size == 0:
        shape = list(input.shape)
        shape[dims[-1]] = size // 2 + 1
        return mx.zeros(shape, mx.complex64)
    return _weighted(_scaled(mx.fft.rfftn(input, axes=dims), scale), dims[-1], size, middle)


@primitive(name="_fft_c2r", node="FftC2R")
def _half_to_real(input: mx.array, dims, size, scale, middle=1.0) -> mx.array:
    """The real signal of `size` points whose non-negative frequencies are given, times `scale`."""
    shape = list(input.shape)
    shape[dims[-1]] = size
    if input.dtype == mx.float64:
        spectrum = _weighted(to_numpy(input, "irfft"), dims[-1], size, middle, np)
        sizes = [shape[dim] for dim in dims]
        signal = np.fft.irfftn(spectrum, sizes, dims, "forward") if input.size else np.zeros(shape)
        return from_numpy(signal * scale)
    if input.size == 0:
        return mx.zeros(shape, mx.float32)
    sizes = [shape[dim] for dim in dims]
    spectrum = _weighted(input, dims[-1], size, middle)
    return _scaled(mx.fft.irfftn(spectrum, sizes, dims, "forward"), scale)


@primitive(name="_fft_r2r", node="FftR2R")
def _real_to_half_real(input: mx.array, dims, scale, middle) -> mx.array:
    """The real parts of `_real_to_half`, in double precision."""
    size = input.shape[dims[-1]]
    host = to_numpy(input, "irfft")
    if input.size == 0:
        shape = list(input.shape)
        shape[dims[-1]] = size // 2 + 1
        return mx.zeros(shape, mx.float64)
    spectrum = np.fft.rfftn(host, axes=dims).real * scale
    return from_numpy(_weighted(spectrum, dims[-1], size, middle, np))


def _half_to_real_rule(grad, dims, scale, middle, input_dtype):
    if input_dtype is float64:
        return _real_to_half_real(grad, dims, scale, 2 * middle)
    made = _real_to_half(grad, dims, scale, 2 * middle)
    return made if input_dtype.is_complex else made.real


_half_to_real.gradients(input=_half_to_real_rule)
_real_to_half.gradients(input=lambda grad, dims, scale, middle, input_shape: _half_to_real(
    grad, dims, input_shape[dims[-1]], scale, middle / 2))
_real_to_half_real.gradients(input=lambda grad, dims, scale, middle, input_shape: _half_to_real(
    grad, dims, input_shape[dims[-1]], scale, middle / 2))


# ----- arguments -----


def _check_tensor(name, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"fft_{name}(): argument 'input' (position 1) must be Tensor, not "
                        f"{type(input).__name__}")


def _length(name, n, default):
    """Return the number of points. Raises RuntimeError below 1."""
    try:
        count = default if n is None else operator.index(n)
    except TypeError:
        raise TypeError(f"fft_{name}(): argument 'n' (position 2) must be int, not "
                        f"{type(n).__name__}") from None
    if count < 1:
        raise RuntimeError(f"Invalid number of data points ({count}) specified")
    return count


def _one_dim(dim, ndim):
    if ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(operator.index(dim), ndim)


def _dims_and_sizes(input, s, dim):
    """Return the dimensions to transform and the size of each; None keeps the tensor's own."""
    ndim = input.ndim
    if isinstance(dim, int):
        dim = (dim,)
    if isinstance(s, int):
        s = (s,)
    if dim is not None:
        dims = tuple([wrap_dim(operator.index(d), ndim) for d in dim])
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} "
                               "dimensions.")
        dims = tuple(range(ndim - len(s), ndim))
    else:
        dims = tuple(range(ndim))
    sizes = [None] * len(dims) if s is None else [None if n == -1 else n for n in s]
    for n in sizes:
        if n is not None and n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return dims, sizes


def _factor(norm, count: int, inverse: bool) -> float:
    """Return what a transform of `count` points is multiplied by."""
    if norm is not None and not isinstance(norm, str):
        raise TypeError(f"argument 'norm' must be str, not {type(norm).__name__}")
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") is not inverse else 1.0


def _prepared(input, dims, sizes, spectrum=True):
    """Bring `input` to a floating type and the wanted sizes, by cutting or adding zeros.

    With `spectrum` (a result that is complex), raises TypeError for double precision.
    """
    kind = to_floating(input.dtype)
    if kind.is_floating_point and kind.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {SCALAR_TYPE_NAME[kind]}")
    if spectrum and kind in FLOATING:
        check_supported(TO_COMPLEX[kind])
    input = input.to(kind)
    padding = [0] * (2 * input.ndim)
    for dim, size in zip(dims, sizes):
        own = input.shape[dim]
        size = own if size is None else size
        if size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
        if size < own:
            input = narrow(input, dim, 0, size)
        padding[2 * (input.ndim - 1 - dim) + 1] = max(0, size - own)
    return constant_pad_nd(input, padding) if any(padding) else input


def _count(input, dims):
    return math.prod([input.shape[dim] for dim in dims])


def _check_real(input, message):
    if input.dtype.is_complex:
        raise RuntimeError(message + SCALAR_TYPE_NAME[input.dtype])


def _check_out(name, out, wants_complex):
    if out is not None and isinstance(out, Tensor):
        if wants_complex and not out.dtype.is_complex:
            raise RuntimeError(f"{name} expects a complex output tensor, but got "
                               f"{SCALAR_TYPE_NAME[out.dtype]}")
        if not wants_complex and not out.dtype.is_floating_point:
            raise RuntimeError(f"{name} expects a floating point output tensor, but got "
                               f"{SCALAR_TYPE_NAME[out.dtype]}")


# ----- transforms over one dimension -----


def _complex_spectrum(name, inverse, text):
    def transform(input, n=None, dim=-1, norm=None, *, out=None):
        _check_tensor(name, input)
        dim = _one_dim(dim, input.ndim)
        count = _length(name, n, input.shape[dim])
        factor = _factor(norm, count, inverse)
        _check_out(name, out, True)
        made = _complex_transform(_prepared(input, (dim,), (count,)), (dim,), inverse, factor)
        return _given(made, out)
    return _declared(transform, name, text)


def _half_spectrum(name, inverse, text):
    def transform(input, n=None, dim=-1, norm=None, *, out=None):
        _check_tensor(name, input)
        _check_real(input, f"{name} expects a real input tensor, but got ")
        dim = _one_dim(dim, input.ndim)
        count = _length(name, n, input.shape[dim])
        factor = _factor(norm, count, inverse)
        _check_out(name, out, True)
        made = _real_to_half(_prepared(input, (dim,), (count,)), (dim,), factor)
        return _given(conj(made) if inverse else made, out)
    return _declared(transform, name, text)


def _real_signal(name, inverse, text):
    def transform(input, n=None, dim=-1, norm=None, *, out=None):
        _check_tensor(name, input)
        dim = _one_dim(dim, input.ndim)
        count = _length(name, n, 2 * (input.shape[dim] - 1))
        factor = _factor(norm, count, inverse)
        _check_out(name, out, False)
        half = _prepared(input, (dim,), (count // 2 + 1,), False)
        return _given(_half_to_real(half if inverse else conj(half), (dim,), count, factor), out)
    return _declared(transform, name, text)


def _given(made, out):
    return made if out is None else write_out(out, made)


def _declared(function, name, text):
    function.__name__ = function.__qualname__ = f"fft_{name}"
    function.__doc__ = text
    return composite(function)


fft = _complex_spectrum("fft", False, "The discrete Fourier transform of `n` points along `dim`.")
ifft = _complex_spectrum("ifft", True, "The inverse of `fft`.")
rfft = _half_spectrum("rfft", False, "The n // 2 + 1 frequencies from 0 on of a real signal.")
ihfft = _half_spectrum("ihfft", True, "The inverse of `hfft`.")
irfft = _real_signal("irfft", True, "The inverse of `rfft`; `n`, if not given, is taken as even.")
hfft = _real_signal("hfft", False, "The real transform of a signal given by its Hermitian half.")


# ----- over several dimensions -----


def _complex_spectra(name, inverse, dims, text):
    def transform(input, s=None, dim=dims, norm=None, *, out=None):
        _check_tensor(name, input)
        chosen, sizes = _dims_and_sizes(input, s, dim)
        _check_out(name, out, True)
        made = _prepared(input, chosen, sizes)
        factor = _factor(norm, _count(made, chosen), inverse)
        if not chosen:
            return _given(made.to(TO_COMPLEX[made.dtype]), out)
        return _given(_complex_transform(made, chosen, inverse, factor), out)
    return _declared(transform, name, text)


def _half_spectra(name, inverse, dims, text):
    def transform(input, s=None, dim=dims, norm=None, *, out=None):
        _check_tensor(name, input)
        _check_real(input, "rfftn expects a real-valued input tensor, but got " if not inverse
                    else "Only supports floating-point dtypes, but found: ")
        chosen, sizes = _dims_and_sizes(input, s, dim)
        _at_least_one(chosen, "ihfftn" if inverse else "rfftn")
        _check_out(name, out, True)
        made = _prepared(input, chosen, sizes)
        factor = _factor(norm, _count(made, chosen), inverse)
        made = _real_to_half(made, chosen, factor)
        return _given(conj(made) if inverse else made, out)
    return _declared(transform, name, text)


def _real_signals(name, inverse, dims, text):
    def transform(input, s=None, dim=dims, norm=None, *, out=None):
        _check_tensor(name, input)
        chosen, sizes = _dims_and_sizes(input, s, dim)
        _at_least_one(chosen, "irfftn" if inverse else "hfftn")
        last = sizes[-1] if sizes[-1] is not None else 2 * (input.shape[chosen[-1]] - 1)
        if last < 1:
            raise RuntimeError(f"Invalid number of data points ({last}) specified")
        _check_out(name, out, False)
        half = _prepared(input, chosen, [*sizes[:-1], last // 2 + 1], False)
        factor = _factor(norm, _count(half, chosen[:-1]) * last, inverse)
        return _given(_half_to_real(half if inverse else conj(half), chosen, last, factor), out)
    return _declared(transform, name, text)


def _at_least_one(dims, name):
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


_TWO = (-2, -1)
fftn = _complex_spectra("fftn", False, None, "`fft` over several dimensions; all by default.")
ifftn = _complex_spectra("ifftn", True, None, "The inverse of `fftn`.")
rfftn = _half_spectra("rfftn", False, None, "`fftn` of a real tensor; the last of `dim` is halved.")
ihfftn = _half_spectra("ihfftn", True, None, "The inverse of `hfftn`.")
irfftn = _real_signals("irfftn", True, None, "The inverse of `rfftn`.")
hfftn = _real_signals("hfftn", False, None, "`hfft` along the last of `dim`, `fft` along the rest.")
fft2 = _complex_spectra("fft2", False, _TWO, "`fft` over two dimensions.")
ifft2 = _complex_spectra("ifft2", True, _TWO, "The inverse of `fft2`.")
rfft2 = _half_spectra("rfft2", False, _TWO, "`rfftn` over two dimensions.")
ihfft2 = _half_spectra("ihfft2", True, _TWO, "The inverse of `hfft2`.")
irfft2 = _real_signals("irfft2", True, _TWO, "The inverse of `rfft2`.")
hfft2 = _real_signals("hfft2", False, _TWO, "`hfftn` over two dimensions.")


# ----- frequencies and their order -----


def _frequencies(name, parts, text):
    def frequencies(n, d=1.0, *, out=None, dtype=None, layout=None, device=None,
                    pin_memory=False, requires_grad=False):
        kind = dtype or (get_default_dtype() if out is None else out.dtype)
        if kind.category < 2:
            raise RuntimeError(f"{name} requires a floating point or complex dtype")
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        made = cat([arange(*part, dtype=kind, device=device) for part in parts(n)])
        made = made * (1 / (n * d) if n * d else math.inf)
        if out is not None:
            return write_out(out, made)
        return made.requires_grad_(requires_grad)
    frequencies.__name__ = frequencies.__qualname__ = f"fft_{name}"
    frequencies.__doc__ = text
    return frequencies


fftfreq = _frequencies(
    "fftfreq", lambda n: ((0, (n + 1) // 2), (-(n // 2), 0)),
    "The frequencies of `fft`: [0, 1, ..., -2, -1] / (n · d).")
rfftfreq = _frequencies(
    "rfftfreq", lambda n: ((0, n // 2 + 1),), "The frequencies of `rfft`: [0, 1, ...] / (n · d).")


def _shifted(name, amount, text):
    def shift(input, dim=None):
        _check_tensor(name, input)
        dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
        chosen = [wrap_dim(d, input.ndim) for d in dims]
        if not input.ndim:
            return input.clone()
        return roll(input, tuple([amount(input.shape[d]) for d in chosen]), tuple(chosen))
    return _declared(shift, name, text)


fftshift = _shifted("fftshift", lambda n: n // 2, "Move frequency 0 to the middle of `dim`.")
ifftshift = _shifted("ifftshift", lambda n: (n + 1) // 2, "The inverse of `fftshift`.")

#: the names of `torch.fft`
FFT = {
    function.__name__.removeprefix("fft_"): function
    for function in (
        fft, ifft, rfft, irfft, hfft, ihfft, fftn, ifftn, rfftn, irfftn, hfftn, ihfftn, fft2,
        ifft2, rfft2, irfft2, hfft2, ihfft2, fftfreq, rfftfreq, fftshift, ifftshift,
    )
}  # fmt: skip
FUNCTIONS: dict = {}
METHODS: dict = {}
INPLACE = ()
