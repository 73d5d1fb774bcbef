"""Regions that parameters and draws must lie in.

A constraint's `check` drops the `event_dim` rightmost dimensions that form an event.
"""

from __future__ import annotations

from typing import Any

import flashlight as torch

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "independent",
    "integer_interval",
    "interval",
    "half_open_interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "MixtureSameFamilyConstraint",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_semidefinite",
    "positive_definite",
    "positive_integer",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region; `is_discrete` if it has isolated points, `event_dim` rightmost dimensions deep."""

    is_discrete = False
    event_dim = 0

    def check(self, value):
        """Whether each event in `value` lies in the region: a bool tensor."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{self.__class__.__name__[1:]}()"


# Regions known only from an instance


class _Dependent(Constraint):
    """Stands in a class body for a region that depends on the other parameters."""

    def __init__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        self._is_discrete = is_discrete
        self._event_dim = event_dim
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        if self._is_discrete is NotImplemented:
            raise NotImplementedError(".is_discrete cannot be determined statically")
        return self._is_discrete

    @property
    def event_dim(self) -> int:
        if self._event_dim is NotImplemented:
            raise NotImplementedError(".event_dim cannot be determined statically")
        return self._event_dim

    def __call__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        """The same placeholder with the given attributes filled in."""
        return _Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, x):
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint) -> bool:
    """Whether `constraint` is a placeholder that cannot be checked."""
    return isinstance(constraint, _Dependent)


class _DependentProperty(property, _Dependent):
    """A property on instances, a dependent constraint on the class."""

    def __init__(self, fn=None, *, is_discrete=NotImplemented, event_dim=NotImplemented) -> None:
        super().__init__(fn)
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    def __call__(self, fn):
        """Decorate `fn`, keeping the attributes given before."""
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


# Regions made of others


class _Wrapping(Constraint):
    """Checks with a constraint of its own, adding up over some more dimensions."""

    base_constraint: Constraint

    @property
    def is_discrete(self) -> bool:
        return self.base_constraint.is_discrete

    def _set_base(self, base_constraint) -> None:
        if not isinstance(base_constraint, Constraint):
            raise AssertionError(
                f"base_constraint must be a Constraint, got {type(base_constraint).__name__}"
            )
        self.base_constraint = base_constraint


class _IndependentConstraint(_Wrapping):
    """Holds for an event if it holds for each entry over some more dimensions."""

    def __init__(self, base_constraint, reinterpreted_batch_ndims):
        self._set_base(base_constraint)
        if not isinstance(reinterpreted_batch_ndims, int):
            raise AssertionError(
                "reinterpreted_batch_ndims must be an int, "
                f"got {type(reinterpreted_batch_ndims).__name__}"
            )
        if reinterpreted_batch_ndims < 0:
            raise AssertionError(
                f"reinterpreted_batch_ndims must be >= 0, got {reinterpreted_batch_ndims}"
            )
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        super().__init__()

    @property
    def event_dim(self) -> int:
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value):
        valid = self.base_constraint.check(value)
        kept = valid.dim() - self.reinterpreted_batch_ndims
        if kept < 0:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return valid.reshape(valid.shape[:kept] + (-1,)).all(-1)

    def __repr__(self) -> str:
        name = self.__class__.__name__[1:]
        return f"{name}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(_Wrapping):
    """Holds for an event if it holds under every component of a mixture."""

    def __init__(self, base_constraint):
        self._set_base(base_constraint)
        super().__init__()

    @property
    def event_dim(self) -> int:
        return self.base_constraint.event_dim

    def check(self, value):
        """Whether each event in `value` suits all components."""
        valid = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        kept = value.dim() - self.event_dim
        if kept < 0:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return valid.reshape(valid.shape[:kept] + (-1,)).all(-1)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.base_constraint!r})"


class _Sequence(Constraint):
    """Applies one constraint to each piece along a dimension."""

    def __init__(self, cseq, dim=0):
        if not all(isinstance(constraint, Constraint) for constraint in cseq):
            raise AssertionError("All elements of cseq must be Constraint instances")
        self.cseq = list(cseq)
        self.dim = dim
        super().__init__()

    @property
    def is_discrete(self) -> bool:
        return any(constraint.is_discrete for constraint in self.cseq)

    @property
    def event_dim(self) -> int:
        return max(constraint.event_dim for constraint in self.cseq)

    def _check_dim(self, value) -> None:
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for value with {value.dim()} dimensions"
            )


class _Cat(_Sequence):
    """Pieces of the given lengths that lie next to each other along `dim`, as `torch.cat` does."""

    def __init__(self, cseq, dim=0, lengths=None):
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})"
            )

    def check(self, value):
        self._check_dim(value)
        pieces = value.narrow(self.dim, 0, sum(self.lengths)).split(self.lengths, self.dim)
        valid = [one.check(piece) for one, piece in zip(self.cseq, pieces, strict=True)]
        return torch.cat(valid, self.dim)


class _Stack(_Sequence):
    """Slices along `dim`, as `torch.stack` does."""

    @property
    def event_dim(self) -> int:
        deepest = super().event_dim
        return deepest + 1 if self.dim + deepest < 0 else deepest

    def check(self, value):
        self._check_dim(value)
        pairs = zip(self.cseq, value.unbind(self.dim), strict=False)
        return torch.stack([constraint.check(piece) for constraint, piece in pairs], self.dim)


