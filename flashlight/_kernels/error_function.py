"""erf and its relatives: erfc, erfcx, erfinv and the normal distribution's functions.

MLX has erf and erfinv in single precision only, and on the CPU its erf is off by 5e-7 and 0 for
small arguments. The coefficients are minimax fits (tools/fit_coefficients.py) unless a source is
named.
"""

from __future__ import annotations

import math

import mlx.core as mx

from .elementary import exp
from .polynomial import Polynomial, Rational
from .precision import HALF, in_double, on_accelerator, through_float32

SQRT_HALF = math.sqrt(0.5)

# erf(x) / x in x² on [0, 15.1], relative error 2e-8; beyond, erf is 1 in float32.
_ERF_SINGLE_LIMIT = 3.8858
_ERF_SINGLE = Rational(
    (1.128379148, 0.189156413, 0.05261299142, 0.00371960329, 0.0002852045154, 2.078073376e-6),
    (1.0, 0.5009683168, 0.1136192185, 0.01487660074, 0.001153858663, 3.839686668e-5),
)
# The same on [0, 1], relative error 7e-19.
_ERF_DOUBLE = Rational(
    (
        1.1283791670955125747, 0.14350697873499745453, 0.045483655018778110411,
        0.0018774228691804787537, 0.00019688518521627287133, 7.7735841688433407733e-8,
    ),
    (
        1.0, 0.46051308187866463099, 0.093813200371859622802, 0.010693105109530221017,
        0.00069250084191924232678, 0.000020810376677856460476,
    ),
)
# (1 + 2x)·erfcx(x) in t = (x - 3) / (x + 3): all of x >= 0 is -1 <= t <= 1.
_ERFCX_SINGLE = Polynomial(
    1.253008057, -0.135621058, -0.04756218297, 0.1296438603, -0.1192750413, 0.06831811498,
    -0.02376429516, 0.002495334894, 0.001875964414, -0.0007224578849, -9.292169018e-5,
    7.578910591e-5,
)
_ERFCX_DOUBLE = Polynomial(
    1.2530080582697296458, -0.13562110612458117675, -0.047562294353448824957,
    0.12964515870276101944, -0.1192736634154045699, 0.068308027343967096696,
    -0.023770514916824221854, 0.0025293918162130247244, 0.0018886903415867320364,
    -0.00077983227314690898643, -0.00010515969984030262383, 0.00012509935680168361412,
    4.9491243783008356181e-6, -0.000020100580066048977957, -7.3065429825963652525e-7,
    3.472436188414748039e-6, 3.554822913846630027e-7, -6.1667452714846955509e-7,
    -1.4018205414338222762e-7, 1.0188800214863748965e-7, 4.0866792111450273037e-8,
    -1.3333750001391855035e-8, -8.1417857193841684122e-9, 9.8989418723301481222e-10,
    8.2663415734690720954e-10,
)

# Where erfc underflows to 0, so that nothing further out needs to be computed.
_ERFC_LIMIT = 28.0


@through_float32
def erf(x: mx.array) -> mx.array:
    """2/√π · ∫ e^-t² dt from 0 to x."""
    if x.dtype == mx.float64:
        small = x * _ERF_DOUBLE(mx.square(mx.clip(x, -1.0, 1.0)))
        return mx.where(mx.abs(x) < 1.0, small, mx.sign(x) * (1.0 - erfc(mx.abs(x))))
    if on_accelerator():
        return mx.erf(x)
    x = mx.clip(x, -_ERF_SINGLE_LIMIT, _ERF_SINGLE_LIMIT)
    return x * _ERF_SINGLE(x * x)


@through_float32
def erfc(x: mx.array) -> mx.array:
    """1 - erf(x), with full relative accuracy where it is small."""
    distance = mx.minimum(mx.abs(x), _ERFC_LIMIT)
    upper = _gaussian(distance) * _erfcx_positive(distance)
    return mx.where(x < 0.0, 2.0 - upper, upper)


@through_float32
def erfcx(x: mx.array) -> mx.array:
    """e^x² · erfc(x); for negative x with x² rounded as PyTorch rounds it."""
    upper = _erfcx_positive(mx.abs(x))
    return mx.where(x < 0.0, 2.0 * exp(x * x) - upper, upper)


@through_float32
def erfinv(y: mx.array) -> mx.array:
    """The x with erf(x) = y; NaN outside of [-1, 1]."""
    if y.dtype == mx.float32:
        return mx.erfinv(y)
    tail = (1.0 - mx.abs(y)) * 0.5
    return _normal_quantile(y * 0.5, tail) * SQRT_HALF


def ndtr(x: mx.array) -> mx.array:
    """The area under the standard normal density up to x."""
    if x.dtype in HALF:  # as PyTorch rounds it
        scaled = (x.astype(mx.float32) * SQRT_HALF).astype(x.dtype)
        return (erf(scaled) + 1.0) * 0.5
    return 0.5 * erfc(x * -SQRT_HALF)


@in_double
def log_ndtr(x: mx.array) -> mx.array:
    """log(ndtr(x)), finite far into the lower tail."""
    t = x * SQRT_HALF
    low = mx.log(_erfcx_positive(mx.maximum(-t, 0.0)) * 0.5) - t * t
    return mx.where(x < -1.0, low, mx.log1p(erfc(t) * -0.5))


@in_double
def ndtri(p: mx.array) -> mx.array:
    """The x with ndtr(x) = p; NaN outside of [0, 1]."""
    return _normal_quantile(p - 0.5, mx.minimum(p, 1.0 - p))


def _gaussian(x: mx.array) -> mx.array:
    """e^-x²; through double where there is one, as x² is the exponent and must be exact."""
    if x.dtype == mx.float32 and not on_accelerator():
        wide = x.astype(mx.float64)
        return exp(wide * -wide).astype(mx.float32)
    return exp(x * -x)


def _erfcx_positive(x: mx.array) -> mx.array:
    """e^x² · erfc(x) for x >= 0. The expansion is that of Shepherd and Laframboise (1981)."""
    fit = _ERFCX_DOUBLE if x.dtype == mx.float64 else _ERFCX_SINGLE
    return fit(1.0 - 6.0 / (x + 3.0)) / (2.0 * x + 1.0)


# Wichura (1988), Algorithm AS 241, PPND16.
_QUANTILE_CENTER = Rational(
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_QUANTILE_MIDDLE = Rational(
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_QUANTILE_TAIL = Rational(
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


def _normal_quantile(centered: mx.array, tail: mx.array) -> mx.array:
    """The normal quantile of p, given p - 1/2 and min(p, 1 - p), each exact where it is small."""
    center = centered * _QUANTILE_CENTER(0.180625 - centered * centered)
    r = mx.sqrt(-mx.log(tail))
    outside = mx.where(r <= 5.0, _QUANTILE_MIDDLE(r - 1.6), _QUANTILE_TAIL(r - 5.0))
    outside = mx.where(tail == 0.0, math.inf, outside)
    return mx.where(mx.abs(centered) <= 0.425, center, mx.sign(centered) * outside)
