"""Making sparse tensors: from parts, of nothing, from diagonals; and what is refused."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

import flashlight
from tests.ops.side_by_side import assert_same

from .both import COO, ERRORS, EVERY, content, coo, csr, outcome, table


def agree(call, tolerance=None):
    """Compare what `call`, a function of a library, gives, or what class it raises."""
    (problem, expected), (ours, actual) = outcome(call, torch), outcome(call, flashlight)
    if problem is None and ours is None:
        assert_same(actual, expected, tolerance)
        return
    kin = isinstance(ours, type(problem)) or isinstance(problem, type(ours))
    assert problem is not None and kin, f"{ours or actual!r} is not {problem or expected!r}"


def _checked(l, *parts):
    """Make a COO tensor of parts that do not fit; PyTorch looks at them only when told to."""
    return l.sparse_coo_tensor(*parts, check_invariants=True)


def _part(l):
    return l.tensor([[0, 2], [1, 0]]), l.tensor([1.0, 2.0])


@pytest.mark.parametrize("call", [
    lambda l: l.sparse_coo_tensor([[0, 1], [1, 0]], [1, 2]), lambda l: l.sparse_coo_tensor((2, 3)),
    lambda l: l.sparse_coo_tensor(*_part(l)), lambda l: l.sparse_coo_tensor(*_part(l), (3, 4)),
    lambda l: l.sparse_coo_tensor(*_part(l), (3, 4), dtype=l.float64),
    lambda l: l.sparse_coo_tensor(*_part(l), (3, 4), is_coalesced=True, check_invariants=True),
    lambda l: l.sparse_coo_tensor(size=(2, 3), dtype=l.int32), lambda l: l.sparse_coo_tensor(3, 4),
    lambda l: l.sparse_coo_tensor(_part(l)[0].int(), _part(l)[1], requires_grad=True).requires_grad,
    lambda l: l.sparse_coo_tensor([[]], [], (3,)), lambda l: l.sparse_coo_tensor(l.zeros(1, 0), l.zeros(0)),
    lambda l: l.sparse_coo_tensor([[0], [1]], [[1.0, 2.0]]), lambda l: _checked(l, [[0, 5]], [1, 2], (3,)),
    lambda l: _checked(l, [[0, -1]], [1, 2], (3,)), lambda l: l.sparse_coo_tensor([[0, -1]], [1, 2]),
    lambda l: _checked(l, [[0, 1]], [1, 2, 3], (3,)), lambda l: _checked(l, [0, 1], [1, 2], (3,)),
    lambda l: l.sparse_coo_tensor([0, 1], [1, 2]), lambda l: _checked(l, [[0, 1]], [1, 2], (3, 4)),
    lambda l: _checked(l, [[0, 1]], [[1], [2]], (3, 4)), lambda l: _checked(l, [[0]], 1.0, (3,)),
    lambda l: l.sparse_coo_tensor([[1, 0]], [1, 2], (3,), is_coalesced=True, check_invariants=True),
    lambda l: l.sparse_coo_tensor([[0]], [1], (3,), layout=l.sparse_coo),
    lambda l: l.sparse_coo_tensor([[0]], l.ones(1).to_sparse(), (3,)),
    lambda l: _checked(l, [[0, 1]], [1, 2], (-3,)),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0]),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0], (2, 5), dtype=l.float64),
    lambda l: l.sparse_csr_tensor(crow_indices=[0, 1, 2], col_indices=[1, 0], values=[3, 4], size=(2, 2)),
    lambda l: l.sparse_csr_tensor(l.tensor([0, 1, 2]).int(), l.tensor([1, 0]).int(), l.ones(2)),
    lambda l: l.sparse_csr_tensor([[0, 1], [0, 1]], [[1], [0]], [[3.0], [4.0]]),
    lambda l: l.sparse_csc_tensor([0, 1, 2], [1, 0], [3.0, 4.0]),
    lambda l: l.sparse_bsr_tensor([0, 1, 2], [1, 0], l.ones(2, 2, 3)),
    lambda l: l.sparse_bsc_tensor([0, 1, 2], [1, 0], l.ones(2, 2, 3)),
    lambda l: l.sparse_bsr_tensor([0, 1, 2], [1, 0], l.ones(2, 2, 3), (4, 6)),
    lambda l: l.sparse_bsr_tensor([0, 1, 2], [1, 0], l.ones(2, 2, 3), (4, 7), check_invariants=True),
    lambda l: l.sparse_bsr_tensor([0, 1, 2], [1, 0], l.ones(2)),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.sparse_csr),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.sparse_csc),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], l.ones(2, 1, 2), layout=l.sparse_bsc),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.strided),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.sparse_coo),
    lambda l: l.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0]),
    lambda l: l.sparse_csr_tensor([0, 1, 3], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([1, 1, 2], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 2, 1], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 7], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 2, 2], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 2, 2], [1, 1], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csc_tensor([0, 2, 2], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0], (3, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0], (2, 2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([[0, 1, 2]], [1, 0], [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor(0, 1, [3.0, 4.0], (2, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor(l.tensor([0.0, 1]), l.tensor([0.0]), l.ones(1), (1, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor(l.tensor([0, 1]).int(), l.tensor([0]), l.ones(1), (1, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([[0, 1]], [[0], [1]], l.ones(1, 1), (1, 1, 2), check_invariants=True),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0]), lambda l: l.sparse_csr_tensor([0], [1], [1], (1, 1), 9),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.sparse_csc),
    lambda l: l.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=l.sparse_csr),
    lambda l: l.zeros(2, 3, layout=l.sparse_coo), lambda l: l.zeros(2, 3, layout=l.sparse_csr),
    lambda l: l.empty(2, 3, layout=l.sparse_coo), lambda l: l.empty(3, layout=l.sparse_csr),
    lambda l: l.empty(2, 3, layout=l.sparse_bsr), lambda l: l.ones(2, 3, layout=l.sparse_coo),
    lambda l: l.sparse.spdiags(table(l, 3, 4), l.tensor([0, -1, 2]), (4, 4)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1, -2]), (3, 5), layout=l.sparse_csr),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1, -2]), (3, 5), layout=l.sparse_csc),
    lambda l: l.sparse.spdiags(table(l, 4), l.tensor(1), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1, 1]), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1]), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1.0, 2.0]), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1, 2]), (3,)),
    lambda l: l.sparse.spdiags(table(l, 2, 2, 4), l.tensor([1, 2]), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([[1, 2]]), (3, 3)),
    lambda l: l.sparse.spdiags(table(l, 2, 4), l.tensor([1, 2]), (3, 3), layout=l.sparse_bsr),
    lambda l: l.sparse.FloatTensor(*_part(l)), lambda l: l.sparse.DoubleTensor(2, 3),
    lambda l: l.sparse.IntTensor(l.Size([2, 3])), lambda l: l.sparse.FloatTensor(),
    lambda l: l.sparse.FloatTensor(*_part(l), l.Size([4, 4])),
    lambda l: l.sparse.FloatTensor(size=3),
    lambda l: [l.sparse.FloatTensor.__name__, l.sparse.FloatTensor.dtype, l.sparse.FloatTensor.is_sparse][0::2],
    lambda l: [isinstance(coo(l), l.sparse.DoubleTensor), isinstance(csr(l), l.sparse.FloatTensor)],
    lambda l: l._validate_sparse_coo_tensor_args(*_part(l), (3, 3)),
    lambda l: l._validate_sparse_coo_tensor_args(*_part(l), (2, 2)),
    lambda l: l._validate_sparse_csr_tensor_args(l.tensor([0, 1]), l.tensor([0]), l.ones(1), (1, 1)),
    lambda l: l._validate_sparse_csr_tensor_args(l.tensor([0, 1]), l.tensor([3]), l.ones(1), (1, 1)),
    lambda l: l._validate_sparse_compressed_tensor_args(
        l.tensor([0, 1]), l.tensor([0]), l.ones(1), (1, 2), l.sparse_csc),
    lambda l: l.ones(2).values(), lambda l: l.ones(2).indices(), lambda l: l.ones(2).coalesce(),
    lambda l: l.ones(2).is_coalesced(), lambda l: l.ones(2).crow_indices(), lambda l: l.ones(2)._nnz(),
    lambda l: l.ones(2)._indices(), lambda l: [l.ones(2, 3).sparse_dim(), l.ones(2, 3).dense_dim()],
    lambda l: l.ones(2).sparse_mask(l.ones(2)), lambda l: l.ones(2, 3).sparse_mask(coo(l)),
    lambda l: l.ones(2, 2).to_sparse(0), lambda l: l.ones(2, 2).to_sparse(3), lambda l: l.tensor(1.0).to_sparse(),
    lambda l: l.ones(2, 2).to_dense(), lambda l: l.ones(2, 2).to_sparse(1),
    lambda l: l.ones(2, 2).to_sparse(layout=l.strided), lambda l: l.ones(2, 3, 4).to_sparse_csr(),
    lambda l: table(l, 2, 3, 4).to_sparse_csr(), lambda l: table(l, 4, 4, 2).to_sparse_bsr((2, 2), dense_dim=1),
    lambda l: l.ones(2, 3, 4).to_sparse_bsc((1, 2)), lambda l: l.ones(2, 2).to_sparse_bsr(1),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_construction(call):
    agree(call)


@pytest.mark.parametrize(("make", "how"), [
    pytest.param(make, how, id=f"{how}-{make.__name__}")
    for make in EVERY
    for how in ("pickle", "save", "repr", "copy", "deepcopy")
    if make in COO or how not in ("copy", "deepcopy")  # PyTorch cannot copy compressed ones
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_copies(make, how):
    def run(l):
        x = make(l).requires_grad_()
        if how == "repr":
            return [repr(x), repr(x.detach().double()), repr(x * 2).split("grad_fn")[0]]
        if how == "pickle":
            return pickle.loads(pickle.dumps(x.detach()))
        if how == "save":
            file = io.BytesIO()
            l.save({"x": x.detach()}, file)
            file.seek(0)
            return l.load(file)["x"]
        made = getattr(copy, how)(x)
        return [made, made.requires_grad, made is x]

    agree(run)


def test_a_copy_takes_the_gradient_along_and_refuses_history():
    def run(l):
        x = coo(l).requires_grad_()
        (x * x).sum().backward()
        made = copy.deepcopy(x)
        return [made.grad, made.grad is x.grad, *copy.deepcopy([x, x])]

    agree(run)
    agree(lambda l: copy.deepcopy(coo(l).requires_grad_() * 2))


def test_files_go_both_ways():
    for make in EVERY:
        file = io.BytesIO()
        torch.save(make(torch), file)
        file.seek(0)
        assert_same(content(flashlight.load(file)), content(make(torch)))


@pytest.mark.parametrize("call", [
    lambda l, out: l.mm(coo(l), table(l, 6, 3), out=out), lambda l, out: l.add(coo(l), coo(l), out=out),
    lambda l, out: l.sin(coo(l), out=out), lambda l, out: l.mul(coo(l), 2, out=out),
    lambda l, out: l.sin(csr(l), out=out), lambda l, out: l.mul(csr(l), 2, out=out),
])  # fmt: skip
@pytest.mark.parametrize("out", [
    lambda l: l.zeros(4, 3), lambda l: l.zeros(4, 6), lambda l: l.zeros(4, 6).to_sparse(),
    lambda l: l.zeros(4, 6).to_sparse_csr(),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_out(call, out):
    def run(l):
        target = out(l)
        return [call(l, target) is target, target]

    problem, expected = outcome(run, torch)
    ours, actual = outcome(run, flashlight)
    if problem is None:
        assert ours is None, ours
        assert_same(actual, expected)
    else:
        assert ours is None or isinstance(ours, ERRORS)


def test_the_switch_for_checks():
    def run(l):
        switch = l.sparse.check_sparse_tensor_invariants
        found = [switch.is_enabled()]

        def unsorted():
            try:
                l.sparse_csr_tensor([0, 2], [1, 0], [1.0, 2.0], (1, 2))
            except RuntimeError:
                return "refused"
            return "made"

        with switch():
            found += [switch.is_enabled(), unsorted()]
            with switch(False):
                found += [switch.is_enabled(), unsorted()]
        switch.enable()
        found += [unsorted()]
        switch.disable()
        found += [unsorted(), switch()(unsorted)(), unsorted()]
        active = switch()
        with active:
            try:
                active.__enter__()
            except RuntimeError as error:
                found.append(str(error))
        return [*found, switch.is_enabled()]

    agree(run)
