"""PyTorch's first constructors of COO tensors on CUDA: `torch.cuda.sparse.FloatTensor`."""

from __future__ import annotations

from flashlight._ops.sparse.legacy import sparse_legacy_classes

__all__ = []

globals().update(sparse_legacy_classes("cuda"))
