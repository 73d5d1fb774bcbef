"""Judge a result against PyTorch's.

A value passes when it is within the relaxed tolerance (rtol 1e-4, atol 1e-5, or
the dtype's default where that is wider), or when it is at most ten times as far
from a double precision result as PyTorch's own single precision result is. It
passes strictly when it is within ``torch.testing.assert_close``'s defaults.
"""

from __future__ import annotations

import math

import torch

from .adapter import Mismatch, fields_of

STRICT = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex32: (1e-3, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
RELAXED = (1e-4, 1e-5)
YARDSTICK_FACTOR = 10
#: With fewer draws than this in all, chance may look like a rule.
ENOUGH_DRAWS = 64


def compare(actual, expected, precise):
    """Return whether ``actual`` is strictly close to ``expected``; raise Mismatch if not close.

    ``precise`` is called for the double precision result only when it is needed.
    """
    strict = True
    for path, got, want in _pairs(actual, expected):
        if not isinstance(want, torch.Tensor):
            _compare_plain(path, got, want)
            continue
        _compare_meta(path, got, want)
        rtol, atol = STRICT.get(want.dtype, (0.0, 0.0))
        if _close(got, want, rtol, atol):
            continue
        strict = False
        relaxed = max(rtol, RELAXED[0]), max(atol, RELAXED[1])
        if want.dtype not in STRICT:
            raise Mismatch(f"{path}{_last(want.dtype)} values differ")
        if not _close(got, want, *relaxed) and not _near(path, got, want, precise):
            how = f"differ by up to {_distance(got, want):.1e}" if got.any() else "are all zero"
            raise Mismatch(f"{path}values {how}")
    return strict


def compare_random(actual, draws, values=True):
    """Check structure, shape and dtype against ``draws``, and the support if ``values``.

    Return True, as there is no strictness here.
    """
    for number, (path, got, want) in enumerate(_pairs(actual, draws[0])):
        if not isinstance(want, torch.Tensor):
            continue
        _compare_meta(path, got, want)
        seen = torch.cat([list(_leaves(draw))[number][1].reshape(-1) for draw in draws])
        if not values or seen.is_complex() or seen.dtype is torch.bool:
            continue
        seen, got = seen.double(), got.double()
        if seen.isfinite().all() and not got.isfinite().all():
            raise Mismatch(f"{path}random values are not finite")
        if seen.numel() >= ENOUGH_DRAWS:
            if (seen >= 0).all() and (got < 0).any():
                raise Mismatch(f"{path}random values are negative")
            if (seen == seen.round()).all() and (got != got.round()).any():
                raise Mismatch(f"{path}random values are not whole")
    return True


def equal(one, other):
    """Tell whether two PyTorch results agree to within rounding."""
    try:
        compare(one, other, lambda: None)
        return True
    except Mismatch:
        return False


def _leaves(tree, path=""):
    if isinstance(tree, dict):
        for key in tree:
            yield from _leaves(tree[key], f"{path}[{key!r}]")
    elif isinstance(tree, (list, tuple)) and not isinstance(tree, torch.Size):
        names = fields_of(tree)
        for index, item in enumerate(tree):
            yield from _leaves(item, f"{path}.{names[index]}" if names else f"{path}[{index}]")
    else:
        yield path and path + " ", tree


def _pairs(actual, expected):
    got, want = list(_leaves(actual)), list(_leaves(expected))
    if [path for path, _ in got] != [path for path, _ in want]:
        raise Mismatch(f"structure is {_outline(got)}, not {_outline(want)}")
    return [(path, mine, theirs) for (path, mine), (_, theirs) in zip(got, want)]


def _outline(leaves):
    names = [path.strip() or type(leaf).__name__ for path, leaf in leaves]
    return "(" + ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") + ")"


def _compare_plain(path, got, want):
    if type(got) is not type(want):
        raise Mismatch(f"{path}type is {type(got).__name__}, not {type(want).__name__}")
    if isinstance(want, float):
        same = math.isclose(got, want, rel_tol=RELAXED[0], abs_tol=RELAXED[1])
        same = same or got != got and want != want
    else:
        same = got == want
    if not same:
        raise Mismatch(f"{path}equals {got!r}, not {want!r}")


def _compare_meta(path, got, want):
    if not isinstance(got, torch.Tensor):
        raise Mismatch(f"{path}type is {type(got).__name__}, not Tensor")
    if got.shape != want.shape:
        raise Mismatch(f"{path}shape is {tuple(got.shape)}, not {tuple(want.shape)}")
    if got.dtype != want.dtype:
        raise Mismatch(f"{path}dtype is {_last(got.dtype)}, not {_last(want.dtype)}")


def _close(got, want, rtol, atol):
    if not rtol:
        return torch.equal(got, want)
    return bool(torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True).all())


def _near(path, got, want, precise):
    """Tell whether rounding explains the distance of ``got``, by the double precision result."""
    try:
        exact = dict(_leaves(precise()))[path]
        finite = want.isfinite() & exact.isfinite()
        if not torch.equal(finite, got.isfinite()) or not _close(got[~finite], want[~finite], 1, 1):
            return False
        exact, got, want = exact[finite], got[finite].to(exact.dtype), want[finite].to(exact.dtype)
        return bool((got - exact).abs().max() <= YARDSTICK_FACTOR * (want - exact).abs().max())
    except Exception:
        return False


def _distance(got, want):
    kind = torch.complex128 if want.is_complex() else torch.float64
    return (got.to(kind) - want.to(kind)).abs().max().item()


def _last(dtype):
    return str(dtype).rpartition(".")[2]
