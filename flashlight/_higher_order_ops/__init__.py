"""Control flow as functions: `torch.cond` and `torch.while_loop`."""

from __future__ import annotations

from flashlight._higher_order_ops.cond import cond
from flashlight._higher_order_ops.while_loop import while_loop

__all__ = ["cond", "while_loop"]
