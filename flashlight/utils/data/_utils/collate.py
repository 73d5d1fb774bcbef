"""From a list of samples to a batch: tensors are stacked, containers kept.

Also the table of rules by type, which programs extend with their own types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import flashlight as torch
from flashlight.utils.data._utils.containers import rebuild_mapping, rebuild_sequence

np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)

_Map = dict[type | tuple[type, ...], Callable]


def default_convert(data: Any) -> Any:
    """Return `data` with NumPy arrays and scalars in it as tensors; tuples become lists."""
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if isinstance(data, (np.str_, np.bytes_)) or (
            isinstance(data, np.ndarray) and np_str_obj_array_pattern.search(data.dtype.str)
        ):
            return data
        return torch.as_tensor(data)
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return list(map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return rebuild_sequence(data, list(map(default_convert, data)))
    return data


def collate(batch: list, *, collate_fn_map: _Map | None = None) -> Any:
    """Return the samples of `batch` as one, by the rule for their type in `collate_fn_map`.

    Without a rule, mappings and sequences are collated entry by entry. Raises RuntimeError for
    sequences of different length, TypeError for other types.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for known, rule in collate_fn_map.items():
            if isinstance(first, known):
                return rule(batch, collate_fn_map=collate_fn_map)

    def merge(samples: Sequence) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        merged = {key: merge([sample[key] for sample in batch]) for key in first}
        return rebuild_mapping(first, merged)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*map(merge, zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        merged = list(map(merge, zip(*batch)))
        return merged if isinstance(first, tuple) else rebuild_sequence(first, merged)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> torch.Tensor:
    """Stack tensors along a new first dimension. Raises RuntimeError for sparse and nested ones."""
    first = batch[0]
    for kind, there in (
        ("nested", getattr(first, "is_nested", False)),
        ("sparse", first.layout is not torch.strided),
    ):
        if there:
            raise RuntimeError(
                f"Batches of {kind} tensors are not currently supported by the default "
                "collate_fn; please provide a custom collate_fn to handle them appropriately."
            )
    return torch.stack(batch, 0)


def collate_numpy_array_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> Any:
    """Stack NumPy arrays into a tensor. Raises TypeError for strings and objects."""
    if np_str_obj_array_pattern.search(batch[0].dtype.str) is not None:
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([torch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> torch.Tensor:
    """Return NumPy scalars as a tensor of their dtype."""
    return torch.as_tensor(batch)


def collate_float_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> torch.Tensor:
    """Return Python floats as a float64 tensor."""
    return torch.tensor(batch, dtype=torch.float64)


def collate_int_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> torch.Tensor:
    """Return Python integers as a tensor."""
    return torch.tensor(batch)


def collate_str_fn(batch: Sequence, *, collate_fn_map: _Map | None = None) -> Sequence:
    """Return strings as they are."""
    return batch


default_collate_fn_map: _Map = {
    torch.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: list) -> Any:
    """Return samples as a batch: tensors stacked, numbers as tensors, strings as they are.

    Mappings and sequences keep their type. Raises TypeError for anything else.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
