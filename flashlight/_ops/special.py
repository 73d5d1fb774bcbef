"""Special functions: the error, gamma and Bessel functions, and orthogonal polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable

import mlx.core as mx

from .._core.dtype import FLOATING, bool_, float32, float64
from .._core.evaluation import ensure_memory, is_traced
from .._kernels import (
    bessel,
    elementary,
    error_function,
    gamma,
    incomplete_gamma,
    modified_bessel,
    orthogonal,
)
from .arithmetic import REAL, logical_and
from .kinds import INT_TO_FLOAT, SAME, Operand, composite, inplace, pointwise, primitive
from .pointwise import _c, abs_, cos, exp, log, reciprocal, sgn, sin, where

# What PyTorch's kernels take of floating point types where they leave out the half ones.
FULL = tuple(d for d in REAL if d not in FLOATING or d in (float32, float64))

SQRT_PI = math.sqrt(math.pi)
SQRT_HALF = math.sqrt(0.5)


def _unary(name, kernel, text, rule=None, *, dtypes=REAL, reported=None):
    """Declare a function of one tensor; integers become the default dtype."""

    def body(input: mx.array) -> mx.array:
        return kernel(input)

    body.__name__, body.__doc__, body.__module__ = name, text, __name__
    made = pointwise(
        body,
        promote=INT_TO_FLOAT,
        dtypes=dtypes,
        fast=kernel,
        kernel=reported or f"{name.removeprefix('special_')}_cpu",
        differentiable=rule is not None,
    )
    if rule is not None:
        made.gradients(input=rule)
    return made


def _not_implemented(what: str) -> Callable:
    """Return the rule of an input for which PyTorch has no derivative either."""

    def rule(grad):
        raise NotImplementedError(f"the derivative for '{what}' is not implemented.")

    return rule


# ----- the error function and the normal distribution -----



def _normal_slope(grad, scaled):
    return 2 / SQRT_PI * exp(-(scaled * scaled)) * (grad * 0.5) * SQRT_HALF


erf = _unary(
    "erf",
    error_function.erf,
    "The error function, 2/√π ∫ exp(-t²) dt from 0 to x.",
    lambda grad, input: 2 / SQRT_PI * exp(-(input * input)) * grad,
    reported="erf_vml_cpu",
)
erfc = _unary(
    "erfc",
    error_function.erfc,
    "1 - erf(x), accurate where that is small.",
    lambda grad, input: -2 / SQRT_PI * exp(-(input * input)) * grad,
    reported="erfc_vml_cpu",
)
erfinv = _unary(
    "erfinv",
    error_function.erfinv,
    "The inverse of the error function.",
    lambda grad, result: SQRT_PI / 2 * exp(result * result) * grad,
    reported="erfinv_vml_cpu",
)
erfcx = _unary(
    "special_erfcx",
    error_function.erfcx,
    "exp(x²) erfc(x).",
    lambda grad, input, result: (2 * input * result - 2 / SQRT_PI) * grad,
    dtypes=FULL,
)
ndtr = _unary(
    "special_ndtr",
    error_function.ndtr,
    "The distribution function of the standard normal distribution.",
    lambda grad, input: _normal_slope(grad, input * SQRT_HALF),
    reported="erf_vml_cpu",
)
ndtri = _unary(
    "special_ndtri",
    error_function.ndtri,
    "The quantile function of the standard normal distribution.",
    lambda grad, result: grad * math.sqrt(2 * math.pi) * exp(result * result * 0.5),
    dtypes=FULL,
)
log_ndtr = _unary(
    "special_log_ndtr",
    error_function.log_ndtr,
    "The logarithm of the standard normal distribution function.",
    lambda grad, input: grad * math.sqrt(2 / math.pi) / erfcx(input * -SQRT_HALF),
    dtypes=FULL,
)


# ----- logarithms -----


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL, kernel="logit_cpu")
def logit(input: mx.array, eps=None) -> mx.array:
    """log(x / (1 - x)), of x clamped to [eps, 1 - eps] where `eps` is given."""
    return elementary.logit(input, eps if eps is None or eps >= 0 else None)


def _logit_rule(grad, input, eps):
    slope = grad / (input * (1 - input))
    if eps is None or eps < 0:
        return where(logical_and(input >= 0, input <= 1), slope, math.nan)
    return where(logical_and(input >= eps, input <= 1 - eps), slope, 0)


logit.gradients(input=_logit_rule)


@pointwise(promote=INT_TO_FLOAT)
def sinc(input: mx.array) -> mx.array:
    """sin(πx) / (πx), and 1 at 0."""
    return elementary.sinc(input)


def _sinc_rule(grad, input):
    angle = input * math.pi
    square = input * input * math.pi
    slope = (angle * cos(angle) - sin(angle)) / square
    return where(square == 0, 0, grad * _c(slope))


sinc.gradients(input=_sinc_rule)


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL, kernel="xlogy_cpu")
def xlogy(input: Operand, other: Operand) -> mx.array:
    """x log(y), and 0 where x is 0 and y is not NaN."""
    return elementary.xlogy(input, other)


xlogy.gradients(
    input=lambda grad, input, other: xlogy(grad, other).masked_fill(
        logical_and(input == 0, other <= 0), 0
    ),
    other=lambda grad, input, other: grad * input / other,
)


@pointwise(promote=INT_TO_FLOAT, dtypes=REAL, kernel="xlog1py_cpu", name="special_xlog1py")
def xlog1py(input: Operand, other: Operand) -> mx.array:
    """x log(1 + y), and 0 where x is 0 and y is not NaN."""
    return elementary.xlog1py(input, other)


xlog1py.gradients(
    input=lambda grad, input, other: xlog1py(grad, other).masked_fill(
        logical_and(input == 0, other <= -1), 0
    ),
    other=lambda grad, input, other: grad * input / (other + 1),
)


entr = _unary(
    "special_entr",
    elementary.entr,
    "-x log(x): 0 at 0, -inf below.",
    lambda grad, input: grad * (-1 - log(input)),
)


# ----- the gamma function -----

lgamma = _unary(
    "lgamma",
    gamma.lgamma,
    "The logarithm of the size of the gamma function.",
    lambda grad, input: grad * digamma(input),
    reported="lgamma_vml_cpu",
)
digamma = _unary(
    "digamma",
    gamma.digamma,
    "The logarithmic derivative of the gamma function.",
    lambda grad, input: grad * polygamma(1, input),
    reported="digamma",
)


@primitive(promote=INT_TO_FLOAT, dtypes=REAL, name="polygamma", kernel="polygamma", elementwise=True)
def _polygamma(n, input: mx.array) -> mx.array:
    """The n-th derivative of digamma."""
    return gamma.polygamma(n, input)


_polygamma.gradients(input=lambda grad, input, n: grad * polygamma(n + 1, input))


@composite
def polygamma(n, input):
    """The n-th derivative of digamma. Raises RuntimeError for negative n."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(
            f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return digamma(input) if n == 0 else _polygamma(n, input)


