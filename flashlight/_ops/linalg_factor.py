"""Factorisations of matrices: Cholesky, LU, QR."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.device import CPU, STREAMS
from .._core.evaluation import is_traced
from .._core.tensor import wrap
from .complex_parts import conj, real
from .host import (
    check_dtype,
    check_matrix,
    each,
    from_numpy,
    pivot_sizes,
    raise_first,
    to_numpy,
)
from .joining import cat, tril, triu
from .kinds import composite, primitive
from .matmul import matmul
from .return_types import return_type
from .shape import narrow

CholeskyEx = return_type("linalg_cholesky_ex", "L", "info")
LuFactor = return_type("linalg_lu_factor", "LU", "pivots")
LuFactorEx = return_type("linalg_lu_factor_ex", "LU", "pivots", "info")
Lu = return_type("linalg_lu", "P", "L", "U")
LuUnpack = return_type("lu_unpack", "P", "L", "U")
Qr = return_type("linalg_qr", "Q", "R")
QrOld = return_type("qr", "Q", "R")
Geqrf = return_type("geqrf", "a", "tau")


def adjoint(matrix):
    """Return matrices transposed and conjugated."""
    return conj(matrix.transpose(-2, -1))


def _cholesky_rule(grad, L, upper):
    """gA = L⁻ᴴ Φ(Lᴴ gL) L⁻¹, Φ half the lower triangle and, above the diagonal, its adjoint."""
    from .linalg_solve import solve_triangular
    if grad is None:
        return None
    grad, L = (adjoint(grad), adjoint(L)) if upper else (grad, L)
    inner = tril(matmul(adjoint(L), grad))
    inner = 0.5 * (inner + adjoint(tril(inner, -1)))
    right = solve_triangular(L, inner, upper=False, left=False)
    return solve_triangular(adjoint(L), right, upper=True)


@primitive(returns=CholeskyEx, name="linalg_cholesky_ex")
def _cholesky_ex(A: mx.array, upper) -> mx.array:
    """The Cholesky factor, and 0 or the order of the first minor that is not positive."""
    if is_traced(A):
        with mx.stream(STREAMS.cpu):
            return mx.linalg.cholesky(A, upper=upper), mx.zeros(A.shape[:-2], mx.int32)
    host = to_numpy(A, "linalg.cholesky")
    batch = host.shape[:-2]
    if host.size == 0:
        return from_numpy(host), mx.zeros(batch, mx.int32)
    host = np.swapaxes(host, -1, -2).conj() if upper else host  # NumPy reads the lower triangle
    try:
        factor, info = np.linalg.cholesky(host), np.zeros(batch, np.int32)
    except np.linalg.LinAlgError:
        factor, info = each(_cholesky_steps, host, batch=batch)
    factor = np.swapaxes(factor, -1, -2).conj() if upper else factor
    return from_numpy(factor), from_numpy(info.astype(np.int32))


def _cholesky_steps(matrix):
    try:
        return np.linalg.cholesky(matrix), np.int32(0)
    except np.linalg.LinAlgError:
        factor = np.tril(matrix)
        for k in range(1, matrix.shape[0] + 1):
            try:
                factor[:k, :k] = np.linalg.cholesky(matrix[:k, :k])
            except np.linalg.LinAlgError:
                return factor, np.int32(k)
        return factor, np.int32(0)


_cholesky_ex.gradients(A=_cholesky_rule)


@composite
def cholesky_ex(A, *, upper=False, check_errors=False):
    """The Cholesky factor and an error code, without raising (unless `check_errors`)."""
    check_matrix("linalg.cholesky_ex", A, True)
    result = _cholesky_ex(A, upper)
    if check_errors:
        _raise_not_positive("linalg.cholesky_ex", result.info)
    return result


def _raise_not_positive(name, info):
    array = info._read()
    if not is_traced(array):
        raise_first(
            name,
            np.asarray(array),
            lambda k: (
                "The factorization could not be completed because the input is not "
                "positive-definite (the leading minor of "
                f"order {k} is not positive-definite)."
            ),
        )


@composite
def cholesky(A, *, upper=False):
    """The factor L with A = L Lᴴ, or U with A = Uᴴ U. Raises LinAlgError if A is not
    positive-definite.
    """
    check_matrix("linalg.cholesky", A, True)
    L, info = _cholesky_ex(A, upper)
    _raise_not_positive("linalg.cholesky", info)
    return L


@composite
def torch_cholesky(input, upper=False):
    """The Cholesky factor, as `torch.cholesky`. Raises LinAlgError if the matrix is not
    positive-definite.
    """
    check_matrix("cholesky", input, True)
    L, info = _cholesky_ex(input, upper)
    _raise_not_positive("cholesky", info)
    return L


@primitive
def cholesky_inverse(L: mx.array, upper=False) -> mx.array:
    """The inverse of the matrix whose Cholesky factor is given."""
    check_matrix("cholesky_inverse", wrap(L, CPU), True)
    if L.size == 0:
        return L
    factor = to_numpy(L, "cholesky_inverse")
    factor = np.swapaxes(np.triu(factor), -1, -2).conj() if upper else np.tril(factor)
    half = np.linalg.inv(factor)
    return from_numpy(np.swapaxes(half, -1, -2).conj() @ half, L.dtype)


# As PyTorch's, that of all of L in A = L Lᴴ, with the triangle that the inverse does not read.
def _cholesky_inverse_rule(grad, L, result, upper):
    inner = matmul(result, matmul(grad + adjoint(grad), result))
    return -matmul(L, inner) if upper else -matmul(inner, L)


cholesky_inverse.gradients(L=_cholesky_inverse_rule)


@primitive(name="cholesky_solve")
def _cholesky_solve(B: mx.array, L: mx.array, upper) -> mx.array:
    """X with A X = B."""
    right, factor = to_numpy(B, "cholesky_solve"), to_numpy(L, "cholesky_solve")
    batch = np.broadcast_shapes(right.shape[:-2], factor.shape[:-2])
    if right.size == 0 or factor.size == 0:
        return mx.zeros((*batch, *right.shape[-2:]), B.dtype)
    factor = np.swapaxes(np.triu(factor), -1, -2).conj() if upper else np.tril(factor)
    half = np.linalg.solve(factor, right)
    return from_numpy(np.linalg.solve(np.swapaxes(factor, -1, -2).conj(), half), B.dtype)


def _cholesky_solve_rule(grad, B, L, result, upper, needs):
    gB = _cholesky_solve(grad, L, upper)
    if not needs[-1]:
        return gB, None
    inner = matmul(gB, adjoint(result))
    inner = inner + adjoint(inner)
    return gB, -matmul(L, inner) if upper else -matmul(inner, L)


_cholesky_solve.joint_gradient(_cholesky_solve_rule)


@composite
def cholesky_solve(B, L, upper=False):
    """The solution X of A X = B for the Cholesky factor of A."""
    if B.ndim < 2:
        raise RuntimeError(
            f"b should have at least 2 dimensions, but has {B.ndim} dimensions instead"
        )
    if L.ndim < 2:
        raise RuntimeError(
            f"u should have at least 2 dimensions, but has {L.ndim} dimensions instead"
        )
    if L.shape[-1] != L.shape[-2]:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {L.shape[-2]} by {L.shape[-1]} "
            "matrices"
        )
    if B.shape[-2] != L.shape[-1]:
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {L.shape[-1]} by "
            f"{L.shape[-1]} but each b matrix is {B.shape[-2]} by {B.shape[-1]}"
        )
    return _cholesky_solve(B, L, upper)


# ----- LU -----


def lu_steps(matrix, pivot):
    """Return LU packed, pivots counted from 1, and 0 or the first zero pivot (Golub & Van Loan,
    3.4).
    """
    work = matrix.copy()
    rows, columns = work.shape
    count = min(rows, columns)
    pivots = np.arange(1, count + 1, dtype=np.int32)
    info = 0
    for k in range(count):
        if pivot:
            at = k + int(np.argmax(pivot_sizes(work[k:, k])))
            pivots[k] = at + 1
            if at != k:
                work[[k, at]] = work[[at, k]]
        if work[k, k] == 0:
            info = info or k + 1
            continue
        work[k + 1:, k] /= work[k, k]
        work[k + 1:, k + 1:] -= np.outer(work[k + 1:, k], work[k, k + 1:])
    return work, pivots, np.int32(info)


@primitive(returns=LuFactorEx, name="linalg_lu_factor_ex")
def _lu_factor_ex(A: mx.array, pivot=True) -> mx.array:
    """LU packed, the pivots and an error code."""
    batch = tuple(A.shape[:-2])
    count = min(A.shape[-2:])
    if A.size == 0:
        return A, mx.zeros((*batch, count), mx.int32), mx.zeros(batch, mx.int32)
    if pivot and A.dtype != mx.complex64 and A.shape[-1] == A.shape[-2]:
        with mx.stream(STREAMS.cpu):
            packed, order = mx.linalg.lu_factor(A)
            if not is_traced(packed, order):
                # Views of MLX's factors can outlive their memory; those of copies do not.
                packed, order = from_numpy(np.array(packed)), from_numpy(np.array(order))
            diagonal = mx.diagonal(packed, 0, -2, -1)
            zero = diagonal == 0
            first = mx.argmax(zero, axis=-1).astype(mx.int32) + 1
            info = mx.where(mx.any(zero, axis=-1), first, mx.zeros_like(first))
            return packed, order.astype(mx.int32) + 1, info
    host = to_numpy(A, "linalg.lu_factor")
    packed, pivots, info = each(lambda m: lu_steps(m, pivot), host, batch=batch)
    return from_numpy(packed), from_numpy(pivots), from_numpy(info)


def lu_rule(gL, gU, P, L, U):
    """The gradient of P L U = A from those of L and U; rectangular matrices split off their square
    part.
    """
    from .linalg_solve import solve_triangular
    rows, columns = L.shape[-2], U.shape[-1]
    k = min(rows, columns)
    gL = L.new_zeros(L.shape) if gL is None else gL
    gU = U.new_zeros(U.shape) if gU is None else gU
    L1, U1 = narrow(L, -2, 0, k), narrow(U, -1, 0, k)
    gL1, gU1 = narrow(gL, -2, 0, k), narrow(gU, -1, 0, k)
    lower = matmul(adjoint(L1), gL1)
    upper = matmul(gU1, adjoint(U1))
    parts = []
    if columns > k:
        gU2 = narrow(gU, -1, k, columns - k)
        lower = lower - matmul(gU2, adjoint(narrow(U, -1, k, columns - k)))
    if rows > k:
        gL2 = narrow(gL, -2, k, rows - k)
        upper = upper - matmul(adjoint(narrow(L, -2, k, rows - k)), gL2)
    inner = tril(lower, -1) + triu(upper)
    left = solve_triangular(adjoint(L1), inner, upper=True, unitriangular=True)
    parts = solve_triangular(adjoint(U1), left, upper=False, left=False)
    if columns > k:
        parts = cat([parts, solve_triangular(adjoint(L1), gU2, upper=True, unitriangular=True)], -1)
    if rows > k:
        below = solve_triangular(adjoint(U1), gL2, upper=False, left=False)
        parts = cat([parts, below], -2)
    return parts if P is None else matmul(P, parts)


def _lu_factor_rule(grad, LU, pivots, pivot):
    if grad is None:
        return None
    P, L, U = lu_unpack(LU, pivots)
    k = min(LU.shape[-2:])
    return lu_rule(
        tril(narrow(grad, -1, 0, k), -1), triu(narrow(grad, -2, 0, k)), P if pivot else None, L, U
    )


_lu_factor_ex.gradients(A=_lu_factor_rule)


@composite
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """LU packed in one matrix, the pivots and an error code."""
    check_matrix("torch.lu_factor_ex", A)
    result = _lu_factor_ex(A, pivot)
    if check_errors:
        raise_first("torch.linalg.lu_factor_ex", np.asarray(result.info._read()), _zero_pivot)
    return result


def _zero_pivot(k):
    return (
        f"U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. If you "
        "still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
        "linalg.lu_factor_ex(A, pivot)"
    )


@composite
def lu_factor(A, *, pivot=True):
    """LU packed in one matrix, and the pivots. Raises LinAlgError for a singular matrix."""
    check_matrix("torch.lu_factor", A)
    LU, pivots, info = _lu_factor_ex(A, pivot)
    if not is_traced(info._read()):
        raise_first("torch.linalg.lu_factor", np.asarray(info._read()), _zero_pivot)
    return LuFactor(LU, pivots)


@composite
def lu(A, *, pivot=True):
    """The factors P, L and U with A = P L U."""
    check_matrix("linalg.lu", A)
    LU, pivots, _ = _lu_factor_ex(A, pivot)
    P, L, U = lu_unpack(LU, pivots, unpack_pivots=pivot)
    return Lu(P if pivot else A.new_zeros(0), L, U)


@primitive(differentiable=False, name="lu_permutation")
def _permutation(pivots: mx.array, rows) -> mx.array:
    """The permutation matrix of LAPACK's row exchanges."""
    host = to_numpy(pivots, "lu_unpack").astype(np.int64) - 1
    batch = host.shape[:-1]
    count = int(np.prod(batch))
    order = np.broadcast_to(np.arange(rows), (*batch, rows)).copy().reshape(count, rows)
    for row, exchanges in zip(order, host.reshape(count, host.shape[-1])):
        for k, at in enumerate(exchanges):
            row[k], row[at] = row[at], row[k]
    matrix = np.zeros((order.shape[0], rows, rows), np.float32)
    for i, row in enumerate(order):
        matrix[i, row, np.arange(rows)] = 1
    return from_numpy(matrix.reshape((*batch, rows, rows)))


