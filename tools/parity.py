"""Runs the conformance suite, prints its scoreboard and writes docs/parity.md.

From the project's root: `python -m tools.parity`, or `make parity`.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from flashlight.compat.deviations import DEVIATIONS
from tests.conformance import Options, run
from tests.conformance.report import grouped, percent, render, scoreboard
from tests.conformance.runner import Record

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parity.md"
SUITES = ("ops", "modules", "optim", "distributions", "names")


def excuse(record: Record) -> str:
    """Name the deviation whose `rows` match `suite.tier.unit` of a failure; empty if none does."""
    row = f"{record.suite}.{record.tier}.{record.unit}"
    for deviation in DEVIATIONS:
        if any(fnmatchcase(row, pattern) for pattern in deviation.rows):
            return deviation.name
    return ""


def parity_page(records: Sequence[Record], options: Options) -> str:
    """The text of docs/parity.md: how it was measured, the scoreboard, what still fails."""
    lines = [
        "# Parity with PyTorch",
        "",
        "Written by `make parity`, which runs `tests/conformance` against PyTorch's own test",
        "databases: change what is measured, not this page.",
        "",
        f"Measured with PyTorch {version('torch').partition('+')[0]}, MLX {version('mlx')}, NumPy "
        f"{version('numpy')} and Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}: {', '.join(options.dtypes)}, {options.limit} samples an entry, "
        f"seed {options.seed}.",
        "",
        "A unit (an operator, a module in a mode, an optimizer, a name) passes a tier if all its",
        "checks there pass. Strict tiers hold the tolerances of `torch.testing.assert_close`.",
    ]
    tiers = defaultdict(list)
    for name, row in scoreboard(records).items():
        suite, _, tier = name.partition(".")
        tiers[suite].append((tier, row))
    for suite in sorted(tiers, key=SUITES.index):
        lines += [
            "",
            f"## {suite}",
            "",
            "| tier | units passed | of | % | checks passed | of |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for tier, row in sorted(tiers[suite]):
            lines.append(
                f"| {tier} | {row[0]} | {row[1]} | {percent(row):.1f} | {row[2]} | {row[3]} |"
            )
    lines += ["", "## What fails", ""]
    groups = grouped(records)
    if not groups:
        lines.append("Nothing.")
    for reason, members in groups:
        excuses = sorted({name for member in members if (name := excuse(member))})
        known = f" (see *{'*, *'.join(excuses)}* in deviations.md)" if excuses else ""
        rows = defaultdict(list)
        for member in members:
            row = rows[f"{member.suite}.{member.tier}"]
            if member.unit not in row:
                row.append(member.unit)
        lines.append(f"- **{_escaped(reason)}**: {_plural(len(members), 'check')}{known}")
        for tier, units in sorted(rows.items()):
            lines.append(f"  - {tier}: {', '.join(f'`{unit}`' for unit in sorted(units))}")
    return "\n".join(lines) + "\n"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _escaped(reason: str) -> str:
    """The reason as plain Markdown text: stars, underscores and angles say nothing special."""
    for sign in "\\`*_<>[]":
        reason = reason.replace(sign, "\\" + sign)
    return reason


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.parity", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--suite", nargs="+", default=list(SUITES), choices=SUITES)
    parser.add_argument("--limit-samples", type=int, default=Options.limit, metavar="N")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (docs/parity.md)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the suites, print the report and write the page."""
    args = _parse(arguments)
    options = Options(target="flashlight", jobs=args.jobs, limit=args.limit_samples)
    records, started = [], time.monotonic()
    for suite in args.suite:
        found = run(suite, options)
        records += found
        print(f"{suite}: {len(found)} checks, {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(render(records))
    args.output.write_text(parity_page(records, options))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
