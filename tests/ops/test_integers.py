"""Integers, booleans and complex numbers where their rules differ from those of floats."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import torch

import flashlight

WHOLE = ("bool", "uint8", "int8", "int16", "int32", "int64")


def same(run):
    """Check that `run`, given either library, gives the same dtype and values, or error class."""
    found = []
    for library in (torch, flashlight):
        try:
            result = run(library)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            found.append((None, type(error)))
        else:
            found.append((str(result.dtype), result.tolist()))
    assert found[0] == found[1]


def whole(library, kind, *shape, start=1):
    count = int(np.prod(shape))
    return (library.arange(start, start + count) % 7).reshape(shape).to(getattr(library, kind))


@pytest.mark.parametrize("name", ["sum", "prod", "nansum", "cumsum", "cumprod"])
@pytest.mark.parametrize("kind", ["bool", "int32", "int64"])
def test_sums_and_products_in_a_dtype(name, kind):
    for wanted in (*WHOLE, "float32"):
        def given(library, wanted=wanted):
            x = library.tensor([[0, 100, 100], [3, 5, 200]]).to(getattr(library, kind))
            return getattr(library, name)(x, 1, dtype=getattr(library, wanted))
        same(given)

        def into(library, wanted=wanted):
            x = library.tensor([[0, 100, 100], [3, 5, 200]]).to(getattr(library, kind))
            out = library.empty(0, dtype=getattr(library, wanted))
            return getattr(library, name)(x, 1, out=out)
        same(into)


@pytest.mark.parametrize("kind", WHOLE)
def test_factors_of_sums_of_products(kind):
    for beta, alpha in ((1, 1), (0.6, 1), (1, 2.7), (0, 3), (True, 1), (2, True)):
        factors = {"beta": beta, "alpha": alpha}

        def addmm(t, factors=factors):
            a, b, c = (whole(t, kind, *shape) for shape in ((2, 2), (2, 3), (3, 2)))
            return t.addmm(a, b, c, **factors)

        def addbmm(t, factors=factors):
            a, b, c = (whole(t, kind, *shape) for shape in ((2, 2), (2, 2, 3), (2, 3, 2)))
            return t.addbmm(a, b, c, **factors)

        def addr(t, factors=factors):
            return t.addr(whole(t, kind, 2, 3), whole(t, kind, 2), whole(t, kind, 3), **factors)
        same(addmm)
        same(addbmm)
        same(addr)


def test_addr_promotes():
    kinds = ("bool", "int32", "int64", "float32")
    for a, b, c in itertools.product(kinds, repeat=3):
        same(lambda t, a=a, b=b, c=c: t.addr(whole(t, a, 2, 3), whole(t, b, 2), whole(t, c, 3)))


@pytest.mark.parametrize("kind", [*WHOLE[1:], "float16", "bfloat16", "float32", "float64"])
def test_ranges(kind):
    for ends in ((0, 5, 1.5), (0.5, 4.7), (-2.5, 2.5), (5.9, 0.1, -1.7), (0, 10, 0.5), (0.3, 9.7, 0.1)):
        same(lambda t, ends=ends: t.arange(*ends, dtype=getattr(t, kind)))
    for start, end, steps in ((-3, 3, 7), (5, -4, 6), (4.3, -3, 50), (-2.7, 8.9, 5), (0, 1, 1), (2, 9, 0)):
        def run(t, start=start, end=end, steps=steps):
            return t.linspace(start, end, steps, dtype=getattr(t, kind))
        same(run)


def test_results_of_booleans():
    same(lambda t: t.tensor([True, False]).square())
    same(lambda t: t.tensor([True, False]).sum_to_size(1))
    same(lambda t: t.tensor(True).sum_to_size(()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PyTorch uses libstdc++ there")
@pytest.mark.parametrize("kind", ["bool", "int64", "float32"])
def test_ties(kind):
    values = np.random.default_rng(0).integers(0, 4, (3, 90))
    for name, args in (
        ("topk", (5,)), ("topk", (1,)), ("kthvalue", (40,)), ("mode", ()), ("sort", ())
    ):  # fmt: skip
        missing = kind == "bool" and name in ("topk", "kthvalue")
        if missing or kind == "float32" and name == "sort":
            continue

        def run(t, name=name, args=args):
            return getattr(t.tensor(values.tolist()).to(getattr(t, kind)), name)(*args).indices
        same(run)


def complex_matrix(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def test_complex_pivots():
    rng = np.random.default_rng(1)
    for _ in range(5):
        a = complex_matrix(rng, 6, 6)
        b = a + a.T
        for name, matrix in (("lu_factor", a), ("ldl_factor", b)):
            wanted = getattr(torch.linalg, name)(torch.tensor(matrix))
            found = getattr(flashlight.linalg, name)(flashlight.tensor(matrix))
            assert found[1].tolist() == wanted[1].tolist()
            np.testing.assert_allclose(found[0].numpy(), wanted[0].numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("upper", [False, True])
def test_gradient_of_a_complex_cholesky_factor(upper):
    rng = np.random.default_rng(2)
    a, g = complex_matrix(rng, 4, 4), complex_matrix(rng, 4, 4)
    a = a @ a.conj().T + 4 * np.eye(4, dtype=np.complex64)
    found = []
    for library in (torch, flashlight):
        x = library.tensor(a, requires_grad=True)
        library.linalg.cholesky(x, upper=upper).backward(library.tensor(g))
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_residuals_are_real():
    rng = np.random.default_rng(3)
    a, b = complex_matrix(rng, 3, 3), complex_matrix(rng, 3, 2)
    for library in (torch, flashlight):
        found = library.linalg.lstsq(library.tensor(a), library.tensor(b))
        assert str(found.residuals.dtype) == "torch.float32"