@composite
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """The factors P, L and U from LU packed and its pivots."""
    check_dtype("torch.lu_unpack", LU_data)
    if unpack_pivots and LU_pivots.dtype.name != "int32":
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            "dtype.\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor"
        )
    rows, columns = LU_data.shape[-2:]
    k = min(rows, columns)
    if unpack_data:
        L = (
            tril(narrow(LU_data, -1, 0, k), -1) + LU_data.new_ones(k).diag_embed()
            if rows == k
            else tril(narrow(LU_data, -1, 0, k), -1) + _eye(LU_data, rows, k)
        )
        U = triu(narrow(LU_data, -2, 0, k))
    else:
        L = U = LU_data.new_zeros(0)
    P = _permutation(LU_pivots, rows).to(LU_data.dtype) if unpack_pivots else LU_data.new_zeros(0)
    return LuUnpack(P, L, U)


def _eye(like, rows, columns):
    from .creation import eye
    return eye(rows, columns, dtype=like.dtype, device=like.device)


@composite
def torch_lu(A, pivot=True, get_infos=False):
    """LU packed and pivots, as `torch.lu` (and an error code with `get_infos`)."""
    LU, pivots, info = _lu_factor_ex(A, pivot)
    return LuFactorEx(LU, pivots, info) if get_infos else (LU, pivots)


