"""Covariances, histograms, counts, numerical derivatives, divisors: against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from .side_by_side import check, check_error, gradients

_random = np.random.default_rng(0)
TABLE = _random.standard_normal((3, 6)).astype(np.float32)
nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize("options", [
    {}, {"correction": 0}, {"fweights": [1, 2, 3, 1, 0, 2]}, {"aweights": [0.5, 1, 2, 1, 1, 3]},
    {"fweights": [1, 2, 3, 1, 0, 2], "aweights": [0.5, 1, 2, 1, 1, 3]},
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "complex64", "int64", "float64"])
def test_cov(options, dtype):
    def run(t):
        given = {key: t.tensor(value) if key != "correction" else value
                 for key, value in options.items()}
        input = t.tensor(np.round(3 * TABLE)).to(getattr(t, dtype))
        if dtype == "complex64":
            input = input * (1 + 2j)
        if dtype == "int64":
            return t.cov(input, **given)
        input.requires_grad_()
        made = input.cov(**given)
        return made, gradients(t, made, input)
    check(run, 1e-4)


def test_corrcoef():
    for rows in (TABLE, TABLE[0], TABLE * (1 + 1j)):
        def run(t, rows=rows):
            input = t.tensor(rows.astype(np.complex64 if rows.dtype.kind == "c" else np.float32),
                             requires_grad=True)
            made = t.corrcoef(input)
            return made, gradients(t, made, input)
        check(run, 1e-4)


@pytest.mark.parametrize("call", [
    lambda t: t.cov(t.ones(2, 3, 4)), lambda t: t.cov(t.ones(2, 3).bool()),
    lambda t: t.cov(t.ones(2, 3), fweights=t.ones(3)), lambda t: t.corrcoef(t.ones(1, 1, 1)),
    lambda t: t.cov(t.ones(2, 3), fweights=t.tensor([1, 2])),
    lambda t: t.cov(t.ones(2, 3), fweights=t.tensor([1, 2, -3])),
    lambda t: t.cov(t.ones(2, 3), aweights=t.tensor([1, 2, 3])),
    lambda t: t.cov(t.ones(2, 3), aweights=t.zeros(3)),
    lambda t: t.cov(t.ones(2, 3), aweights=t.ones(1, 3)),
])  # fmt: skip
def test_cov_errors(call):
    check_error(call)


def test_cov_without_freedom():
    import flashlight
    with pytest.warns(UserWarning, match="degrees of freedom"):
        flashlight.cov(flashlight.zeros(2, 1))


@pytest.mark.parametrize("call", [
    lambda t: t.bincount(t.tensor([3, 1, 1, 0])),
    lambda t: t.bincount(t.tensor([3, 1], dtype=t.uint8), minlength=6),
    lambda t: t.tensor([3, 1, 1]).bincount(t.tensor([0.5, 1, 2])),
    lambda t: t.bincount(t.tensor([3, 1, 1]), t.tensor([1, 2, 3])),
    lambda t: t.bincount(t.tensor([], dtype=t.int64), minlength=2),
])  # fmt: skip
def test_bincount(call):
    check(call)


@pytest.mark.parametrize("call", [
    lambda t: t.bincount(t.tensor([1.0])), lambda t: t.bincount(t.tensor([-1])),
    lambda t: t.bincount(t.tensor([[1]])), lambda t: t.bincount(t.tensor([1, 2]), t.ones(1)),
    lambda t: t.bincount(t.tensor([1, 2]), minlength=-1),
    lambda t: t.bincount(t.tensor([True])),
])  # fmt: skip
def test_bincount_errors(call):
    check_error(call)


VALUES = np.array([0.1, 0.5, 1.0, 1.0, 1.5, 2.0, -3.0, 0.30000001], np.float32)


@pytest.mark.parametrize("call", [
    lambda t: t.histc(t.tensor(VALUES), 7),
    lambda t: t.histc(t.tensor(VALUES), 5, 0, 2),
    lambda t: t.histc(t.ones(4), 4),
    lambda t: t.histc(t.tensor([1.0, nan]), 3, 0, 2),
    lambda t: t.histc(t.tensor(VALUES).bfloat16(), 9, -1, 1),
    lambda t: t.histogram(t.tensor(VALUES), 7),
    lambda t: t.histogram(t.tensor(VALUES), 10, range=(0.0, 1.0)),
    lambda t: t.histogram(t.tensor(VALUES), 4, weight=t.arange(8.0), density=True),
    lambda t: t.histogram(t.tensor(VALUES), t.tensor([0.0, 0.5, 1.0, 3.0])),
    lambda t: t.histogram(t.zeros(0), 3),
    lambda t: t.histogram(t.tensor(VALUES).double(), 6),
    lambda t: [*t.histogramdd(t.tensor(TABLE.T), 3)],
    lambda t: [*t.histogramdd(t.tensor(TABLE.T), [2, 3, 4], range=[-1.0, 1, -2, 2, 0, 1])],
    lambda t: [*t.histogramdd(t.tensor(TABLE[:2].T), (t.arange(3.0), t.arange(2.0)))],
    lambda t: [*t.histogramdd(t.tensor(TABLE.T), 3, weight=t.arange(6.0), density=True)],
])  # fmt: skip
def test_histograms(call):
    check(call)


@pytest.mark.parametrize("call", [
    lambda t: t.histc(t.tensor([1, 2])), lambda t: t.histc(t.ones(3), 0),
    lambda t: t.histc(t.ones(3), 3, 2, 1), lambda t: t.histc(t.tensor([1.0, inf]), 3),
    lambda t: t.histc(t.ones(3), 2.0), lambda t: t.histogram(t.ones(3), 0),
    lambda t: t.histogram(t.ones(3), t.ones(1, 2)),
    lambda t: t.histogram(t.ones(3), t.tensor([1, 2])),
    lambda t: t.histogram(t.ones(3), 4, range=(1.0, 0.0)),
    lambda t: t.histogram(t.ones(3), 4, weight=t.ones(3).double()),
    lambda t: t.histogram(t.tensor([1, 2]), 4),
    lambda t: t.histogram(t.tensor([1.0, nan]), 4),
    lambda t: t.histogramdd(t.ones(3, 2), [3]), lambda t: t.histogramdd(t.ones(3), 4),
    lambda t: t.histogramdd(t.ones(3, 2), 4, range=(0.0, 1.0)),
    lambda t: t.histogramdd(t.ones(3, 2), (t.ones(2),)),
])  # fmt: skip
def test_histogram_errors(call):
    check_error(call)


@pytest.mark.parametrize("options", [
    {}, {"spacing": 2}, {"dim": 1}, {"spacing": [2.0, 0.5]}, {"edge_order": 2},
    {"spacing": [[0, 1, 4], [1, 2, 4, 5, 7, 8]], "edge_order": 2},
    {"spacing": [[0, 1, 4]], "dim": 0},
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "int64", "complex64"])
def test_gradient(options, dtype):
    def run(t):
        given = dict(options)
        if isinstance(given.get("spacing"), list) and isinstance(given["spacing"][0], list):
            given["spacing"] = [t.tensor(x, dtype=t.float32) for x in given["spacing"]]
        input = t.tensor(np.round(TABLE * 4)).to(getattr(t, dtype))
        if dtype == "int64":
            return t.gradient(input, **given)
        input.requires_grad_()
        made = t.gradient(input, **given)
        return made, gradients(t, made, input)
    check(run)


@pytest.mark.parametrize("call", [
    lambda t: t.gradient(t.ones(1)), lambda t: t.gradient(t.ones(3, 4), edge_order=3),
    lambda t: t.gradient(t.ones(3, 4), spacing=[1.0, 2.0], dim=1),
    lambda t: t.gradient(t.ones(3, 4), dim=(0, 0)), lambda t: t.gradient(t.ones(3, 4), dim=5),
    lambda t: t.gradient(t.ones(2, 4), edge_order=2), lambda t: t.gradient(t.ones(3).bool()),
])  # fmt: skip
def test_gradient_errors(call):
    check_error(call)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", ["gcd", "lcm"])
def test_divisors(name, dtype):
    check(lambda t: getattr(t, name)(t.tensor([12, 0, 7, 36, 0, 5], dtype=getattr(t, dtype)),
                                     t.tensor([18, 4, 0, 48, 0, 1], dtype=getattr(t, dtype))))
    if dtype != "uint8":
        check(lambda t: getattr(t.tensor([-12, 9], dtype=getattr(t, dtype)), name)(
            t.tensor([[18], [-6]], dtype=getattr(t, dtype))))


def test_divisors_in_a_trace():
    import mlx.core as mx

    from flashlight._ops.integer import _gcd
    a, b = mx.array([12, -7, 0, 2**31 - 1, 1836311903]), mx.array([18, 49, 0, 2, 1134903170])
    assert mx.compile(_gcd)(a, b).tolist() == [6, 7, 0, 1, 1]


def test_divisors_in_place_and_errors():
    check(lambda t: t.tensor([12, 9]).gcd_(t.tensor([8, 6])))
    for name in ("gcd", "lcm"):
        check_error(lambda t, name=name: getattr(t, name)(t.ones(2), t.ones(2)))
        check_error(lambda t, name=name: getattr(t, name)(t.ones(2).bool(), t.ones(2).bool()))
