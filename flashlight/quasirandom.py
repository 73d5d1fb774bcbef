"""Sequences that fill a cube more evenly than random points do.

https://docs.pytorch.org/docs/2.13/generated/torch.quasirandom.SobolEngine.html
"""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight._kernels import sobol


class SobolEngine:
    """Points of a Sobol sequence in [0, 1)^dimension, bit for bit PyTorch's, scrambled or not.

    Raises ValueError unless 1 <= dimension <= 21201. Sobol (1967); scrambling by Owen (1998) and
    Matousek (1998).
    """

    MAXBIT = sobol.BITS
    MAXDIM = sobol.DIMENSIONS

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None):
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]"
            )
        self.dimension = dimension
        self.scramble = scramble
        self.seed = seed
        self.sobolstate = _tensor(sobol.directions(dimension))
        if scramble:
            self._scramble()
        else:
            self.shift = _zeros(dimension)
        self.quasi = self.shift.clone()
        self._first_point = (self.quasi / 2**self.MAXBIT).reshape(1, -1)
        self.num_generated = 0

    def _scramble(self) -> None:
        generator = None
        if self.seed is not None:
            generator = torch.Generator()
            generator.manual_seed(self.seed)
        size = (self.dimension, self.MAXBIT)
        shifts = torch.randint(2, size, device="cpu", generator=generator)
        self.shift = (shifts << torch.arange(self.MAXBIT, device="cpu")).sum(1)
        matrices = torch.randint(2, (*size, self.MAXBIT), device="cpu", generator=generator)
        self.sobolstate = _tensor(sobol.scrambled(self.sobolstate.numpy(), matrices.numpy()))

    def draw(
        self, n: int = 1, out: torch.Tensor | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Return the next `n` points, (n, dimension); `out` takes over their size."""
        dtype = torch.get_default_dtype() if dtype is None else dtype
        parts = []
        if self.num_generated == 0:
            parts.append(self._first_point.to(dtype))
        following = n - len(parts)
        if following > 0 or not parts:
            last = max(self.num_generated - 1, 0)
            points = sobol.draw(self.quasi.numpy(), self.sobolstate.numpy(), last, following)
            self.quasi = _tensor(points[-1]) if following else self.quasi
            parts.append(_tensor(points).to(dtype) * 2**-self.MAXBIT)
        self.num_generated += n
        result = torch.cat(parts) if len(parts) > 1 else parts[0]
        if out is not None:
            out.resize_as_(result).copy_(result)
            return out
        return result

    def draw_base2(
        self, m: int, out: torch.Tensor | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Return the next 2**m points. Raises ValueError unless all points are a power of 2 then."""
        total = self.num_generated + 2**m
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been generated before, which makes "
                f"{self.num_generated} + 2**{m} = {total}; SobolEngine.draw() takes any number"
            )
        return self.draw(n=2**m, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin again with the first point."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next `n` points."""
        last, steps = self.num_generated - 1, n
        if self.num_generated == 0:
            last, steps = 0, n - 1
        self.quasi = _tensor(
            sobol.skip(self.quasi.numpy(), self.sobolstate.numpy(), last, steps)
        )
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        if self.scramble:
            parts.append("scramble=True")
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _tensor(host: Any) -> torch.Tensor:
    return torch.tensor(host, dtype=torch.int64, device="cpu")


def _zeros(dimension: int) -> torch.Tensor:
    return torch.zeros(dimension, dtype=torch.int64, device="cpu")
