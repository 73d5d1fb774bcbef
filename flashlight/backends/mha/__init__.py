"""The fast path of attention modules: flashlight has only its results.

PyTorch's, in evaluation mode without gradients, gives zeros for padded rows at the end of
sequences; so does TransformerEncoder here, as long as this is on.
"""

from __future__ import annotations

_enabled = [True]


def get_fastpath_enabled() -> bool:
    """Return whether padded rows become zeros."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Choose whether padded rows become zeros."""
    _enabled[0] = value
