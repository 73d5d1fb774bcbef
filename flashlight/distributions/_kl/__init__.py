"""The divergences that come registered."""

from flashlight.distributions._kl import (
    cross_family,
    multivariate_normal,
    same_family,
)

__all__ = ["cross_family", "multivariate_normal", "same_family"]
