"""Data pipes: datasets composed of steps, kept for programs that use them."""

from __future__ import annotations

from flashlight.utils.data.datapipes import datapipe, settings
