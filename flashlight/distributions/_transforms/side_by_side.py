"""Several maps at once, each of its own piece of a tensor."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions._transforms.base import Transform
from flashlight.distributions.utils import _sum_rightmost, lazy_property


class _SideBySide(Transform):
    """Takes a tensor apart along `dim` and gives each piece to a transform of its own."""

    transforms: list[Transform]

    def __init__(self, tseq, dim: int = 0, cache_size: int = 0) -> None:
        if not all(isinstance(part, Transform) for part in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        if cache_size:
            tseq = [part.with_cache(cache_size) for part in tseq]
        super().__init__(cache_size=cache_size)
        self.transforms = list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:
        return all(part.bijective for part in self.transforms)

    def _pieces(self, value, name: str):
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for {name} with {value.dim()} dimensions"
            )
        if value.size(self.dim) != self.length:
            raise AssertionError(
                f"{name}.size({self.dim}) = {value.size(self.dim)} must equal {self.length}"
            )
        return self._split(value)

    def _call(self, x):
        pieces = zip(self.transforms, self._pieces(x, "x"), strict=True)
        return self._join([part(piece) for part, piece in pieces])

    def _inverse(self, y):
        pieces = zip(self.transforms, self._pieces(y, "y"), strict=True)
        return self._join([part.inv(piece) for part, piece in pieces])

    def _log_dets(self, x, y):
        pieces = zip(self.transforms, self._pieces(x, "x"), self._pieces(y, "y"), strict=True)
        return [(part, part.log_abs_det_jacobian(one, other)) for part, one, other in pieces]


class CatTransform(_SideBySide):
    """Transforms of pieces of the given lengths along `dim`, joined as by `torch.cat`."""

    def __init__(self, tseq, dim: int = 0, lengths=None, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    @lazy_property
    def event_dim(self) -> int:
        return max(part.event_dim for part in self.transforms)

    @lazy_property
    def length(self) -> int:
        return sum(self.lengths)

    def _recached(self, cache_size):
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _split(self, value):
        return value.split(self.lengths, self.dim)

    def _join(self, pieces):
        return torch.cat(pieces, self.dim)

    def log_abs_det_jacobian(self, x, y):
        log_dets = [
            _sum_rightmost(log_det, max(self.event_dim - part.event_dim, 0))
            for part, log_det in self._log_dets(x, y)
        ]
        dim = self.dim - x.dim() if self.dim >= 0 else self.dim
        if dim + self.event_dim < 0:
            return torch.cat(log_dets, dim=dim + self.event_dim)
        return sum(log_dets)

    @constraints.dependent_property
    def domain(self):
        return constraints.cat([part.domain for part in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self):
        return constraints.cat([part.codomain for part in self.transforms], self.dim, self.lengths)


class StackTransform(_SideBySide):
    """Transforms of the slices along `dim`, joined as by `torch.stack`."""

    @property
    def length(self) -> int:
        return len(self.transforms)

    def _recached(self, cache_size):
        return StackTransform(self.transforms, self.dim, cache_size)

    def _split(self, value):
        return value.unbind(self.dim)

    def _join(self, pieces):
        return torch.stack(pieces, self.dim)

    def log_abs_det_jacobian(self, x, y):
        return torch.stack([log_det for _, log_det in self._log_dets(x, y)], dim=self.dim)

    @constraints.dependent_property
    def domain(self):
        return constraints.stack([part.domain for part in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self):
        return constraints.stack([part.codomain for part in self.transforms], self.dim)
