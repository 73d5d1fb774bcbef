"""Linear systems: triangular, square, least squares; inverses."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.device import STREAMS
from .._core.dtype import SCALAR_TYPE_NAME, finfo
from .._core.errors import broadcast_shapes
from .._core.evaluation import is_traced
from .complex_parts import conj
from .host import check_dtype, check_matrix, each, from_numpy, raise_first, to_numpy
from .joining import tril, triu
from .kinds import composite, primitive
from .linalg_factor import adjoint, lu_unpack
from .matmul import matmul
from .return_types import return_type
from .shape import permute, reshape

InvEx = return_type("linalg_inv_ex", "inverse", "info")
SolveEx = return_type("linalg_solve_ex", "result", "info")
Lstsq = return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
TriangularSolve = return_type("triangular_solve", "solution", "cloned_coefficient")


def _substitute(A, B, upper, unitriangular):
    """Solve by substitution in blocks, so that most of the work is products of matrices."""
    n = A.shape[-1]
    X = B.astype(np.result_type(A, B), copy=True)
    step = 32
    starts = range(0, n, step)
    for start in reversed(starts) if upper else starts:
        stop = min(start + step, n)
        solved = slice(stop, n) if upper else slice(0, start)
        if solved.stop > solved.start:
            X[..., start:stop, :] -= A[..., start:stop, solved] @ X[..., solved, :]
        rows = range(start, stop)
        for i in reversed(rows) if upper else rows:
            inner = slice(i + 1, stop) if upper else slice(start, i)
            if inner.stop > inner.start:
                X[..., i, :] -= (A[..., i:i + 1, inner] @ X[..., inner, :])[..., 0, :]
            if not unitriangular:
                X[..., i, :] /= A[..., i, i, None]
    return X


@primitive(name="linalg_solve_triangular")
def _solve_triangular(A: mx.array, B: mx.array, upper, unitriangular) -> mx.array:
    """X with A X = B."""
    batch = broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    if B.size == 0 or A.size == 0:
        return mx.zeros((*batch, *B.shape[-2:]), B.dtype)
    A = mx.broadcast_to(A, (*batch, *A.shape[-2:]))
    B = mx.broadcast_to(B, (*batch, *B.shape[-2:]))
    if is_traced(A, B):
        with mx.stream(STREAMS.cpu):
            triangle = mx.triu(A) if upper else mx.tril(A)
            if unitriangular:
                triangle = (
                    triangle
                    - mx.eye(A.shape[-1], dtype=A.dtype) * triangle
                    + mx.eye(A.shape[-1], dtype=A.dtype)
                )
            return mx.linalg.solve_triangular(triangle, B, upper=upper)
    with np.errstate(all="ignore"):
        return from_numpy(_substitute(np.asarray(A), np.asarray(B), upper, unitriangular), B.dtype)


def _triangular_A(grad, A, result, upper, unitriangular):
    gB = _solve_triangular(adjoint(A), grad, not upper, unitriangular)
    made = -matmul(gB, adjoint(result))
    return triu(made, int(unitriangular)) if upper else tril(made, -int(unitriangular))


_solve_triangular.gradients(
    A=_triangular_A,
    B=lambda grad, A, upper, unitriangular: _solve_triangular(
        adjoint(A), grad, not upper, unitriangular
    ),
)


@composite
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X with A X = B (or X A = B unless `left`), A triangular."""
    check_matrix("linalg.solve_triangular", A, True)
    if B.ndim < 2:
        raise RuntimeError(
            "linalg.solve_triangular: The input tensor B must have at least 2 dimensions."
        )
    if A.dtype is not B.dtype:
        raise RuntimeError(
            "linalg.solve_triangular: Expected A and B to have the same dtype, but found A of "
            f"type {SCALAR_TYPE_NAME[A.dtype]} and B of type {SCALAR_TYPE_NAME[B.dtype]} instead"
        )
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and "
            f"{B.shape[-2]}x{B.shape[-1]})"
        )
    if left:
        return _solve_triangular(A, B, upper, unitriangular)
    made = _solve_triangular(A.transpose(-2, -1), B.transpose(-2, -1), not upper, unitriangular)
    return made.transpose(-2, -1)


@composite
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """X with A X = b, and a copy of A, as `torch.triangular_solve`."""
    if b.ndim < 2 or A.ndim < 2:
        raise RuntimeError("torch.triangular_solve: Expected b and A to have at least 2 dimensions")
    check_matrix("torch.triangular_solve", A, True)
    if b.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            f"Incompatible matrix sizes for triangular_solve: each A matrix is {A.shape[-2]} by "
            f"{A.shape[-1]} but each b matrix is {b.shape[-2]} by {b.shape[-1]}"
        )
    matrix = A.transpose(-2, -1) if transpose else A
    X = _solve_triangular(matrix, b, upper != transpose, unitriangular)
    return TriangularSolve(X, A.clone())


# ----- square systems -----


def _singular(host):
    """Return for each matrix 0, or the order of the first pivot that is exactly zero."""
    from .linalg_factor import lu_steps
    batch = host.shape[:-2]
    if host.size == 0:
        return np.zeros(batch, np.int32)
    return each(lambda m: (lu_steps(m, True)[2],), host, batch=batch)[0]


