"""`assert_close`: values, and everything else about them, compared item by item."""

from __future__ import annotations

import cmath
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import flashlight as torch

__all__ = ["assert_allclose", "assert_close", "default_tolerances"]

#: Relative and absolute tolerance by dtype; none for the others.
_TOLERANCES = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex32: (1e-3, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_NUMBER_DTYPES = {
    bool: torch.bool,
    int: torch.int64,
    float: torch.float64,
    complex: torch.complex128,
}


@dataclass
class _Mismatch(Exception):
    """A difference, or inputs that cannot be compared, and where in the containers it is."""

    kind: type[Exception]
    message: str
    path: tuple = ()

    def to_error(self, msg: str | Callable[[str], str] | None = None) -> Exception:
        """Return the exception for the user."""
        if isinstance(msg, str):
            return self.kind(msg)
        text = self.message
        if self.path:
            items = "".join(f"[{item!r}]" for item in self.path)
            text += f"\n\nThe failure occurred for item {items}"
        return self.kind(msg(text) if callable(msg) else text)


@dataclass
class _Options:
    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool

    def tolerances(self, *dtypes: torch.dtype) -> tuple[float, float]:
        """Return rtol and atol. Raises if only one of them is given."""
        if (self.rtol is None) != (self.atol is None):
            absent = "rtol" if self.rtol is None else "atol"
            raise _Mismatch(
                ValueError,
                f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {absent}.",
            )
        if self.rtol is not None:
            return self.rtol, self.atol
        return default_tolerances(*dtypes)


def default_tolerances(
    *inputs: torch.Tensor | torch.dtype,
    dtype_precisions: dict[torch.dtype, tuple[float, float]] | None = None,
) -> tuple[float, float]:
    """Return rtol and atol for the least precise of some dtypes."""
    dtypes = [value.dtype if isinstance(value, torch.Tensor) else value for value in inputs]
    table = dtype_precisions or _TOLERANCES
    pairs = [table.get(dtype, (0.0, 0.0)) for dtype in dtypes]
    return max(rtol for rtol, _ in pairs), max(atol for _, atol in pairs)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual − expected| ≤ atol + rtol·|expected| everywhere.

    Tensors, arrays, numbers, None, and sequences and mappings of them. Tolerances depend on the
    dtype unless given. Raises TypeError for other inputs or inputs of unrelated types.
    """
    __tracebackhide__ = True
    options = _Options(
        allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout,
        check_stride,
    )  # fmt: skip
    error = None
    try:
        for path, left, right in list(_pairs(actual, expected, ())):
            try:
                _compare(left, right, options)
            except _Mismatch as mismatch:
                mismatch.path = path
                raise
    except _Mismatch as mismatch:
        error = mismatch.to_error(msg)
    if error is not None:
        raise error


def _pairs(actual: Any, expected: Any, path: tuple) -> Iterator[tuple[tuple, Any, Any]]:
    """Yield the pairs of single values in two containers of one structure."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            message = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            raise _Mismatch(AssertionError, message, path)
        for index, (left, right) in enumerate(zip(actual, expected, strict=True)):
            yield from _pairs(left, right, (*path, index))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, surplus = set(expected) - set(actual), set(actual) - set(expected)
        if missing or surplus:
            raise _Mismatch(
                AssertionError,
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(missing)}\n"
                f"Additional keys in the actual mapping: {sorted(surplus)}",
                path,
            )
        for key in actual:
            yield from _pairs(actual[key], expected[key], (*path, key))
    else:
        yield path, actual, expected


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _compare(actual: Any, expected: Any, options: _Options) -> None:
    if actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(AssertionError, f"None mismatch: {actual} is not {expected}")
    elif _both(actual, expected, (bool, np.bool_)):
        if bool(actual) is not bool(expected):
            raise _Mismatch(AssertionError, f"Booleans mismatch: {actual} is not {expected}")
    elif _both(actual, expected, (int, float, complex, np.number)):
        _compare_numbers(actual, expected, options)
    else:
        _compare_tensors(*_as_tensors(actual, expected, options), options)


def _both(actual: Any, expected: Any, kinds: tuple) -> bool:
    return isinstance(actual, kinds) and isinstance(expected, kinds)


def _compare_numbers(actual: Any, expected: Any, options: _Options) -> None:
    actual, expected = (
        value.item() if isinstance(value, np.number) else value for value in (actual, expected)
    )
    rtol, atol = options.tolerances(_NUMBER_DTYPES[type(actual)], _NUMBER_DTYPES[type(expected)])
    if options.check_dtype and type(actual) is not type(expected):
        message = f"The (d)types do not match: {type(actual)} != {type(expected)}."
        raise _Mismatch(AssertionError, message)
    if actual == expected:
        return
    if options.equal_nan and cmath.isnan(actual) and cmath.isnan(expected):
        return
    difference = abs(actual - expected)
    if not (cmath.isfinite(difference) and difference <= atol + rtol * abs(expected)):
        raise _Mismatch(AssertionError, _scalar_message(actual, expected, rtol, atol))


