"""Settings of graphs of data pipes."""

from __future__ import annotations

from flashlight.utils.data.datapipes.settings import (
    apply_random_seed,
    apply_sharding,
    apply_shuffle_settings,
)

__all__ = ["apply_random_seed", "apply_sharding", "apply_shuffle_settings"]
