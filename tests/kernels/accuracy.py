"""Sample arguments of kernels, and comparisons with wider arithmetic or PyTorch."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import torch

NUMPY = {mx.float32: np.float32, mx.float64: np.float64, mx.complex64: np.complex64}
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.0, 1e-45, -1e-40, 1e-310, 1e30)


def to_mlx(values: np.ndarray) -> mx.array:
    """The same numbers, float64 kept."""
    dtype = {np.dtype(v): k for k, v in NUMPY.items()}[values.dtype]
    return mx.array(values, dtype=dtype)


def sample(
    seed: int, *ranges: tuple[float, float], count: int = 300, dtype=np.float64
) -> np.ndarray:
    """Uniform numbers of the ranges."""
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.uniform(a, b, count) for a, b in ranges]).astype(dtype)


def logarithmic(seed: int, low: float, high: float, count: int = 300) -> np.ndarray:
    """Numbers of either sign whose decimal exponents are uniform."""
    generator = np.random.default_rng(seed)
    return 10.0 ** generator.uniform(low, high, count) * generator.choice([-1, 1], count)


def assert_close(actual: mx.array, expected, **tolerances) -> None:
    """`torch.testing.assert_close`, NaN equal to NaN."""
    actual = torch.from_numpy(np.array(actual))
    expected = torch.as_tensor(np.asarray(expected))
    torch.testing.assert_close(actual, expected, equal_nan=True, **tolerances)


def assert_ulps(actual: mx.array, exact: np.ndarray, limit: float) -> None:
    """Each number is within `limit` units in the last place of the exact one, of a wider type."""
    actual = np.array(actual)
    rounded = exact.astype(actual.dtype)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(rounded))
    finite = np.isfinite(rounded)
    error = np.abs(actual[finite].astype(exact.dtype) - exact[finite])
    worst = np.max(error / np.spacing(np.abs(rounded[finite])).astype(exact.dtype), initial=0)
    assert worst <= limit, worst
