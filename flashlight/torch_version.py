"""`torch.__version__`: a string that compares as a version does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .version import __version__ as _number

__all__ = ["TorchVersion"]

_PARTS = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d*))?"
    r"(?P<post>-(?P<bare>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}


def _key(text: str) -> tuple | None:
    """What versions are ordered by (PEP 440); None for a string that is none."""
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        return None
    part = found.groupdict()
    release = [int(number) for number in part["release"].split(".")]
    while len(release) > 1 and not release[-1]:
        release.pop()
    dev = int(part["dev_number"] or 0) if part["dev"] else float("inf")
    post = int(part["bare"] or part["post_number"] or 0) if part["post"] else -1
    if part["pre"]:
        phase = _PHASES[part["pre"].lower()], int(part["pre_number"] or 0)
    else:  # 1.0.dev1 comes before 1.0a1, which comes before 1.0
        phase = (-1 if part["dev"] and not part["post"] else 3), 0
    local = tuple(
        (1, int(each), "") if each.isdigit() else (0, 0, each.lower())
        for each in re.split("[-_.]", part["local"] or "")
        if each
    )
    return int(part["epoch"] or 0), tuple(release), phase, post, dev, local


class TorchVersion(str):
    """A string that compares with strings and tuples as a version: `__version__ >= (2, 4)`.

    With what is no version it compares as strings do, and so does `!=`.
    """

    def _compare(self, other: Any, method: str) -> bool:
        parts = isinstance(other, Iterable) and not isinstance(other, str)
        text = ".".join(map(str, other)) if parts else other
        left, right = _key(self), _key(text) if isinstance(text, str) else None
        if left is None or right is None:
            return getattr(str, method)(self, other)
        return getattr(tuple, method)(left, right)

    def __lt__(self, other: Any) -> bool:
        return self._compare(other, "__lt__")

    def __le__(self, other: Any) -> bool:
        return self._compare(other, "__le__")

    def __gt__(self, other: Any) -> bool:
        return self._compare(other, "__gt__")

    def __ge__(self, other: Any) -> bool:
        return self._compare(other, "__ge__")

    def __eq__(self, other: object) -> bool:
        return self._compare(other, "__eq__")

    __ne__ = str.__ne__
    __hash__ = str.__hash__


__version__ = TorchVersion(_number)
