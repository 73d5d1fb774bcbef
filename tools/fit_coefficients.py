"""Refit the polynomial and rational approximations of `flashlight/_kernels`.

    python tools/fit_coefficients.py erfcx_double i0_far

prints each table and its worst error; without names, all of them (minutes). Needs mpmath.
"""

from __future__ import annotations

import sys

import mpmath as mp

mp.mp.dps = 50
EDGE = mp.mpf("1e-12")  # where a function cannot be evaluated at the end of its interval

sqrt, pi = mp.sqrt, mp.pi


def erf_of_square(u):
    """erf(x) / x of u = x²."""
    return mp.erf(sqrt(u)) / sqrt(u)


def erfcx_of_ratio(t):
    """(1 + 2x)·erfcx(x) of t = (x - 3) / (x + 3)."""
    x = 3 * (1 + t) / (1 - t)
    if x < 1000:
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)
    terms = ((-1) ** k * mp.fac2(2 * k - 1) / (2 * x * x) ** k for k in range(8))
    return (1 + 2 * x) / (x * sqrt(pi)) * sum(terms)


def scaled_i(order):
    """√x·e^-x·I(x) of 8/x."""
    return lambda v: sqrt(8 / v) * mp.exp(-8 / v) * mp.besseli(order, 8 / v)


def scaled_k(order):
    """√x·e^x·K(x) of 2/x."""
    return lambda v: sqrt(2 / v) * mp.exp(2 / v) * mp.besselk(order, 2 / v)


def k_near(order):
    """What K0 and x·K1 have beside their logarithms, of x²."""
    if order == 0:
        return lambda u: mp.besselk(0, sqrt(u)) + mp.log(sqrt(u) / 2) * mp.besseli(0, sqrt(u))
    return lambda u: sqrt(u) * (
        mp.besselk(1, sqrt(u)) - mp.log(sqrt(u) / 2) * mp.besseli(1, sqrt(u))
    )


def j_near(order):
    """J0 and J1(x)/x without their first zero, of x²."""
    zero = mp.besseljzero(order, 1) ** 2
    return lambda u: mp.besselj(order, sqrt(u)) / sqrt(u) ** order / (u - zero)


def y_near(order):
    """What Y0 and Y1(x)/x have beside logarithm and pole, of x²."""
    pole = lambda x: 1 / x if order else 0
    return lambda u: (
        mp.bessely(order, sqrt(u))
        - 2 / pi * (mp.log(sqrt(u)) * mp.besselj(order, sqrt(u)) - pole(sqrt(u)))
    ) / sqrt(u) ** order


def hankel(order, part):
    """P, or x times Q, of Hankel's expansion, of 25/x²."""

    def value(t):
        x = 5 / sqrt(t)
        wave = mp.besselj(order, x) + 1j * mp.bessely(order, x)
        wave *= sqrt(pi * x / 2) * mp.exp(-1j * (x - pi / 4 - order * pi / 2))
        return wave.real if part == "p" else wave.imag * x

    return value


def airy_decay(w):
    """Ai(x)·2√π·x^(1/4)·e^ζ of 2/ζ."""
    x = (3 / w) ** (mp.mpf(2) / 3)
    return mp.airyai(x) * 2 * sqrt(pi) * x ** mp.mpf("0.25") * mp.exp(2 / w)


def airy_wave(part):
    """The sine part of Ai(-x) about ζ + π/4, or ζ times the cosine part, of (2/ζ)²."""

    def value(s):
        zeta = 2 / sqrt(s)
        x = (3 * zeta / 2) ** (mp.mpf(2) / 3)
        a, b, angle = mp.airyai(-x), mp.airybi(-x), zeta + pi / 4
        scale = sqrt(pi) * x ** mp.mpf("0.25")
        if part == "p":
            return scale * (a * mp.sin(angle) + b * mp.cos(angle))
        return scale * (b * mp.sin(angle) - a * mp.cos(angle)) * zeta

    return value


