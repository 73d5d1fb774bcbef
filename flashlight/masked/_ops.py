"""Operations over the elements that a mask selects.

Each puts a value that does not count in place of the elements that are masked out (True in a mask
means: in), then calls the operation without a mask. Rows with every element masked out have
what that value gives: 0 for a sum, NaN for a mean.
"""

from __future__ import annotations

import math

import flashlight as torch

Dim = int | tuple[int, ...] | None


def _dims(dim: Dim, ndim: int) -> tuple[int, ...]:
    """Return dimensions counted from the front, in order; None means all."""
    if dim is None:
        return tuple(range(ndim))
    ndim = max(ndim, 1)
    found: list[int] = []
    for d in (dim,) if isinstance(dim, int) else dim:
        if d in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        if not -ndim <= d < ndim:
            raise IndexError("Dimension out of range (expected to be in range of "
                             f"[{-ndim}, {ndim - 1}], but got {d})")
        found.append(d % ndim)
    return tuple(sorted(found))


def _lowest(name: str, dtype: torch.dtype) -> float:
    if dtype.is_floating_point or dtype.is_complex and name == "logsumexp":
        return -math.inf
    if dtype is torch.bool or dtype.is_complex:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    return torch.iinfo(dtype).min


def _highest(name: str, dtype: torch.dtype) -> float:
    if dtype.is_floating_point:
        return math.inf
    if dtype is torch.bool or dtype.is_complex:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    return torch.iinfo(dtype).max


def _expanded_mask(input: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mask as bool, in the size of `input`."""
    if len(mask.shape) > input.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher "
                         "than of the input)")
    return torch.broadcast_to(mask, input.shape).to(torch.bool)


def _filled(input: torch.Tensor, mask: torch.Tensor | None, value: float) -> torch.Tensor:
    """Return `input` with `value` where the mask is False."""
    if mask is None:
        return input
    return torch.where(_expanded_mask(input, mask), input, input.new_full((), value))


def _count(input, dim, keepdim, mask):
    """How many elements go into each result."""
    if mask is None:
        mask = torch.ones(input.shape, dtype=torch.bool, device=input.device)
    return torch.sum(_expanded_mask(input, mask), _dims(dim, input.ndim), keepdim)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum over the selected elements of `dim`."""
    return torch.sum(_filled(input, mask, 0), _dims(dim, input.ndim), bool(keepdim), dtype=dtype)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product over the selected elements of `dim`."""
    made = _filled(input, mask, 1)
    for d in reversed(_dims(dim, input.ndim) or range(input.ndim)):
        made = made.prod(d, keepdim=bool(keepdim), dtype=dtype)
    if dtype is None and not made.dtype.is_floating_point and not made.dtype.is_complex:
        return made.to(torch.int64)
    return made if dtype is None else made.to(dtype)


def cumsum(input, dim, *, dtype=None, mask=None):
    """The running sum of the selected elements along `dim`."""
    (dim,) = _dims(dim, input.ndim)
    return torch.cumsum(_filled(input, mask, 0), dim, dtype=dtype)


def cumprod(input, dim, *, dtype=None, mask=None):
    """The running product of the selected elements along `dim`."""
    (dim,) = _dims(dim, input.ndim)
    return torch.cumprod(_filled(input, mask, 1), dim, dtype=dtype)


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The greatest of the selected elements of `dim`. Raises NotImplementedError for bool."""
    made = _filled(input, mask, _lowest("amax", input.dtype))
    return torch.amax(made, _dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The least of the selected elements of `dim`. Raises NotImplementedError for bool."""
    made = _filled(input, mask, _highest("amin", input.dtype))
    return torch.amin(made, _dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the greatest of the selected elements is; in the dtype of `input`, as in PyTorch."""
    made = _filled(input, mask, _lowest("argmax", input.dtype))
    return torch.argmax(made, dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the least of the selected elements is; in the dtype of `input`, as in PyTorch."""
    made = _filled(input, mask, _highest("argmin", input.dtype))
    return torch.argmin(made, dim, bool(keepdim)).to(dtype or input.dtype)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean of the selected elements of `dim`. Raises ValueError for integers."""
    kind = dtype or input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        source = "Input" if dtype is None else "Optional"
        raise ValueError(
            f"mean(): Could not infer output dtype. {source} dtype must be either a floating point "
            f"or complex dtype. Got: {kind}"
        )
    total = sum(input, dim, keepdim=keepdim, dtype=kind, mask=mask)
    return total / _count(input, dim, bool(keepdim), mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The median of the selected elements of `dim`.

    Raises ValueError for integers with nothing selected.
    """
    kind = dtype or input.dtype
    (dim,) = _dims(dim, input.ndim)
    is_float = input.is_floating_point()
    made = _filled(input if is_float else input.to(torch.float32), mask, math.nan)
    found = torch.nanmedian(made, dim, bool(keepdim)).values
    if is_float:
        return found
    if torch.isnan(found).any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating "
                         "point")
    return found.to(kind)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """log(sum(exp)) of the selected elements of `dim`."""
    made = _filled(input, mask, _lowest("logsumexp", input.dtype))
    dims = _dims(dim, input.ndim) or tuple(range(input.ndim))
    return torch.logsumexp(made, dims, bool(keepdim)).to(dtype or input.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)), where each counts only where its mask selects it."""
    made = torch.logaddexp(_filled(input, input_mask, _lowest("logaddexp", input.dtype)),
                           _filled(other, other_mask, _lowest("logaddexp", other.dtype)))
    return made.to(dtype or input.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The vector norm of the selected elements of `dim`."""
    made = _filled(input, mask, math.inf if ord == -math.inf else 0)
    return torch.linalg.vector_norm(made, ord, _dims(dim, input.ndim), bool(keepdim), dtype=dtype)


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask, take_sqrt):
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    kind = dtype or input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        kind = torch.float32
    count = _count(input, dim, True, mask)
    average = sum(input, dim, keepdim=True, dtype=kind, mask=mask) / count
    apart = input - average
    total = sum(apart * apart.conj(), dim, keepdim=keepdim, dtype=kind, mask=mask)
    count = count.reshape(total.shape)
    if correction:
        count = (count.to(kind.to_real()) - correction).clamp(min=0)
    made = (total / count).to(kind)
    return made.sqrt() if take_sqrt else made


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance of the selected elements of `dim`."""
    return _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask, False)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The standard deviation of the selected elements of `dim`."""
    return _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask, True)


def softmax(input, dim, *, dtype=None, mask=None):
    """softmax over the selected elements of `dim`; 0 elsewhere, NaN where nothing is selected."""
    (dim,) = _dims(dim, input.ndim)
    return torch.nn.functional.softmax(
        _filled(input, mask, _lowest("amax", input.dtype)), dim, dtype=dtype)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of `softmax`; -inf for elements that are masked out."""
    (dim,) = _dims(dim, input.ndim)
    return torch.nn.functional.log_softmax(
        _filled(input, mask, _lowest("amax", input.dtype)), dim, dtype=dtype)


def softmin(input, dim, *, dtype=None, mask=None):
    """`softmax` of the negated elements."""
    (dim,) = _dims(dim, input.ndim)
    return torch.nn.functional.softmin(
        _filled(input, mask, _highest("amin", input.dtype)), dim, dtype=dtype)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """The elements divided by the norm of those selected along `dim`, taken to be at least `eps`.

    0 for elements that are masked out.
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / torch.max(length, length.new_full((), eps))
