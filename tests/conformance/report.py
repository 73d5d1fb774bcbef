"""Turn records into a scoreboard, a list of failures and JSON."""

from __future__ import annotations

import collections
import re

GROUPS_SHOWN = 30
UNITS_SHOWN = 4


def scoreboard(records):
    """Return ``{"suite.tier": (units passed, units, checks passed, checks)}``.

    A unit passes a tier if all its checks there pass. Graded tiers also appear
    as ``<tier>_strict``; ``present`` counts the units with no missing name, and
    ``complete`` those that pass all their checks in all tiers.
    """
    verdicts = collections.defaultdict(list)
    for record in records:
        if record.status == "refused":
            continue
        tier = f"{record.suite}.{record.tier}"
        verdicts[tier, record.unit].append(record.passed)
        if record.graded:
            verdicts[f"{tier}_strict", record.unit].append(record.status == "strict")
        if record.suite != "names":
            verdicts[f"{record.suite}.complete", record.unit].append(record.passed)
        if record.tier in ("forward", "step"):
            verdicts[f"{record.suite}.present", record.unit].append(record.status != "missing")
    board = collections.defaultdict(lambda: [0, 0, 0, 0])
    for (tier, _), marks in verdicts.items():
        row = (all(marks), 1, sum(marks), len(marks))
        board[tier] = [a + b for a, b in zip(board[tier], row)]
    for kind in ("", ":signature"):
        rows = [
            row
            for tier, row in board.items()
            if tier.startswith("names.") and tier.endswith(":signature") == bool(kind)
        ]
        if rows:
            board[f"names.all{kind}"] = [sum(column) for column in zip(*rows)]
    return {tier: tuple(row) for tier, row in board.items()}


def percent(row):
    """Return the share of passed units of a scoreboard row, in percent."""
    return 100.0 * row[0] / row[1]


def grouped(records, refused=False):
    """Return the failures, or the refusals, by normalised reason, the most frequent first."""
    groups = collections.defaultdict(list)
    for record in records:
        if not record.passed and (record.status == "refused") == refused:
            groups[_normal(record)].append(record)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def render(records, every_unit=False):
    """Return the report as text."""
    lines = [f"{'suite.tier':<44}{'units':>12}{'%':>8}{'checks':>16}{'%':>8}"]
    for tier, row in scoreboard(records).items():
        units, tests = f"{row[0]}/{row[1]}", f"{row[2]}/{row[3]}"
        lines.append(
            f"{tier:<44}{units:>12}{percent(row):>8.1f}{tests:>16}{100 * row[2] / row[3]:>8.1f}"
        )
    groups = grouped(records)
    if groups:
        lines += ["", "Failures by reason (checks, units, examples):"]
    for reason, members in groups[: None if every_unit else GROUPS_SHOWN]:
        units = list(dict.fromkeys(member.unit for member in members))
        shown = ", ".join(units[: None if every_unit else UNITS_SHOWN])
        more = " ..." if not every_unit and len(units) > UNITS_SHOWN else ""
        lines.append(f"{len(members):>6}{len(units):>6}  {reason}: {shown}{more}")
    refused = sum(record.status == "refused" for record in records)
    lines += ["", f"Not counted, as PyTorch itself refuses the call: {refused}"]
    return "\n".join(lines)


def as_json(records):
    """Return everything as plain data: scoreboard, reasons and each unit's tiers."""
    units = {}
    for record in records:
        if record.status == "refused":
            continue
        tiers = units.setdefault(f"{record.suite}.{record.unit}", {})
        tier = tiers.setdefault(record.tier, {"passed": 0, "total": 0, "failure": None})
        tier["passed"] += record.passed
        tier["total"] += 1
        if not record.passed and not tier["failure"]:
            tier["failure"] = f"{record.label}: {record.status}: {record.reason}"
    return {
        "scoreboard": {
            tier: {
                "units_passed": row[0],
                "units": row[1],
                "percent": percent(row),
                "checks_passed": row[2],
                "checks": row[3],
            }
            for tier, row in scoreboard(records).items()
        },
        "reasons": _plain_groups(grouped(records)),
        "refused": _plain_groups(grouped(records, refused=True)),
        "units": units,
    }


def _plain_groups(groups):
    return [
        {
            "reason": reason,
            "checks": len(members),
            "units": sorted({f"{member.suite}.{member.unit}" for member in members}),
        }
        for reason, members in groups
    ]


def _normal(record):
    """Return the reason without the details that tell one failure from another of its kind."""
    if record.status == "missing":
        return "missing" if record.suite == "names" else "missing name"
    text = re.sub(r"^(\[[^\]]*\]|\.\w+)+ ", "", record.reason)
    text = re.sub(r"equals .*", "value differs", text)
    text = re.sub(r"\b\w+\(\)|'\w+' object", "it", text)
    text = re.sub(r"\{.*\}|\(\s*[-\d][-\d\s,]*\)|\[[-\d\s,]*\]", "(..)", text)
    text = re.sub(r"[-+]?(?<![\w.])\d[\d.]*(e[-+]?\d+)?|\binf\b|\bnan\b", "#", text)
    return f"{record.suite} {record.tier.split('.')[0]}: {text}"[:150]
