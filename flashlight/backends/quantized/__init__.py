"""Engines of PyTorch's quantized tensors, of which there are none here."""

from __future__ import annotations

engine: str = "none"
supported_engines: list[str] = ["none"]
