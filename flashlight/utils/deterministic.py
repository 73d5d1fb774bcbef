"""Settings of deterministic mode."""

from __future__ import annotations

#: PyTorch fills new memory in deterministic mode; MLX's `empty` is zeros in any case.
fill_uninitialized_memory: bool = True
