"""Sobol sequences, bit for bit PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight
from flashlight._kernels import sobol


def assert_same(ours, theirs):
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), strict=True)


def test_the_direction_numbers_of_all_dimensions():
    theirs = torch.quasirandom.SobolEngine(sobol.DIMENSIONS).sobolstate
    np.testing.assert_array_equal(sobol.directions(sobol.DIMENSIONS), theirs.numpy())


@pytest.mark.parametrize("dimension", [1, 2, 37])
@pytest.mark.parametrize(("scramble", "seed"), [(False, None), (True, None), (True, 5)])
def test_points_in_any_order_of_calls(dimension, scramble, seed):
    engines = []
    for lib in (flashlight, torch):
        lib.manual_seed(3)
        engines.append(lib.quasirandom.SobolEngine(dimension, scramble, seed))
    ours, theirs = engines
    assert repr(ours) == repr(theirs)
    assert_same(ours.sobolstate, theirs.sobolstate)
    assert_same(ours.shift, theirs.shift)
    for n in (1, 3, 4, 10):
        assert_same(ours.draw(n), theirs.draw(n))
        assert_same(ours.quasi, theirs.quasi)
    assert_same(ours.fast_forward(100).draw(2), theirs.fast_forward(100).draw(2))
    assert_same(
        ours.reset().draw(5, dtype=flashlight.float64), theirs.reset().draw(5, dtype=torch.float64)
    )
    assert_same(ours.reset().fast_forward(7).draw(), theirs.reset().fast_forward(7).draw())
    assert_same(ours.reset().draw_base2(4), theirs.reset().draw_base2(4))
    assert ours.num_generated == theirs.num_generated == 16
    out = flashlight.empty(0)
    assert ours.draw(2, out=out) is out
    assert_same(out, theirs.draw(2))


def test_what_is_refused():
    for lib in (flashlight, torch):
        for dimension in (0, 21202):
            with pytest.raises(ValueError, match=r"\[1, 21201\]"):
                lib.quasirandom.SobolEngine(dimension)
        engine = lib.quasirandom.SobolEngine(2)
        engine.draw(3)
        with pytest.raises(ValueError, match="power of 2"):
            engine.draw_base2(2)