def lu_method(self, pivot=True, get_infos=False):
    """LU packed and pivots (and an error code with `get_infos`)."""
    return tuple(torch_lu(self, pivot, get_infos))


# ----- QR -----


@primitive(returns=Qr, name="linalg_qr")
def _qr(A: mx.array, mode) -> mx.array:
    """Q and R."""
    if is_traced(A) and mode == "reduced":
        with mx.stream(STREAMS.cpu):
            return mx.linalg.qr(A)
    host = to_numpy(A, "linalg.qr")
    rows, columns = host.shape[-2:]
    k = min(rows, columns)
    batch = host.shape[:-2]
    if host.size == 0:
        width = rows if mode == "complete" else k
        q = np.broadcast_to(np.eye(rows, width, dtype=host.dtype), (*batch, rows, width)).copy()
        r = np.zeros((*batch, width, columns), host.dtype)
        return from_numpy(np.zeros(0, host.dtype) if mode == "r" else q), from_numpy(r)
    if mode == "r":
        return from_numpy(np.zeros(0, host.dtype)), from_numpy(np.linalg.qr(host, "r"))
    q, r = np.linalg.qr(host, mode)
    return from_numpy(q), from_numpy(r)


def _qr_rule(grads, Q, R, mode, A_shape):
    """gA = [gQ + Q copyltu(R gRᴴ - gQᴴ Q)] R⁻ᴴ (Seeger et al., 2017); a wide A splits off its
    square part.
    """
    from .linalg_solve import solve_triangular
    gQ, gR = grads
    if gQ is None and gR is None:
        return None
    rows, columns = A_shape[-2:]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
            "Please use linalg.qr(A, mode='reduced') if you are going to require gradients."
        )
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
        )
    gQ = Q.new_zeros(Q.shape) if gQ is None else gQ
    gR = R.new_zeros(R.shape) if gR is None else gR
    if rows >= columns:
        return _qr_square(gQ, gR, Q, R, solve_triangular)
    U, V = narrow(R, -1, 0, rows), narrow(R, -1, rows, columns - rows)
    gU, gV = narrow(gR, -1, 0, rows), narrow(gR, -1, rows, columns - rows)
    Y = matmul(Q, V)
    gX = _qr_square(gQ + matmul(Y, adjoint(gV)), gU, Q, U, solve_triangular)
    return cat([gX, matmul(Q, gV)], -1)


