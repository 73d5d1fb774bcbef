"""Bessel functions J and Y of orders 0 and 1, the spherical j0 and Airy's Ai.

Near 0 they are polynomials in x²; further out, amplitude and phase of Hankel's expansions (NIST
DLMF 10.17, 9.7). The coefficients are minimax fits (tools/fit_coefficients.py) with errors below
6e-17.
"""

from __future__ import annotations

import math

import mlx.core as mx

from .elementary import exp, sin, sine_and_cosine
from .polynomial import Polynomial, Rational
from .precision import in_double

NEAR = 5.0  # where the polynomials end
TWO_OVER_PI = 2.0 / math.pi

# The squares of the first zeros, which are factored out: J is exact to the last places there too.
_J0_ZERO = 5.783185962946784521176
_J1_ZERO = 14.68197064212389325837
# J0(x) / (x² - zero), J1(x) / (x·(x² - zero)), Y0(x) - 2/π·log(x)·J0(x) and
# (Y1(x) - 2/π·(log(x)·J1(x) - 1/x)) / x, all in x².
_J0 = Polynomial(
    -0.1729150690306449247, 0.01332914615978850592, -0.0003969877252643886183,
    6.404783237206504911e-6, -6.517182619892066417e-8, 4.573627863708525383e-10,
    -2.349481324209180411e-12, 9.220782646584433095e-15, -2.855231068336781057e-17,
    7.144548444193632579e-20, -1.448907409382453059e-22, 2.061346127804348597e-25,
)
_J1 = Polynomial(
    -0.03405537391318948226, 0.00193738475441430354, -0.00004541501468046400216,
    6.019939527026972974e-7, -5.188298725420335589e-9, 3.154239547719630545e-11,
    -1.428211361369587406e-13, 5.00819842402162095e-16, -1.399151712579686901e-18,
    3.133240529287730852e-21, -4.88033031481482625e-24,
)
_Y0 = Polynomial(
    -0.07380429510868719655, 0.1776060168690667533, -0.01607396802593755337,
    0.0005386026668608859599, -9.495005204869228617e-6, 1.035847602401915104e-7,
    -7.693079732615666858e-10, 4.14356376027097263e-12, -1.693255615938815963e-14,
    5.430180471731407768e-17, -1.400569393309271566e-19, 2.906646108326889699e-22,
    -4.157485013000978006e-25,
)
_Y1 = Polynomial(
    -0.1960570906462389473, 0.05434868816051022976, -0.002955305336079801712,
    0.00007164268749971144733, -9.926740619295764484e-7, 8.931879617700956504e-9,
    -5.648024489976767409e-11, 2.649480783622246895e-13, -9.591428402110145973e-16,
    2.761314108644430234e-18, -6.464428166294931861e-21, 1.231812584693569388e-23,
    -1.647743478463254727e-26,
)

# The real part and x times the imaginary part of √(πx/2)·e^-iφ·(J + iY), φ = x - (1 + 2n)·π/4, in
# 25/x².
_P0 = Rational(
    (
        0.9999999999999999588, 4.287490319802467419, 5.448304732941700856, 2.424407187422820137,
        0.3438002778470424779, 0.01019103370791425714, -8.268653570750528076e-6,
    ),
    (
        1.0, 4.29030281980244665, 5.460191766264724099, 2.439030750450481569,
        0.3498219051764629704, 0.01088184474042209387,
    ),
)
_Q0 = Rational(
    (
        -0.1249999999999999968, -0.8896462230995466834, -2.062063054570906949,
        -1.923409065760163084, -0.7208896554056800836, -0.09303194011850447283,
        -0.002427379249838662687, 0.00001032166052413395291,
    ),
    (
        1.0, 7.140607284796353401, 16.66095543738535109, 15.75789064563934657,
        6.093826946964056913, 0.8528960965988705295, 0.02994201871141524409,
    ),
)
_P1 = Rational(
    (
        1.000000000000000047, 4.221990781543320552, 5.267443033638054344, 2.295429380953567688,
        0.3200224841609121237, 0.009918606169554418011, 0.00001470478386233456015,
    ),
    (
        1.0, 4.217303281543344265, 5.24790513739451122, 2.27175950998934055, 0.310419375214035165,
        0.008822276125661837531,
    ),
)
_Q1 = Rational(
    (
        0.3749999999999999963, 2.640403888584011253, 6.04752452978911837, 5.571065211447100811,
        2.066620227378138172, 0.2675414988038045574, 0.007649677865749004811,
        -0.00001550699965157248202,
    ),
    (
        1.0, 7.052014536224022483, 16.20267916225667787, 15.02537904451792491,
        5.658351384727658065, 0.7619029550782188562, 0.02507688805291924986,
    ),
)

