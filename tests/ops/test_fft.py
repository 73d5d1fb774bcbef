"""Fourier transforms against PyTorch: values, two orders of gradients, errors, float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

_random = np.random.default_rng(0)
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn"]
TWO = ["fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2"]
ENDS_REAL = ("irfft", "hfft")
BEGINS_REAL = ("rfft", "ihfft")


def _input(name, shape, dtype=None):
    values = _random.standard_normal(shape)
    if dtype is None:
        dtype = np.float32 if name.startswith(BEGINS_REAL) else np.complex64
    if np.dtype(dtype).kind == "c":
        values = values + 1j * _random.standard_normal(shape)
    return values.astype(dtype)


def _close(ours, theirs, tolerance=1e-5):
    theirs = theirs.detach().resolve_conj().numpy()
    ours = ours.detach().numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, tolerance, tolerance)


def _gradients(library, name, values, arguments):
    input = library.tensor(values, requires_grad=True)
    weight = None
    made = getattr(library.fft, name)(input, **arguments)
    weight = made.detach() * 0.5 + 1
    loss = (made * made * weight).sum()
    loss = loss.real if loss.is_complex() else loss
    (first,) = library.autograd.grad(loss, input, create_graph=True)
    square = (first * first).sum()
    square = square.real if square.is_complex() else square
    (second,) = library.autograd.grad(square, input)
    return made, first, second


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name, norm):
    for shape, n, dim in [((5,), None, -1), ((2, 4), 3, -1), ((3, 4), 7, 0), ((2, 6), None, 1),
                          ((4, 2, 3), 5, 1)]:  # fmt: skip
        arguments = {"n": n, "dim": dim, "norm": norm}
        values = _input(name, shape)
        ours = _gradients(flashlight, name, values, arguments)
        theirs = _gradients(torch, name, values, arguments)
        for a, b in zip(ours, theirs):
            _close(a, b, 2e-4 if b is not theirs[0] else 1e-5)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", MANY)
def test_several_dimensions(name, norm):
    for shape, s, dim in [((3, 4), None, None), ((2, 3, 4), (2, 5), None),
                          ((4, 3, 2), None, (0, 2)),
                          ((3, 4), (-1, 3), (1, 0)), ((5, 3), (4,), (0,))]:  # fmt: skip
        arguments = {"s": s, "dim": dim, "norm": norm}
        values = _input(name, shape)
        ours = _gradients(flashlight, name, values, arguments)
        theirs = _gradients(torch, name, values, arguments)
        for a, b in zip(ours, theirs):
            _close(a, b, 2e-3 if b is not theirs[0] else 1e-5)


@pytest.mark.parametrize("name", TWO)
def test_two_dimensions(name):
    values = _input(name, (2, 4, 3))
    _close(getattr(flashlight.fft, name)(flashlight.tensor(values)),
           getattr(torch.fft, name)(torch.tensor(values)))


@pytest.mark.parametrize("name", [*ONE, *MANY])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, np.uint8])
def test_real_input(name, dtype):
    values = _random.integers(0, 2, (3, 4)).astype(dtype)
    _close(getattr(flashlight.fft, name)(flashlight.tensor(values)),
           getattr(torch.fft, name)(torch.tensor(values)))


@pytest.mark.parametrize("name", ["irfft", "hfft", "irfft2", "hfft2", "irfftn", "hfftn"])
def test_double_precision_between_reals(name):
    values = _input(name, (3, 5), np.float64)
    for norm in (None, "ortho", "forward"):
        ours = _gradients(flashlight, name, values, {"norm": norm})
        theirs = _gradients(torch, name, values, {"norm": norm})
        for a, b in zip(ours, theirs):
            _close(a, b, 1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "ihfft", "fftn", "rfftn", "ihfftn"])
def test_double_precision_has_no_spectrum(name):
    with pytest.raises(TypeError, match="complex128"):
        getattr(flashlight.fft, name)(flashlight.zeros(4, dtype=flashlight.float64))


def test_frequencies():
    for name in ("fftfreq", "rfftfreq"):
        for n, d in [(5, 1.0), (6, 0.5), (1, 2.0), (0, 1.0)]:
            _close(getattr(flashlight.fft, name)(n, d), getattr(torch.fft, name)(n, d))
        made = getattr(flashlight.fft, name)(4, dtype=flashlight.float64)
        assert made.dtype is flashlight.float64


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@pytest.mark.parametrize("dim", [None, 0, -1, (0, 1)])
def test_shifts(name, dim):
    values = _input("fft", (3, 4))
    _close(getattr(flashlight.fft, name)(flashlight.tensor(values), dim),
           getattr(torch.fft, name)(torch.tensor(values), dim))


ERRORS = [
    lambda t: t.fft.fft(t.zeros(3), 0),
    lambda t: t.fft.fft(t.zeros(3), norm="x"),
    lambda t: t.fft.fft(t.zeros(3), dim=2),
    lambda t: t.fft.fft(t.zeros(())),
    lambda t: t.fft.fft(t.zeros(3).half()),
    lambda t: t.fft.fft(t.zeros(3), 4.0),
    lambda t: t.fft.fft([1.0, 2.0]),
    lambda t: t.fft.rfft(t.zeros(3, dtype=t.complex64)),
    lambda t: t.fft.ihfft(t.zeros(3, dtype=t.complex64)),
    lambda t: t.fft.rfft2(t.zeros(3, 3, dtype=t.complex64)),
    lambda t: t.fft.ihfftn(t.zeros(3, 3, dtype=t.complex64)),
    lambda t: t.fft.fftn(t.zeros(3, 3), dim=(0, 0)),
    lambda t: t.fft.fftn(t.zeros(3, 3), s=(1, 2, 3)),
    lambda t: t.fft.fftn(t.zeros(3, 3), s=(1, 2), dim=(0,)),
    lambda t: t.fft.fftn(t.zeros(3, 3), s=(0, 2)),
    lambda t: t.fft.rfftn(t.zeros(3, 3), dim=()),
    lambda t: t.fft.irfftn(t.zeros(3, 3), dim=()),
    lambda t: t.fft.irfft(t.zeros(1)),
    lambda t: t.fft.fft(t.zeros(3, 0)),
    lambda t: t.fft.fft2(t.zeros(3)),
    lambda t: t.fft.fft(t.zeros(3), out=t.zeros(3)),
    lambda t: t.fft.irfft(t.zeros(3), out=t.zeros(4, dtype=t.complex64)),
    lambda t: t.fft.fftfreq(4, dtype=t.int32),
    lambda t: t.fft.fftshift(t.zeros(3), dim=1),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call):
    found = []
    for library in (flashlight, torch):
        with pytest.raises((RuntimeError, IndexError, TypeError)) as caught:
            call(library)
        found.append((type(caught.value), str(caught.value)))
    assert found[0] == found[1]
