"""How a tensor becomes text: PyTorch's number formats, summaries, line breaks and suffixes.

Written over NumPy arrays, so that it neither needs a Tensor nor reads more of one than it shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass
class PrintOptions:
    """The settings of `set_printoptions`; `sci_mode=None` leaves the choice to the data."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is None stays as it is, except `sci_mode`, which is reset."""
    if profile is not None:
        for name, value in PROFILES.get(profile, {}).items():
            setattr(options, name, value)
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is not None:
            setattr(options, name, value)
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options, as keyword arguments for `set_printoptions`."""
    return dataclasses.asdict(options)


@contextlib.contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """`set_printoptions` for the length of a `with` block."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


class NumberFormat:
    """One way of writing numbers, chosen so that all of a sample's entries line up."""

    def __init__(self, sample: np.ndarray):
        self.is_float = sample.dtype.kind == "f"
        self.integral = True
        self.scientific = False
        self.width = 1
        if self.is_float:
            self._fit_floats(sample)
        else:
            self.width = max((len(str(value)) for value in sample.ravel().tolist()), default=1)

    def _fit_floats(self, sample: np.ndarray) -> None:
        flat = sample.ravel().astype(np.float64)
        flat = flat[np.isfinite(flat) & (flat != 0)]
        if flat.size == 0:
            return
        magnitude = np.abs(flat)
        smallest, largest = magnitude.min(), magnitude.max()
        self.integral = bool((flat == np.ceil(flat)).all())
        if options.sci_mode is None:
            # An overflowing ratio is inf, as in PyTorch; only NumPy would mention it.
            with np.errstate(over="ignore"):
                ratio = largest / smallest
            self.scientific = bool(ratio > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4)
        else:
            self.scientific = options.sci_mode
        # Zeros and non-finite values take no part in the width, as in PyTorch: "0." and "nan"
        # may be wider than the column.
        self.width = max(1, max(len(self._digits(value)) for value in flat.tolist()))

    def _digits(self, value: float) -> str:
        if self.scientific:
            return f"{value:.{options.precision}e}"
        if self.integral:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{options.precision}f}"

    def __call__(self, value: Any) -> str:
        text = self._digits(value) if self.is_float else str(value)
        return text.rjust(self.width)


class ComplexFormat:
    """Real and imaginary parts, each lined up by itself."""

    def __init__(self, sample: Any):
        self.real = NumberFormat(sample.real)
        self.imag = NumberFormat(sample.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = self.imag(value.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self.real(value.real) + sign + imag


def corner_index(shape: Sequence[int]) -> tuple[np.ndarray | slice, ...]:
    """An index that keeps the edges of each dimension: what a summary of `shape` shows."""
    edge = options.edgeitems
    kept = []
    for size in shape:
        if size <= 2 * edge:
            kept.append(np.arange(size))
        else:
            kept.append(np.concatenate([np.arange(edge), np.arange(size - edge, size)]))
    return np.ix_(*kept)


def is_summarized(shape: Sequence[int]) -> bool:
    """True if a tensor of this shape prints with its middle left out."""
    return math.prod(shape) > options.threshold


def format_values(
    values: np.ndarray, indent: int, decode: Callable[[np.ndarray], np.ndarray] | None = None
) -> str:
    """`values` as nested brackets, continued lines indented by `indent` and the nesting.

    `decode` turns stored entries into numbers NumPy knows (bfloat16 from its bits); it sees only
    the entries that are shown.
    """
    if values.size == 0:
        return "[]"
    shape = values.shape
    summarize = is_summarized(shape)
    if summarize and values.ndim and not options.edgeitems:
        return "[...]"
    if summarize:
        values = values[corner_index(shape)]
    if decode is not None:
        values = decode(values)
    number = ComplexFormat(values) if values.dtype.kind == "c" else NumberFormat(values)
    if values.ndim == 0:
        return number(values.item())
    return _nested(values, shape, indent, summarize, number)


def _nested(
    values: np.ndarray,
    shape: Sequence[int],
    indent: int,
    summarize: bool,
    number: NumberFormat | ComplexFormat,
) -> str:
    elided = summarize and shape[0] > 2 * options.edgeitems
    if len(shape) == 1:
        parts = [number(value) for value in values.tolist()]
        gap = " ..."
        per_line = max(1, math.floor((options.linewidth - indent) / (number.width + 2)))
    else:
        parts = [_nested(row, shape[1:], indent + 1, summarize, number) for row in values]
        gap = "..."
        per_line = 1
    if elided:
        parts.insert(options.edgeitems, gap)
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    # A matrix starts each row on a new line; each further dimension adds an empty line.
    separator = "," + "\n" * max(1, len(shape) - 1) + " " * (indent + 1)
    return "[" + separator.join(lines) + "]"


def assemble(prefix: str, body: str, suffixes: Sequence[str], force_newline: bool = False) -> str:
    """`prefix(body, suffix, ...)`, each suffix on its own line where the line would get too long.

    `force_newline` moves the first suffix to a new line (sparse tensors).
    """
    indent = len(prefix) + 1
    text = f"{prefix}({body}"
    pieces = [text]
    # PyTorch counts one column more than the last line has; line breaks depend on it.
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if force_newline or column + len(suffix) + 2 > options.linewidth:
            pieces.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
            force_newline = False
        else:
            pieces.append(", " + suffix)
            column += len(suffix) + 2
    return "".join(pieces) + ")"


def tensor_text(
    shape: Sequence[int],
    read: Callable[[], np.ndarray] | None,
    *,
    prefix: str = "tensor",
    dtype: str | None = None,
    dtype_if_empty: str | None = None,
    device: str | None = None,
    history: Sequence[str] = (),
    contents: str | None = None,
    decode: Callable[[np.ndarray], np.ndarray] | None = None,
) -> str:
    """The repr of a strided tensor.

    `read` gives its values and is called only if they are shown; None means that there are none
    to show (a meta tensor, a tensor inside a trace), which prints `...` and the size.
    `dtype` and `device` are None where PyTorch leaves them out; `dtype_if_empty` takes the place
    of `dtype` where no element tells it (an empty tensor does not imply int64 or bool).
    `history` holds the last suffixes (`grad_fn=...`, `requires_grad=True`), `contents` replaces
    the values.
    """
    size = "size=" + str(tuple(int(extent) for extent in shape))
    suffixes = [f"device='{device}'"] if device is not None else []
    empty = 0 in shape
    if read is None or empty and len(shape) != 1 or not empty and not options.edgeitems:
        suffixes.append(size)
    shown_dtype = dtype_if_empty if empty or read is None else dtype
    if shown_dtype is not None:
        suffixes.append("dtype=" + shown_dtype)
    suffixes.extend(history)
    if contents is None:
        if read is None:
            contents = "..."
        elif empty:
            contents = "[]"
        else:
            contents = format_values(read(), len(prefix) + 1, decode)
    return assemble(prefix, contents, suffixes)