def _polygamma_method(self, n):
    """The n-th derivative of digamma. Raises RuntimeError for negative n."""
    return polygamma(n, self)


@primitive(promote=INT_TO_FLOAT, dtypes=REAL, name="mvlgamma")
def _mvlgamma(input: mx.array, p) -> mx.array:
    """The logarithm of the gamma function of dimension p."""
    ensure_memory(8 * input.size * p)
    return gamma.multigammaln(input, p)


def _mvlgamma_rule(grad, input, p):
    offsets = input.new_tensor([-0.5 * i for i in reversed(range(p))])
    return grad * digamma(input.unsqueeze(-1) + offsets).sum(-1)


_mvlgamma.gradients(input=_mvlgamma_rule)


@composite
def mvlgamma(input, p):
    """The logarithm of the gamma function of dimension p. Raises RuntimeError for p < 1."""
    if input.dtype is bool_:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if not isinstance(p, int):
        raise TypeError(f"mvlgamma(): argument 'p' must be int, not {type(p).__name__}")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return _mvlgamma(input, p)


@pointwise(promote=SAME, dtypes=FLOATING, kernel="igamma_cpu")
def igamma(input: mx.array, other: mx.array) -> mx.array:
    """The regularised lower incomplete gamma function P(input, other)."""
    return incomplete_gamma.gammainc(input, other)


