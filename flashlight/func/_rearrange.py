"""`rearrange`: dimensions reordered, split and joined by a pattern.

The notation is einops' (https://einops.rocks): "b c (h 2) -> (b h) c 2".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import flashlight as torch
from flashlight import Tensor

_TOKEN = re.compile(r"\(|\)|\.\.\.|[A-Za-z_]\w*|\d+")


def _side(text: str, pattern: str) -> list[list[str]]:
    """Return a side of the pattern as a list of groups of names; "..." is a group of its own."""
    if _TOKEN.sub("", text).strip():
        raise ValueError(f"Unexpected character in pattern: {pattern!r}")
    groups: list[list[str]] = []
    inside = None
    for token in _TOKEN.findall(text):
        if token == "(":
            if inside is not None:
                raise ValueError(f"Nested parentheses in pattern: {pattern!r}")
            inside = []
        elif token == ")":
            if inside is None:
                raise ValueError(f"Unbalanced parentheses in pattern: {pattern!r}")
            groups.append(inside)
            inside = None
        elif inside is not None:
            inside.append(token)
        else:
            groups.append([token])
    if inside is not None:
        raise ValueError(f"Unbalanced parentheses in pattern: {pattern!r}")
    names = [name for group in groups for name in group if not name.isdigit()]
    if len(set(names)) != len(names):
        raise ValueError(f"A name occurs twice on one side of the pattern: {pattern!r}")
    if any(name.isdigit() and name != "1" for group in groups for name in group):
        raise ValueError(f"Non-unitary anonymous axes are not supported in rearrange: {pattern!r}")
    return groups


def _lengths(group: list[str], length: int, known: dict[str, int], pattern: str) -> None:
    """Put the lengths of a group's names into `known`; at most one may follow from the others."""
    names = [name for name in group if name != "1"]
    unknown = [name for name in names if name not in known]
    product = 1
    for name in names:
        product *= known.get(name, 1)
    if len(unknown) > 1:
        raise ValueError(f"Could not infer sizes for {unknown} in pattern {pattern!r}")
    if unknown:
        known[unknown[0]] = length // product if product else 0
        product *= known[unknown[0]]
    if product != length:
        raise ValueError(
            f"Shape mismatch, {length} does not divide into {group} in pattern {pattern!r}"
        )


def rearrange(
    tensor: Tensor | list[Tensor] | tuple[Tensor, ...], pattern: str, **axes_lengths: int
) -> Tensor:
    """Return `tensor` (a list is stacked first) with its dimensions as the pattern says.

    Raises ValueError for a malformed pattern, or one that does not fit the tensor.
    """
    if isinstance(tensor, Sequence):
        tensor = torch.stack(list(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"A pattern has two sides with '->' between them: {pattern!r}")
    left, right = (_side(side, pattern) for side in sides)
    rest = tensor.ndim - sum(group != ["..."] for group in left)
    if rest < 0 or rest > 0 and ["..."] not in left:
        raise ValueError(f"Number of dimensions in pattern {pattern!r} and tensor ({tensor.ndim}) "
                         "must be equal")
    kept = [f"...{i}" for i in range(rest)]
    left = _expanded(left, kept, together=False)
    right = _expanded(right, kept, together=True)
    known = dict(axes_lengths)
    for group, length in zip(left, tensor.shape):
        _lengths(group, length, known, pattern)
    order = [name for group in left for name in group if name != "1"]
    wanted = [name for group in right for name in group if name != "1"]
    if sorted(order) != sorted(wanted):
        raise ValueError(
            f"Identifiers only on one side of expression (should be on both): "
            f"{sorted(set(order) ^ set(wanted))}"
        )
    unused = set(axes_lengths) - set(order)
    if unused:
        raise ValueError(f"Lengths are given for names that are not in the pattern: {unused}")
    parts = tensor.reshape([known[name] for name in order])
    moved = parts.permute([order.index(name) for name in wanted])
    return moved.reshape([_product(known, group) for group in right])


def _expanded(groups, kept, together) -> list[list[str]]:
    made: list[list[str]] = []
    for group in groups:
        if group == ["..."]:
            made += [[name] for name in kept]
        elif "..." in group and together:
            at = group.index("...")
            made.append(group[:at] + kept + group[at + 1 :])
        elif "..." in group:
            raise ValueError("An ellipsis may be in parentheses on the right side only")
        else:
            made.append(group)
    return made


def _product(known, group) -> int:
    total = 1
    for name in group:
        total *= known.get(name, 1)
    return total
