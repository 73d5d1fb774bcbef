"""Names for annotations of TorchScript programs."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple  # noqa: UP035

__all__ = ["Dict", "List", "Optional", "Tuple"]


class BroadcastingListCls:
    """`BroadcastingList2[int]`: a list of two, or one number for both. It is None in Python."""

    def __getitem__(self, types: Any) -> None:
        return None


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = BroadcastingListCls()
BroadcastingList4 = BroadcastingList5 = BroadcastingList6 = BroadcastingListCls()