# With ζ = 2/3·|x|^(3/2) >= 2: Ai(x)·2√π·x^(1/4)·e^ζ in 2/ζ, and for negative x the cosine and
# sine parts about ζ + π/4, the second times ζ, in (2/ζ)².
_AIRY_DECAY = Rational(
    (
        0.9999999999999999644, 6.100359444684114561, 12.95080057948473725, 11.85312660812078539,
        4.696345073681509433, 0.7024000747562424159, 0.02562952472021883092,
        -0.00006792348149630454982,
    ),
    (
        1.0, 6.135081666906312267, 13.15454087656383888, 12.25767638709152495, 5.02537358576688273,
        0.8070951901472936194, 0.03552087521980558035,
    ),
)
_AIRY_P = Rational(
    (
        0.999999999999999972, 36.06703830335623702, 445.6106885044210513, 2419.439919283668509,
        6170.469153485675493, 7335.035373720828427, 3787.507703429681539, 718.3337924385323763,
        32.60675508202672923, -0.0314794691184799908,
    ),
    (
        1.0, 36.07632167526975128, 445.941995341433568, 2423.454335117983964, 6191.512558450481191,
        7385.433687965275089, 3841.024932853471439, 740.757785912213439, 35.37573350129751056,
    ),
)
_AIRY_Q = Rational(
    (
        0.06944444444444443916, 3.626519246114708857, 67.5045376537461732, 579.3873820287553281,
        2481.413480013696271, 5367.531941620727091, 5662.366097289714524, 2656.2144511138222,
        451.8261424764063848, 15.39329546856817729, -0.1177012003692019421,
    ),
    (
        1.0, 52.35865215691164656, 979.1222083785790871, 8471.824317425350568,
        36798.42565812856953, 81601.27083852712052, 90020.00330717175973, 45927.16005840212063,
        9295.295657220833368, 515.7678303454975287,
    ),
)


@in_double
def j0(x: mx.array) -> mx.array:
    """J0(x)."""
    x = mx.abs(x)
    far, _ = _far(x, 0)
    return mx.where(x <= NEAR, _j0_near(x * x), far)


@in_double
def j1(x: mx.array) -> mx.array:
    """J1(x)."""
    size = mx.abs(x)
    far, _ = _far(size, 1)
    return mx.where(size <= NEAR, x * _j1_near(x * x), mx.sign(x) * far)


@in_double
def y0(x: mx.array) -> mx.array:
    """Y0(x): -inf at 0, NaN below."""
    square = x * x
    near = _Y0(square) + TWO_OVER_PI * mx.log(x) * _j0_near(square)
    _, far = _far(x, 0)
    return mx.where(x <= NEAR, near, far)


@in_double
def y1(x: mx.array) -> mx.array:
    """Y1(x): -inf at 0, NaN below."""
    square = x * x
    pole = x * _j1_near(square) * mx.log(x) - 1.0 / x
    near = x * _Y1(square) + TWO_OVER_PI * pole
    _, far = _far(x, 1)
    return mx.where(x == 0.0, -math.inf, mx.where(x <= NEAR, near, far))


@in_double
def spherical_j0(x: mx.array) -> mx.array:
    """sin(x) / x, 1 at 0 and 0 at infinity."""
    quotient = mx.where(x == 0.0, 1.0, sin(x) / x)
    return mx.where(mx.isinf(x), 0.0, quotient)


@in_double
def airy_ai(x: mx.array) -> mx.array:
    """Ai(x); NaN at both infinities, as in PyTorch."""
    size = mx.abs(x)
    root = mx.sqrt(size)
    zeta = size * root * (2.0 / 3.0)
    quarter = mx.sqrt(root) * math.sqrt(math.pi)
    decay = _AIRY_DECAY(2.0 / zeta) * exp(-zeta) / (quarter * 2.0)
    sine, cosine = sine_and_cosine(zeta + math.pi / 4)
    scale = 4.0 / (zeta * zeta)
    wave = (sine * _AIRY_P(scale) - cosine * (_AIRY_Q(scale) / zeta)) / quarter
    cube = x * x * x
    near = _AIRY_EVEN(cube) - x * _AIRY_ODD(cube)
    result = mx.where(size <= 2.08008, near, mx.where(x > 0.0, decay, wave))
    return mx.where(mx.isinf(x), math.nan, result)


def _maclaurin(first: float, offset: int) -> Polynomial:
    """first·Σ x^3k / Π (3j - 1 + offset)(3j + offset), DLMF 9.4.1."""
    coefficients = [first]
    for k in range(1, 15):
        coefficients.append(coefficients[-1] / ((3 * k - 1 + offset) * (3 * k + offset)))
    return Polynomial(*coefficients)


_AIRY_EVEN = _maclaurin(0.35502805388781723926, 0)
_AIRY_ODD = _maclaurin(0.25881940379280679840, 1)


def _j0_near(square: mx.array) -> mx.array:
    return (square - _J0_ZERO) * _J0(square)


def _j1_near(square: mx.array) -> mx.array:
    return (square - _J1_ZERO) * _J1(square)


def _far(x: mx.array, order: int) -> tuple[mx.array, mx.array]:
    """J and Y of this order for x >= 5."""
    real, imaginary = ((_P0, _Q0), (_P1, _Q1))[order]
    scale = 25.0 / (x * x)
    p, q = real(scale), imaginary(scale) / x
    sine, cosine = sine_and_cosine(x - (0.25 + 0.5 * order) * math.pi)
    amplitude = mx.sqrt(TWO_OVER_PI / x)
    return (p * cosine - q * sine) * amplitude, (p * sine + q * cosine) * amplitude
