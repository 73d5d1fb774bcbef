"""What packages ask about tensors inside torch.vmap."""

from __future__ import annotations

from flashlight import Tensor
from flashlight._core.batched_storage import BatchedStorage

__all__ = ["is_batchedtensor", "is_legacy_batchedtensor"]


def is_batchedtensor(tensor: Tensor) -> bool:
    """Tell whether the lanes of a vmap have values of their own for the tensor."""
    return isinstance(tensor._storage, BatchedStorage)


def is_legacy_batchedtensor(tensor: Tensor) -> bool:
    """Return False: there is one vmap."""
    return False
