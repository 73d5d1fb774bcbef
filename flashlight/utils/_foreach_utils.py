"""Lists of tensors in groups that one operation can take."""

from __future__ import annotations

from typing import Any

__all__ = ["_group_tensors_by_device_and_dtype"]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list], with_indices: bool = False
) -> dict[tuple, tuple[list[list], list[int]]]:
    """Return parallel lists of tensors split by device and dtype of those in the first list.

    Indices tell where each was, if asked for. Raises RuntimeError for lists of other lengths.
    """
    first = tensorlistlist[0]
    if any(len(each) not in (0, len(first)) for each in tensorlistlist):
        raise RuntimeError("all lists must be empty or as long as the first one")
    groups: dict[tuple, tuple[list[list], list[int]]] = {}
    for index, tensor in enumerate(first):
        group: Any = groups.setdefault(
            (tensor.device, tensor.dtype), ([[] for _ in tensorlistlist], [])
        )
        for target, source in zip(group[0], tensorlistlist, strict=True):
            if source:
                target.append(source[index])
        if with_indices:
            group[1].append(index)
    return groups
