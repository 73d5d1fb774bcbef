"""Arguments that PyTorch refuses, and the corners beside them that it takes."""

from __future__ import annotations

import pytest
import torch

import flashlight

from .side_by_side import check


def _table(t):
    return t.arange(12.0).reshape(3, 4)


def _long(t, *values):
    return t.tensor(list(values))


REFUSED = [
    # gather, scatter and their kin
    lambda t: _table(t).gather(0, t.ones(1, 4)), lambda t: _table(t).gather(0, _long(t, 0)),
    lambda t: _table(t).gather(0, _long(t, 9).reshape(1, 1)),
    lambda t: _table(t).gather(1, t.zeros(9, 1, dtype=t.long)),
    lambda t: _table(t).scatter(0, t.zeros(1, 4), 1.0),
    lambda t: _table(t).scatter(0, _long(t, 0).reshape(1, 1), t.ones(1, 1), reduce="mean"),
    lambda t: _table(t).scatter(0, _long(t, 0).reshape(1, 1), t.ones(1, 1).double()),
    lambda t: _table(t).scatter_reduce(0, _long(t, 0).reshape(1, 1), t.ones(1, 1), "odd"),
    lambda t: _table(t).index_select(0, _long(t, 0).reshape(1, 1)),
    lambda t: _table(t).index_select(0, _long(t, 9)), lambda t: _table(t).index_select(0, t.ones(1)),
    lambda t: _table(t).index_add(0, _long(t, 0, 1), t.ones(1, 4)),
    lambda t: _table(t).index_add(0, _long(t, 0), t.ones(1, 3)),
    lambda t: _table(t).index_add(0, _long(t, 0).reshape(1, 1), t.ones(1, 4)),
    lambda t: _table(t).index_add(0, _long(t, 0), t.ones(1, 4).double()),
    lambda t: _table(t).index_copy(0, _long(t, 0, 1), t.ones(1, 4)),
    lambda t: _table(t).index_copy(0, t.ones(1), t.ones(1, 4)),
    lambda t: _table(t).index_copy(0, _long(t, 0), t.ones(1, 4).double()),
    lambda t: _table(t).index_fill(0, t.ones(1), 1.0), lambda t: _table(t).index_fill(0, _long(t, 9), 1),
    lambda t: _table(t).index_fill(0, _long(t, 0).reshape(1, 1), 1.0),
    lambda t: _table(t).index_fill(0, _long(t, 0), t.ones(2)),
    lambda t: _table(t).index_reduce(0, _long(t, 0), t.ones(1, 4), "sum"),
    lambda t: _table(t).index_reduce(0, _long(t, 0, 1), t.ones(1, 4), "prod"),
    lambda t: _table(t).index_reduce(0, _long(t, 0).reshape(1, 1), t.ones(1, 4), "prod"),
    lambda t: _table(t).index_reduce(0, _long(t, 0), t.ones(1, 4).double(), "prod"),
    lambda t: _table(t).take(t.ones(1)), lambda t: t.zeros(0).take(_long(t, 0)),
    lambda t: _table(t).take(_long(t, 99)), lambda t: _table(t).put_(t.ones(1), t.ones(1)),
    lambda t: _table(t).put_(_long(t, 0, 1), t.ones(3)), lambda t: _table(t).put_(_long(t, 0), t.ones(1).int()),
    lambda t: t.zeros(0).put_(_long(t, 0), t.ones(1)),
    lambda t: t.take_along_dim(_table(t), t.ones(3, 1), 1),
    lambda t: t.take_along_dim(_table(t), _long(t, 0), 1),
    lambda t: t.repeat_interleave(_long(t, 1, -1)), lambda t: t.repeat_interleave(t.ones(1, 2).long()),
    lambda t: _table(t).repeat_interleave(t.ones(3), 0), lambda t: _table(t).repeat_interleave(-1),
    lambda t: _table(t).repeat_interleave(_long(t, 1, 2), 0),
    lambda t: _table(t).repeat_interleave(t.ones(3, 1).long(), 0),
    # indexing
    lambda t: _table(t)[0, 0, 0], lambda t: t.tensor(1.0)[0], lambda t: _table(t)[5],
    lambda t: _table(t)[t.ones(2)], lambda t: _table(t)[::-1],
    lambda t: _table(t)[_long(t, 9)], lambda t: _table(t)[t.ones(2, dtype=t.bool)],
    lambda t: _table(t)[_long(t, 0, 1), _long(t, 0, 1, 2)], lambda t: _table(t)[0.5],
    lambda t: _table(t)[1.5:], lambda t: _table(t).__setitem__(0, "a"),
    lambda t: _table(t).__setitem__(0, t.ones(3)), lambda t: _table(t).__setitem__(_long(t, 0), t.ones(3, 4)),
    lambda t: _table(t).index_put((_long(t, 0),), t.ones(1).double()),
    lambda t: _table(t).index_put((_long(t, 0),) * 3, t.ones(1)),
    lambda t: _table(t).index_put((t.ones(1),), t.ones(1)), lambda t: t.unravel_index(_long(t, 1), 2.5),
    # order
    lambda t: _table(t).topk(9), lambda t: _table(t).kthvalue(9), lambda t: t.zeros(0).median(0),
    lambda t: t.zeros(2, 0).mode(), lambda t: t.zeros(2, 0).kthvalue(1), lambda t: t.zeros(0).quantile(0.5),
    lambda t: _table(t).quantile(1.5), lambda t: _table(t).quantile(t.ones(1, 1)),
    lambda t: _table(t).quantile(t.tensor(0.5).double()), lambda t: _table(t).long().quantile(0.5),
    lambda t: _table(t).quantile(0.5, interpolation="odd"),
    lambda t: t.searchsorted(_table(t), t.ones(2, 1)), lambda t: t.bucketize(1.0, _table(t)),
    lambda t: t.searchsorted(t.arange(3.0), t.ones(1), side="middle"),
    lambda t: t.searchsorted(t.arange(3.0), t.ones(1), right=True, side="left"),
    lambda t: t.searchsorted(t.arange(3.0), t.ones(1), sorter=t.arange(2)),
    lambda t: t.searchsorted(t.arange(3.0), t.ones(1), sorter=t.arange(3.0)),
    lambda t: t.searchsorted(t.arange(3.0), t.ones(1), sorter=_long(t, 0, 1, 9)),
    lambda t: t.isin(1, 2), lambda t: t.ones(2, 2).sort(5), lambda t: t.argsort(t.ones(2) * 1j),
    # products
    lambda t: t.mm(t.ones(2), t.ones(2, 2)), lambda t: t.mm(t.ones(2, 2), t.ones(2)),
    lambda t: t.mm(t.ones(2, 3), t.ones(2, 3)), lambda t: t.mm(t.ones(2, 2), t.ones(2, 2).double()),
    lambda t: t.bmm(t.ones(2, 2), t.ones(2, 2, 2)), lambda t: t.bmm(t.ones(2, 2, 2), t.ones(3, 2, 2)),
    lambda t: t.matmul(t.ones(()), t.ones(2)), lambda t: t.matmul(t.ones(3), t.ones(2)),
    lambda t: t.matmul(t.ones(2, 3), t.ones(2)), lambda t: t.matmul(t.ones(2, 2, 3), t.ones(3, 3, 2)),
    lambda t: t.mv(t.ones(2), t.ones(2)), lambda t: t.mv(t.ones(2, 3), t.ones(2)),
    lambda t: t.dot(t.ones(2, 2), t.ones(2)), lambda t: t.dot(t.ones(2), t.ones(3)),
    lambda t: t.outer(t.ones(2, 2), t.ones(2)), lambda t: t.addr(t.ones(3, 3), t.ones(2), t.ones(2)),
    lambda t: t.addmm(t.ones(5), t.ones(2, 3), t.ones(3, 4)),
    lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 2)),
    lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 3).double()),
    lambda t: t.tensordot(t.ones(2, 3), t.ones(2, 3), dims=1), lambda t: t.tensordot(t.ones(2), t.ones(2), -1),
    lambda t: t.tensordot(t.ones(2), t.ones(2), 3),
    lambda t: t.linalg.multi_dot([t.ones(2)]), lambda t: t.linalg.multi_dot([t.ones(2, 2, 2), t.ones(2)]),
    lambda t: t.linalg.multi_dot([t.ones(2), t.ones(2, 2, 2), t.ones(2)]),
    lambda t: t.linalg.multi_dot([t.ones(2, 3), t.ones(2, 3)]),
    lambda t: t.linalg.multi_dot([t.ones(2), t.ones(2).double()]),
    # linear algebra
    lambda t: t.linalg.vector_norm(t.zeros(0), float("inf")), lambda t: t.linalg.matrix_norm(t.ones(2)),
    lambda t: t.linalg.matrix_norm(t.ones(2, 2), 3), lambda t: t.linalg.matrix_norm(t.ones(2, 2), "odd"),
    lambda t: t.linalg.matrix_norm(t.ones(2, 2), 2, (0, 0)),
    lambda t: t.linalg.norm(t.ones(2, 2, 2), 1), lambda t: t.ones(2, 2).renorm(-1, 0, 1),
    lambda t: t.ones(2, 2).renorm(1, 0, -1), lambda t: t.linalg.matrix_power(t.ones(2, 3), 2),
    lambda t: t.linalg.matrix_exp(t.ones(2, 3)), lambda t: t.linalg.cond(t.ones(2, 3), 1),
    lambda t: t.linalg.pinv(t.ones(2, 3), hermitian=True), lambda t: t.linalg.inv(t.zeros(2, 2)),
    lambda t: t.linalg.inv(t.ones(2, 3)), lambda t: t.linalg.solve(t.zeros(2, 2), t.ones(2)),
    lambda t: t.linalg.solve(t.ones(2, 2), t.ones(3)), lambda t: t.linalg.cholesky(-t.eye(2)),
    lambda t: t.linalg.solve(t.ones(2, 2).long(), t.ones(2).long()), lambda t: t.linalg.det(t.ones(2, 3)),
    lambda t: t.linalg.solve_triangular(t.ones(2, 2), t.ones(3, 1), upper=True),
    lambda t: t.linalg.solve_triangular(t.ones(2, 3), t.ones(2, 1), upper=True),
    lambda t: t.triangular_solve(t.ones(2), t.ones(2, 2)), lambda t: t.linalg.lu_solve(
        t.ones(2, 2), t.ones(3).int(), t.ones(2, 1)),
    lambda t: t.linalg.lu_solve(t.ones(2, 2), t.ones(2), t.ones(2, 1)),
    lambda t: t.linalg.lu_solve(t.ones(2, 3), t.ones(2).int(), t.ones(2, 1)),
    lambda t: t.linalg.lstsq(t.ones(2, 2), t.tensor(1.0)), lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(2, 1)),
    lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(3, 1).double()),
    lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(3, 1), driver="odd"), lambda t: t.linalg.tensorinv(t.ones(2, 2), 0),
    lambda t: t.linalg.tensorinv(t.ones(2, 3), 1), lambda t: t.linalg.tensorsolve(t.ones(2, 3), t.ones(2)),
    lambda t: t.linalg.cross(t.ones(2), t.ones(2)), lambda t: t.cross(t.ones(2), t.ones(2)),
    lambda t: t.linalg.vander(t.ones(3), N=1), lambda t: t.vander(t.ones(3, 3)),
    # making and converting
    lambda t: t.zeros("a"), lambda t: t.zeros(2, odd=1), lambda t: t.zeros(-1), lambda t: t.tensor(object()),
    lambda t: t.tensor([1, [2]]), lambda t: t.tensor([[1, 2], [3]]), lambda t: t.tensor({"a": 1}),
    lambda t: t.tensor(300, dtype=t.uint8), lambda t: t.as_tensor("a"),
    lambda t: t.eye(2.5), lambda t: t.frombuffer(b"", dtype=t.int8),
    lambda t: t.frombuffer(bytearray(8), dtype=t.int64, count=3),
    lambda t: t.frombuffer(bytearray(8), dtype=t.int64, offset=9), lambda t: t.asarray([1], copy=False),
    lambda t: t.ones(2).to("odd"), lambda t: t.ones(2).type("odd"), lambda t: t.ones(2).to(memory_format=t.channels_last),
    lambda t: t.ones(2).fill_(t.ones(2)), lambda t: t.ones(2).item(),
    lambda t: setattr(t.ones(2), "data", 3), lambda t: t.ones(2, requires_grad=True).numpy(),
    lambda t: t.ones(2, requires_grad=True).resize_(3), lambda t: t.ones(2, requires_grad=True).__dlpack__(),
    lambda t: t.ones(2).as_subclass(int), lambda t: t.ones(2, 3).view(4),
    # networks
    lambda t: t.nn.functional.embedding(_long(t, 0), t.ones(2, 3), padding_idx=5),
    lambda t: t.nn.functional.embedding(_long(t, 0), t.ones(2, 3), padding_idx=-5),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0), t.ones(2, 3)),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0), t.ones(2, 3), t.zeros(1, 1).long()),
    lambda t: t.nn.functional.embedding_bag(t.ones(1, 1).long(), t.ones(2, 3), _long(t, 0)),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0), t.ones(2, 3), _long(t, 0), mode="odd"),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0), t.ones(2, 3), _long(t, 1)),
    lambda t: t.nn.functional.embedding_bag(t.ones(1, 1, 1).long(), t.ones(2, 3)),
    lambda t: t.nn.functional.embedding_bag(
        _long(t, 0), t.ones(2, 3), _long(t, 0), mode="max", per_sample_weights=t.ones(1)),
    lambda t: t.nn.functional.embedding_bag(
        _long(t, 0), t.ones(2, 3), _long(t, 0), mode="sum", per_sample_weights=t.ones(2)),
    lambda t: t.nn.functional.one_hot(t.ones(2)), lambda t: t.nn.functional.one_hot(t.zeros(0).long()),
    lambda t: t.nn.functional.one_hot(_long(t, -1)), lambda t: t.nn.functional.one_hot(_long(t, 3), 2),
    lambda t: t.nn.functional.one_hot(_long(t, 0), 0),
    # settings
    lambda t: t.set_deterministic_debug_mode("odd"),
    lambda t: t.set_deterministic_debug_mode(9), lambda t: t.set_deterministic_debug_mode([]),
    lambda t: t.optim.SGD([t.ones(1)], lr=-1), lambda t: t.optim.LBFGS([t.ones(1)], lr=-1),
    lambda t: t.compiler.substitute_in_graph(3),
]  # fmt: skip


