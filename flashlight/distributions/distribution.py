"""The base class of all distributions."""

from __future__ import annotations

import warnings

import flashlight as torch
from flashlight._core.evaluation import is_traced
from flashlight._core.tensor import read
from flashlight.distributions import constraints
from flashlight.distributions.utils import lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A batch of probability distributions of one family.

    `batch_shape` is the shape of the parameters, `event_shape` that of a single draw. With
    `validate_args` parameters and scored values are checked; None leaves it to the default.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    # A class with a constructor of its own names here which attributes follow the batch shape when
    # it is expanded (tensors and distributions, absent ones are skipped) and which are carried over
    # as they are. Without the first, `expand` is not implemented.
    _batched: tuple[str, ...]
    _shared: tuple[str, ...] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Choose whether distributions check arguments unless told otherwise."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: torch.Size = torch.Size(),
        event_shape: torch.Size = torch.Size(),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = batch_shape
        self._event_shape = event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. "
                "Please set `arg_constraints = {}` or initialize the distribution "
                "with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            pending = isinstance(getattr(type(self), name, None), lazy_property)
            if pending and name not in self.__dict__:
                continue
            value = getattr(self, name)
            if not _holds(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} "
                    f"({type(value).__name__} of shape {tuple(value.shape)}) "
                    f"of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, "
                    f"but found invalid values:\n{value}"
                )

    def expand(self, batch_shape, _instance=None):
        """The same distributions, repeated without copying to fill `batch_shape`.

        A subclass that adds state passes the instance to fill as `_instance`.
        """
        owner = next((cls for cls in type(self).__mro__ if "_batched" in vars(cls)), None)
        if owner is None:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape = torch.Size(batch_shape)
        for name in owner._batched:
            if name in self.__dict__:
                setattr(new, name, self._expand_attribute(self.__dict__[name], batch_shape))
        for name in owner._shared:
            setattr(new, name, getattr(self, name))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_attribute(self, value, batch_shape: torch.Size):
        shape = value.batch_shape if isinstance(value, Distribution) else value.shape
        return value.expand(batch_shape + shape[len(self._batch_shape) :])

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> torch.Size:
        """Shape of a single draw."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What each tensor parameter must satisfy, by name."""
        raise NotImplementedError

    @property
    def support(self) -> constraints.Constraint | None:
        """What every draw satisfies."""
        raise NotImplementedError

    @property
    def mean(self):
        """Mean, of shape `batch_shape + event_shape`."""
        raise NotImplementedError

    @property
    def mode(self):
        """Most likely value, of shape `batch_shape + event_shape`."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self):
        """Variance, of shape `batch_shape + event_shape`."""
        raise NotImplementedError

    @property
    def stddev(self):
        """Standard deviation, of shape `batch_shape + event_shape`."""
        return self.variance.sqrt()

    def sample(self, sample_shape=torch.Size()):
        """Draw without gradients: `sample_shape + batch_shape + event_shape`."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=torch.Size()):
        """Draw differentiably in the parameters: `sample_shape + batch_shape + event_shape`."""
        raise NotImplementedError

    def sample_n(self, n: int):
        """Draw `n` times. Deprecated: use `sample((n,))`."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample(torch.Size((n,)))

    def log_prob(self, value):
        """Logarithm of the density or mass at `value`, one for each event."""
        raise NotImplementedError

    def cdf(self, value):
        """Probability of a draw of at most `value`."""
        raise NotImplementedError

    def icdf(self, value):
        """The quantile at probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True):
        """All values of a discrete distribution along a new first dimension.

        The batch advances in lock-step; without `expand` its dimensions have size 1.
        """
        raise NotImplementedError

    def entropy(self):
        """Differential or Shannon entropy in nats, of shape `batch_shape`."""
        raise NotImplementedError

    def perplexity(self):
        """Exponential of the entropy, of shape `batch_shape`."""
        return torch.exp(self.entropy())

    def _extended_shape(self, sample_shape=torch.Size()) -> torch.Size:
        return torch.Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value) -> None:
        """Raise ValueError unless `value` has a fitting shape and lies in the support."""
        if not isinstance(value, torch.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        actual = value.size()
        if actual[len(actual) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{actual} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for have, want in zip(reversed(actual), reversed(expected), strict=False):
            if have != want and 1 not in (have, want):
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{actual} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable "
                "sample validation. Please initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not _holds(support.check(value)):
            raise ValueError(
                "Expected value argument "
                f"({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) "
                f"of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

    def _get_checked_instance(self, cls, _instance=None):
        if _instance is not None:
            return _instance
        if type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom "
                "__init__ method must also define a custom .expand() method."
            )
        return self.__new__(type(self))

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{self.__class__.__name__}({', '.join(shown)})"


def _holds(valid) -> bool:
    # While a function is traced for compilation or vectorization there is nothing to look at yet.
    return is_traced(read(valid)) or bool(valid.all())
