"""Command line: see ``python -m tests.conformance --help``."""

from __future__ import annotations

import argparse
import json
import sys
import time

from .core import Options
from .report import as_json, percent, render, scoreboard
from .runner import SUITES, run


def main(argv=None):
    """Run the chosen suites, print the report and return the exit status."""
    args = _parse(argv)
    options = Options(
        target=args.target,
        dtypes=tuple(args.dtype.split(",")),
        seed=args.seed,
        limit=args.limit_samples,
        timeout=args.timeout,
        jobs=args.jobs,
        pattern=args.filter,
        internal=args.include_internal,
    )
    records, started = [], time.monotonic()
    for suite in SUITES if "all" in args.suite else args.suite:
        found = run(suite, options)
        records += found
        print(
            f"{suite}: {len(found)} checks, {time.monotonic() - started:.0f} s so far",
            file=sys.stderr,
        )
    print(render(records, args.list_failures))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(as_json(records), file, indent=1)
    return int(not _bars_met(scoreboard(records), args.min))


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="conformance", description="Score a module against the installed PyTorch."
    )
    parser.add_argument("--target", required=True, help="import name of the module to score")
    parser.add_argument("--suite", nargs="+", default=["all"], choices=(*SUITES, "all"))
    parser.add_argument("--filter", default="", metavar="REGEX", help="only items that match")
    parser.add_argument("--dtype", default="float32", help="dtypes for ops, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--limit-samples", type=int, default=8, metavar="N", help="samples per op and dtype"
    )
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds per check")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes")
    parser.add_argument(
        "--include-internal", action="store_true", help="also score private and ATen-only ops"
    )
    parser.add_argument("--json", metavar="OUT", help="write all results to this file")
    parser.add_argument(
        "--list-failures",
        action="store_true",
        help="print every reason with every unit it concerns",
    )
    parser.add_argument(
        "--min",
        action="append",
        default=[],
        metavar="SUITE.TIER=PERCENT",
        help="exit with 1 if this share of units is not reached; repeatable",
    )
    return parser.parse_args(argv)


def _bars_met(board, bars):
    met = True
    for bar in bars:
        tier, _, least = bar.rpartition("=")
        reached = percent(board[tier]) if tier in board else 0.0
        if reached < float(least):
            print(f"below the bar: {tier} is {reached:.1f} %, not {least} %")
            met = False
    return met


if __name__ == "__main__":
    sys.exit(main())