def _scalar_message(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    absolute = abs(actual - expected)
    relative = float("inf") if expected == 0 else absolute / abs(expected)
    return "\n".join(
        [
            f"Scalars are not {_closeness(rtol, atol)}!",
            "",
            f"Expected {expected} but got {actual}.",
            f"Absolute difference: {absolute}{_allowed(atol, rtol, atol)}",
            f"Relative difference: {relative}{_allowed(rtol, rtol, atol)}",
        ]
    )


def _closeness(rtol: float, atol: float) -> str:
    return "equal" if rtol == 0 and atol == 0 else "close"


def _allowed(tolerance: float, rtol: float, atol: float) -> str:
    return "" if rtol == 0 and atol == 0 else f" (up to {tolerance} allowed)"


def _as_tensors(actual: Any, expected: Any, options: _Options) -> tuple:
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if related and (options.allow_subclasses or type(actual) is type(expected)):
        try:
            return tuple(
                value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
                for value in (actual, expected)
            )
        except Exception:
            pass  # the message below says more than why the conversion failed
    raise _Mismatch(
        TypeError,
        f"No comparison pair was able to handle inputs of type {type(actual)} and "
        f"{type(expected)}.",
    )


def _compare_tensors(actual: torch.Tensor, expected: torch.Tensor, options: _Options) -> None:
    rtol, atol = options.tolerances(actual.dtype, expected.dtype)
    _compare_attributes(actual, expected, options)
    if actual.is_meta or expected.is_meta:
        return
    actual, expected = actual.detach(), expected.detach()
    if actual.device != expected.device:
        actual, expected = actual.cpu(), expected.cpu()
    if actual.dtype != expected.dtype:
        common = torch.promote_types(_signed(actual.dtype), _signed(expected.dtype))
        actual, expected = actual.to(common), expected.to(common)
    if actual.layout != expected.layout:
        actual, expected = (
            value if value.layout == torch.strided else value.to_dense()
            for value in (actual, expected)
        )
    for name, left, right, exact in _parts(actual, expected):
        tolerances = (0, 0) if exact else (rtol, atol)
        _compare_values(name, left, right, *tolerances, options.equal_nan)


def _signed(dtype: torch.dtype) -> torch.dtype:
    # The wide unsigned types have no common type with the signed ones.
    return torch.int64 if dtype in (torch.uint16, torch.uint32, torch.uint64) else dtype


def _compare_attributes(actual: torch.Tensor, expected: torch.Tensor, options: _Options) -> None:
    strided = actual.layout == expected.layout == torch.strided
    checks = (
        ("shape", True, lambda tensor: tensor.shape),
        ("layout", options.check_layout, lambda tensor: tensor.layout),
        ("stride()", options.check_stride and strided, lambda tensor: tensor.stride()),
        ("device", options.check_device, lambda tensor: tensor.device),
        ("dtype", options.check_dtype, lambda tensor: tensor.dtype),
    )
    for name, checked, value_of in checks:
        if checked and value_of(actual) != value_of(expected):
            raise _Mismatch(
                AssertionError,
                f"The values for attribute '{name}' do not match: {value_of(actual)} != "
                f"{value_of(expected)}.",
            )


def _parts(actual: torch.Tensor, expected: torch.Tensor) -> Iterator[tuple]:
    """Yield what there is to compare: name, both tensors, and whether they must be equal."""
    if actual.layout == torch.strided:
        yield "Tensor-likes", actual, expected, False
        return
    if actual._nnz() != expected._nnz():
        raise _Mismatch(
            AssertionError,
            "The number of specified values in sparse tensors does not match: "
            f"{actual._nnz()} != {expected._nnz()}",
        )
    if actual.is_sparse:
        if actual.sparse_dim() != expected.sparse_dim():
            raise _Mismatch(
                AssertionError,
                "The number of sparse dimensions in sparse COO tensors does not match: "
                f"{actual.sparse_dim()} != {expected.sparse_dim()}",
            )
        yield "Sparse COO indices", actual._indices(), expected._indices(), True
        yield "Sparse COO values", actual._values(), expected._values(), False
        return
    for name in ("crow_indices", "col_indices"):
        left, right = getattr(actual, name)(), getattr(expected, name)()
        yield f"Sparse CSR {name}", left.long(), right.long(), True
    yield "Sparse CSR values", actual.values(), expected.values(), False


def _compare_values(
    name: str,
    actual: torch.Tensor,
    expected: torch.Tensor,
    rtol: float,
    atol: float,
    equal_nan: bool,
) -> None:
    matches = torch.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(matches.all()):
        return
    if actual.dim() == 0:
        message = _scalar_message(actual.item(), expected.item(), rtol, atol)
        raise _Mismatch(AssertionError, message)
    count = matches.numel()
    wrong = count - int(matches.sum())
    matched = matches.flatten()
    if not (actual.is_floating_point() or actual.is_complex()):
        actual, expected = actual.long(), expected.long()
    absolute = (actual.flatten() - expected.flatten()).abs()
    relative = absolute / expected.flatten().abs()
    lines = [
        f"{name} are not {_closeness(rtol, atol)}!",
        "",
        f"Mismatched elements: {wrong} / {count} ({wrong / count:.1%})",
    ]
    for kind, values, tolerance in (("absolute", absolute, atol), ("relative", relative, rtol)):
        values[matched] = 0
        largest, position = torch.max(values, 0)
        index = tuple(int(i) for i in np.unravel_index(int(position), tuple(matches.shape)))
        lines.append(
            f"Greatest {kind} difference: {largest.item()} at index {index}"
            f"{_allowed(tolerance, rtol, atol)}"
        )
    raise _Mismatch(AssertionError, "\n".join(lines))


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Do what `assert_close` does, which replaces it, with tolerances of its own."""
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    if not isinstance(actual, torch.Tensor):
        actual = torch.tensor(actual)
    if not isinstance(expected, torch.Tensor):
        expected = torch.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        precisions = {
            torch.float16: (1e-3, 1e-3),
            torch.float32: (1e-4, 1e-5),
            torch.float64: (1e-5, 1e-8),
        }
        rtol, atol = default_tolerances(actual, expected, dtype_precisions=precisions)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=False,
        msg=msg or None,
    )
