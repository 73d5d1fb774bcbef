"""Eigenvalues and singular values."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.device import STREAMS
from .._core.dtype import check_supported, complex128, float64
from .._core.evaluation import is_traced
from .complex_parts import real
from .host import check_matrix, from_numpy, to_numpy
from .kinds import composite, primitive
from .linalg_factor import adjoint
from .matmul import matmul
from .return_types import return_type
from .shape import narrow

Eig = return_type("linalg_eig", "eigenvalues", "eigenvectors")
Eigh = return_type("linalg_eigh", "eigenvalues", "eigenvectors")
Svd = return_type("linalg_svd", "U", "S", "Vh")
SvdOld = return_type("svd", "U", "S", "V")


def _differences(values):
    """Return v_j - v_i, with ones on the diagonal."""
    made = values.unsqueeze(-2) - values.unsqueeze(-1)
    return made + values.new_ones(values.shape[-1]).diag_embed()


@primitive(returns=Eigh, name="linalg_eigh")
def _eigh(A: mx.array, UPLO) -> mx.array:
    """Eigenvalues, ascending, and orthonormal eigenvectors."""
    if is_traced(A):
        with mx.stream(STREAMS.cpu):
            return mx.linalg.eigh(A, UPLO)
    host = to_numpy(A, "linalg.eigh")
    if host.size == 0:
        return mx.zeros(A.shape[:-1], mx.float32 if A.dtype == mx.complex64 else A.dtype), A
    values, vectors = np.linalg.eigh(host, UPLO)
    return from_numpy(values), from_numpy(vectors)


def _skew(matrix):
    return matrix - adjoint(matrix)


def _eigh_rule(grads, eigenvalues, eigenvectors):
    """gA = V [diag(gL) + skew(Vᴴ gV) / 2(λ_j - λ_i)] Vᴴ (Giles, 2008), made Hermitian."""
    gL, gV = grads
    V = eigenvectors
    if gL is None and gV is None:
        return None
    if gV is None:
        return matmul(V * gL.to(V.dtype).unsqueeze(-2), adjoint(V))
    inner = 0.5 * _skew(matmul(adjoint(V), gV)) / _differences(eigenvalues).to(V.dtype)
    inner = inner - inner.diagonal(0, -2, -1).diag_embed()
    if gL is not None:
        inner = inner + gL.to(V.dtype).diag_embed()
    return matmul(V, matmul(inner, adjoint(V)))


_eigh.gradients(A=_eigh_rule)


def _triangle_name(UPLO):
    if not isinstance(UPLO, str):
        raise TypeError(f"linalg.eigh(): argument 'UPLO' must be str, not {type(UPLO).__name__}")
    upper = UPLO.upper()
    if upper not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return upper


@composite
def eigh(A, UPLO="L"):
    """Eigenvalues, ascending, and eigenvectors of a Hermitian matrix, of which one triangle is
    read.
    """
    check_matrix("linalg.eigh", A, True)
    return _eigh(A, _triangle_name(UPLO))


@composite
def eigvalsh(A, UPLO="L"):
    """Eigenvalues, ascending, of a Hermitian matrix."""
    check_matrix("linalg.eigvalsh", A, True)
    return _eigh(A, _triangle_name(UPLO)).eigenvalues


@primitive(returns=Eig, name="linalg_eig")
def _eig(A: mx.array) -> mx.array:
    """Complex eigenvalues and eigenvectors of length one."""
    host = to_numpy(A, "linalg.eig")
    if host.size == 0:
        return mx.zeros(A.shape[:-1], mx.complex64), mx.zeros(A.shape, mx.complex64)
    if not np.isfinite(host).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    values, vectors = np.linalg.eig(host)
    return from_numpy(values, mx.complex64), from_numpy(vectors, mx.complex64)


def _eig_rule(grads, eigenvalues, eigenvectors):
    """gA = V⁻ᴴ [diag(gL) + (Vᴴ gV - VᴴV Re diag(Vᴴ gV)) / (λ_j - λ_i)*] Vᴴ."""
    from .linalg_solve import _solve_ex
    gL, gV = grads
    if gL is None and gV is None:
        return None
    V = eigenvectors
    VH = adjoint(V)
    if gV is None:
        inner = gL.diag_embed()
    else:
        turned = matmul(VH, gV)
        length = real(turned.diagonal(0, -2, -1)).to(V.dtype)
        turned = turned - matmul(VH, V * length.unsqueeze(-2))
        inner = turned / _differences(eigenvalues).conj()
        inner = inner - inner.diagonal(0, -2, -1).diag_embed()
        if gL is not None:
            inner = inner + gL.diag_embed()
    return _solve_ex(VH, matmul(inner, VH)).result


_eig.gradients(A=_eig_rule)


def _check_general(name, A):
    check_matrix(name, A, True)
    if A.dtype is float64:
        check_supported(complex128)  # eigenvalues of double precision are complex128


@composite
def eig(A):
    """Eigenvalues and eigenvectors of a square matrix, complex64. Raises TypeError for float64."""
    _check_general("linalg.eig", A)
    return _eig(A)


@composite
def eigvals(A):
    """Eigenvalues of a square matrix, complex64. Raises TypeError for float64."""
    _check_general("linalg.eigvals", A)
    return _eig(A).eigenvalues


@primitive(returns=Svd, name="linalg_svd")
def _svd(A: mx.array, full_matrices, compute_uv) -> mx.array:
    """U, S and Vᴴ."""
    if is_traced(A):
        with mx.stream(STREAMS.cpu):
            U, S, Vh = mx.linalg.svd(A)
        k = min(A.shape[-2:])
        return (U, S, Vh) if full_matrices else (U[..., :k], S, Vh[..., :k, :])
    host = to_numpy(A, "linalg.svd")
    m, n = host.shape[-2:]
    batch = host.shape[:-2]
    if host.size == 0:
        k = min(m, n)
        U = np.broadcast_to(np.eye(m, m if full_matrices else k, dtype=host.dtype),
                            (*batch, m, m if full_matrices else k))
        V = np.broadcast_to(np.eye(n if full_matrices else k, n, dtype=host.dtype),
                            (*batch, n if full_matrices else k, n))
        S = np.zeros((*batch, k), host.real.dtype)
        return from_numpy(U), from_numpy(S), from_numpy(V)
    if not np.isfinite(host).all():
        from .host import LinAlgError

        raise LinAlgError(
            "linalg.svd: The algorithm failed to converge because the input matrix contained "
            "non-finite values."
        )
    if not compute_uv:
        values = np.linalg.svd(host, compute_uv=False)
        return mx.zeros((0,), A.dtype), from_numpy(values), mx.zeros((0,), A.dtype)
    U, S, Vh = np.linalg.svd(host, full_matrices)
    return from_numpy(U), from_numpy(S), from_numpy(Vh)


def _svd_rule(grads, U, S, Vh):
    """The gradient of the thin decomposition (Townsend, 2016); extra columns of full ones have
    none.
    """
    gU, gS, gVh = grads
    if gU is None and gS is None and gVh is None:
        return None
    k = S.shape[-1]
    m, n = U.shape[-2], Vh.shape[-1]
    U, Vh = narrow(U, -1, 0, k), narrow(Vh, -2, 0, k)
    gU = None if gU is None else narrow(gU, -1, 0, k)
    gVh = None if gVh is None else narrow(gVh, -2, 0, k)
    kind = U.dtype
    if gU is None and gVh is None:
        return matmul(U * gS.to(kind).unsqueeze(-2), Vh)
    V, gV = adjoint(Vh), None if gVh is None else adjoint(gVh)
    sigma = S.to(kind)
    squares = S * S
    gaps = (squares.unsqueeze(-2) - squares.unsqueeze(-1) + S.new_ones(k).diag_embed()).to(kind)
    inner = None
    if gU is not None:
        turned = _skew(matmul(adjoint(U), gU))
        inner = (turned / gaps) * sigma.unsqueeze(-2)
        phase = turned.diagonal(0, -2, -1)
    if gV is not None:
        back = _skew(matmul(Vh, gV))
        part = sigma.unsqueeze(-1) * (back / gaps)
        inner = part if inner is None else inner + part
        if gU is None:  # the phases of U and V are not independent: one of them counts
            phase = -back.diagonal(0, -2, -1)
    inner = inner - inner.diagonal(0, -2, -1).diag_embed()
    if gS is not None:
        inner = inner + gS.to(kind).diag_embed()
    if kind.is_complex:
        inner = inner + (phase / (2 * sigma)).diag_embed()
    gA = None
    if gU is not None and m > k:
        outside = gU - matmul(U, matmul(adjoint(U), gU))
        gA = matmul(matmul(U, inner) + outside / sigma.unsqueeze(-2), Vh)
    if gV is not None and n > k:
        outside = gVh - matmul(matmul(gVh, V), Vh)
        right = matmul(inner, Vh) + outside / sigma.unsqueeze(-1)
        gA = matmul(U, right) if gA is None else gA + matmul(U, outside / sigma.unsqueeze(-1))
    return matmul(U, matmul(inner, Vh)) if gA is None else gA


_svd.gradients(A=_svd_rule)


@composite
def svd(A, full_matrices=True, *, driver=None):
    """U, S and Vᴴ with A = U diag(S) Vᴴ, S descending."""
    check_matrix("linalg.svd", A)
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    return _svd(A, full_matrices, True)


@composite
def svdvals(A, *, driver=None):
    """The singular values, descending."""
    check_matrix("linalg.svdvals", A)
    return _svd(A, False, A.requires_grad).S


@composite
def torch_svd(input, some=True, compute_uv=True):
    """U, S and V with input = U diag(S) Vᴴ, as `torch.svd`."""
    check_matrix("linalg.svd", input)
    if not compute_uv:
        m, n = input.shape[-2:]
        S = _svd(input, False, input.requires_grad).S
        return SvdOld(
            input.new_zeros((*input.shape[:-2], m, m)),
            S,
            input.new_zeros((*input.shape[:-2], n, n)),
        )
    U, S, Vh = _svd(input, not some, True)
    return SvdOld(U, S, adjoint(Vh))


def svd_lowrank(A, q=6, niter=2, M=None):
    """An approximation of rank q of the singular value decomposition, by random projections (Halko
    et al., 2009).
    """
    q = 6 if q is None else q
    m, n = A.shape[-2:]
    if M is not None:
        M = M.broadcast_to(A.shape)
        A = A - M
    wide = m < n
    B = adjoint(A) if wide else A
    Q = get_approximate_basis(B, q, niter)
    U, S, Vh = _svd(matmul(adjoint(Q), B), False, True)
    U, V = matmul(Q, U), adjoint(Vh)
    return (V, S, U) if wide else (U, S, V)


def get_approximate_basis(A, q, niter=2, M=None):
    """Orthonormal columns that nearly span the range of A."""
    from . import FUNCTIONS
    from .linalg_factor import _qr
    if M is not None:
        A = A - M
    R = FUNCTIONS["randn"](A.shape[-1], q, dtype=A.dtype, device=A.device)
    Q = _qr(matmul(A, R), "reduced").Q
    for _ in range(niter):
        Q = _qr(matmul(adjoint(A), Q), "reduced").Q
        Q = _qr(matmul(A, Q), "reduced").Q
    return Q


def pca_lowrank(A, q=None, center=True, niter=2):
    """The first principal components: `svd_lowrank` of the matrix with its column means taken off.
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def lobpcg(
    A,
    k=None,
    B=None,
    X=None,
    n=None,
    iK=None,
    niter=None,
    tol=None,
    largest=None,
    method=None,
    tracker=None,
    ortho_iparams=None,
    ortho_fparams=None,
    ortho_bparams=None,
):
    """The k largest (or smallest) eigenvalues and eigenvectors of a symmetric problem A x = λ B x.

    Computed from the whole decomposition, so exact to rounding; the iteration's options change
    nothing.
    """
    from .linalg_factor import cholesky
    from .linalg_solve import solve_triangular
    count = k or (X.shape[-1] if X is not None else 1)
    if count * 3 > A.shape[-1]:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={A.shape[-1]}) is "
            f"smaller than 3 x the number of requested eigenpairs (={count})"
        )
    if B is not None:
        L = cholesky(B)
        inner = solve_triangular(L, adjoint(solve_triangular(L, A, upper=False)), upper=False)
        values, vectors = _eigh(inner, "L")
        vectors = solve_triangular(adjoint(L), vectors, upper=True)
    else:
        values, vectors = _eigh(A, "L")
    if largest is None or largest:
        return values.flip(-1).narrow(-1, 0, count), vectors.flip(-1).narrow(-1, 0, count)
    return values.narrow(-1, 0, count), vectors.narrow(-1, 0, count)

