"""How gamma and Dirichlet numbers change with their parameters, their randomness kept.

With F the distribution function and f its density, the derivative of a number x by a parameter
is -(∂F/∂parameter)/f at x (Figurnov, Mohamed & Mnih 2018). The approximations are those that
PyTorch uses: a Taylor series near 0, Rice's saddle point expansion for large parameters, and a
fitted rational function between. All work in float64.
"""

from __future__ import annotations

import math

import mlx.core as mx


def _exp(x: mx.array) -> mx.array:
    # MLX's own float64 exp has float32 accuracy.
    return mx.power(math.e, x)


def _digamma(x: mx.array) -> mx.array:
    """ψ(x) for x > 0: upwards to 10 by the recurrence, then the asymptotic series."""
    result = mx.zeros_like(x)
    for _ in range(10):
        low = x < 10
        result = result - mx.where(low, 1 / x, 0)
        x = mx.where(low, x + 1, x)
    z = 1 / (x * x)
    series = mx.full(x.shape, 1 / 12, x.dtype)
    for term in (-691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12):
        series = series * z + term
    return result + mx.log(x) - 0.5 / x - z * series


def standard_gamma_grad(alpha: mx.array, x: mx.array) -> mx.array:
    """The derivative of a gamma number x of scale 1 with respect to its shape alpha."""
    dtype = x.dtype
    alpha, x = alpha.astype(mx.float64), x.astype(mx.float64)
    near_zero, large = x < 0.8, alpha > 8
    near_mean = (0.9 * alpha <= x) & (x <= 1.1 * alpha)
    result = mx.where(
        near_zero,
        _gamma_series(alpha, mx.where(near_zero, x, 0.5)),
        mx.where(
            large,
            mx.where(
                near_mean,
                _gamma_at_mean(alpha, x),
                _gamma_saddle(mx.where(near_mean, 2 * x, alpha), x),
            ),
            _gamma_rational(alpha, x),
        ),
    )
    return result.astype(dtype)


def _gamma_series(alpha: mx.array, x: mx.array) -> mx.array:
    numerator, denominator = mx.ones_like(x), alpha
    first, second = 1 / alpha, 1 / (alpha * alpha)
    for i in range(1, 6):
        numerator = numerator * (-x / i)
        denominator = denominator + 1
        first = first + numerator / denominator
        second = second + numerator / (denominator * denominator)
    # The powers of x in the derivative and in the density cancel but for one.
    value = x * _exp(x) * (second - (mx.log(x) - _digamma(alpha)) * first)
    return mx.where(mx.isnan(value), 0, value)


def _gamma_at_mean(alpha: mx.array, x: mx.array) -> mx.array:
    square = alpha * alpha
    first = 1 + 24 * alpha * (1 + 12 * alpha)
    second = 1440 * square + 6 * x * (53 - 120 * x) - 65 * x * x / alpha
    second = second + alpha * (107 + 3600 * x)
    return first * second / (1244160 * square * square)


def _gamma_saddle(alpha: mx.array, x: mx.array) -> mx.array:
    spread = mx.sqrt(8 * alpha)
    log_ratio = mx.log(x / alpha)
    distance = mx.power(x - alpha - alpha * log_ratio, -1.5)
    inner = spread / (alpha - x) + mx.where(x < alpha, -distance, distance)
    gap = (alpha - x) * (alpha - x)
    term = log_ratio * inner - mx.sqrt(2 / alpha) * (alpha + x) / gap
    stirling = 1 + 1 / (12 * alpha) * (1 + 1 / (24 * alpha))
    return -stirling * x * term / spread


