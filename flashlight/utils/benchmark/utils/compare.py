"""Measurements side by side."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Any

from flashlight.utils.benchmark.utils import common

__all__ = ["Colorize", "Compare"]

_BEST, _GOOD = "\033[92m", "\033[34m"
_BAD, _VERY_BAD = "\033[2m\033[91m", "\033[31m"
_PLAIN = "\033[0m"


class Colorize(enum.Enum):
    """Which measurements are coloured by how they compare."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """A table of measurements: a column for each description, a row for each sub-label."""

    def __init__(self, results: list[common.Measurement]) -> None:
        self._results: list[common.Measurement] = []
        self.extend_results(results)
        self._trim_significant_figures = False
        self._colorize = Colorize.NONE
        self._highlight_warnings = False

    def __str__(self) -> str:
        return "\n".join(self._render())

    def extend_results(self, results: Iterable[common.Measurement]) -> None:
        """Add measurements. Raises ValueError for anything else."""
        results = list(results)
        for result in results:
            if not isinstance(result, common.Measurement):
                raise ValueError(
                    f"Expected an instance of `Measurement`, got {type(result)} instead."
                )
        self._results += results

    def trim_significant_figures(self) -> None:
        """Print only digits that mean something."""
        self._trim_significant_figures = True

    def colorize(self, rowwise: bool = False) -> None:
        """Colour by how measurements compare to the best of their row, or column."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Mark measurements that vary too much to be believed."""
        self._highlight_warnings = True

    def print(self) -> None:
        """Print the table."""
        print(str(self))

    def _render(self) -> list[str]:
        merged = common.Measurement.merge(self._results)
        labels = common.ordered_unique(result.label for result in merged)
        return [
            self._table([result for result in merged if result.label == label]) for label in labels
        ]

    def _table(self, results: list[common.Measurement]) -> str:
        columns = common.ordered_unique(result.description for result in results)
        rows = common.ordered_unique(
            (result.num_threads, result.env, result.as_row_name) for result in results
        )
        cells: dict[tuple, common.Measurement] = {
            ((r.num_threads, r.env, r.as_row_name), r.description): r for r in results
        }
        unit, scale = common.select_unit(min(result.median for result in results))

        def value(result: common.Measurement) -> float:
            median = result.median / scale
            if self._trim_significant_figures:
                median = common.trim_sigfig(median, result.significant_figures)
            return median

        digits = {
            column: min(self._digits(value(r), r) for r in results if r.description == column)
            for column in columns
        }
        titles = ["" if column is None else column for column in columns]
        texts = {
            key: f"{value(result):.{digits[key[1]]}f}{self._mark(result)}"
            for key, result in cells.items()
        }
        name_width = max(len(row[2]) for row in rows) + 6
        widths = [
            max([len(title), *(len(texts.get((row, column), "")) for row in rows)])
            for title, column in zip(titles, columns, strict=True)
        ]
        heading = " " * name_width + "".join(
            f"  |  {title.center(width)}" for title, width in zip(titles, widths, strict=True)
        )
        label = results[0].label or "[Unknown]"
        lines = [f"[{f' {label} '.center(max(len(heading) - 2, 0), '-')}]", heading]
        threads = None
        for row in rows:
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{threads} threads: ".ljust(len(heading), "-"))
            line = f"      {row[2]}".ljust(name_width)
            for column, width in zip(columns, widths, strict=True):
                text = texts.get((row, column), "").rjust(width)
                line += f"  |  {self._colored(text, cells, row, column, rows, columns)}"
            lines.append(line)
        lines += ["", f"Times are in {common.unit_to_english(unit)}s ({unit})."]
        if self._highlight_warnings and any(result.has_warnings for result in results):
            lines.append(
                "(! XX%) Measurement has high variance, where XX is the IQR / median * 100."
            )
        return "\n".join(lines) + "\n"

    def _digits(self, value: float, result: common.Measurement) -> int:
        if not self._trim_significant_figures:
            return 1
        whole = math.ceil(math.log10(value)) if value > 0 else 0
        return max(0, result.significant_figures - whole)

    def _mark(self, result: common.Measurement) -> str:
        if not (self._highlight_warnings and result.has_warnings):
            return ""
        return f" (! {result.iqr / result.median * 100:.0f}%)"

    def _colored(
        self, text: str, cells: dict, row: Any, column: Any, rows: list, columns: list
    ) -> str:
        own = cells.get((row, column))
        if own is None or self._colorize is Colorize.NONE:
            return text
        if self._colorize is Colorize.ROWWISE:
            others = [cells[row, each] for each in columns if (row, each) in cells]
        else:
            others = [cells[each, column] for each in rows if (each, column) in cells]
        ratio = own.median / min(other.median for other in others)
        for limit, color in ((1.0, _BEST), (1.1, _GOOD), (1.25, ""), (1.5, _BAD)):
            if ratio <= limit:
                return f"{color}{text}{_PLAIN}" if color else text
        return f"{_VERY_BAD}{text}{_PLAIN}"
