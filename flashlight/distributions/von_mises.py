"""The von Mises distribution."""

from __future__ import annotations

import math

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.utils import broadcast_all, lazy_property

__all__ = ["VonMises"]

# Abramowitz and Stegun, "Handbook of mathematical functions", 9.8.1 to 9.8.4: I0(x), I1(x) / x in
# powers of (x / 3.75)^2 for small x, sqrt(x) exp(-x) times either in powers of 3.75 / x for large.
_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411),
)
_LARGE = (
    (0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281)
    + (-0.02057706, 0.02635537, -0.01647633, 0.00392377),
    (0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555)
    + (0.02282967, -0.02895312, 0.01787654, -0.00420059),
)
_BORDER = 3.75


def _polynomial(x, coefficients):
    result = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = coefficient + x * result
    return result


def _log_modified_bessel_fn(x, order=0):
    """log I_order(x) for positive x and order 0 or 1; AssertionError for other orders."""
    if order not in (0, 1):
        raise AssertionError(f"order must be 0 or 1, got {order}")
    small = _polynomial((x / _BORDER) ** 2, _SMALL[order])
    if order == 1:
        small = small * x.abs()
    large = _polynomial(_BORDER / x, _LARGE[order])
    return torch.where(x < _BORDER, small.log(), x - 0.5 * x.log() + large.log())


def _rejection_sample(loc, concentration, proposal_r, x):
    """Fill `x` with draws by Best and Fisher's algorithm (1979), from wrapped Cauchy proposals."""
    done = torch.zeros(x.shape, dtype=torch.bool, device=loc.device)
    while not done.all():
        noise = torch.rand((3, *x.shape), dtype=loc.dtype, device=loc.device)
        angle, height, side = noise.unbind()
        z = torch.cos(math.pi * angle)
        cosine = (1 + proposal_r * z) / (proposal_r + z)
        c = concentration * (proposal_r - cosine)
        accept = (c * (2 - c) - height > 0) | ((c / height).log() + 1 - c >= 0)
        # Later draws replace earlier ones: all elements are drawn until the last is accepted.
        x = torch.where(accept, (side - 0.5).sign() * cosine.acos(), x)
        done = done | accept
    return (x + math.pi + loc) % (2 * math.pi) - math.pi


class VonMises(Distribution):
    """Angles in [-pi, pi) around `loc`: density proportional to exp(concentration cos(x - loc))."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _batched = ("loc", "concentration")

    def __init__(self, loc, concentration, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, torch.Size(), validate_args)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        log_norm = math.log(2 * math.pi) + _log_modified_bessel_fn(self.concentration, order=0)
        return self.concentration * torch.cos(value - self.loc) - log_norm

    # In single precision the proposals degenerate at small concentrations.

    @lazy_property
    def _loc(self):
        return self.loc.to(torch.double)

    @lazy_property
    def _concentration(self):
        return self.concentration.to(torch.double)

    @lazy_property
    def _proposal_r(self):
        kappa = self._concentration
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        exact = (1 + rho**2) / (2 * rho)
        return torch.where(kappa < 1e-5, 1 / kappa + kappa, exact)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        """Draw without gradients: `sample_shape + batch_shape`."""
        x = torch.empty(
            self._extended_shape(sample_shape), dtype=self._loc.dtype, device=self.loc.device
        )
        draws = _rejection_sample(self._loc, self._concentration, self._proposal_r, x)
        return draws.to(self.loc.dtype)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @lazy_property
    def variance(self):
        """Circular variance, 1 - I1 / I0."""
        log_ratio = _log_modified_bessel_fn(self.concentration, order=1) - _log_modified_bessel_fn(
            self.concentration, order=0
        )
        return 1 - log_ratio.exp()
