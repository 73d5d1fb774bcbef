"""Exchanging what two tensor objects are."""

from __future__ import annotations

import weakref

from flashlight import Tensor

_SLOTS = ("_storage", "_layout", "_node", "_index", "_meta", "__dict__")


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange data, gradients, hooks, attributes and class of two tensors, in place.

    Whoever holds `t1` sees then what `t2` was, and the reverse; weak references, which PyTorch
    refuses here, too.
    """
    for slot in _SLOTS:
        first, second = getattr(t1, slot), getattr(t2, slot)
        setattr(t1, slot, second)
        setattr(t2, slot, first)
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    for tensor in (t1, t2):
        # The leaf of the graph finds its tensor, to which gradients go, by a weak reference.
        if hasattr(tensor._node, "tensor"):
            tensor._node.tensor = weakref.ref(tensor)
