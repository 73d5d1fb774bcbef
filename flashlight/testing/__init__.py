"""Comparing tensors in tests, and making tensors for them.

https://docs.pytorch.org/docs/2.13/testing.html
"""

from __future__ import annotations

from flashlight.testing._comparison import assert_allclose, assert_close
from flashlight.testing._creation import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
