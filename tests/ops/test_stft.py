"""stft and istft against PyTorch: every option, gradients, round trips, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import flashlight

_random = np.random.default_rng(0)
pytestmark = pytest.mark.filterwarnings("ignore:A window was not provided", "ignore:stft with")


def _both(call):
    found = []
    for library in (flashlight, torch):
        made = call(library)
        found.append([np.asarray(x.detach().resolve_conj().numpy()) for x in made])
    for ours, theirs in zip(*found):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, 1e-4, 2e-5)


SIGNAL = _random.standard_normal((2, 23)).astype(np.float32)
OPTIONS = [
    {"n_fft": 8},
    {"n_fft": 8, "hop_length": 3, "win_length": 5},
    {"n_fft": 7, "hop_length": 2, "center": False},
    {"n_fft": 8, "onesided": False},
    {"n_fft": 8, "normalized": True},
    {"n_fft": 8, "pad_mode": "constant"},
    {"n_fft": 8, "center": False, "win_length": 4, "align_to_window": True},
    {"n_fft": 8, "center": False, "win_length": 5, "align_to_window": False},
    {"n_fft": 9, "center": False, "win_length": 4, "align_to_window": True},
    {"n_fft": 8, "return_complex": False},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("signal", [SIGNAL, SIGNAL[0], (SIGNAL[0] + 1j * SIGNAL[1])])
def test_stft(options, window, signal):
    def run(library):
        given = {"return_complex": True, **options}
        if signal.dtype == np.complex64:
            given["onesided"] = False
        width = given.get("win_length", given["n_fft"])
        taps = library.hann_window(width).requires_grad_() if window else None
        input = library.tensor(signal, requires_grad=True)
        made = library.stft(input, window=taps, **given)
        (made * made.detach()).sum().abs().backward()
        return [made, input.grad] + ([taps.grad] if window else [])
    _both(run)


@pytest.mark.parametrize("options", [
    {}, {"length": 20}, {"length": 40}, {"center": False}, {"normalized": True}, {"hop_length": 3},
    {"win_length": 6}, {"onesided": False}, {"onesided": False, "return_complex": True},
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:The length of signal")
def test_istft(options):
    count = 8 if options.get("onesided") is False else 5
    values = (_random.standard_normal((2, count, 6)) + 1j * _random.standard_normal((2, count, 6)))

    def run(library):
        input = library.tensor(values.astype(np.complex64), requires_grad=True)
        window = library.hamming_window(options.get("win_length", 8)).requires_grad_()
        made = library.istft(input, 8, window=window, **options)
        (made * made.detach()).sum().abs().backward()
        return made, input.grad, window.grad
    _both(run)


def test_there_and_back():
    signal = flashlight.tensor(SIGNAL)
    window = flashlight.hann_window(8)
    spectra = signal.stft(8, window=window, return_complex=True)
    again = spectra.istft(8, window=window, length=23)
    np.testing.assert_allclose(again.numpy(), SIGNAL, 1e-4, 1e-5)


def _ones(t, *size):
    return t.ones(*size, dtype=t.complex64)


ERRORS = [
    lambda t: t.stft(t.zeros(10), 4),
    lambda t: t.stft(t.zeros(10).int(), 4, window=t.ones(4), return_complex=True),
    lambda t: t.stft(t.zeros(1, 2, 10), 4, window=t.ones(4), return_complex=True, center=False),
    lambda t: t.stft(t.zeros(10), 40, window=t.ones(40), return_complex=True, center=False),
    lambda t: t.stft(t.zeros(10), 4, hop_length=0, return_complex=True),
    lambda t: t.stft(t.zeros(10), 4, win_length=5, return_complex=True),
    lambda t: t.stft(t.zeros(10), 4, window=t.ones(3), return_complex=True),
    lambda t: t.stft(t.zeros(10), 4, window=t.ones(2, 4), return_complex=True),
    lambda t: t.stft(t.zeros(10) + 0j, 4, window=t.ones(4), onesided=True),
    lambda t: t.stft(t.zeros(10), 4, window=t.ones(4), return_complex=True, align_to_window=True),
    lambda t: t.istft(t.zeros(3, 5), 4, window=t.ones(4)),
    lambda t: t.istft(_ones(t, 4, 5), 4, onesided=True, window=t.ones(4)),
    lambda t: t.istft(_ones(t, 3, 5), 4, hop_length=0),
    lambda t: t.istft(_ones(t, 3, 5), 4, win_length=5),
    lambda t: t.istft(_ones(t, 3, 5), 4, window=t.ones(3)),
    lambda t: t.istft(_ones(t, 3, 5), 4, window=t.ones(4), return_complex=True),
    lambda t: t.istft(_ones(t, 3, 5), 4, window=t.ones(4) + 0j),
    lambda t: t.istft(_ones(t, 3, 5), 4, window=t.zeros(4)),
    lambda t: t.istft(_ones(t, 3, 0), 4, window=t.ones(4)),
    lambda t: t.istft(_ones(t, 2, 2, 3, 5), 4, window=t.ones(4)),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call):
    found = []
    for library in (flashlight, torch):
        with pytest.raises(RuntimeError) as caught:
            call(library)
        found.append(str(caught.value))
    assert found[0] == found[1]


def test_warnings():
    signal = flashlight.zeros(10)
    with pytest.warns(UserWarning, match="window was not provided"):
        flashlight.stft(signal, 4, return_complex=True)
    with pytest.warns(UserWarning, match="return_complex=False is deprecated"):
        flashlight.stft(signal, 4, window=flashlight.ones(4), return_complex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flashlight.stft(signal, 4, window=flashlight.ones(4), return_complex=True)
