"""Which of equal elements PyTorch takes, by the steps of its own algorithms."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from flashlight._kernels import selection

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="libstdc++ is what these functions retrace"
)


@pytest.mark.parametrize("seed", range(40))
def test_equal_elements(seed):
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, rng.integers(1, 12), rng.integers(1, 400))
    k = int(rng.integers(1, len(ranks) + 1))
    values = torch.tensor(ranks)
    assert selection.kth(ranks, k - 1) == values.kthvalue(k).indices
    assert selection.sort(ranks).tolist() == values.sort().indices.tolist()
    for count in {k, 1, max(1, len(ranks) // 64)}:  # the last ones go through a heap
        found = values.topk(count, largest=False).indices
        assert selection.first(ranks, count).tolist() == found.tolist()
