"""Python's multiprocessing, for tensors.

A tensor that is sent to another process arrives as a copy. Memory that several processes see is
made before they are started, by `Tensor.share_memory_` (forked processes share it).
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # noqa: F403  everything there is here, too

from flashlight.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [  # noqa: PLE0604
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = ["file_descriptor"]


def get_all_sharing_strategies() -> set[str]:
    """Return the names that `set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """Return the name that was set."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Take note of a strategy: tensors travel through anonymous files in any case.

    Raises AssertionError for an unknown name.
    """
    if new_strategy not in _STRATEGIES:
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of {sorted(_STRATEGIES)}"
        )
    _strategy[0] = new_strategy
