"""Matrix products with sparse factors.

A row of the result is the sum of the dense factor's rows that the sparse one names: gathered,
scaled, and added up where they belong. Work and memory are nnz * columns.
"""

from __future__ import annotations

import numpy as np

from ..._autograd.history import edge_of
from ..._core.dtype import SCALAR_TYPE_NAME
from ..._core.tensor import Tensor
from ..kinds import composite
from . import positions
from .dispatch import implements, write_out
from .gradients import assemble, coalesced, dense_of, masked, values_like
from .grid import coordinates, from_slots, rows_of
from .history import node_class, record, without_history
from .rows import add_up, conjugate, dots, spread, take, weighted_sums
from .tensor import COO, CSR, SparseTensor, as_index, coo, unsupported, with_values


def _check(name, left, right):
    if left.ndim != 2 or right.ndim != 2:
        which = "self" if left.ndim != 2 else "mat2"
        raise RuntimeError(
            f"{name}: Expected 2-D tensors, but '{which}' is of size "
            f"{list((left if left.ndim != 2 else right).shape)}"
        )
    if left.shape[1] != right.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({left.shape[0]}x{left.shape[1]} and "
            f"{right.shape[0]}x{right.shape[1]})"
        )
    if left.dtype is not right.dtype:
        raise RuntimeError(
            f"{name}: expected both matrices to have the same dtype, but got "
            f"{SCALAR_TYPE_NAME[left.dtype]} and {SCALAR_TYPE_NAME[right.dtype]}"
        )


def _check_indexed(name, matrix):
    if matrix.sparse_dim() != 2:
        raise RuntimeError(
            f"{name}: expected a matrix with 2 sparse dimensions, but it has {matrix.sparse_dim()}"
        )


def _pairs(matrix):
    """Return (rows, columns, values) of a sparse matrix, the indices as tensors."""
    if matrix.format is COO:
        _check_indexed("mm", matrix)
        indices = matrix._storage.indices[0]
        return indices[0], indices[1], matrix._storage.values
    if matrix.format.blocks:
        matrix = matrix.to_sparse_coo()
        return _pairs(matrix)
    row, column = coordinates(matrix)
    values = matrix._storage.values
    return as_index(row, values), as_index(column, values), values


def _sparse_dense(sparse, dense):
    """Return sparse (m, k) @ dense (k, n), dense and without history."""
    row, column, values = _pairs(sparse)
    return weighted_sums(dense, values, column, row, sparse.shape[0])


def _product(left, right):
    """Return the product of two matrices of which one or both are sparse, without history."""
    if isinstance(left, SparseTensor) and isinstance(right, SparseTensor):
        return _sparse_sparse(left, right)
    if isinstance(left, SparseTensor):
        return _sparse_dense(left, right)
    return _sparse_dense(right.t(), left.t()).t()


def _sparse_sparse(left, right):
    if left.format.blocks or right.format.blocks:
        raise RuntimeError(
            "mm: products of two block-sparse matrices are not supported; call to_dense() on one"
        )
    _check_indexed("mm", left)
    _check_indexed("mm", right)
    a, b = (coalesced(m if m.format is COO else m.to_sparse()) for m in (left, right))
    (row, middle), (other, column) = coordinates(a), coordinates(b)
    starts = positions.compress(other, right.shape[0])
    counts = (starts[1:] - starts[:-1])[middle]
    first = np.repeat(np.arange(len(middle)), counts)
    ends = np.cumsum(counts)
    second = np.arange(len(first)) - np.repeat(ends - counts, counts) + np.repeat(
        starts[middle], counts
    )
    size = left.shape[0], right.shape[1]
    keys = row[first] * size[1] + column[second]
    unique, place = positions.distinct(keys)
    values = take(a._storage.values, first) * take(b._storage.values, second)
    made = from_slots(COO, size, unique, add_up(values, place, len(unique)))
    if left.format is COO and right.format is COO:
        return made
    return made.to_sparse_csr()


# ----- gradients -----


def sampled(pattern: SparseTensor, left: Tensor, right: Tensor) -> Tensor:
    """Return the elements of left (m, k) @ right (k, n) that `pattern` keeps; never all of them."""
    row, column, _ = _pairs(pattern)
    return dots(left, right.t(), row, column)


