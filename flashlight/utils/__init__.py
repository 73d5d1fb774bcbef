"""Tools around tensors and modules."""

from __future__ import annotations

from ._swap import swap_tensors

__all__ = ["swap_tensors"]
