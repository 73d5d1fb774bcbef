"""Covariances and numerical derivatives."""

from __future__ import annotations

import warnings

from .._core.dtype import SCALAR_TYPE_NAME, bool_
from .._core.errors import wrap_dims
from .._core.tensor import Tensor
from .complex_parts import conj, real
from .creation import complex_
from .joining import cat, diag
from .kinds import composite
from .matmul import matmul
from .shape import narrow, squeeze

# ----- covariance -----


@composite
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of variables (rows) over observations (columns), (n, m) -> (n, n).

    Observations count `fweights` times and weigh `aweights`. Raises RuntimeError for more than two
    dimensions, bool, and weights that do not fit.
    """
    if input.ndim > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input "
                           f"with {input.ndim} dimensions")
    if input.dtype is bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    values = input if input.ndim == 2 else input.reshape((1, -1))
    count = values.shape[1]
    weights = _weights(fweights, aweights, count)
    if weights is None:
        total = count
        average = values.sum(1) / total
        freedom = count - correction
    else:
        total = weights.sum()
        if total.item() == 0:
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        average = (values * weights).sum(1) / total
        freedom = total - correction
        if aweights is not None:
            freedom = total - correction * (weights * aweights).sum() / total
    if (freedom if weights is None else freedom.item()) <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than "
                      "the number of observations.", UserWarning, stacklevel=4)
        freedom = 0 if weights is None else freedom.clamp(min=0)
    centred = values - average.unsqueeze(1)
    weighted = centred if weights is None else centred * weights.to(centred.dtype)
    return squeeze(matmul(centred, conj(weighted.t())) / freedom)


def _weights(fweights, aweights, count):
    """Return the weights of the observations, None if all are 1."""
    weights = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        if given.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got "
                               f"{name} with {given.ndim} dimensions")
        wanted = given.dtype.category == 1 if name == "fweights" else given.is_floating_point()
        if not wanted:
            kind = "integral" if name == "fweights" else "floating point"
            raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {name} with "
                               f"{SCALAR_TYPE_NAME[given.dtype]} dtype")
        if given.numel() != count:
            raise RuntimeError(f"cov(): expected {name} to have the same numel as there are "
                               f"observations in the input but got {given.numel()} != {count}")
        if count and bool((given < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
        weights = given if weights is None else weights * given
    return weights


@composite
def corrcoef(input):
    """The correlation coefficients of variables (rows), (n, m) -> (n, n)."""
    if input.ndim > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an "
                           f"input with {input.ndim} dimensions")
    covariance = cov(input)
    if not covariance.ndim:
        return covariance / covariance
    deviation = real(diag(covariance)).sqrt()
    made = covariance / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if made.dtype.is_complex:
        return complex_(made.real.clamp(-1, 1), made.imag.clamp(-1, 1))
    return made.clamp(-1, 1)


# ----- numerical derivatives -----


@composite(out=False)
def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """The derivative along each dimension of `dim`, by central differences.

    `spacing` is the distance of samples, one for each dimension, or tensors of coordinates. At the
    ends differences are one-sided, of first or second order. Raises RuntimeError for what does not
    fit the input.
    """
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = wrap_dims(dims, input.ndim) if input.ndim else ()
    if isinstance(spacing, Tensor):
        raise TypeError("gradient() received an invalid combination of arguments - 'spacing' must "
                        "be a number, a list of numbers or a list of Tensors")
    if isinstance(spacing, (list, tuple)):
        if len(spacing) != len(dims):
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and "
                "dim arguments to have the same length, but got a spacing argument of length "
                f"{len(spacing)} and a dim argument of length {len(dims)}.")
        for position, item in enumerate(spacing):
            if isinstance(spacing[0], Tensor) and not isinstance(item, Tensor):
                raise TypeError(f"expected Tensor as element {position} in argument 1, but got "
                                f"{type(item).__name__}")
    else:
        spacing = [1 if spacing is None else spacing] * len(dims)
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple([_along_coordinates(input, d, step, edge_order) if isinstance(step, Tensor)
                  else _along(input, d, step, edge_order) for d, step in zip(dims, spacing)])


def _along(input, dim, step, edge_order):
    n = input.shape[dim]

    def at(start, length=1):
        return narrow(input, dim, start, length)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / step, (at(n - 1) - at(n - 2)) / step
    else:
        first = (-1.5 * at(0) + 2 * at(1) - 0.5 * at(2)) / step
        last = (0.5 * at(n - 3) - 2 * at(n - 2) + 1.5 * at(n - 1)) / step
    inner = (at(2, n - 2) - at(0, n - 2)) / (2 * step)
    return cat([first, inner, last], dim)


def _along_coordinates(input, dim, coordinates, edge_order):
    n = input.shape[dim]

    def at(start, length=1):
        return narrow(input, dim, start, length)
    shape = [1] * input.ndim
    shape[dim] = -1
    steps = coordinates.diff(dim=0).reshape(shape)
    left, right = narrow(steps, dim, 0, n - 2), narrow(steps, dim, 1, n - 2)
    both = left + right
    inner = at(0, n - 2) * (-right / (left * both)) + at(1, n - 2) * ((right - left)
                                                                      / (left * right)) \
        + at(2, n - 2) * (left / (right * both))
    start, end = narrow(steps, dim, 0, 1), narrow(steps, dim, n - 2, 1)
    if edge_order == 1:
        return cat([(at(1) - at(0)) / start, inner, (at(n - 1) - at(n - 2)) / end], dim)
    next_, before = narrow(steps, dim, 1, 1), narrow(steps, dim, n - 3, 1)
    first = at(0) * (-(2 * start + next_) / (start * (start + next_))) \
        + at(1) * ((start + next_) / (start * next_)) \
        - at(2) * (start / (next_ * (start + next_)))
    last = at(n - 3) * (end / (before * (before + end))) \
        - at(n - 2) * ((end + before) / (before * end)) \
        + at(n - 1) * ((2 * end + before) / (end * (before + end)))
    return cat([first, inner, last], dim)


FUNCTIONS = {f.__name__: f for f in (cov, corrcoef, gradient)}
METHODS = {"cov": cov, "corrcoef": corrcoef}
INPLACE = ()