def _at_pattern(pattern, left, right):
    """Return left @ right where `pattern` keeps elements, with its history."""
    if isinstance(left, SparseTensor) or isinstance(right, SparseTensor):
        return masked(mm(left, right), pattern)
    if pattern.format.blocks:
        return assemble(pattern, values_like(left @ right, pattern))
    return assemble(pattern, sampled(pattern, left, right))


_CONSTRUCTORS = ("SparseCooTensorWithDimsAndTensors", "SparseCompressedTensor")


def _only_values_matter(edge) -> bool:
    """Tell whether a gradient goes on only to the values that a sparse tensor was made of."""
    while edge is not None and type(edge[0]) is node_class("Coalesce"):
        edge = edge[0].edges[0]
    return edge is not None and type(edge[0]) in map(node_class, _CONSTRUCTORS)


def _gradient_for(factor, edge, left, right, keeps_pattern):
    """Return the gradient left @ right for `factor`.

    PyTorch's is dense for a sparse factor, unless it `keeps_pattern`. It is never made where
    only the kept elements are used.
    """
    if isinstance(factor, SparseTensor) and (keeps_pattern or _only_values_matter(edge)):
        return _at_pattern(coalesced(factor) if factor.format is COO else factor, left, right)
    return mm(left, right)


def _adjoint(matrix):
    return conjugate(matrix).t()


def _rule(keeps_pattern):
    def rule(needs, grad, left, right, edges):
        first = second = None
        if needs[0]:
            first = _gradient_for(left, edges[0], grad, _adjoint(right), keeps_pattern)
        if needs[1]:
            second = _gradient_for(right, edges[1], _adjoint(left), grad, keeps_pattern)
        return first, second

    return rule


_dense_rule, _masked_rule = _rule(False), _rule(True)


def _recorded(node, left, right, rule):
    made = _product(*without_history(left, right))
    edges = edge_of(left), edge_of(right)
    return record(node, made, (left, right), rule, left, right, edges)


# ----- products of two -----


@implements("mm")
def mm(input, mat2):
    """Return the product of two matrices: sparse if both are. Raises RuntimeError for other sizes.
    """
    _check("mm", input, mat2)
    if not isinstance(input, SparseTensor) and not isinstance(mat2, SparseTensor):
        return input @ mat2
    return _recorded("Mm", input, mat2, _dense_rule)


