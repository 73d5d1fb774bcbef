"""Elementary functions over their whole range, against wider arithmetic and PyTorch."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._kernels import elementary

from .accuracy import SPECIAL, assert_close, assert_ulps, logarithmic, sample, to_mlx

WIDER = {np.float32: np.float64, np.float64: np.longdouble}
FLOATS = tuple(WIDER)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def arguments(dtype, low: float, high: float) -> np.ndarray:
    """Small and large numbers, and the special ones."""
    return np.concatenate(
        [sample(0, (-1, 1), (low, high)), logarithmic(1, -40, 2), SPECIAL]
    ).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_exp_to_the_last_places_with_denormals(dtype):
    x = arguments(dtype, *((-104, 89) if dtype is np.float32 else (-746, 710)))
    assert_ulps(elementary.exp(to_mlx(x)), np.exp(x.astype(WIDER[dtype])), 1.6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine(name, dtype):
    x = arguments(dtype, -1e4, 1e4)
    exact = getattr(np, name)(x.astype(WIDER[dtype])).astype(dtype)
    actual = np.array(getattr(elementary, name)(to_mlx(x)))
    np.testing.assert_allclose(actual, exact, rtol=0, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(np.signbit(actual[x == 0]), np.signbit(exact[x == 0]))


ONE = ["exp", "exp2", "expm1", "sin", "cos", "rsqrt", "sigmoid", "logit", "sinc"]
TWO = ["logaddexp", "logaddexp2", "hypot", "xlogy", "xlog1py"]


def reference(name: str):
    """PyTorch's function of this name."""
    return getattr(torch, name, None) or getattr(torch.special, name)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ONE)
def test_one_argument_as_pytorch(name, dtype):
    x = torch.from_numpy(np.concatenate([sample(2, (-1, 1), (-30, 30)), SPECIAL])).to(dtype)
    expected = reference(name)(x).double()
    wide = elementary_result(name, [x])
    tolerances = {"rtol": 1.3e-6, "atol": 1e-5} if dtype.itemsize == 4 else {}
    if dtype.itemsize == 2:
        tolerances = {"rtol": 1e-3 if dtype is torch.float16 else 1.6e-2, "atol": 1e-5}
    if dtype.itemsize == 8:
        tolerances = {"rtol": 1e-13, "atol": 1e-15}
    torch.testing.assert_close(wide, expected, equal_nan=True, **tolerances)


def elementary_result(name: str, tensors: list[torch.Tensor]) -> torch.Tensor:
    """The kernel's result on PyTorch's numbers, as float64."""
    dtype = getattr(mx, str(tensors[0].dtype).removeprefix("torch."))
    arrays = [to_mlx(t.double().numpy()).astype(dtype) for t in tensors]
    result = getattr(elementary, name)(*arrays)
    assert result.dtype == dtype
    return torch.from_numpy(np.array(result.astype(mx.float64)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", TWO)
def test_two_arguments_as_pytorch(name, dtype):
    grid = np.array([*SPECIAL, 3.5, -7.25, 88.0, 1e-3])
    x, y = (torch.from_numpy(v.ravel()).to(dtype) for v in np.meshgrid(grid, grid))
    if name == "hypot":
        # Of a NaN and an infinity PyTorch makes an infinity in some places and NaN in others.
        keep = ~(x.isnan() & y.isinf() | y.isnan() & x.isinf())
        x, y = x[keep], y[keep]
    expected = reference(name)(x, y).double()
    rtol, atol = {2: (1.6e-2, 1e-5), 4: (1.3e-6, 1e-7), 8: (1e-14, 1e-16)}[dtype.itemsize]
    actual = elementary_result(name, [x, y])
    torch.testing.assert_close(actual, expected, equal_nan=True, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", ["exp2", "expm1", "sin", "rsqrt", "sigmoid", "sinc", "logaddexp"])
def test_complex_as_pytorch(name):
    generator = np.random.default_rng(3)
    parts = 3 * generator.normal(size=(2, 2, 200))
    z = (parts[0] + 1j * parts[1]).astype(np.complex64)
    z[:, 0] = 0.5 + 1e-9j
    arguments_ = z if name == "logaddexp" else z[:1]
    expected = reference(name)(*(torch.from_numpy(a) for a in arguments_)).numpy()
    assert_close(getattr(elementary, name)(*(mx.array(a) for a in arguments_)), expected)


def test_complex_expm1_keeps_small_numbers():
    z = mx.array(np.array([1e-10 + 1e-12j], np.complex64))
    np.testing.assert_allclose(np.array(elementary.expm1(z)), [1e-10 + 1e-12j], rtol=1e-6)


def test_logaddexp_of_complex_infinities():
    x = np.array([-np.inf, -np.inf + 1j, 2 + 1j], np.complex64)
    y = np.array([-np.inf, 3 - 1j, -np.inf], np.complex64)
    result = np.array(elementary.logaddexp(mx.array(x), mx.array(y)))
    assert result[0].real == -np.inf
    np.testing.assert_allclose(result[1:], [3 - 1j, 2 + 1j], rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64])
def test_integer_powers_wrap_and_truncate(dtype):
    base = torch.tensor([2, -1, 1, -1, 0, 3, 7, -2, 10, 1], dtype=torch.int64).to(dtype)
    exponent = torch.tensor([5, 3, 9, 2, 0, 9, 40, 7, 3, 0], dtype=torch.int64).to(dtype)
    if dtype.is_signed:
        exponent[:4] = -exponent[:4]
    expected = torch.pow(base, exponent)
    kind = getattr(mx, str(dtype).removeprefix("torch."))
    arrays = [mx.array(t.numpy(), dtype=kind) for t in (base, exponent)]
    actual = elementary.pow(*arrays)
    np.testing.assert_array_equal(np.array(actual), expected.numpy())


def test_softplus_switches_at_its_threshold():
    x = sample(4, (-50, 50), dtype=np.float32)
    expected = torch.nn.functional.softplus(torch.from_numpy(x), beta=2.5, threshold=4.0)
    assert_close(elementary.softplus(mx.array(x), 2.5, 4.0), expected)


def test_kernels_trace_under_transforms():
    x = mx.array(sample(5, (0.1, 0.9), dtype=np.float32))
    for name in ("exp", "sigmoid", "sinc", "logit", "softplus"):
        kernel = getattr(elementary, name)
        eager = kernel(x)
        assert mx.allclose(mx.vmap(kernel)(x.reshape(3, -1)).flatten(), eager)
        assert mx.allclose(mx.compile(kernel)(x), eager)
        _, slopes = mx.jvp(kernel, [x], [mx.ones_like(x)])
        step = (kernel(x.astype(mx.float64) + 1e-6) - kernel(x.astype(mx.float64) - 1e-6)) / 2e-6
        assert mx.allclose(slopes[0], step.astype(mx.float32), rtol=1e-3, atol=1e-4)
