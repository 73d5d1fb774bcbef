"""From tensors and numbers to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

import flashlight as torch


def make_np(x: Any) -> np.ndarray:
    """Return a tensor, an array or a number as an array. Raises NotImplementedError for others."""
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    if isinstance(x, torch.Tensor):
        x = x.detach()
        if x.dtype == torch.bfloat16:
            x = x.float()
        # A copy: sharing the memory would slow down every later use of the tensor.
        return np.array(x.cpu().numpy())
    raise NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")
