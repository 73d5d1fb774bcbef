"""The logistic-normal distribution."""

from __future__ import annotations

from flashlight.distributions import constraints
from flashlight.distributions.independent import Independent
from flashlight.distributions.normal import Normal
from flashlight.distributions.transformed_distribution import TransformedDistribution
from flashlight.distributions.transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Shares that break a stick by normal variables: parameters `(*, K)`, draws `(*, K + 1)`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True
    base_dist: Independent[Normal]
    _batched = ()

    def __init__(self, loc, scale, validate_args: bool | None = None) -> None:
        base_dist = Normal(loc, scale, validate_args=validate_args)
        if not base_dist.batch_shape:
            base_dist = base_dist.expand([1])
        super().__init__(base_dist, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self):
        return self.base_dist.base_dist.loc

    @property
    def scale(self):
        return self.base_dist.base_dist.scale