def _qr_square(gQ, gR, Q, R, solve_triangular):
    inner = matmul(R, adjoint(gR)) - matmul(adjoint(gQ), Q)
    lower = tril(inner, -1)
    diagonal = inner.diagonal(0, -2, -1)
    symmetric = lower + adjoint(lower) + real(diagonal).to(inner.dtype).diag_embed()
    return solve_triangular(adjoint(R), gQ + matmul(Q, symmetric), upper=False, left=False)


_qr.gradients(A=_qr_rule)


@composite
def qr(A, mode="reduced"):
    """Q and R with A = Q R; `mode`: "reduced", "complete", or "r" (R alone)."""
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    return _qr(A, mode)


@composite
def torch_qr(input, some=True):
    """Q and R, as `torch.qr`."""
    if input.ndim < 2:
        raise RuntimeError(
            f"qr input should have at least 2 dimensions, but has {input.ndim} dimensions instead"
        )
    return QrOld(*_qr(input, "reduced" if some else "complete"))


@primitive(returns=Geqrf, differentiable=False)
def geqrf(input: mx.array) -> mx.array:
    """R above, and below the diagonal the Householder vectors, whose factors are `tau`."""
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    host = to_numpy(input, "geqrf")
    k = min(host.shape[-2:])
    if host.size == 0:
        return input, mx.zeros((*host.shape[:-2], k), input.dtype)
    packed, tau = np.linalg.qr(host, "raw")
    return from_numpy(np.swapaxes(packed, -1, -2), input.dtype), from_numpy(tau, input.dtype)