# name: function, interval, degrees of numerator and denominator, whether the error is relative.
TABLES = {
    "erf_single": (erf_of_square, (EDGE, mp.mpf("15.1")), (5, 5), True),
    "erf_double": (erf_of_square, (EDGE, 1), (5, 5), True),
    "erfcx_single": (erfcx_of_ratio, (-1, 1 - mp.mpf("1e-9")), (11, 0), True),
    "erfcx_double": (erfcx_of_ratio, (-1, 1 - mp.mpf("1e-9")), (24, 0), True),
    "i0_near": (lambda u: mp.besseli(0, sqrt(u)), (EDGE, 64), (14, 0), True),
    "i1_near": (lambda u: mp.besseli(1, sqrt(u)) / sqrt(u), (EDGE, 64), (14, 0), True),
    "i0_far": (scaled_i(0), (EDGE, 1), (22, 0), True),
    "i1_far": (scaled_i(1), (EDGE, 1), (22, 0), True),
    "k0_near": (k_near(0), (EDGE, 4), (9, 0), False),
    "k1_near": (k_near(1), (EDGE, 4), (9, 0), False),
    "k0_far": (scaled_k(0), (mp.mpf("1e-3"), 1), (7, 6), True),
    "k1_far": (scaled_k(1), (mp.mpf("1e-3"), 1), (7, 7), True),
    "j0": (j_near(0), (EDGE, 25), (11, 0), False),
    "j1": (j_near(1), (EDGE, 25), (10, 0), False),
    "y0": (y_near(0), (EDGE, 25), (12, 0), False),
    "y1": (y_near(1), (EDGE, 25), (12, 0), False),
    "p0": (hankel(0, "p"), (mp.mpf("1e-7"), 1), (6, 5), True),
    "q0": (hankel(0, "q"), (mp.mpf("1e-7"), 1), (7, 6), True),
    "p1": (hankel(1, "p"), (mp.mpf("1e-7"), 1), (6, 5), True),
    "q1": (hankel(1, "q"), (mp.mpf("1e-7"), 1), (7, 6), True),
    "airy_decay": (airy_decay, (mp.mpf("1e-4"), 1), (7, 6), True),
    "airy_p": (airy_wave("p"), (mp.mpf("1e-6"), 1), (9, 8), True),
    "airy_q": (airy_wave("q"), (mp.mpf("1e-6"), 1), (10, 9), True),
}


def fit(function, interval, degrees, relative, rounds=10):
    """The coefficients of numerator and denominator, from the constant up, and the worst error.

    Linearised least squares at Chebyshev nodes, weighted by the last denominator (Sanathanan and
    Koerner, 1963) and towards the largest errors (Lawson, 1961).
    """
    low, high = map(mp.mpf, interval)
    top, bottom = degrees
    count = max(64, 6 * (top + bottom + 2))
    angles = [pi * (2 * k + 1) / (2 * count) for k in range(count)]
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(a) for a in angles]
    values = [function(x) for x in nodes]
    scale = [1 / abs(v) if relative else mp.mpf(1) for v in values]
    emphasis = [mp.mpf(1)] * count
    denominator = [mp.mpf(1)] + [mp.mpf(0)] * bottom
    best = None
    for _ in range(rounds):
        rows, targets = [], []
        for x, v, w, e in zip(nodes, values, scale, emphasis):
            s = w * sqrt(e) / mp.polyval(denominator[::-1], x)
            row = [s * x**i for i in range(top + 1)]
            rows.append(row + [-s * v * x**j for j in range(1, bottom + 1)])
            targets.append(s * v)
        matrix, right = mp.matrix(rows), mp.matrix(targets)
        solution = list(mp.lu_solve(matrix.T * matrix, matrix.T * right))
        numerator, denominator = solution[: top + 1], [mp.mpf(1), *solution[top + 1 :]]
        errors = [
            abs(w * (mp.polyval(numerator[::-1], x) / mp.polyval(denominator[::-1], x) - v))
            for x, v, w in zip(nodes, values, scale)
        ]
        worst = max(errors)
        if best is None or worst < best[2]:
            best = numerator, denominator, worst
        emphasis = [e * (error / worst + mp.mpf("1e-3")) for e, error in zip(emphasis, errors)]
        mean = sum(emphasis) / count
        emphasis = [e / mean for e in emphasis]
    return best


def main(names: list[str]) -> None:
    """Print the tables of these names."""
    for name in names or TABLES:
        numerator, denominator, worst = fit(*TABLES[name])
        print(f"{name}: worst error {mp.nstr(worst, 3)}")
        for label, coefficients in (("numerator", numerator), ("denominator", denominator)):
            print(f"  {label}: " + ", ".join(mp.nstr(c, 19) for c in coefficients))


if __name__ == "__main__":
    main(sys.argv[1:])