_GAMMA_FIT = (
    (0.16009398, -0.094634809, 0.025146376, -0.0030648343),
    (0.53487893, 0.1298071, 0.065735949, -0.0015649758),
    (0.040121004, -0.0065914022, -0.0026286047, -0.0013441777),
), (
    (1.0, 0.32668115, 0.10406089, 0.0014179084),
    (0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    (0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07),
)  # fmt: skip


def _gamma_rational(alpha: mx.array, x: mx.array) -> mx.array:
    u, v = mx.log(x / alpha), mx.log(alpha)
    numerator, denominator = (
        _horner([_horner(column, u) for column in zip(*table, strict=True)], v)
        for table in _GAMMA_FIT
    )
    return _exp(numerator / denominator)


def _horner(coefficients, x: mx.array) -> mx.array:
    """A polynomial, lowest power first."""
    *rest, value = coefficients
    for coefficient in reversed(rest):
        value = coefficient + x * value
    return value


def dirichlet_grad(x: mx.array, alpha: mx.array, total: mx.array) -> mx.array:
    """The derivative of a Beta(alpha, total - alpha) number x by alpha, divided by 1 - x."""
    dtype = x.dtype
    x, alpha, total = (array.astype(mx.float64) for array in (x, alpha, total))
    beta = total - alpha
    boundary = total * x * (1 - x)
    near_zero = (x <= 0.5) & (boundary < 2.5)
    near_one = (x >= 0.5) & (boundary < 0.75)
    large = (alpha > 6) & (beta > 6)
    result = mx.where(
        near_zero,
        _beta_small_by_alpha(x, alpha, beta),
        mx.where(
            near_one,
            -_beta_small_by_beta(1 - x, beta, alpha),
            mx.where(large, _beta_saddle(x, alpha, beta), _beta_rational(x, alpha, beta, total)),
        ),
    )
    return result.astype(dtype)


def _beta_small_by_alpha(x: mx.array, alpha: mx.array, beta: mx.array) -> mx.array:
    factor = _digamma(alpha) - _digamma(alpha + beta) - mx.log(x)
    numerator = mx.ones_like(x)
    series = 1 / alpha * (factor + 1 / alpha)
    for i in range(1, 11):
        numerator = numerator * ((i - beta) * x / i)
        denominator = alpha + i
        series = series + numerator / denominator * (factor + 1 / denominator)
    value = x * mx.power(1 - x, -beta) * series
    return mx.where(mx.isnan(value), 0, value)


def _beta_small_by_beta(x: mx.array, alpha: mx.array, beta: mx.array) -> mx.array:
    factor = _digamma(alpha + beta) - _digamma(beta)
    numerator, product, derivative = mx.ones_like(x), mx.ones_like(x), mx.zeros_like(x)
    series = factor / alpha
    for i in range(1, 9):
        numerator = numerator * (-x / i)
        derivative = derivative * (beta - i) + product
        product = product * (beta - i)
        series = series + numerator / (alpha + i) * (derivative + factor * product)
    value = -mx.power(1 - x, 1 - beta) * series
    return mx.where(mx.isnan(value), 0, value)


def _beta_saddle(x: mx.array, alpha: mx.array, beta: mx.array) -> mx.array:
    total = alpha + beta
    mean = alpha / total
    spread = mx.sqrt(alpha * beta / (total + 1)) / total
    near_mean = (mean - 0.1 * spread <= x) & (x <= mean + 0.1 * spread)
    # Away from the mean, where both forms are finite.
    apart = mx.where(near_mean, mean + 0.5 * spread, x)
    return mx.where(
        near_mean,
        _beta_at_mean(x, alpha, beta, total),
        _beta_away(apart, alpha, beta, total, mean),
    )


def _beta_at_mean(x, alpha, beta, total) -> mx.array:
    square = beta * beta
    polynomial = _horner(
        (
            47 * x * square * square,
            (43 + 20 * (16 + 27 * beta) * x) * square * beta,
            3 * (59 + 180 * beta - 90 * x) * square,
            (453 + 1620 * beta * (1 - x) - 455 * x) * beta,
            8 * (1 - x) * (135 * beta - 11),
        ),
        alpha,
    )
    numerator = (1 + 12 * alpha) * (1 + 12 * beta) / (total * total)
    denominator = 12960 * alpha * alpha * alpha * square * (1 + 12 * total)
    return numerator / (1 - x) * polynomial / denominator


def _stirling_factor(a: mx.array) -> mx.array:
    return 1 + 1 / (12 * a) + 1 / (288 * a * a)


def _beta_away(x, alpha, beta, total, mean) -> mx.array:
    stirling = _stirling_factor(alpha) * _stirling_factor(beta) / _stirling_factor(total)
    prefactor = -x / mx.sqrt(2 * alpha * beta / total)
    offset = alpha * (x - 1) + beta * x
    log_alpha, log_beta = mx.log(alpha / (total * x)), mx.log(beta / (total * (1 - x)))
    first = (2 * alpha * alpha + alpha * beta) * (x - 1) - x * beta * beta
    first = first / (mx.sqrt(2 * alpha / beta) * mx.power(total, 1.5) * offset * offset)
    distance = mx.power(beta * log_beta + alpha * log_alpha, -1.5)
    rest = mx.sqrt(8 * alpha * beta / total) / offset + mx.where(x < mean, distance, -distance)
    return stirling * prefactor * (first + 0.5 * log_alpha * rest)


# For each power of log x: for each power of a: the polynomial in b.
_BETA_NUMERATOR = (
    (
        (1.003668233, -0.01061107488, -0.0657888334, 0.01201642863),
        (0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033),
        (-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013),
    ),
    (
        (0.221950385, -0.3187676331, 0.01799915743, 0.01074823814),
        (-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057),
        (0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05),
    ),
    (
        (-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565),
        (0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181),
        (0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05),
    ),
)
_BETA_DENOMINATOR = (
    (
        (1.0, -0.02924021934, -0.04438342661, 0.007285809825),
        (0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521),
        (-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149),
    ),
    (
        (0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273),
        (0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956),
        (-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05),
    ),
    (
        (0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05),
        (0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05),
        (-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06),
    ),
)


def _beta_rational(x, alpha, beta, total) -> mx.array:
    u = mx.log(x)
    a = mx.log(alpha) - u
    b = mx.log(total) - a
    numerator, denominator = (
        _horner([_horner([_horner(row, b) for row in rows], a) for rows in table], u)
        for table in (_BETA_NUMERATOR, _BETA_DENOMINATOR)
    )
    return numerator / denominator * x * (_digamma(total) - _digamma(alpha)) / beta
