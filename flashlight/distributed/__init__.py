"""`torch.distributed` as a PyTorch has it that was built without: it says so, and no more.

Packages ask `is_available()` first. The errors are there for except clauses, the two classes for
annotations, as they are in such a build. https://docs.pytorch.org/docs/2.13/distributed.html
"""

from __future__ import annotations

__all__ = [
    "DistBackendError", "DistError", "DistNetworkError", "DistStoreError", "GroupName",
    "ProcessGroup", "QueueEmptyError", "is_available",
]  # fmt: skip


def is_available() -> bool:
    """Return False: processes do not exchange tensors here."""
    return False


class DistError(RuntimeError):
    """An error of torch.distributed."""


class DistBackendError(DistError):
    """An error of the library that sends the tensors."""


class DistNetworkError(DistError):
    """An error of the network."""


class DistStoreError(DistError):
    """An error of the store by which processes find each other."""


class QueueEmptyError(DistStoreError):
    """A queue of the store has nothing in it."""


class GroupName:
    """The name of a group of processes, in annotations."""


class ProcessGroup:
    """A group of processes, in annotations."""
