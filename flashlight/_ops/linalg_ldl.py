"""The factorisation of symmetric matrices that need not be positive-definite: LDL."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .host import check_matrix, each, from_numpy, pivot_sizes, raise_first, to_numpy
from .kinds import composite, primitive
from .return_types import return_type

LdlFactor = return_type("linalg_ldl_factor", "LD", "pivots")
LdlFactorEx = return_type("linalg_ldl_factor_ex", "LD", "pivots", "info")


def ldl_steps(matrix, hermitian):
    """Bunch-Kaufman pivoting on the lower triangle; pivots as LAPACK packs them (Golub & Van Loan,
    4.4).
    """
    n = matrix.shape[0]
    A = np.tril(matrix).copy()
    conjugate = np.conj if hermitian else (lambda x: x)
    full = A + conjugate(np.tril(A, -1)).T
    if hermitian:
        np.fill_diagonal(full, np.real(np.diag(full)))
    pivots = np.zeros(n, np.int32)
    alpha = (1 + 17**0.5) / 8
    packed = np.zeros_like(A)
    k, info = 0, 0
    while k < n:
        size = 1
        swap = k
        column = pivot_sizes(full[k + 1:, k])
        largest = column.max(initial=0)
        own = pivot_sizes(full[k, k])
        if max(own, largest) == 0:
            info = info or k + 1
        elif own < alpha * largest:
            r = k + 1 + int(column.argmax())
            row = pivot_sizes(full[r, k:])
            row[r - k] = 0
            sigma = row.max()
            if own * sigma >= alpha * largest**2:
                pass
            elif pivot_sizes(full[r, r]) >= alpha * sigma:
                swap = r
            else:
                size, swap = 2, r
        at = k + size - 1
        if swap != at:
            order = np.arange(n)
            order[[at, swap]] = order[[swap, at]]
            full = full[order][:, order]
        block = full[k:k + size, k:k + size]
        rest = slice(k + size, n)
        if not (size == 1 and block[0, 0] == 0):
            factors = np.linalg.solve(block.T, full[rest, k:k + size].T).T
            packed[rest, k:k + size] = factors
            full[rest, rest] -= factors @ full[k:k + size, rest]
        packed[k:k + size, k:k + size] = np.tril(block)
        pivots[k:k + size] = swap + 1 if size == 1 else -(swap + 1)
        k += size
    return packed, pivots, np.int32(info)


@primitive(returns=LdlFactorEx, differentiable=False, name="linalg_ldl_factor_ex")
def _ldl_factor_ex(A: mx.array, hermitian=False) -> mx.array:
    """L and D packed, the pivots and an error code."""
    host = to_numpy(A, "linalg.ldl_factor")
    batch = host.shape[:-2]
    if host.size == 0:
        return A, mx.zeros(host.shape[:-1], mx.int32), mx.zeros(batch, mx.int32)
    packed, pivots, info = each(lambda m: ldl_steps(m, hermitian), host, batch=batch)
    return from_numpy(packed, A.dtype), from_numpy(pivots), from_numpy(info)


@composite
def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    """L and D packed in one matrix, the pivots and an error code, of a symmetric or Hermitian
    matrix.
    """
    check_matrix("torch.linalg.ldl_factor_ex", A, True)
    result = _ldl_factor_ex(A, hermitian)
    if check_errors:
        raise_first("torch.linalg.ldl_factor_ex", np.asarray(result.info._read()), _zero_d)
    return result


def _zero_d(k):
    return (
        f"D[{k},{k}] is zero and using it on ldl_solve would result in a division by zero. If you "
        "still want to perform the factorization, consider calling linalg.ldl_factor_ex"
    )


@composite
def ldl_factor(A, *, hermitian=False):
    """L and D packed in one matrix, and the pivots. Raises LinAlgError if D is singular."""
    check_matrix("torch.linalg.ldl_factor", A, True)
    LD, pivots, info = _ldl_factor_ex(A, hermitian)
    raise_first("torch.linalg.ldl_factor", np.asarray(info._read()), _zero_d)
    return LdlFactor(LD, pivots)


def ldl_solve_steps(packed, pivots, B, hermitian):
    """Undo the exchanges and the factors one after the other."""
    n = packed.shape[0]
    X = B.copy()
    conjugate = np.conj if hermitian else (lambda x: x)
    blocks, k = [], 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        blocks.append((k, size))
        k += size
    for k, size in blocks:
        at, swap = k + size - 1, abs(int(pivots[k])) - 1
        if swap != at:
            X[[at, swap]] = X[[swap, at]]
        X[k + size:] -= packed[k + size:, k:k + size] @ X[k:k + size]
    for k, size in blocks:
        D = packed[k:k + size, k:k + size]
        D = np.tril(D) + conjugate(np.tril(D, -1)).T
        X[k:k + size] = np.linalg.solve(D, X[k:k + size])
    for k, size in reversed(blocks):
        X[k:k + size] -= conjugate(packed[k + size:, k:k + size]).T @ X[k + size:]
        at, swap = k + size - 1, abs(int(pivots[k])) - 1
        if swap != at:
            X[[at, swap]] = X[[swap, at]]
    return (X,)


@primitive(differentiable=False, name="linalg_ldl_solve")
def ldl_solve(LD: mx.array, pivots: mx.array, B: mx.array, *, hermitian=False) -> mx.array:
    """The solution X of A X = B from the factors of `ldl_factor`."""
    if LD.ndim < 2 or LD.shape[-1] != LD.shape[-2]:
        raise RuntimeError("torch.linalg.ldl_solve: A must be batches of square matrices")
    if B.ndim < 2:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has "
            f"{B.ndim} dimensions instead"
        )
    if tuple(pivots.shape) != tuple(LD.shape[:-1]):
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but "
            f"got pivots with shape {list(pivots.shape)} instead"
        )
    if LD.dtype != B.dtype:
        raise RuntimeError("torch.linalg.ldl_solve: LD and b must have the same dtype")
    if B.shape[-2] != LD.shape[-1]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Incompatible shapes of A and B for the equation AX = B "
            f"({LD.shape[-2]}x{LD.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    packed, exchanges, right = (to_numpy(a, "linalg.ldl_solve") for a in (LD, pivots, B))
    batch = np.broadcast_shapes(packed.shape[:-2], right.shape[:-2])
    if right.size == 0 or packed.size == 0:
        return mx.zeros((*batch, *right.shape[-2:]), B.dtype)
    packed = np.broadcast_to(packed, (*batch, *packed.shape[-2:]))
    exchanges = np.broadcast_to(exchanges, (*batch, exchanges.shape[-1]))
    right = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    (made,) = each(
        lambda m, p, b: ldl_solve_steps(m, p, b, hermitian), packed, exchanges, right, batch=batch
    )
    return from_numpy(made, B.dtype)
