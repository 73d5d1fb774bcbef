"""Linear algebra, as `torch.linalg`. All of it runs on the CPU, whatever the device: memory is
unified.
"""

from ._ops.linalg import LINALG

globals().update(LINALG)
__all__ = list(LINALG)
