"""What a checkpoint that can't be read raises."""

from __future__ import annotations

import pickle


class CorruptCheckpoint(pickle.UnpicklingError, RuntimeError):
    """The file is damaged or is no checkpoint.

    Also a RuntimeError, since that is what PyTorch's own archive reader raises.
    """


class TruncatedCheckpoint(CorruptCheckpoint, EOFError):
    """The file ends too early; also an EOFError, as from Python's unpickler."""
