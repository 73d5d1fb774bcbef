"""einsum against PyTorch: equations, sublists, gradients, views and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flashlight

_random = np.random.default_rng(0)

EQUATIONS = [
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bij,bjk->ikb", (5, 2, 3), (5, 3, 4)),
    ("ij,kj->ikj", (2, 3), (4, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iji->j", (3, 2, 3)),
    ("iii->i", (2, 2, 2)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
    ("...ij,jk", (2, 2, 3), (3, 2)),
    ("i...->...", (2, 3, 4)),
    ("...->", (2, 3)),
    ("i...j->ij", (2, 3, 4)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    ("ij,ij->i", (2, 1), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ij,ik,il->jkl", (2, 3), (2, 4), (2, 2)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("a , b c -> c a b", (2,), (3, 4)),
    (",ij", (), (2, 3)),
    ("", ()),
    ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,jk->ik", (0, 3), (3, 2)),
    ("ij,jk->ik", (2, 0), (0, 2)),
    ("aB,Bc", (2, 3), (3, 2)),
]


def _both(shape, dtype=np.float32, grad=True):
    values = _random.standard_normal(shape).astype(dtype)
    if dtype == np.complex64:
        values = (values + 1j * _random.standard_normal(shape)).astype(dtype)
    ours, theirs = flashlight.tensor(values), torch.tensor(values)
    return ours.requires_grad_(grad), theirs.requires_grad_(grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in EQUATIONS])
def test_values_and_gradients(equation, shapes, dtype):
    pairs = [_both(shape, dtype) for shape in shapes]
    ours = flashlight.einsum(equation, *[a for a, _ in pairs])
    theirs = torch.einsum(equation, *[b for _, b in pairs])
    assert tuple(ours.shape) == tuple(theirs.shape)
    if theirs.is_contiguous():
        assert ours.is_contiguous()
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().resolve_conj().numpy(),
                               tolerance, tolerance)
    (ours * ours.detach()).sum().abs().backward()
    (theirs * theirs.detach()).sum().abs().backward()
    for a, b in pairs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.resolve_conj().numpy(),
                                   10 * tolerance, 10 * tolerance)


def test_sublists():
    (a, ta), (b, tb) = _both((2, 3), grad=False), _both((3, 4), grad=False)
    for made, wanted in [
        (
            flashlight.einsum(a, [0, 1], b, [1, 2], [2, 0]),
            torch.einsum(ta, [0, 1], tb, [1, 2], [2, 0]),
        ),
        (flashlight.einsum(a, [7, 3], b, [3, 30]), torch.einsum(ta, [7, 3], tb, [3, 30])),
        (flashlight.einsum(a, [..., 1], [1, ...]), torch.einsum(ta, [..., 1], [1, ...])),
        (flashlight.einsum("ij,jk", [a, b]), torch.einsum("ij,jk", [ta, tb])),
    ]:
        np.testing.assert_allclose(made.numpy(), wanted.numpy(), 1e-5, 1e-6)


def test_one_operand_gives_a_view():
    a = flashlight.zeros(3, 3)
    for equation in ("ij->ji", "ii->i", "ij"):
        view = flashlight.einsum(equation, a)
        assert view._base is a
    view.fill_(2)
    assert a.sum().item() == 18


@pytest.mark.parametrize("equation", ["ij->i", "ij->ij", "ij,i->i", "ij,ij->"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_dtype_of_integers(equation, dtype):
    def run(library):
        kind = getattr(library, dtype)
        operands = [library.ones(*(2,) * len(term), dtype=kind)
                    for term in equation.split("->")[0].split(",")]
        made = library.einsum(equation, *operands)
        return str(made.dtype), made.tolist()
    assert run(flashlight) == run(torch)


ERRORS = [
    ("ij,jk", 1), ("ij", 2), ("i", 1), ("ij->kk", 1), ("ij->ii", 1), ("i1", 1), ("ii", 1),
    ("ij,ij", 2),
    ("...ijk", 1), ("..i", 1), ("i.j", 1), ("i...j...", 1), ("ij->.", 1), ("ij->i...j...", 1),
    ("ij->ij->", 1), ("", 0), ("ij->i,j", 1), ("ij-i", 1), ("ij->i>", 1), (5, 1),
]  # fmt: skip


@pytest.mark.parametrize("equation, count", ERRORS)
def test_errors(equation, count):
    shapes = [(2, 3), (3, 4)][:count]

    def error(library):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
            library.einsum(equation, *[library.zeros(*shape) for shape in shapes])
        return type(caught.value), str(caught.value)
    assert error(flashlight) == error(torch)


def test_sublist_out_of_range():
    with pytest.raises(ValueError, match="valid range"):
        flashlight.einsum(flashlight.zeros(2, 3), [0, 52])
