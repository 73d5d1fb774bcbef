"""Window functions against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

LENGTHS = (0, 1, 2, 3, 10)
OPTIONS = {
    "bartlett": [{}],
    "blackman": [{}],
    "cosine": [{}],
    "exponential": [{}, {"tau": 0.5}],
    "gaussian": [{}, {"std": 0.7}],
    "general_cosine": [{"a": [0.5, 0.3, 0.2]}, {"a": (1.0,)}],
    "general_hamming": [{}, {"alpha": 0.3}],
    "hamming": [{}],
    "hann": [{}],
    "kaiser": [{}, {"beta": 2}],
    "nuttall": [{}],
}
FACTORIES = {
    "bartlett_window": [()],
    "blackman_window": [()],
    "hamming_window": [(), (0.3,), (0.3, 0.6)],
    "hann_window": [()],
    "kaiser_window": [(), (3.0,)],
}
TOLERANCE = {"float32": 1e-6, "float64": 1e-14, "float16": 0, "bfloat16": 0}


def assert_same(actual, expected):
    assert tuple(actual.shape) == tuple(expected.shape)
    assert str(actual.dtype) == str(expected.dtype)
    np.testing.assert_allclose(
        actual.detach().double().numpy(),
        expected.detach().double().numpy(),
        rtol=1e-5,
        atol=TOLERANCE[str(expected.dtype).removeprefix("torch.")],
    )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signal_windows(name, dtype):
    for options in OPTIONS[name]:
        for length in LENGTHS:
            for sym in (True, False):
                got, wanted = (
                    getattr(module.signal.windows, name)(
                        length, sym=sym, dtype=getattr(module, dtype), **options
                    )
                    for module in (flashlight, torch)
                )
                assert_same(got, wanted)
                assert not got.requires_grad


def test_signal_windows_that_require_grad():
    for name, (options, *_) in OPTIONS.items():
        window = getattr(flashlight.signal.windows, name)(4, requires_grad=True, **options)
        assert window.requires_grad


def test_center_of_an_exponential():
    got, wanted = (
        module.signal.windows.exponential(5, center=1.0, sym=False)
        for module in (flashlight, torch)
    )
    assert_same(got, wanted)


ERRORS = {
    "hann": [{"M": -1}, {"M": 5, "dtype": "float16"}, {"M": 5, "dtype": "int32"}],
    "exponential": [{"M": 5, "tau": 0.0}, {"M": 5, "center": 1.0}],
    "gaussian": [{"M": 5, "std": -1.0}],
    "kaiser": [{"M": 5, "beta": -1.0}],
    "general_cosine": [{"M": 5, "a": []}, {"M": 5, "a": 3}],
    "hann_window": [{"window_length": -1}, {"window_length": 5, "dtype": "int32"}],
    "hamming_window": [{"window_length": 2.5}, {"window_length": 5, "dtype": "complex64"}],
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    for arguments in ERRORS[name]:
        errors = []
        for module in (flashlight, torch):
            home = module if name.endswith("_window") else module.signal.windows
            given = dict(arguments)
            if "dtype" in given:
                given["dtype"] = getattr(module, given["dtype"])
            with pytest.raises(Exception) as caught:
                getattr(home, name)(**given)
            errors.append(caught.type)
        assert errors[0] is errors[1]


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_windows_of_the_module(name, dtype):
    for options in FACTORIES[name]:
        for length in LENGTHS:
            for periodic in (True, False):
                got, wanted = (
                    getattr(module, name)(length, periodic, *options, dtype=getattr(module, dtype))
                    for module in (flashlight, torch)
                )
                assert_same(got, wanted)


def test_windows_of_the_module_that_require_grad():
    window = flashlight.hann_window(4, requires_grad=True)
    assert window.requires_grad
    assert window.is_leaf
    assert_same(flashlight.hann_window(4), torch.hann_window(4))
