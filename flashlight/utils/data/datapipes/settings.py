"""What a DataLoader sets in a graph of pipes: seeds, shuffling, and each worker's share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import flashlight as torch
from flashlight.utils.data.datapipes.datapipe import (
    IterDataPipe,
    MapDataPipe,
    _SerializationWrapper,
)


def pipes_in(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield every pipe in `value`, its own sources included, once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (IterDataPipe, MapDataPipe)):
        if not isinstance(value, _SerializationWrapper):
            yield value
        inner = value.__dict__.values()
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, (list, tuple, set)):
        inner = value
    else:
        return
    for each in inner:
        yield from pipes_in(each, seen)


def draw_seed(dataset: Any, generator: torch.Generator | None) -> int | None:
    """Return an epoch's random seed for a pipe that is iterated over; other datasets need none."""
    if not isinstance(dataset, IterDataPipe):
        return None
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())
    shared = torch.Generator()
    shared.manual_seed(seed)
    apply_random_seed(dataset, shared)
    return seed


def apply_random_seed(datapipe: Any, rng: torch.Generator) -> Any:
    """Give each pipe that takes one its own seed, drawn from `rng`."""
    for pipe in pipes_in(datapipe):
        if inspect.ismethod(getattr(pipe, "set_seed", None)):
            seed = int(torch.empty((), dtype=torch.int64).random_(generator=rng).item())
            pipe.set_seed(seed)
    return datapipe


def apply_shuffle_settings(datapipe: Any, shuffle: bool | None = None) -> Any:
    """Turn the pipes that shuffle on or off."""
    if shuffle is not None:
        for pipe in pipes_in(datapipe):
            if inspect.ismethod(getattr(pipe, "set_shuffle", None)):
                pipe.set_shuffle(shuffle)
    return datapipe


def apply_sharding(datapipe: Any, num_of_instances: int, instance_id: int) -> Any:
    """Tell the pipes that divide their samples how many shares there are, and which is ours."""
    for pipe in pipes_in(datapipe):
        if inspect.ismethod(getattr(pipe, "apply_sharding", None)):
            pipe.apply_sharding(num_of_instances, instance_id)
    return datapipe


def sharding_init_fn(init_fn: Callable[[int], None] | None) -> Callable[[int], None]:
    """Return a worker's first function that divides the work before it calls `init_fn`."""
    return functools.partial(_shard, init_fn)


def _shard(init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    info = torch.utils.data.get_worker_info()
    apply_sharding(info.dataset, info.num_workers, worker_id)
    if init_fn is not None:
        init_fn(worker_id)
