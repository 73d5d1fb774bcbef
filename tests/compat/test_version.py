"""torch.__version__ compares as a version, against PyTorch's class."""

from __future__ import annotations

import itertools

import pytest
import torch

import flashlight

VERSIONS = (
    "2.13.0", "2.13", "2.4", "2.4.1", "2.13.0a0", "2.13.0a1+git123", "2.13.0.dev20240101",
    "2.13.0rc1", "2.13.0.post1", "1!1.0", "2.13.0+cpu", "2.13.0+cpu.1", "2.13.0+1", "v2.13",
    "2.13-1", "2.13.0rc1.dev3", "2.13.0.post1.dev2", "2.13.0b2", "2", "parrot",
)  # fmt: skip
OTHERS = [(2, 4), (2, 13), [2, 13, 0], 3, 2.1, None, ("2", "4"), ("parrot",), (), object()]


@pytest.mark.parametrize("method", ["__lt__", "__le__", "__eq__", "__gt__", "__ge__", "__ne__"])
def test_comparisons(method):
    ours, theirs = flashlight.torch_version.TorchVersion, torch.torch_version.TorchVersion
    for own, other in itertools.product(VERSIONS, [*VERSIONS, *OTHERS]):
        expected = getattr(theirs(own), method)(other)
        assert getattr(ours(own), method)(other) is expected, (own, other)


def test_the_version_that_programs_ask():
    assert flashlight.__version__ >= "2.4" and flashlight.__version__ > (2, 9)
    assert not flashlight.__version__ < "2.9"
    assert hash(flashlight.__version__) == hash("2.13.0") and str(flashlight.__version__) == "2.13.0"
    assert type(flashlight.version.__version__) is str