@implements("mv")
def mv(input, vec):
    """Return the product of a matrix and a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}"
        )
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x"
            f"{input.shape[1]}), vec ({vec.shape[0]})"
        )
    return dense_of(mm(input, vec.unsqueeze(1))).squeeze(1)


@implements("matmul")
def matmul(input, other):
    """Return the product of a matrix and a matrix or vector, or of batches of matrices."""
    pair = input.ndim, other.ndim
    if pair == (2, 2):
        return mm(input, other)
    if pair == (2, 1):
        return mv(input, other)
    if pair == (1, 2):
        return dense_of(mm(input.unsqueeze(0), other)).squeeze(0)
    if pair == (3, 3):
        return bmm(input, other)
    if isinstance(other, SparseTensor) and other.ndim == 2 and input.ndim > 2:
        rows = mm(input.reshape(-1, input.shape[-1]), other)
        return rows.reshape((*input.shape[:-1], other.shape[1]))
    if pair == (1, 1):
        raise unsupported("dot", input if isinstance(input, SparseTensor) else other)
    raise RuntimeError(
        f"matmul: sparse tensors of {pair[0]} and {pair[1]} dimensions cannot be multiplied; call "
        "to_dense() first"
    )


@implements("linear")
def linear(input, weight, bias=None):
    """Return input @ weight.t() + bias."""
    made = matmul(input, weight.t())
    return made if bias is None else made + bias


@implements("bmm")
def bmm(input, mat2):
    """Return the products of a batch of matrices: sparse (b, m, k) @ dense (b, k, n)."""
    if input.ndim != 3 or mat2.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if input.ndim != 3 else
                           "batch2 must be a 3D tensor")
    if not isinstance(input, SparseTensor) or isinstance(mat2, SparseTensor):
        raise NotImplementedError(
            "bmm(): only the first factor can be sparse; call to_dense() on the second"
        )
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(
            f"bmm(): sizes {list(input.shape)} and {list(mat2.shape)} cannot be multiplied"
        )
    if input.dtype is not mat2.dtype:
        raise RuntimeError(
            f"expected scalar type {SCALAR_TYPE_NAME[input.dtype]} but found "
            f"{SCALAR_TYPE_NAME[mat2.dtype]}"
        )
    made = _batched(*without_history(input, mat2))

    def rule(needs, grad, left, right, edge):
        first = second = None
        if needs[0] and _only_values_matter(edge):
            pattern = coalesced(left) if left.format is COO else left
            first = assemble(pattern, _batched_samples(pattern, grad, conjugate(right)))
        elif needs[0]:
            first = grad @ conjugate(right).transpose(1, 2)
        if needs[1]:
            second = bmm(conjugate(left).transpose(1, 2), grad)
        return first, second

    return record("Bmm", made, (input, mat2), rule, input, mat2, edge_of(input))


def _batched(left, right):
    """Return the batch of products as one product of a block-diagonal matrix."""
    if left.format is COO and left.sparse_dim() != 3:
        raise RuntimeError("bmm_sparse: Tensor 'input' must have 3 sparse dimensions")
    batch, row, column = coordinates(left)
    (count, height, width), n = left.shape, right.shape[2]
    rows = right.reshape((count * width, n))
    places = batch * width + column, batch * height + row
    total = weighted_sums(rows, rows_of(left), *places, count * height)
    return total.reshape((count, height, n))


def _batched_samples(pattern, grad, right):
    batch, row, column = coordinates(pattern)
    (count, height, width), n = pattern.shape, right.shape[2]
    pair = grad.reshape((count * height, n)), right.reshape((count * width, n))
    found = dots(*pair, batch * height + row, batch * width + column)
    return found.reshape(pattern._storage.values.shape)


# ----- with a summand -----


@implements("addmm")
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """Return beta * input + alpha * (mat1 @ mat2)."""
    return _blend(input, mm(mat1, mat2), beta, alpha)


@implements("addmv")
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """Return beta * input + alpha * (mat @ vec)."""
    return _blend(input, mv(mat, vec), beta, alpha)


def _blend(input, product, beta, alpha):
    product = product * alpha if alpha != 1 else product
    if beta == 0:
        return product
    if isinstance(product, SparseTensor) and not isinstance(input, SparseTensor):
        return input.expand(product.shape) * beta + product
    if isinstance(input, SparseTensor) and not isinstance(product, SparseTensor):
        raise RuntimeError(
            "addmm: expected 'self' to be dense where a factor is; call to_dense() on it"
        )
    return (input * beta if beta != 1 else input) + product


@composite(name="sparse_mm")
def sparse_mm(mat1, mat2, reduce=None):
    """Return the product of a sparse matrix and another; gradients of sparse ones keep their
    pattern.

    With `reduce` ("sum", "mean", "amax", "amin") of CSR and dense, the products in a row are
    reduced so.
    """
    if not isinstance(mat1, SparseTensor) and not isinstance(mat2, SparseTensor):
        return mm(mat1, mat2)
    if reduce is not None:
        return _reduced(mat1, mat2, reduce)
    _check("sparse.mm", mat1, mat2)
    both = isinstance(mat1, SparseTensor) and isinstance(mat2, SparseTensor)
    return _recorded("SparseSparseMatmul" if both else "SparseAddmm", mat1, mat2, _masked_rule)


@composite(name="sparse_addmm")
def sparse_addmm(mat, mat1, mat2, *, beta=1.0, alpha=1.0):
    """Return beta * mat + alpha * (mat1 @ mat2), mat1 sparse; its gradient keeps its pattern."""
    return _blend(mat, sparse_mm(mat1, mat2), beta, alpha)


def _reduced(matrix, dense, reduce):
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in ("sum", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be sum, mean, amax or amin, got {reduce}")
    if not isinstance(matrix, SparseTensor) or matrix.format is not CSR:
        raise NotImplementedError(
            "Could not run 'aten::_sparse_mm_reduce_impl': with `reduce`, the first matrix must be "
            "of layout torch.sparse_csr; call to_sparse_csr()"
        )
    _check("sparse.mm", matrix, dense)
    row, column = coordinates(matrix)
    counts = np.bincount(row, minlength=matrix.shape[0])
    values = values_like(matrix, matrix)
    if reduce in ("sum", "mean"):
        total = weighted_sums(dense, values, column, row, matrix.shape[0])
        if reduce == "sum":
            return total
        return total / as_index(np.maximum(counts, 1), total).to(total.dtype).unsqueeze(1)
    terms = take(dense, column) * spread(values, dense)
    start = terms.new_zeros((matrix.shape[0], dense.shape[1]))
    spots = as_index(row, terms).unsqueeze(1).expand(terms.shape)
    return start.scatter_reduce(0, spots, terms, reduce, include_self=False)


@composite(name="sparse_sampled_addmm")
def sampled_addmm(input, mat1, mat2, *, beta=1.0, alpha=1.0, out=None):
    """Return beta * input + alpha * (mat1 @ mat2) where `input`, a CSR matrix, keeps elements.

    Raises RuntimeError for other layouts and sizes.
    """
    if not isinstance(input, SparseTensor) or input.format is COO:
        raise unsupported("sparse_sampled_addmm", input)
    if mat1.shape[-1] != mat2.shape[-2] or (*mat1.shape[:-1], mat2.shape[-1]) != tuple(input.shape):
        raise RuntimeError(
            f"sampled_addmm: sizes {list(mat1.shape)} and {list(mat2.shape)} do not multiply to "
            f"{list(input.shape)}"
        )
    if mat1.dtype is not mat2.dtype or mat1.dtype is not input.dtype:
        raise RuntimeError(
            "sampled_addmm: Expected mat1, mat2 and the sparse matrix to have the same dtype, but "
            f"got {mat1.dtype}, {mat2.dtype} and {input.dtype}"
        )
    left, right = without_history(mat1, mat2)
    if input.ndim == 2 and not input.format.blocks:
        found = sampled(input, left, right)
    else:
        found = values_like(left @ right, input)
    made = with_values(input, input._storage.values * beta + found * alpha)

    def rule(needs, grad, pattern, mat1, mat2):
        inside = masked(grad, pattern) * alpha.conjugate()
        batched = pattern.ndim == 3
        first = second = None
        if needs[1]:
            other = conjugate(mat2).transpose(-2, -1)
            first = bmm(inside, other) if batched else mm(inside, other)
        if needs[2]:
            # mat1^H @ inside, by the sparse factor from the left
            turned = inside.transpose(-2, -1)
            second = bmm(turned, conjugate(mat1)) if batched else mm(turned, conjugate(mat1))
            second = second.transpose(-2, -1)
        return grad * beta.conjugate(), first, second

    record("SparseSampledAddmm", made, (input, mat1, mat2), rule, input, mat1, mat2)
    if out is None:
        return made
    return write_out("sparse_sampled_addmm", out, made)


@composite
def hspmm(mat1, mat2):
    """Return sparse @ dense as a COO tensor of whole rows: those that the sparse one has."""
    _check("hspmm", mat1, mat2)
    if not isinstance(mat1, SparseTensor) or mat1.format is not COO:
        raise RuntimeError("hspmm: expected 'mat1' to be a sparse COO matrix")
    _check_indexed("hspmm", mat1)
    left, dense = without_history(mat1, mat2)
    rows, columns = coordinates(left)
    unique, place = positions.distinct(rows)
    found = weighted_sums(dense, left._storage.values, columns, place, len(unique))
    return coo(unique[None], found, (mat1.shape[0], mat2.shape[1]))


@composite
def sspaddmm(input, mat1, mat2, *, beta=1, alpha=1):
    """Return beta * input + alpha * (mat1 @ mat2) as a sparse matrix; mat1 and input are sparse."""
    return (input * beta) + smm(mat1, mat2) * alpha


@composite
def smm(input, mat):
    """Return sparse @ dense as a COO matrix with all columns of the rows that the sparse one has."""
    rows = hspmm(input, mat)
    width, values = rows.shape[1], rows._storage.values
    kept, every = coordinates(rows)[0], np.arange(width)
    indices = np.stack([np.repeat(kept, width), np.tile(every, len(kept))])
    return coo(indices, values.reshape(-1), tuple(rows.shape), True)


def spsolve(input, other, *, left=True):
    """Raise RuntimeError: there is no solver for sparse systems here, nor in PyTorch on the CPU."""
    raise RuntimeError(
        "Calling linear solver with sparse tensors requires compiling PyTorch with CUDA cuDSS and "
        "is not supported in ROCm build. Here: call to_dense() and torch.linalg.solve()"
    )
