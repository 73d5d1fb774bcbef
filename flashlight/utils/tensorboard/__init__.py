"""Logs for TensorBoard, written with its own package (`pip install tensorboard`).

https://docs.pytorch.org/docs/2.13/tensorboard.html
"""

from __future__ import annotations

try:
    import tensorboard
except ImportError as error:
    raise ImportError(
        "torch.utils.tensorboard needs the package tensorboard: pip install tensorboard"
    ) from error

from tensorboard.summary.writer.record_writer import RecordWriter

from flashlight.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