@pointwise(promote=SAME, dtypes=FLOATING, kernel="igammac_cpu")
def igammac(input: mx.array, other: mx.array) -> mx.array:
    """The regularised upper incomplete gamma function Q(input, other)."""
    return incomplete_gamma.gammaincc(input, other)


def _gamma_density(input, other):
    return exp((input - 1) * log(other) - other - lgamma(input))


igamma.gradients(
    input=_not_implemented("igamma: input"),
    other=lambda grad, input, other: grad * _gamma_density(input, other),
)
igammac.gradients(
    input=_not_implemented("igammac: input"),
    other=lambda grad, input, other: -grad * _gamma_density(input, other),
)


@pointwise(promote=INT_TO_FLOAT, dtypes=FULL, kernel="zeta_cpu", name="special_zeta")
def zeta(input: Operand, other: Operand) -> mx.array:
    """The Hurwitz zeta function Σ (other + k)^-input over k >= 0.

    In traced code `other` must be positive: how many negative terms there are would be data.
    """
    return gamma.zeta(input, other, _terms(other))


def _terms(q: mx.array) -> int:
    """The terms that Euler and Maclaurin's formula needs before the rest is past 9."""
    if is_traced(q) or not q.size:
        return 10
    lowest = mx.min(mx.where(mx.isfinite(q), q, 0.0)).item()
    return 10 + min(math.ceil(max(-lowest, 0)), 4096)


zeta.gradients(
    input=_not_implemented("zeta"),
    other=lambda grad, input, other: grad * -input * zeta(input + 1, other),
)


# ----- Bessel functions -----

i0 = _unary(
    "i0",
    modified_bessel.i0,
    "The modified Bessel function I0.",
    lambda grad, input: grad * i1(input),
    reported="i0_vml_cpu",
)
i0e = _unary(
    "special_i0e",
    modified_bessel.i0e,
    "exp(-|x|) I0(x).",
    lambda grad, input, result: grad * (i1e(input) - sgn(input) * result),
)


def _first_order_rule(scaled):
    """The derivative of I1 or of its scaled form, whose quotient by x is 1/2 at 0."""

    def rule(grad, input, result):
        epsilon = 2.0**-52 if input.dtype is float64 else 2.0**-23
        proper = abs_(input) > epsilon
        safe = where(proper, input, epsilon)
        if scaled:
            slope = i0e(safe) - result * (sgn(safe) + reciprocal(safe))
        else:
            slope = i0(safe) - result * reciprocal(safe)
        return grad * where(proper, slope, 0.5)

    return rule


i1 = _unary(
    "special_i1",
    modified_bessel.i1,
    "The modified Bessel function I1.",
    _first_order_rule(False),
)
i1e = _unary(
    "special_i1e",
    modified_bessel.i1e,
    "exp(-|x|) I1(x).",
    _first_order_rule(True),
)


def _plain(name, kernel, text):
    """Declare a function that PyTorch does not differentiate."""
    return _unary(f"special_{name}", kernel, text, dtypes=FULL)


modified_bessel_i0 = _plain("modified_bessel_i0", modified_bessel.i0, "I0(x).")
modified_bessel_i1 = _plain("modified_bessel_i1", modified_bessel.i1, "I1(x).")
modified_bessel_k0 = _plain("modified_bessel_k0", modified_bessel.k0, "K0(x).")
modified_bessel_k1 = _plain("modified_bessel_k1", modified_bessel.k1, "K1(x).")
scaled_modified_bessel_k0 = _plain(
    "scaled_modified_bessel_k0", modified_bessel.k0e, "exp(x) K0(x)."
)
scaled_modified_bessel_k1 = _plain(
    "scaled_modified_bessel_k1", modified_bessel.k1e, "exp(x) K1(x)."
)
bessel_j0 = _plain("bessel_j0", bessel.j0, "The Bessel function J0.")
bessel_j1 = _plain("bessel_j1", bessel.j1, "The Bessel function J1.")
bessel_y0 = _plain("bessel_y0", bessel.y0, "The Bessel function Y0.")
bessel_y1 = _plain("bessel_y1", bessel.y1, "The Bessel function Y1.")
spherical_bessel_j0 = _plain("spherical_bessel_j0", bessel.spherical_j0, "sin(x) / x.")
airy_ai = _plain("airy_ai", bessel.airy_ai, "Airy's function Ai.")