def _inverse(host):
    """Invert; singular matrices give infinities, and say so."""
    batch = host.shape[:-2]
    try:
        return np.linalg.inv(host), np.zeros(batch, np.int32)
    except np.linalg.LinAlgError:
        info = _singular(host).astype(np.int32)
        flat = host.reshape(-1, *host.shape[-2:])
        made = np.full_like(flat, np.inf)
        for i, matrix in enumerate(flat):
            try:
                made[i] = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                info.reshape(-1)[i] = info.reshape(-1)[i] or matrix.shape[0]
        return made.reshape(host.shape), info


@primitive(returns=InvEx, name="linalg_inv_ex")
def _inv_ex(A: mx.array) -> mx.array:
    """The inverse and an error code."""
    if is_traced(A):
        with mx.stream(STREAMS.cpu):
            return mx.linalg.inv(A), mx.zeros(A.shape[:-2], mx.int32)
    host = to_numpy(A, "linalg.inv")
    if host.size == 0:
        return A, mx.zeros(host.shape[:-2], mx.int32)
    inverse, info = _inverse(host)
    return from_numpy(inverse, A.dtype), from_numpy(info)


_inv_ex.gradients(A=lambda grad, inverse: None if grad is None else -matmul(
    adjoint(inverse), matmul(grad, adjoint(inverse))))


def _raise_singular(name, info, text):
    array = info._read()
    if not is_traced(array):
        raise_first(name, np.asarray(array), lambda k: text)


_NOT_INVERTIBLE = (
    "The diagonal element {0} is zero, the inversion could not be completed because the input "
    "matrix is singular."
)


@composite
def inv_ex(A, *, check_errors=False):
    """The inverse and an error code, without raising (unless `check_errors`)."""
    check_matrix("linalg.inv_ex", A, True)
    result = _inv_ex(A)
    if check_errors:
        raise_first("linalg.inv_ex", np.asarray(result.info._read()), _NOT_INVERTIBLE.format)
    return result


@composite
def inv(A):
    """The inverse. Raises LinAlgError for a singular matrix."""
    check_matrix("linalg.inv", A, True)
    inverse, info = _inv_ex(A)
    if not is_traced(info._read()):
        raise_first("linalg.inv", np.asarray(info._read()), _NOT_INVERTIBLE.format)
    return inverse


def _is_vector(A, B):
    """Tell whether B is a batch of vectors: 1-D, or of the shape of A without its last dimension.
    """
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])


@primitive(returns=SolveEx, name="linalg_solve_ex")
def _solve_ex(A: mx.array, B: mx.array) -> mx.array:
    """X with A X = B, and an error code."""
    batch = broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    if A.size == 0 or B.size == 0:
        return mx.zeros((*batch, *B.shape[-2:]), B.dtype), mx.zeros(A.shape[:-2], mx.int32)
    if is_traced(A, B):
        with mx.stream(STREAMS.cpu):
            return mx.linalg.solve(A, B), mx.zeros(A.shape[:-2], mx.int32)
    left, right = np.asarray(A), np.asarray(B)
    info = np.zeros(left.shape[:-2], np.int32)
    try:
        X = np.linalg.solve(left, right)
    except np.linalg.LinAlgError:
        info = _singular(left).astype(np.int32)
        inverse, singular = _inverse(left)
        info = np.where(info == 0, singular, info).astype(np.int32)
        with np.errstate(all="ignore"):
            X = inverse @ right
    return from_numpy(X, B.dtype), from_numpy(info)


def _solve_A(grad, A, result):
    return None if grad is None else -matmul(_solve_ex(adjoint(A), grad).result, adjoint(result))


_solve_ex.gradients(A=_solve_A,
                    B=lambda grad, A: None if grad is None else _solve_ex(adjoint(A), grad).result)


def _prepare(name, A, B, left):
    check_matrix(name, A, True)
    check_dtype(name, B)
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{SCALAR_TYPE_NAME[A.dtype]} and B of type {SCALAR_TYPE_NAME[B.dtype]} instead"
        )
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False. "
            "In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    right = B.unsqueeze(-1) if vector else B
    if right.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    if right.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} "
            f"({A.shape[-2]}x{A.shape[-1]} and {right.shape[-2]}x{right.shape[-1]})"
        )
    return right, vector


def _solve(name, A, B, left):
    right, vector = _prepare(name, A, B, left)
    if left:
        X, info = _solve_ex(A, right)
    else:
        X, info = _solve_ex(A.transpose(-2, -1), right.transpose(-2, -1))
        X = X.transpose(-2, -1)
    return (X.squeeze(-1) if vector else X), info


@composite
def solve_ex(A, B, *, left=True, check_errors=False):
    """X with A X = B (or X A = B) and an error code, without raising (unless `check_errors`)."""
    X, info = _solve("linalg.solve_ex", A, B, left)
    if check_errors:
        _raise_singular(
            "torch.linalg.solve_ex", info, "The solver failed because the input matrix is singular."
        )
    return SolveEx(X, info)


