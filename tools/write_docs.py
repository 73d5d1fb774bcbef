"""Writes docs/deviations.md from the records in flashlight/compat; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from flashlight.compat.deviations import DEVIATIONS
from flashlight.compat.missing import MISSING

PAGE = Path(__file__).resolve().parents[1] / "docs" / "deviations.md"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def deviations_page() -> str:
    """The text of docs/deviations.md."""
    lines = [
        "# Where flashlight differs from PyTorch",
        "",
        "Written by `tools/write_docs.py` from `flashlight/compat/deviations.py` and",
        "`flashlight/compat/missing.py`: change the records, not this page.",
        "",
        "## Behaviour",
    ]
    for deviation in DEVIATIONS:
        lines += [
            "",
            f"### {deviation.name}",
            "",
            f"- **What differs:** {_sentence(deviation.differs)}",
            f"- **Why:** {_sentence(deviation.why)}",
            f"- **Instead:** {_sentence(deviation.instead)}",
        ]
        if deviation.rows:
            rows = ", ".join(f"`{row}`" for row in deviation.rows)
            lines.append(f"- **Tests it excuses:** {rows}")
    lines += [
        "",
        "## Names that are absent",
        "",
        "`hasattr` says False for them; asking for one raises AttributeError with the reason.",
        "",
        "| names | why | instead |",
        "|---|---|---|",
    ]
    for entry in MISSING:
        names = ", ".join(f"`{name}`" for name in entry.names)
        lines.append(f"| {names} | {entry.reason} | {entry.instead} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with `--check` return 1 if it is out of date."""
    text = deviations_page()
    if "--check" in sys.argv[1:]:
        current = PAGE.exists() and PAGE.read_text() == text
        if not current:
            print(f"{PAGE.name} is out of date: run python tools/write_docs.py")
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
