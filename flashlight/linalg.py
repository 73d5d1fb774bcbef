"""Linear algebra, as `torch.linalg`. All of it runs on the CPU, whatever the device: memory is
unified.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._ops.linalg import LINALG

if _TYPE_CHECKING:
    from ._linalg_names import *  # noqa: F403

globals().update(LINALG)
__all__ = list(LINALG)
