"""Gradients through sparse tensors, to their values and to dense tensors beside them."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import flashlight
from tests.ops.side_by_side import assert_same

from .both import content, dense, table

WHERE = [[0, 0, 1, 2, 3, 3], [0, 3, 2, 0, 1, 2]]


def coo(l, values):
    return l.sparse_coo_tensor(WHERE, values, (4, 4))


def uncoalesced(l, values):
    return l.sparse_coo_tensor([[0, 3, 0, 1, 1, 3], [1, 2, 1, 0, 0, 3]], values, (4, 4))


def csr(l, values):
    return l.sparse_csr_tensor([0, 2, 3, 4, 6], WHERE[1], values, (4, 4))


def csc(l, values):
    return l.sparse_csc_tensor([0, 2, 3, 5, 6], [0, 2, 3, 1, 3, 0], values, (4, 4))


def rows(l, values):
    return l.sparse_coo_tensor([[2, 0, 2]], values.reshape(3, 2), (4, 2))


def from_dense(l, values):
    return (values.repeat(2) * l.arange(12.0)).reshape(3, 4).to_sparse()


def csr_from_dense(l, values):
    return (values.repeat(2) * l.arange(12.0)).reshape(3, 4).to_sparse_csr()


def _weights(l, *size):
    return table(l, *size) + 0.5 if size else l.tensor(1.5)


PROGRAMS = {
    "to_dense": lambda l, x: x.to_dense(), "twice": lambda l, x: (x + x * 2).to_dense(),
    "coalesce": lambda l, x: x.coalesce().to_dense(), "neg": lambda l, x: (-x).to_dense(),
    "sum": lambda l, x: x.sum(), "sum_0": lambda l, x: dense(x.sum(0)), "sum_1": lambda l, x: dense(x.sum(1)),
    "sparse.sum": lambda l, x: l.sparse.sum(x), "sparse.sum_0": lambda l, x: dense(l.sparse.sum(x, 0)),
    "mul": lambda l, x: (x * 3).to_dense(), "mul_self": lambda l, x: (x * x).to_dense(),
    "mul_dense": lambda l, x: (x * _weights(l, *x.shape)).to_dense(), "div": lambda l, x: (x / 4).to_dense(),
    "mul_0d": lambda l, x: (x * l.tensor(2.0)).to_dense(), "sin": lambda l, x: x.sin().to_dense(),
    "tanh": lambda l, x: x.tanh().to_dense(), "relu": lambda l, x: x.relu().to_dense(),
    "sqrt": lambda l, x: (x * x).sqrt().to_dense(), "pow": lambda l, x: x.pow(2).to_dense(),
    "abs": lambda l, x: x.abs().to_dense(), "sub": lambda l, x: (x - x * 3).to_dense(),
    "dense_add": lambda l, x: l.add(_weights(l, *x.shape), x, alpha=2),
    "t": lambda l, x: x.t().to_dense(), "transpose": lambda l, x: x.transpose(0, 1).to_dense(),
    "select": lambda l, x: dense(x.select(0, 2)), "index": lambda l, x: dense(x[0]),
    "index_select": lambda l, x: x.index_select(0, l.tensor([2, 0, 2])).to_dense(),
    "narrow_copy": lambda l, x: x.narrow_copy(0, 0, 2).to_dense(),
    "unsqueeze": lambda l, x: x.unsqueeze(0).to_dense(),
    "unsqueeze_end": lambda l, x: x.unsqueeze(-1).to_dense(),
    "cat": lambda l, x: l.cat([x, x * 2]).to_dense(), "stack": lambda l, x: l.stack([x, x]).to_dense(),
    "clone": lambda l, x: x.clone().to_dense(), "double": lambda l, x: x.double().to_dense(),
    "mm": lambda l, x: x @ _weights(l, x.shape[1], 3), "mv": lambda l, x: x @ _weights(l, x.shape[1]),
    "sparse.mm": lambda l, x: l.sparse.mm(x, _weights(l, x.shape[1], 3)),
    "sparse.mm_sparse": lambda l, x: l.sparse.mm(x, x.t()).to_dense(),
    "mm_reduce": lambda l, x: l.sparse.mm(x, _weights(l, x.shape[1], 3), "mean"),
    "mm_amax": lambda l, x: l.sparse.mm(x, _weights(l, x.shape[1], 3), "amax"),
    "addmm": lambda l, x: l.sparse.addmm(_weights(l, x.shape[0], 3), x, _weights(l, x.shape[1], 3), beta=2),
    "dense_mm": lambda l, x: _weights(l, 2, x.shape[0]) @ x,
    "softmax": lambda l, x: l.sparse.softmax(x, 1).to_dense(),
    "softmax_0": lambda l, x: l.sparse.softmax(x, 0).to_dense(),
    "log_softmax": lambda l, x: l.sparse.log_softmax(x, 1).to_dense(),
    "norm": lambda l, x: x.norm(), "values": lambda l, x: x.coalesce().values() * 3,
    "compressed_values": lambda l, x: x.values() * 3,
    "sparse_mask": lambda l, x: x.sparse_mask(x.detach()).to_dense(),
    "csr": lambda l, x: x.to_sparse_csr().to_dense(), "csc": lambda l, x: x.to_sparse_csc().to_dense(),
    "bsr": lambda l, x: x.to_sparse_bsr((1, 2)).to_dense(), "coo": lambda l, x: x.to_sparse().to_dense(),
    "add_": lambda l, x: x.clone().add_(x).to_dense(), "mul_": lambda l, x: x.clone().mul_(2).to_dense(),
    "zero_": lambda l, x: x.clone().zero_().to_dense(), "sin_": lambda l, x: x.clone().sin_().to_dense(),
    "sampled": lambda l, x: l.sparse.sampled_addmm(
        x, _weights(l, x.shape[0], 2), _weights(l, 2, x.shape[1]), beta=2).to_dense(),
    "masked": lambda l, x: (x.to_dense() * 2).sparse_mask(x.detach()).to_dense(),
    "masked_grad": lambda l, x: x.to_dense(masked_grad=False) * 2,
    "dropout": lambda l, x: l.nn.functional.dropout(x, 0.0).to_dense(),
}  # fmt: skip
MAKERS = (coo, uncoalesced, csr, csc, rows, from_dense, csr_from_dense)


def _gradient(l, program, make):
    values = l.tensor([1.0, 2.0, 3.0, -4.0, 5.0, 0.5], requires_grad=True)
    found = program(l, make(l, values))
    weights = l.cos(l.arange(float(found.numel())).reshape(found.shape)).to(found.dtype)
    (found * weights).sum().backward()
    return content([found, values.grad])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_values(name):
    problems = []
    for make in MAKERS:
        if name == "sparse_mask" and make in (uncoalesced, rows):
            continue  # PyTorch counts an element once for each time that the mask names it
        try:
            expected = _gradient(torch, PROGRAMS[name], make)
        except (RuntimeError, IndexError, TypeError):
            continue  # PyTorch has no gradient there
        try:
            assert_same(_gradient(flashlight, PROGRAMS[name], make), expected)
        except Exception as problem:
            problems.append(f"{make.__name__}: {type(problem).__name__}: {problem}")
    assert not problems, "\n".join(problems)


def _beside(l, call, size):
    other = _weights(l, *size).requires_grad_()
    found = call(l, other)
    found = found.to_dense() if str(found.layout) != "torch.strided" else found
    (found * l.cos(l.arange(float(found.numel())).reshape(found.shape))).sum().backward()
    return content([found, other.grad])


def _coo(l):
    return coo(l, l.arange(1.0, 7.0))


def _csr(l):
    return csr(l, l.arange(1.0, 7.0))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("call", "size"), [
    (lambda l, y: _coo(l) @ y, (4, 3)), (lambda l, y: _csr(l) @ y, (4, 3)),
    (lambda l, y: l.sparse.mm(_coo(l), y), (4, 3)), (lambda l, y: y @ _coo(l), (2, 4)),
    (lambda l, y: l.sparse.mm(_csr(l), y, "sum"), (4, 3)), (lambda l, y: l.mv(_coo(l), y), (4,)),
    (lambda l, y: l.sparse.addmm(y, _coo(l), _weights(l, 4, 3), beta=3), (4, 3)),
    (lambda l, y: l.sparse.sampled_addmm(_csr(l), y, _weights(l, 2, 4)), (4, 2)),
    (lambda l, y: l.sparse.sampled_addmm(_csr(l), _weights(l, 4, 2), y, alpha=2), (2, 4)),
    (lambda l, y: y * _coo(l), (4, 4)), (lambda l, y: _coo(l) * y, (4, 4)),
    (lambda l, y: y + _coo(l) * 2, (4, 4)), (lambda l, y: y.to_sparse(), (4, 3)),
    (lambda l, y: y.to_sparse_csr(), (4, 3)), (lambda l, y: y.to_sparse_bsr((2, 1)), (4, 3)),
    (lambda l, y: y.to_sparse_csc(), (4, 3)), (lambda l, y: y.sparse_mask(_coo(l)), (4, 4)),
    (lambda l, y: _coo(l) * y, ()), (lambda l, y: _coo(l) / y, ()),
    (lambda l, y: l.nn.functional.linear(y, _coo(l)), (3, 4)),
    (lambda l, y: l.bmm(l.stack([_coo(l), _coo(l) * 2]), y), (2, 4, 3)),
])  # fmt: skip
def test_gradients_of_dense_operands(call, size):
    assert_same(_beside(flashlight, call, size), _beside(torch, call, size))


def _embedding(l, bag, **options):
    weight = _weights(l, 5, 3).requires_grad_()
    index = l.tensor([[1, 3, 1], [0, 4, 3]])
    functional = l.nn.functional
    call = functional.embedding_bag if bag else functional.embedding
    call(index, weight, sparse=True, **options).mul(l.arange(3.0)).sum().backward()
    grad = weight.grad
    return content([grad._nnz() > 0, grad, grad.coalesce()])


@pytest.mark.parametrize(("bag", "options"), [
    (False, {}), (False, {"padding_idx": 3}), (False, {"padding_idx": -4}), (True, {"mode": "sum"}),
    (True, {"mode": "mean"}), (True, {"mode": "mean", "padding_idx": 3}),
])  # fmt: skip
def test_gradients_that_are_sparse(bag, options):
    assert_same(_embedding(flashlight, bag, **options), _embedding(torch, bag, **options))


@pytest.mark.parametrize("optimizer", ["SGD", "SparseAdam", "Adagrad"])
def test_steps_with_sparse_gradients(optimizer):
    def train(l):
        l.manual_seed(0)
        layer = l.nn.Embedding(6, 3, sparse=True, _weight=table(l, 6, 3))
        steps = getattr(l.optim, optimizer)(layer.parameters(), lr=0.1)
        for index in ([0, 2, 2], [5, 0, 1], [2, 2, 2]):
            steps.zero_grad()
            (layer(l.tensor(index)) ** 2).sum().backward()
            steps.step()
        return content(layer.weight)

    assert_same(train(flashlight), train(torch))


@pytest.mark.parametrize("size", [(), (4,), (3, 4)])
def test_gather_with_a_sparse_gradient(size):
    def run(l):
        source = _weights(l, *size).requires_grad_()
        index = l.zeros([1] * len(size) if size else [], dtype=l.long)
        source.gather(0, index, sparse_grad=True).sum().backward()
        return content(source.grad)

    assert_same(run(flashlight), run(torch))


def _doubled(masked, x):
    return x.to_dense(masked_grad=masked) * 2


def _squared(masked, x):
    return (x * x).to_dense(masked_grad=masked)


def test_gradcheck_takes_sparse_inputs():
    def run(l, function, make, **options):
        values = l.tensor([1.0, 2.0, 3.0, -4.0, 5.0, 0.5], dtype=l.float64)
        checked = l.sparse.as_sparse_gradcheck(l.autograd.gradcheck)
        return checked(
            function, (make(l, values).requires_grad_(),), raise_exception=False, **options
        )

    for make in (coo, csr):
        for masked in (True, False):
            for function in (partial(_doubled, masked), partial(_squared, masked)):
                expected = run(torch, function, make, masked=masked)
                assert run(flashlight, function, make, masked=masked) is expected


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(flashlight.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.to_dense() * 2

        @staticmethod
        def backward(context, grad):
            return grad.to_sparse() * 3

    values = flashlight.arange(1.0, 7.0, dtype=flashlight.float64)
    checked = flashlight.sparse.as_sparse_gradcheck(flashlight.autograd.gradcheck)
    assert not checked(
        Wrong.apply, (coo(flashlight, values).requires_grad_(),), raise_exception=False
    )