@composite
def solve(A, B, *, left=True):
    """X with A X = B (or X A = B unless `left`). Raises LinAlgError for a singular matrix."""
    X, info = _solve("linalg.solve", A, B, left)
    _raise_singular(
        "torch.linalg.solve", info, "The solver failed because the input matrix is singular."
    )
    return X


@composite
def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X with A X = B from the factors of `lu_factor`; for Aᴴ with `adjoint`, X A = B unless `left`.
    """
    check_matrix("torch.linalg.lu_solve", LU, True, "LU")
    if pivots.dtype.name != "int32":
        raise RuntimeError(
            "torch.linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32"
        )
    if LU.dtype is not B.dtype:
        raise RuntimeError(
            f"linalg.lu_solve: Expected LU and B to have the same dtype, but found LU of type "
            f"{SCALAR_TYPE_NAME[LU.dtype]} and B of type {SCALAR_TYPE_NAME[B.dtype]} instead"
        )
    if B.ndim < 2 or B.shape[-2 if left else -1] != LU.shape[-1]:
        raise RuntimeError(f"linalg.lu_solve: Incompatible shapes of A and B for the equation "
                           f"{'AX = B' if left else 'XA = B'} ({LU.shape[-2]}x{LU.shape[-1]} and "
                           f"{'x'.join(map(str, B.shape[-2:]))})")
    if tuple(pivots.shape) != tuple(LU.shape[:-1]):
        raise RuntimeError(
            "linalg.lu_solve: Number of pivots per batch should be same as the dimension of the "
            "matrix"
        )
    P, L, U = lu_unpack(LU, pivots)
    if not left:  # X A = B is Aᴴ Xᴴ = Bᴴ
        made = lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint)
        return _adjoint(made)
    if adjoint:
        half = _solve_triangular(
            _adjoint(L), _solve_triangular(_adjoint(U), B, False, False), True, True
        )
        return matmul(P, half)
    half = _solve_triangular(L, matmul(P.transpose(-2, -1), B), False, True)
    return _solve_triangular(U, half, True, False)


def _adjoint(matrix):
    return conj(matrix.transpose(-2, -1))


@composite
def torch_lu_solve(b, LU_data, LU_pivots):
    """X with A X = b from the factors of `lu_factor`, as `torch.lu_solve`."""
    return lu_solve(LU_data, LU_pivots, b)


# ----- least squares -----


def _default_rcond(A):
    return finfo(A.dtype.real).eps * max(A.shape[-2:])


@composite
def lstsq(A, B, rcond=None, *, driver=None):
    """The X that minimises |A X - B|, with residuals, ranks and singular values as the driver gives
    them.
    """
    check_matrix("torch.linalg.lstsq", A)
    if B.ndim < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got "
            f"input's dtype {SCALAR_TYPE_NAME[A.dtype]} and other's dtype "
            f"{SCALAR_TYPE_NAME[B.dtype]}"
        )
    if driver is not None and driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    driver = driver or "gelsy"
    vector = B.ndim < A.ndim and (A.ndim - B.ndim == 1)
    right = B.unsqueeze(-1) if vector else B
    if right.ndim < 2 or right.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other.size(-2)"
            if right.ndim >= 2
            else "torch.linalg.lstsq: input.size(-2) should match other.size(-1)"
        )
    limit = _default_rcond(A) if rcond is None else rcond
    from .linalg import pinv
    from .linalg_spectral import svdvals
    X = matmul(pinv(A, rtol=limit), right)
    values = svdvals(A.detach())
    m, n = A.shape[-2:]
    if values.shape[-1]:
        rank = (values > limit * values.narrow(-1, 0, 1)).sum(-1)
    else:
        rank = A.new_zeros(A.shape[:-2]).long()
    none = A.new_zeros(0, dtype=A.dtype.real)
    residuals = none
    if m > n and bool((rank == n).all().item()):
        error = matmul(A, X) - right
        residuals = (error.abs() ** 2).sum(-2)
    return Lstsq(
        X.squeeze(-1) if vector else X,
        residuals,
        none.long() if driver == "gels" else rank,
        values if driver in ("gelsd", "gelss") else none,
    )


@composite
def tensorinv(A, ind=2):
    """The inverse of A as a map between tensors: the first `ind` dimensions against the others."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = tuple(A.shape)
    rows, columns = shape[:ind], shape[ind:]
    left, right = int(np.prod(rows)), int(np.prod(columns))
    if left != right:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {right} != {left}"
        )
    return reshape(inv(reshape(A, (left, right))), (*columns, *rows))


@composite
def tensorsolve(A, B, dims=None):
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        kept = [d for d in range(A.ndim) if d not in [k % A.ndim for k in dims]]
        A = permute(A, kept + [k % A.ndim for k in dims])
    solution = tuple(A.shape[B.ndim:])
    count = int(np.prod(solution))
    if count != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {count} != {B.numel()}"
        )
    return reshape(solve(reshape(A, (B.numel(), count)), reshape(B, (-1,))), solution)