@pytest.mark.parametrize("call", REFUSED, ids=map(str, range(len(REFUSED))))
@pytest.mark.filterwarnings("ignore")
def test_refused(call):
    problems = []
    for library in (flashlight, torch):
        with pytest.raises(Exception) as caught:
            call(library)
        problems.append({kind.__name__.lstrip("_") for kind in caught.type.__mro__})
    ours, theirs = problems
    assert ours >= theirs - {"LinAlgError"} or theirs > ours, f"{ours}, PyTorch: {theirs}"


TAKEN = [
    lambda t: _table(t).scatter(0, _long(t, 0, 1).reshape(1, 2), 2.0, reduce="multiply"),
    lambda t: _table(t).scatter(0, _long(t, 0, 1).reshape(1, 2), t.ones(1, 2), reduce="add"),
    lambda t: _table(t).scatter(0, t.zeros(0, 4).long(), 2.0), lambda t: _table(t).gather(0, t.zeros(0, 4).long()),
    lambda t: _table(t).index_fill(0, t.zeros(0).long(), 2.0), lambda t: _table(t).take(t.zeros(0).long()),
    lambda t: _table(t).put(_long(t, 0, 0, -1), t.ones(3), accumulate=True), lambda t: _table(t).put(
        _long(t, 3, -1), t.tensor([7.0, 8.0])), lambda t: t.take_along_dim(_table(t), _long(t, 3, 1)),
    lambda t: t.repeat_interleave(_long(t, 2, 0, 1)), lambda t: _table(t).repeat_interleave(_long(t, 2, 0, 1), 0),
    lambda t: t.tensor(2.0).repeat_interleave(3), lambda t: _table(t).repeat_interleave(_long(t, 2), 1),
    lambda t: _table(t).index_reduce(0, _long(t, 0, 0), t.ones(2, 4), "mean", include_self=False),
    lambda t: _table(t).int().index_reduce(0, _long(t, 0, 2), t.ones(2, 4).int() * 5, "amax"),
    lambda t: (_table(t) > 5).scatter_add(0, t.zeros(1, 4).long(), t.ones(1, 4) > 0),
    lambda t: _table(t)[None, ..., 1], lambda t: _table(t)[True], lambda t: _table(t)[t.tensor(1):],
    lambda t: _table(t)[:, [2, 0]], lambda t: _table(t)[t.tensor(True), 1], lambda t: _table(t)[_long(t, 1), None],
    lambda t: t.nonzero(t.tensor(3.0)), lambda t: _table(t).nonzero(as_tuple=True), lambda t: t.tensor(0).nonzero(),
    lambda t: t.argwhere(_table(t) > 6), lambda t: t.tensor(3.0).sort(), lambda t: t.tensor(3.0).topk(1),
    lambda t: t.tensor(3.0).kthvalue(1), lambda t: t.tensor(3.0).median(), lambda t: t.tensor(3.0).mode(),
    lambda t: t.tensor(3.0).median(0), lambda t: _table(t).topk(0), lambda t: t.zeros(0).median(),
    lambda t: t.zeros(0, 3).sort(0), lambda t: t.zeros(0, 3).kthvalue(2, 1), lambda t: _table(t).quantile(
        t.tensor([0.1, 0.6]), 1, True), lambda t: _table(t).quantile(0.3, interpolation="lower"),
    lambda t: _table(t).quantile(0.3, 0, interpolation="higher"), lambda t: _table(t).nanquantile(0.3, keepdim=True),
    lambda t: _table(t).quantile(0.3, 1, interpolation="nearest"), lambda t: _table(t).quantile(
        t.tensor([0.2, 0.7]), interpolation="midpoint"), lambda t: t.searchsorted(_table(t), _table(t) + 0.5),
    lambda t: t.searchsorted(t.tensor([3.0, 1.0, 2.0]), t.tensor([1.5]), sorter=_long(t, 1, 2, 0)),
    lambda t: t.searchsorted(t.arange(4.0), 1.5), lambda t: t.searchsorted(t.arange(4.0), t.ones(2), side="right"),
    lambda t: t.bucketize(_table(t), t.arange(0, 9, 2.0), out_int32=True, right=True),
    lambda t: t.isin(_table(t), 3), lambda t: t.isin(3.0, _table(t)), lambda t: t.isin(_table(t), t.zeros(0)),
    lambda t: t.isin(_table(t), t.tensor([1.0, 5.0]), invert=True, assume_unique=True),
    lambda t: t.unique(_long(t, 3, 1, 3), return_inverse=True, return_counts=True),
    lambda t: t.unique(_table(t).long() % 2, dim=1, return_counts=True),
    lambda t: t.unique_consecutive(_long(t, 1, 1, 2, 1), return_inverse=True, return_counts=True),
    lambda t: t.unique_consecutive(t.zeros(0), return_counts=True),
    lambda t: t.matmul(t.arange(3), t.arange(3)), lambda t: t.matmul(t.arange(3), t.arange(6).reshape(3, 2)),
    lambda t: t.matmul(t.arange(6).reshape(2, 3), t.arange(3)), lambda t: t.mm(t.zeros(2, 0).long(), t.zeros(0, 3).long()),
    lambda t: t.tensordot(t.ones(2, 1), t.ones(3, 2), ([1, 0], [0, 1])), lambda t: t.tensordot(
        _table(t), _table(t), 0), lambda t: t.chain_matmul(_table(t), _table(t).t()),
    lambda t: t.linalg.multi_dot([t.arange(3.0), _table(t), t.arange(4.0)]),
    lambda t: t.linalg.matrix_power(t.tensor([[2.0, 1], [1, 3]]), 5),
    lambda t: t.linalg.matrix_power(t.tensor([[2.0, 1], [1, 3]]), -3),
    lambda t: t.linalg.matrix_power(t.zeros(0, 2, 2), 3), lambda t: t.linalg.matrix_exp(t.zeros(0, 0)),
    lambda t: t.linalg.matrix_exp(t.tensor([[3.0, 9], [-2, 12]])), lambda t: t.linalg.cond(t.tensor([[2.0, 1], [1, 3]]), 1),
    lambda t: t.linalg.cond(t.zeros(2, 2), "fro"), lambda t: t.linalg.cond(t.zeros(0, 2, 2)),
    lambda t: t.linalg.matrix_norm(_table(t), 1, keepdim=True), lambda t: t.linalg.matrix_norm(_table(t), -1),
    lambda t: t.linalg.matrix_norm(_table(t), float("inf"), (1, 0)), lambda t: t.linalg.matrix_norm(_table(t), "nuc"),
    lambda t: t.linalg.matrix_norm(t.arange(24.0).reshape(2, 3, 4), -2, (2, 0), keepdim=True),
    lambda t: t.linalg.norm(_table(t), 2), lambda t: t.linalg.norm(_table(t), 1, (0, 1)),
    lambda t: t.linalg.matrix_rank(_table(t), tol=20.0), lambda t: t.linalg.matrix_rank(_table(t), atol=t.tensor(20.0)),
    lambda t: t.linalg.matrix_rank(t.eye(3), hermitian=True), lambda t: t.linalg.matrix_rank(t.zeros(0, 0)),
    lambda t: t.linalg.pinv(t.zeros(2, 0)), lambda t: t.linalg.pinv(_table(t), rcond=0.2),
    lambda t: t.linalg.inv_ex(t.zeros(2, 2))[1], lambda t: t.linalg.solve_ex(t.zeros(2, 2), t.ones(2))[1],
    lambda t: t.linalg.solve(t.tensor([[2.0, 1], [1, 3]]), _table(t)[:2].t(), left=False),
    lambda t: t.linalg.solve(t.zeros(0, 0), t.zeros(0, 3)),
    lambda t: t.linalg.lu_solve(*t.linalg.lu_factor(t.tensor([[2.0, 1], [1, 3]])), t.ones(2, 2), left=False),
    lambda t: t.linalg.slogdet(t.tensor([[2.0, 1], [1, 3]])), lambda t: t.slogdet(t.eye(2) * -3),
    lambda t: t.linalg.det(t.zeros(3, 0, 0)), lambda t: t.linalg.vander(t.arange(4.0), N=3),
    lambda t: t.linalg.vander(t.arange(4)), lambda t: t.vander(t.arange(3.0), 4, increasing=True),
    lambda t: t.vander(t.arange(3)), lambda t: t.vander(t.arange(3.0), 0), lambda t: t.linalg.tensorinv(
        t.eye(6).reshape(6, 2, 3) * 2, 1), lambda t: t.linalg.tensorsolve(t.eye(6).reshape(2, 3, 6) * 2, t.ones(2, 3)),
    lambda t: t.zeros(size=(2,)), lambda t: t.zeros(t.tensor(2), 3), lambda t: t.full((2,), t.tensor(3)),
    lambda t: t.full_like(_table(t), t.tensor(3)), lambda t: t.tensor(t.ones(2)), lambda t: t.as_tensor([t.tensor(1), 2]),
    lambda t: t.tensor([t.tensor(1.5), 2]), lambda t: t.asarray(t.ones(2), copy=True), lambda t: t.tensor(-1, dtype=t.int8),
    lambda t: t.tensor([True, 2, 3.5]), lambda t: t.tensor([1, 2j]), lambda t: t.empty(3, 0).shape[0],
    lambda t: t.empty_permuted((2, 3, 4), (2, 0, 1)).stride(), lambda t: t.from_dlpack(t.ones(2)),
    lambda t: _table(t).type("torch.IntTensor"), lambda t: _table(t).type(), lambda t: (_table(t) + 1j).float(),
    lambda t: (_table(t) - 1j * 0).bool(), lambda t: t.ones(2).is_pinned(), lambda t: t.ones(3).resize_(2, 2).shape[1],
    lambda t: t.ones(1).__dlpack_device__(), lambda t: repr(t.channels_last), lambda t: t.ones(2, 3).storage_offset(),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0, 1, 1), _table(t), _long(t, 0, 1), mode="max"),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0, 1, 1), _table(t), _long(t, 0, 0, 3), include_last_offset=True),
    lambda t: t.nn.functional.embedding_bag(_long(t, 0, 1, 1), _table(t), _long(t, 0, 0), padding_idx=1),
    lambda t: t.nn.functional.embedding_bag(t.ones(2, 2).long(), _table(t), mode="sum", per_sample_weights=t.ones(2, 2)),
    lambda t: t.nn.functional.embedding_bag(t.zeros(0).long(), _table(t), _long(t, 0), mode="max"),
    lambda t: t.nn.functional.embedding(_long(t, 2, 0), _table(t), max_norm=1.0, norm_type=1.0),
    lambda t: t.nn.functional.one_hot(t.zeros(0).long(), 3), lambda t: t.get_float32_matmul_precision(),
    lambda t: [t.are_deterministic_algorithms_enabled(), t.is_deterministic_algorithms_warn_only_enabled()],
    lambda t: [t.set_deterministic_debug_mode("warn"), t.get_deterministic_debug_mode(),
               t.is_deterministic_algorithms_warn_only_enabled(), t.set_deterministic_debug_mode(0)],
    lambda t: [t.set_warn_always(True), t.is_warn_always_enabled(), t.set_warn_always(False)],
]  # fmt: skip


@pytest.mark.parametrize("call", TAKEN, ids=map(str, range(len(TAKEN))))
@pytest.mark.filterwarnings("ignore")
def test_taken(call):
    check(call, 1e-4)
