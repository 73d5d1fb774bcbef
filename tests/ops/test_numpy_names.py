"""Arguments by NumPy's names: `axis`, `keepdims`, `x`, `x1`, `x2` are `dim`, `keepdim`, ..."""

from __future__ import annotations

import pytest
import torch

import flashlight

REDUCTIONS = (
    "sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "all", "any", "std",
    "var", "logsumexp", "median", "nansum", "nanmean", "std_mean", "aminmax",
)  # fmt: skip
OTHERS = (
    "softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort", "diff", "unsqueeze",
    "squeeze", "unbind", "count_nonzero", "logcumsumexp", "cummax", "trapezoid",
)  # fmt: skip


def plain(value):
    """All elements, of one tensor or several."""
    tensors = value if isinstance(value, tuple) else (value,)
    return [float(number) for tensor in tensors for number in tensor.flatten().tolist()]


@pytest.mark.parametrize("name", [*REDUCTIONS, *OTHERS])
def test_axis(name):
    results = []
    for m in (flashlight, torch):
        x = m.arange(6.0).reshape(2, 3)
        options = {"axis": 1, "keepdims": True} if name in REDUCTIONS else {"axis": 1}
        results.append(plain(getattr(m, name)(x, **options)))
        if hasattr(torch.Tensor, name):
            assert plain(getattr(x, name)(**options)) == results[-1]
    assert results[0] == pytest.approx(results[1])


def test_operands():
    for m in (flashlight, torch):
        a, b = m.tensor([1.0, 2.0]), m.tensor([3.0, 4.0])
        assert m.add(x1=a, x2=b).tolist() == [4, 6]
        assert m.sum(x=a).item() == 3
        assert m.cat((a, b), axis=0).tolist() == [1, 2, 3, 4]
        with pytest.raises(TypeError):
            m.sum(a, dim=0, axis=0)
