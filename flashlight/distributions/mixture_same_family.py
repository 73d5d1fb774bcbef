"""Mixtures of distributions of one family."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.categorical import Categorical
from flashlight.distributions.constraints import MixtureSameFamilyConstraint
from flashlight.distributions.distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """Draws from one of K components, chosen by a categorical distribution.

    The components are the last batch dimension of `component_distribution`: weights `(*, K)`,
    components `(*, K)`, batch `(*)`. Raises ValueError for other types or shapes.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False
    _batched = ("_mixture_distribution", "_component_distribution")
    _shared = ("_num_component", "_event_ndims")

    def __init__(
        self, mixture_distribution, component_distribution, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "The Mixture distribution needs to be an "
                "instance of torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an "
                "instance of torch.distributions.Distribution"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution

        weight_shape = mixture_distribution.batch_shape
        batch_shape = component_distribution.batch_shape[:-1]
        for one, other in zip(reversed(weight_shape), reversed(batch_shape), strict=False):
            if one != other and 1 not in (one, other):
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({weight_shape}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch_shape})"
                )
        count = mixture_distribution.logits.shape[-1]
        if count != component_distribution.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                "`component_distribution.batch_shape[-1]` "
                f"({component_distribution.batch_shape[-1]})"
            )
        self._num_component = count
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    @constraints.dependent_property
    def support(self):
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The weights."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components, along the last batch dimension."""
        return self._component_distribution

    @property
    def mean(self):
        return self._average(self.component_distribution.mean)

    @property
    def variance(self):
        # Within the components, plus between their means.
        component = self.component_distribution
        spread = (component.mean - self._pad(self.mean)).pow(2)
        return self._average(component.variance) + self._average(spread)

    def _average(self, moment):
        probs = self._pad_mixture_dimensions(self.mixture_distribution.probs)
        return torch.sum(probs * moment, dim=-1 - self._event_ndims)

    def cdf(self, x):
        cdf = self.component_distribution.cdf(self._pad(x))
        return torch.sum(cdf * self.mixture_distribution.probs, dim=-1)

    def log_prob(self, x):
        if self._validate_args:
            self._validate_sample(x)
        log_prob = self.component_distribution.log_prob(self._pad(x))
        log_weights = torch.log_softmax(self.mixture_distribution.logits, dim=-1)
        return torch.logsumexp(log_prob + log_weights, dim=-1)

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            draws = self.component_distribution.sample(sample_shape)
            # Shapes are (*sample, *batch) and (*sample, *batch, K, *event).
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = chosen.reshape(chosen.shape + (1,) * (1 + self._event_ndims))
            chosen = chosen.expand(chosen.shape[: dim + 1] + self.event_shape)
            return torch.gather(draws, dim, chosen).squeeze(dim)

    def _pad(self, x):
        """Make room for the components."""
        return x.unsqueeze(-1 - self._event_ndims)

    def _pad_mixture_dimensions(self, x):
        """Line up weights `(*, K)` with moments `(*, K, *event)`."""
        weight_dims = len(self.mixture_distribution.batch_shape)
        missing = 0 if weight_dims == 1 else len(self.batch_shape) - weight_dims
        return x.reshape(x.shape[:-1] + (1,) * missing + x.shape[-1:] + (1,) * self._event_ndims)

    def __repr__(self) -> str:
        parts = f"\n  {self.mixture_distribution},\n  {self.component_distribution}"
        return f"MixtureSameFamily({parts})"