@composite
def householder_product(input, tau):
    """The first columns of the product of the Householder reflections packed in A and `tau`."""
    A = input
    check_reflections("torch.linalg.householder_product", A, tau)
    rows, columns = A.shape[-2:]
    # without reflections the result still depends, with gradient zero, on both
    nothing = A.narrow(-1, 0, 0).sum() + tau.narrow(-1, 0, 0).sum()
    Q = _eye(A, rows, columns).expand(A.shape) + nothing
    return _reflect(A, tau, Q, False, True)


def check_reflections(name, A, tau):
    """Raise RuntimeError unless `tau` belongs to the reflections packed in A."""
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if A.shape[-2] < A.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if A.shape[-1] < tau.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if A.ndim - tau.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.ndim} and input.ndim is equal to {A.ndim}"
        )
    if A.ndim > 2 and A.shape[:-2] != tau.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(tau.shape[:-1])}"
        )
    if A.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype.name} does not match input dtype {A.dtype.name}"
        )


def _reflect(A, tau, matrix, transpose, left):
    """Multiply `matrix` by the reflections (or the adjoint of their product), from the left or
    right.
    """
    rows = A.shape[-2]
    steps = range(tau.shape[-1])
    forward = transpose == left
    for k in steps if forward else reversed(steps):
        tail = narrow(A.select(-1, k), -1, k + 1, rows - k - 1)
        zeros = A.new_zeros((*A.shape[:-2], k))
        one = A.new_ones((*A.shape[:-2], 1))
        v = cat([zeros, one, tail], -1).unsqueeze(-1)
        factor = tau.select(-1, k).unsqueeze(-1).unsqueeze(-1)
        factor = conj(factor) if transpose else factor
        if left:
            matrix = matrix - factor * matmul(v, matmul(adjoint(v), matrix))
        else:
            matrix = matrix - factor * matmul(matmul(matrix, v), adjoint(v))
    return matrix


@composite
def ormqr(input, tau, other, left=True, transpose=False):
    """`other` times Q (or Qᴴ with `transpose`), Q the product of the reflections packed in `input`
    and `tau`.
    """
    check_dtype("torch.ormqr", input)
    if input.ndim < 2 or other.ndim < 2:
        raise RuntimeError("torch.ormqr: input must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.shape[side] < tau.shape[-1]:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1]"
        )
    if other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] > input.shape[-1]:
        raise RuntimeError(
            "torch.ormqr: tau.shape[-1] must be less than or equal to input.shape[-1]"
        )
    if input.ndim - tau.ndim != 1 or input.ndim != other.ndim:
        raise RuntimeError(
            "torch.ormqr: Expected other to have the same number of dimensions as input, and tau "
            "one less"
        )
    if input.dtype is not tau.dtype or input.dtype is not other.dtype:
        raise RuntimeError(
            "torch.ormqr: Expected input and tau to have the same dtype, and other too"
        )
    return _reflect(input, tau, other, transpose, left)
