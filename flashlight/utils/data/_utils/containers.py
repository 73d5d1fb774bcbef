"""Containers of the same type with other contents."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any


def rebuild_mapping(original: Mapping, items: dict) -> Any:
    """Return a mapping like `original` with `items`; a dict if its class does not allow that.

    A copy keeps what else a class carries (a default factory, say).
    """
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(items)
            return clone
        return type(original)(items)
    except TypeError:
        return items


def rebuild_sequence(original: Sequence, items: list) -> Any:
    """Return a sequence like `original` with `items`; a list if its class does not allow that."""
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for index, item in enumerate(items):
                clone[index] = item
            return clone
        return type(original)(items)
    except TypeError:
        return items
