"""Where storages were saved and where they go: location tags, and `map_location`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flashlight as torch

_registry: list[tuple[int, Callable, Callable]] = []


def register_package(
    priority: int,
    tagger: Callable[[Any], str | None],
    deserializer: Callable[[Any, str], Any],
) -> None:
    """Add a pair of functions that name a storage's place and bring a storage there.

    Lower priorities are asked first; a function that answers None passes.
    """
    _registry.append((priority, tagger, deserializer))
    _registry.sort(key=lambda entry: entry[0])


def location_tag(storage: Any) -> str:
    """The name of the place of a storage. Raises RuntimeError if nobody knows it."""
    for _, tagger, _ in _registry:
        tag = tagger(storage)
        if tag:
            return tag
    raise RuntimeError(f"don't know how to determine data location of {type(storage).__name__}")


def default_restore_location(storage: Any, location: str) -> Any:
    """`storage` at the place that `location` names. Raises RuntimeError if nobody knows it."""
    for _, _, deserializer in _registry:
        restored = deserializer(storage, location)
        if restored is not None:
            return restored
    raise RuntimeError(
        f"don't know how to restore data location of {type(storage).__name__} (tagged with "
        f"{location})"
    )


def restorer(map_location: Any) -> Callable[[Any, str], Any]:
    """The function from a storage on the CPU and its tag to the storage to use."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, tag: default_restore_location(storage, map_location.get(tag, tag))
    if isinstance(map_location, bytes):
        map_location = map_location.decode()
    if isinstance(map_location, (str, torch.device)):
        target = str(map_location)
        return lambda storage, tag: default_restore_location(storage, target)

    def restore(storage: Any, tag: str) -> Any:
        restored = map_location(storage, tag)
        return default_restore_location(storage, tag) if restored is None else restored

    return restore


def is_meta(map_location: Any) -> bool:
    """True if everything goes to the meta device, so that no data need be read."""
    if isinstance(map_location, (str, torch.device)):
        return str(map_location) == "meta"
    return False


def validate_cuda_device(location: str) -> int:
    """The index of the CUDA device `location`. Raises RuntimeError if there is none."""
    return _validated("cuda", location).index or 0


def validate_hpu_device(location: str) -> int:
    """Raises RuntimeError: there are no such devices."""
    return _validated("hpu", location).index or 0


def _validated(kind: str, location: str) -> torch.device:
    module = getattr(torch, kind, None)
    if module is None:
        raise RuntimeError(
            f"The {kind.upper()} device module is not registered. {_ADVICE.format('the CPU')}"
        )
    if not module.is_available():
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but "
            f"torch.{kind}.is_available() is False. {_ADVICE.format('this one')}"
        )
    where = torch.device(location)
    count = module.device_count()
    if (where.index or 0) >= count:
        raise RuntimeError(
            f"Attempting to deserialize object on {kind.upper()} device {where.index} but "
            f"torch.{kind}.device_count() is {count}. {_ADVICE.format('an existing one')}"
        )
    return where


_ADVICE = (
    "If the checkpoint comes from another machine, use torch.load with "
    "map_location=torch.device('cpu') to map its storages to {}."
)


def _device_tag(kind: str) -> Callable[[Any], str | None]:
    def tag(storage: Any) -> str | None:
        where = storage.device
        if where.type != kind:
            return None
        # CPU and Metal have no device numbers in PyTorch's files.
        return kind if kind in ("cpu", "mps", "meta") else f"{kind}:{where.index or 0}"

    return tag


def _to_cpu(storage: Any, location: str) -> Any:
    return storage.to(device="cpu") if location == "cpu" else None


def _to_cuda(storage: Any, location: str) -> Any:
    if not re.fullmatch(r"cuda(:?\d+)?", location):
        return None
    return storage.to(device=_validated("cuda", re.sub(r"cuda(\d)", r"cuda:\1", location)))


def _to_mps(storage: Any, location: str) -> Any:
    return storage.to(device="mps") if re.fullmatch(r"mps(:\d+)?", location) else None


def _to_meta(storage: Any, location: str) -> Any:
    return storage.to(device="meta") if location == "meta" else None


register_package(10, _device_tag("cpu"), _to_cpu)
register_package(20, _device_tag("cuda"), _to_cuda)
register_package(21, _device_tag("mps"), _to_mps)
register_package(22, _device_tag("meta"), _to_meta)
