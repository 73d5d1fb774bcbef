"""Distributions of transformed draws."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.distribution import Distribution
from flashlight.distributions.independent import Independent
from flashlight.distributions.transforms import ComposeTransform, Transform
from flashlight.distributions.utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of f(X) for X from a base distribution and transforms f, first one first.

    Densities follow from log p(y) = log p(x) - log |det dy/dx|. The event is as deep as the deepest
    of the base and the transforms. Raises ValueError for anything but transforms, or if the base
    has too few dimensions for them.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    _batched: tuple[str, ...] = ()
    _shared = ("transforms",)

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | list[Transform],
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(transforms, Transform):
            transforms = [transforms]
        elif not isinstance(transforms, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        if not all(isinstance(transform, Transform) for transform in transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.transforms = transforms

        chain = ComposeTransform(transforms)
        domain_dim, codomain_dim = chain.domain.event_dim, chain.codomain.event_dim
        base_shape = base_distribution.batch_shape + base_distribution.event_shape
        base_event_dim = len(base_distribution.event_shape)
        if len(base_shape) < domain_dim:
            raise ValueError(
                "base_distribution needs to have shape with size at least "
                f"{domain_dim}, but got {base_shape}."
            )
        # Parameters of the transforms can have more batch dimensions than the base.
        shape = chain.forward_shape(base_shape)
        full_base_shape = chain.inverse_shape(shape)
        if full_base_shape != base_shape:
            base_distribution = base_distribution.expand(
                full_base_shape[: len(full_base_shape) - base_event_dim]
            )
        if domain_dim > base_event_dim:
            base_distribution = Independent(base_distribution, domain_dim - base_event_dim)
        self.base_dist = base_distribution

        event_dim = max(codomain_dim, base_event_dim + codomain_dim - domain_dim)
        cut = len(shape) - event_dim
        super().__init__(shape[:cut], shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = super().expand(batch_shape, _instance)
        shape = new.batch_shape + new.event_shape
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self):
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        missing = len(self.event_shape) - support.event_dim
        return constraints.independent(support, missing) if missing > 0 else support

    @property
    def has_rsample(self) -> bool:
        return self.base_dist.has_rsample

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self._transform(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape=torch.Size()):
        return self._transform(self.base_dist.rsample(sample_shape))

    def _transform(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        event_dim = len(self.event_shape)
        log_det = 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(value)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            log_det = log_det + _sum_rightmost(
                transform.log_abs_det_jacobian(x, value), event_dim - transform.domain.event_dim
            )
            value = x
        log_prob = self.base_dist.log_prob(value)
        return _sum_rightmost(log_prob, event_dim - len(self.base_dist.event_shape)) - log_det

    def _monotonize_cdf(self, value):
        """`value` where the transforms increase, `1 - value` where they decrease."""
        sign = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value):
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotonize_cdf(self.base_dist.cdf(value))

    def icdf(self, value):
        return self._transform(self.base_dist.icdf(self._monotonize_cdf(value)))
