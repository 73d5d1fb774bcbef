"""Special functions against PyTorch, and against SciPy where PyTorch's own are less exact."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import scipy.special
import torch

from flashlight._kernels import (
    bessel,
    error_function,
    gamma,
    incomplete_gamma,
    modified_bessel,
    orthogonal,
)

from .accuracy import assert_close, logarithmic, sample, to_mlx

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
EDGES = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, 5.0, 8.0, -3.0)
FLOATS = (np.float32, np.float64)
special = torch.special


# name: kernel, PyTorch's function, ranges, range of decimal exponents.
ONE = {
    "erf": (error_function.erf, torch.erf, [(-1, 1), (-6, 6)], (-40, 2)),
    "erfc": (error_function.erfc, torch.erfc, [(-1, 1), (-6, 28)], (-40, 2)),
    "erfcx": (error_function.erfcx, special.erfcx, [(-2, 2), (-6, 30)], (-40, 0)),
    "ndtr": (error_function.ndtr, special.ndtr, [(-6, 6)], (-40, 1)),
    "log_ndtr": (error_function.log_ndtr, special.log_ndtr, [(-30, 6)], (-40, 1)),
    "erfinv": (error_function.erfinv, torch.erfinv, [(-1, 1), (0.999, 1.001)], (-40, 0)),
    "ndtri": (error_function.ndtri, special.ndtri, [(0, 1), (0.999, 1.001)], (-40, 0)),
    "lgamma": (gamma.lgamma, torch.lgamma, [(-10, 10), (0, 200)], (-30, 30)),
    "digamma": (gamma.digamma, torch.digamma, [(0, 10), (0, 200)], (-2, 20)),
    "i0": (modified_bessel.i0, torch.i0, [(-9, 9), (-80, 80)], (-30, 1)),
    "i0e": (modified_bessel.i0e, special.i0e, [(-9, 9), (-80, 80)], (-30, 5)),
    "i1": (modified_bessel.i1, special.i1, [(-9, 9), (-80, 80)], (-30, 1)),
    "i1e": (modified_bessel.i1e, special.i1e, [(-9, 9), (-80, 80)], (-30, 5)),
    "k0": (modified_bessel.k0, special.modified_bessel_k0, [(0, 3), (0, 80)], (-30, 2)),
    "k1": (modified_bessel.k1, special.modified_bessel_k1, [(0, 3), (0, 80)], (-30, 2)),
    "k0e": (modified_bessel.k0e, special.scaled_modified_bessel_k0, [(0, 3)], (-30, 5)),
    "k1e": (modified_bessel.k1e, special.scaled_modified_bessel_k1, [(0, 3)], (-30, 5)),
    "spherical_j0": (bessel.spherical_j0, special.spherical_bessel_j0, [(-9, 9)], (-30, 3)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ONE)
def test_one_argument_as_pytorch(name, dtype):
    kernel, reference, ranges, exponents = ONE[name]
    x = np.concatenate([sample(0, *ranges), logarithmic(1, *exponents), EDGES]).astype(dtype)
    assert_close(kernel(to_mlx(x)), reference(torch.from_numpy(x)))


# PyTorch's float64 forms of these are off by 1e-6 somewhat beyond their polynomials' ranges.
INEXACT = {
    "j0": (bessel.j0, scipy.special.j0, [(-6, 6), (-100, 100)]),
    "j1": (bessel.j1, scipy.special.j1, [(-6, 6), (-100, 100)]),
    "y0": (bessel.y0, scipy.special.y0, [(0, 6), (0, 100)]),
    "y1": (bessel.y1, scipy.special.y1, [(0, 6), (0, 100)]),
    "airy_ai": (bessel.airy_ai, lambda x: scipy.special.airy(x)[0], [(-3, 3), (-50, 110)]),
    "erf": (error_function.erf, scipy.special.erf, [(-6, 6)]),
    "erfc": (error_function.erfc, scipy.special.erfc, [(-6, 27)]),
    "erfcx": (error_function.erfcx, scipy.special.erfcx, [(-20, 100)]),
    "log_ndtr": (error_function.log_ndtr, scipy.special.log_ndtr, [(-300, 6)]),
    "ndtri": (error_function.ndtri, scipy.special.ndtri, [(0, 1), (0, 1e-3)]),
    "digamma": (gamma.digamma, scipy.special.digamma, [(-10, 0), (0, 30)]),
    "trigamma": (gamma.trigamma, lambda x: scipy.special.polygamma(1, x), [(0.01, 30)]),
    "i1": (modified_bessel.i1, scipy.special.i1, [(-20, 20)]),
    "k1": (modified_bessel.k1, scipy.special.k1, [(0, 20)]),
}


@pytest.mark.parametrize("name", INEXACT)
def test_double_precision(name):
    kernel, reference, ranges = INEXACT[name]
    x = sample(2, *ranges)
    np.testing.assert_allclose(np.array(kernel(to_mlx(x))), reference(x), rtol=2e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", range(6))
def test_polygamma(n, dtype):
    x = np.concatenate([sample(3, (0.01, 9), (-6, 0)), [0.5, 1, 2, np.nan]]).astype(dtype)
    assert_close(gamma.polygamma(n, to_mlx(x)), torch.polygamma(n, torch.from_numpy(x)))
    poles = np.array([0.0, -1.0, -3.0], dtype)
    if n > 1:
        assert_close(gamma.polygamma(n, to_mlx(poles)), torch.polygamma(n, torch.from_numpy(poles)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_multigammaln(dtype):
    x = sample(4, (2.5, 40), dtype=dtype)
    assert_close(gamma.multigammaln(to_mlx(x), 4), torch.mvlgamma(torch.from_numpy(x), 4))


@pytest.mark.parametrize("dtype", FLOATS)
def test_zeta(dtype):
    s = np.repeat([1.5, 2.0, 3.0, 7.25, 60.0, 1.0, 0.5, 300.0], 100).astype(dtype)
    edges = [0, 1, -1, -2.5, 3, 3, 3, 3, 3, 3]
    q = np.append(sample(5, (0.05, 10), (-8, -0.1), count=45), edges)
    q = np.tile(q, 8).astype(dtype)
    expected = special.zeta(torch.from_numpy(s), torch.from_numpy(q))
    assert_close(gamma.zeta(to_mlx(s), to_mlx(q), terms=20), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma(name, dtype):
    a = np.abs(np.concatenate([logarithmic(6, -6, 5), sample(7, (0, 30), (15, 250))]))
    x = a * np.concatenate([sample(8, (0.1, 5)), sample(9, (0.6, 1.4), count=600)])
    grid = np.array([0.0, -1.0, 1.0, np.inf, 2.0])
    a, x = np.append(a, np.repeat(grid, 5)), np.append(x, np.tile(grid, 5))
    a, x = a.astype(dtype), x.astype(dtype)
    expected = getattr(special, name)(torch.from_numpy(a), torch.from_numpy(x))
    assert_close(getattr(incomplete_gamma, name)(to_mlx(a), to_mlx(x)), expected)


POLYNOMIALS = {
    "chebyshev_t": special.chebyshev_polynomial_t,
    "chebyshev_u": special.chebyshev_polynomial_u,
    "chebyshev_v": special.chebyshev_polynomial_v,
    "chebyshev_w": special.chebyshev_polynomial_w,
    "hermite_h": special.hermite_polynomial_h,
    "hermite_he": special.hermite_polynomial_he,
    "laguerre_l": special.laguerre_polynomial_l,
    "legendre_p": special.legendre_polynomial_p,
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", POLYNOMIALS)
def test_orthogonal_polynomials(name, dtype):
    kernel = getattr(orthogonal, name)
    edges = np.repeat([1.0, -1.0, 0.0, 0.5], 10)
    x = np.concatenate([sample(10, (-1, 1), (-9, 9)), edges]).astype(dtype)
    n = np.concatenate([sample(11, (-9, 10), count=600), np.tile(np.arange(10), 4)]).astype(dtype)
    expected = POLYNOMIALS[name](torch.from_numpy(x), torch.from_numpy(n))
    closed = name.startswith("chebyshev")
    assert_close(kernel(to_mlx(x), to_mlx(n), *(() if closed else (9,))), expected)
    if not closed:
        for degree in (-1, 0, 1, 5):
            expected = POLYNOMIALS[name](torch.from_numpy(x), degree)
            assert_close(kernel(to_mlx(x), degree, degree), expected)


def test_hermite_polynomials_end():
    x = torch.tensor([0.1, 0.2])
    expected = special.hermite_polynomial_he(x, torch.tensor([129.0, 2.0]))
    assert expected.isnan().tolist() == [True, False]
    actual = orthogonal.hermite_he(mx.array([0.1, 0.2]), mx.array([129.0, 2.0]), 129)
    assert_close(actual, expected)


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv"])
def test_half_precision_rounds_once(name):
    kernel = getattr(error_function, name)
    x = mx.array(sample(12, (-1, 1), dtype=np.float32)).astype(mx.bfloat16)
    exact = kernel(x.astype(mx.float64)).astype(mx.bfloat16)
    assert kernel(x).dtype == mx.bfloat16
    differing = (kernel(x) != exact).sum().item()
    assert differing <= 1  # a float32 result may lie on the other side of a tie