# ----- orthogonal polynomials -----

MOST = 10_000  # the degree up to which a recurrence is run up, step by step

def _polynomial(name, kernel, text, *, by_recurrence=False, shifted=False):
    """Declare polynomials of degree n at x, both tensors or numbers.

    Recurrences run up to the largest degree, which must be known: in traced code `n` may only be
    a number.
    """

    def body(input: Operand, n: Operand) -> mx.array:
        if shifted:
            input = input + input - 1.0
        return kernel(input, n, _degree(name, n)) if by_recurrence else kernel(input, n)

    body.__name__, body.__doc__, body.__module__ = f"special_{name}", text, __name__
    return pointwise(
        body, promote=INT_TO_FLOAT, dtypes=FULL, kernel=f"{name}_cpu", differentiable=False
    )


def _degree(name: str, n: mx.array) -> int:
    if is_traced(n):
        raise RuntimeError(
            f"special.{name}: the degrees are not known inside compile or vmap; pass a number"
        )
    highest = int(mx.max(mx.where(mx.isfinite(n), n, 0.0)).item()) if n.size else 0
    if highest > MOST and "hermite" not in name:  # those of Hermite are NaN long before
        raise RuntimeError(f"special.{name}: degrees over {MOST} are not supported, got {highest}")
    return highest


chebyshev_polynomial_t = _polynomial(
    "chebyshev_polynomial_t", orthogonal.chebyshev_t, "Chebyshev polynomials of the first kind."
)
chebyshev_polynomial_u = _polynomial(
    "chebyshev_polynomial_u", orthogonal.chebyshev_u, "Chebyshev polynomials of the second kind."
)
chebyshev_polynomial_v = _polynomial(
    "chebyshev_polynomial_v", orthogonal.chebyshev_v, "Chebyshev polynomials of the third kind."
)
chebyshev_polynomial_w = _polynomial(
    "chebyshev_polynomial_w", orthogonal.chebyshev_w, "Chebyshev polynomials of the fourth kind."
)
shifted_chebyshev_polynomial_t = _polynomial(
    "shifted_chebyshev_polynomial_t", orthogonal.chebyshev_t, "T_n(2x - 1).", shifted=True
)
shifted_chebyshev_polynomial_u = _polynomial(
    "shifted_chebyshev_polynomial_u", orthogonal.chebyshev_u, "U_n(2x - 1).", shifted=True
)
shifted_chebyshev_polynomial_v = _polynomial(
    "shifted_chebyshev_polynomial_v", orthogonal.chebyshev_v, "V_n(2x - 1).", shifted=True
)
shifted_chebyshev_polynomial_w = _polynomial(
    "shifted_chebyshev_polynomial_w", orthogonal.chebyshev_w, "W_n(2x - 1).", shifted=True
)
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h", orthogonal.hermite_h, "Hermite polynomials.", by_recurrence=True
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    orthogonal.hermite_he,
    "Probabilists' Hermite polynomials.",
    by_recurrence=True,
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l", orthogonal.laguerre_l, "Laguerre polynomials.", by_recurrence=True
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p", orthogonal.legendre_p, "Legendre polynomials.", by_recurrence=True
)

METHODS = {
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
    "logit": logit,
    "sinc": sinc,
    "xlogy": xlogy,
    "lgamma": lgamma,
    "digamma": digamma,
    "polygamma": _polygamma_method,
    "mvlgamma": mvlgamma,
    "igamma": igamma,
    "igammac": igammac,
    "i0": i0,
}
INPLACE = tuple(METHODS)
FUNCTIONS = METHODS | {"polygamma": polygamma}
for _name in ("erf", "erfc", "logit", "sinc", "xlogy", "i0"):
    FUNCTIONS[f"{_name}_"] = inplace(METHODS[_name], f"{_name}_")