# Numbers


class _Bounded(Constraint):
    """Shows its bounds, which may be tensors."""

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{self.__class__.__name__[1:]}({bounds})"


class _OneBound(_Bounded):
    def __init__(self, lower_bound):
        self.lower_bound = lower_bound
        super().__init__()


class _OneUpperBound(_Bounded):
    def __init__(self, upper_bound):
        self.upper_bound = upper_bound
        super().__init__()


class _TwoBounds(_Bounded):
    def __init__(self, lower_bound, upper_bound):
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound
        super().__init__()


class _Real(Constraint):
    """Everything but nan."""

    def check(self, value):
        return value == value


class _GreaterThan(_OneBound):
    """`value > lower_bound`."""

    def check(self, value):
        return self.lower_bound < value


class _GreaterThanEq(_OneBound):
    """`value >= lower_bound`."""

    def check(self, value):
        return self.lower_bound <= value


class _LessThan(_OneUpperBound):
    """`value < upper_bound`."""

    def check(self, value):
        return value < self.upper_bound


class _Interval(_TwoBounds):
    """`lower_bound <= value <= upper_bound`."""

    def check(self, value):
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class _HalfOpenInterval(_TwoBounds):
    """`lower_bound <= value < upper_bound`."""

    def check(self, value):
        return (self.lower_bound <= value) & (value < self.upper_bound)


def _is_whole(value):
    return value % 1 == 0


class _IntegerGreaterThan(_OneBound):
    """Whole numbers from `lower_bound` on."""

    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (value >= self.lower_bound)


class _IntegerLessThan(_OneUpperBound):
    """Whole numbers up to `upper_bound`."""

    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (value <= self.upper_bound)


class _IntegerInterval(_TwoBounds):
    """Whole numbers from `lower_bound` to `upper_bound`, both included."""

    is_discrete = True

    def check(self, value):
        return _is_whole(value) & (self.lower_bound <= value) & (value <= self.upper_bound)


class _Boolean(Constraint):
    """0 or 1."""

    is_discrete = True

    def check(self, value):
        return (value == 0) | (value == 1)


# Vectors


class _OneHot(Constraint):
    """Vectors of zeros with a single one."""

    is_discrete = True
    event_dim = 1

    def check(self, value):
        return _Boolean().check(value).all(-1) & value.sum(-1).eq(1)


class _Simplex(Constraint):
    """Nonnegative vectors that sum to 1 within 1e-6."""

    event_dim = 1

    def check(self, value):
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Multinomial(Constraint):
    """Nonnegative vectors with a sum of at most `upper_bound`."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound):
        self.upper_bound = upper_bound

    def check(self, x):
        return (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound)


# Matrices


class _LowerTriangular(Constraint):
    """Matrices with zeros above the diagonal."""

    event_dim = 2

    def check(self, value):
        return (value.tril() == value).flatten(-2).all(-1)


class _LowerCholesky(_LowerTriangular):
    """Lower triangular matrices with a positive diagonal."""

    def check(self, value):
        return super().check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    """Cholesky factors of correlation matrices: rows have unit length within 10 eps per column."""

    def check(self, value):
        tolerance = torch.finfo(value.dtype).eps * value.size(-1) * 10
        lengths = torch.linalg.norm(value.detach(), dim=-1)
        return super().check(value) & ((lengths - 1.0).abs() <= tolerance).all(-1)


class _Square(Constraint):
    """Square matrices."""

    event_dim = 2

    def check(self, value):
        return torch.full(
            value.shape[:-2],
            value.shape[-2] == value.shape[-1],
            dtype=torch.bool,
            device=value.device,
        )


class _Symmetric(_Square):
    """Matrices equal to their transpose within 1e-6."""

    def check(self, value):
        if value.shape[-2] != value.shape[-1]:
            return super().check(value)
        return torch.isclose(value, value.mT, atol=1e-6).all(-2).all(-1)

    def _symmetric_part(self, value):
        """Which matrices are symmetric, and them, with zeros for what cannot be factored."""
        symmetric = _Symmetric.check(self, value)
        if value.shape[-2] != value.shape[-1]:
            return symmetric, value.new_zeros(value.shape[:-2] + (1, 1))
        return symmetric, torch.where(symmetric[..., None, None], value, 0)


class _PositiveSemidefinite(_Symmetric):
    """Symmetric matrices without negative eigenvalues."""

    def check(self, value):
        symmetric, matrix = self._symmetric_part(value)
        return symmetric & torch.linalg.eigvalsh(matrix).ge(0).all(-1)


class _PositiveDefinite(_Symmetric):
    """Symmetric matrices that have a Cholesky factor."""

    def check(self, value):
        symmetric, matrix = self._symmetric_part(value)
        return symmetric & torch.linalg.cholesky_ex(matrix).info.eq(0)


dependent = _Dependent()
dependent_property: Any = _DependentProperty  # a property whose type is the function's
independent = _IndependentConstraint
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
