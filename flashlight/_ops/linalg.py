"""Norms, determinants, ranks and functions of matrices; the names of `torch.linalg`."""

from __future__ import annotations

import math

import mlx.core as mx

from .._core.device import CPU
from .._core.dtype import SCALAR_TYPE_NAME, finfo
from .._core.errors import wrap_dim
from .._core.evaluation import evaluate, is_traced
from .._core.tensor import Tensor, read, wrap
from .._kernels import reduction as reductions
from .._kernels.normalization import widened as wide_array
from . import linalg_factor as factor
from . import linalg_ldl as ldl
from . import linalg_solve as solving
from . import linalg_spectral as spectral
from .complex_parts import conj, real
from .conversion import as_dtype
from .host import LinAlgError, check_dtype, check_matrix
from .joining import cat
from .kinds import composite, primitive
from .linalg_factor import _lu_factor_ex, adjoint
from .matmul import matmul, mm
from .pointwise import abs_, log, where
from .reduction import amax, amin, norm_rule, sum, vector_norm
from .return_types import return_type
from .shape import permute
from .widening import widened

Slogdet = return_type("linalg_slogdet", "sign", "logabsdet")
SlogdetOld = return_type("slogdet", "sign", "logabsdet")


# ----- determinants -----


@composite
def det(A):
    """The determinant."""
    check_matrix("linalg.det", A, True)
    return _det(A)


def _permutation_sign(pivots: mx.array) -> mx.array:
    """Return 1 or -1 for each matrix, from the pivots of its LU factors."""
    n = pivots.shape[-1]
    if not pivots.size:  # MLX's sums of nothing read memory that is not theirs
        return mx.ones(pivots.shape[:-1], mx.int32)
    moved = (pivots != mx.arange(1, n + 1)).astype(mx.int32).sum(-1)
    return 1 - 2 * (moved % 2)


@primitive(name="linalg_det")
def _det(A: mx.array) -> mx.array:
    """The product of the diagonal of U, with the sign of the permutation."""
    if A.size == 0:
        return mx.ones(A.shape[:-2], A.dtype)
    LU, pivots, _ = _lu_factor_ex.operation.body(A)
    return mx.prod(mx.diagonal(LU, 0, -2, -1), axis=-1) * _permutation_sign(pivots).astype(A.dtype)


_det.gradients(A=lambda grad, A: grad.unsqueeze(-1).unsqueeze(-1) * conj(_cofactors(A)))


def _cofactors(A):
    """The derivative of det A with respect to A."""
    singular = (
        bool((abs_(_det(A.detach())) <= finfo(A.dtype.real).eps).any().item())
        if not is_traced(A._read())
        else False
    )
    if not singular:
        inverse = solving._inv_ex(A).inverse
        LU_det = _det(A)
        return LU_det.unsqueeze(-1).unsqueeze(-1) * inverse.transpose(-2, -1)
    U, S, Vh = spectral._svd(A.detach(), True, True)
    from .reduction import _exclusive_products
    others = _exclusive_products(S, S.ndim - 1).to(A.dtype)
    phase = (_det(U) * _det(Vh)).unsqueeze(-1).unsqueeze(-1)
    return phase * conj(matmul(U * others.unsqueeze(-2), Vh))


@primitive(differentiable=False)
def _parity(pivots: mx.array) -> mx.array:
    """The sign of the permutation."""
    return _permutation_sign(pivots)


def _slogdet(A):
    if A.shape[-1] == 0:
        nothing = sum(A, (-2, -1)) * 0  # keeps the history of an empty matrix
        return nothing.detach() + 1, real(nothing)
    LU, pivots, _ = _lu_factor_ex(A)
    diagonal = LU.diagonal(0, -2, -1)
    sign = diagonal.sgn().prod(-1) * _parity(pivots).to(A.dtype)
    return sign, sum(log(abs_(diagonal)), -1)


@composite
def slogdet(A):
    """The sign and the logarithm of the absolute value of the determinant."""
    check_matrix("linalg.slogdet", A, True)
    return Slogdet(*_slogdet(A))


@composite
def torch_slogdet(input):
    """The sign and the logarithm of the absolute value of the determinant."""
    check_matrix("linalg.slogdet", input, True)
    return SlogdetOld(*_slogdet(input))


@composite
def logdet(input):
    """The logarithm of the determinant; NaN where it is negative."""
    check_matrix("logdet", input, True)
    sign, size = _slogdet(input)
    return size + log(sign) if input.dtype.is_complex else where(sign == -1, math.nan, size)


# ----- norms -----


def _norm_dtype(name, input, dtype):
    check_dtype_any(name, input)
    if dtype is not None:
        if dtype.is_complex != input.dtype.is_complex:
            raise RuntimeError(
                f"{name}: dtype should be {'complex' if input.dtype.is_complex else 'real'} for "
                f"{'complex' if input.dtype.is_complex else 'real'} inputs, but got {dtype}"
            )
        from .._core.promotion import promote_types
        if promote_types(input.dtype, dtype) is not dtype:
            raise RuntimeError(
                f"{name}: the dtype of the input ({input.dtype}) should be convertible without "
                f"narrowing to the specified dtype ({dtype})"
            )
        return as_dtype(input, dtype)
    return input


def check_dtype_any(name, input):
    """Raise RuntimeError for integers."""
    if input.dtype.category < 2:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{SCALAR_TYPE_NAME[input.dtype]}")


@composite
def public_vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The vector norm of all elements, or over `dim`."""
    x = _norm_dtype("linalg.vector_norm", x, dtype)
    return vector_norm(x, float(ord), dim, keepdim)


@composite
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """The norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""
    if A.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    check_dtype_any("linalg.matrix_norm", A)
    A = _norm_dtype("linalg.matrix_norm", A, dtype)
    if len(dim) != 2:
        raise RuntimeError(
            f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}"
        )
    rows, columns = (wrap_dim(d, A.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if isinstance(ord, str):
        if ord == "fro":
            return vector_norm(A, 2.0, (rows, columns), keepdim)
        if ord != "nuc":
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:
        check_dtype("linalg.matrix_norm", A)
        order = [d for d in range(A.ndim) if d not in (rows, columns)] + [rows, columns]
        values = spectral.svdvals(permute(A, order))
        made = sum(values, -1) if ord == "nuc" else (amax if ord > 0 else amin)(values, -1)
        if keepdim:
            for d in sorted((rows, columns)):
                made = made.unsqueeze(d)
        return made
    over, then = (rows, columns) if abs(ord) == 1 else (columns, rows)
    lengths = vector_norm(A, 1.0, (over,), True)
    made = (amax if ord > 0 else amin)(lengths, (then,), True)
    return made if keepdim else made.squeeze((rows, columns))


@composite
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector or matrix norm, by the number of dimensions."""
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) > 2 and ord is not None:
            raise RuntimeError("linalg.norm: If dim is specified, it must be of length 1 or 2. Got "
                               f"{list(dims)}")
    else:
        dims = None
        if ord is not None and A.ndim > 2:
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{A.ndim}D."
            )
    if (
        isinstance(ord, str)
        or ord is not None
        and (dims is not None and len(dims) == 2 or dims is None and A.ndim == 2)
    ):
        return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype=dtype)
    return public_vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


@composite
def frobenius_norm(input, dim, keepdim=False):
    """The root of the sum of squares over `dim`."""
    return public_vector_norm(input, 2, dim, keepdim)


@composite
def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    """The sum of the singular values of matrices."""
    return matrix_norm(input, "nuc", dim, keepdim)


@composite
def torch_norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements or over `dim`, as `torch.norm`."""
    if p == "fro" and (dim is None or isinstance(dim, int) or len(dim) <= 2):
        made = public_vector_norm(input, 2, dim, keepdim, dtype=dtype)
    elif p == "nuc":
        made = matrix_norm(input, "nuc", (0, 1) if dim is None else dim, keepdim, dtype=dtype)
    elif isinstance(p, str):
        raise RuntimeError(f"norm(): p={p!r} is not supported; use 'fro', 'nuc' or a number")
    else:
        made = public_vector_norm(input, 2.0 if p is None else p, dim, keepdim, dtype=dtype)
    if out is not None:
        from .operation import write_out
        return write_out(out, made)
    return made


def norm_method(self, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm of all elements or over `dim`."""
    return torch_norm(self, p, dim, keepdim, dtype=dtype)


@composite
def dist(input, other, p=2):
    """The p-norm of input - other."""
    return vector_norm(input - other, float(p))


@primitive(name="renorm")
def _renorm(input: mx.array, p, dims, maxnorm) -> mx.array:
    """Scale what lies along `dims` down to a p-norm of `maxnorm`."""
    lengths = reductions.norm(wide_array(input), p, dims, True)
    scale = mx.where(lengths > maxnorm, maxnorm / (lengths + 1e-7), mx.ones_like(lengths))
    return input * scale.astype(input.dtype)


def _renorm_rule(grad, input, p, dims, maxnorm):
    """The scale's part is computed in float32 for half types, as in PyTorch."""
    wide = widened(input)
    lengths = vector_norm(wide, p, dims, True)
    along = sum(widened(conj(input) * grad), dims, True)
    along = real(along) if along.dtype.is_complex else along
    inverse = 1 / (lengths + 1e-7)
    slope = maxnorm * inverse * (
        widened(grad) - inverse * norm_rule(along, wide, lengths, p, dims, True))
    return where(lengths > maxnorm, slope.to(grad.dtype), grad)


_renorm.gradients(input=_renorm_rule)


@composite
def renorm(input, p, dim, maxnorm):
    """Slices of `dim` whose p-norm is above `maxnorm` scaled down to it."""
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = wrap_dim(dim, input.ndim)
    return _renorm(input, float(p), tuple(k for k in range(input.ndim) if k != d), maxnorm)


# ----- rank, condition, pseudo-inverse -----


def _tolerances(name, A, atol, rtol):
    """Return the tensors (or numbers) below whose larger one singular values count as zero."""
    for label, value in (("atol", atol), ("rtol", rtol)):
        if isinstance(value, Tensor) and value.dtype.is_complex:
            raise RuntimeError(f"{name}: {label} tensor of complex type is not supported.")
    if rtol is None:
        default = finfo(A.dtype.real).eps * max(A.shape[-2:])
        if atol is None:
            rtol = default
        elif isinstance(atol, Tensor):
            rtol = where(atol > 0, 0.0, default)
        else:
            rtol = 0.0 if atol > 0 else default
    return 0.0 if atol is None else atol, rtol


def _threshold(values, atol, rtol):
    largest = (
        amax(values, -1, True) if values.shape[-1] else values.new_zeros((*values.shape[:-1], 1))
    )
    part = rtol.unsqueeze(-1) * largest if isinstance(rtol, Tensor) else largest * rtol
    floor = atol.unsqueeze(-1) if isinstance(atol, Tensor) else part.new_full((), atol)
    return part.maximum(floor.to(part.dtype))


@composite
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """The number of singular values above max(atol, rtol * the largest)."""
    check_matrix("linalg.matrix_rank", A)
    if tol is not None and atol is None:
        atol, rtol = tol, 0.0 if rtol is None else rtol
    atol, rtol = _tolerances("torch.linalg.matrix_rank", A, atol, rtol)
    A = A.detach()
    values = abs_(spectral.eigvalsh(A)) if hermitian else spectral.svdvals(A)
    return (values > _threshold(values, atol, rtol)).sum(-1)


@composite
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The Moore-Penrose inverse; singular values up to max(atol, rtol * the largest) count as zero.
    """
    check_matrix("linalg.pinv", A)
    if rcond is not None and rtol is None:
        rtol = rcond
    atol, rtol = _tolerances("torch.linalg.pinv", A, atol, rtol)
    if A.numel() == 0:
        return A.new_zeros((*A.shape[:-2], A.shape[-1], A.shape[-2])) + A.sum() * 0
    if hermitian and A.shape[-1] != A.shape[-2]:
        raise RuntimeError("linalg.pinv: A must be batches of square matrices")
    return _recorded_pinv(A, atol, rtol, hermitian)


@composite
def pinverse(input, rcond=1e-15):
    """The Moore-Penrose inverse."""
    return pinv(input, rcond)


def _pinv(A, atol, rtol, hermitian):
    if hermitian:
        values, V = spectral._eigh(A, "L")
        size = abs_(values)
        kept = size > _threshold(size, atol, rtol)
        inverse = where(kept, 1 / values, 0.0).to(A.dtype)
        return matmul(V * inverse.unsqueeze(-2), adjoint(V))
    U, S, Vh = spectral._svd(A, False, True)
    kept = _threshold(S, atol, rtol) < S
    inverse = where(kept, 1 / S, 0.0).to(A.dtype)
    return matmul(adjoint(Vh) * inverse.unsqueeze(-2), adjoint(U))


@primitive(name="linalg_pinv")
def _recorded_pinv(A: mx.array, atol, rtol, hermitian) -> mx.array:
    """The Moore-Penrose inverse, as one step of the graph."""
    return read(_pinv(wrap(A, CPU), atol, rtol, hermitian))


def _pinv_rule(grad, A, result, atol, rtol, hermitian):
    """gA = -Pᴴ g Pᴴ + (I - A P) gᴴ P Pᴴ + Pᴴ P gᴴ (I - P A) (Golub and Pereyra, 1973)."""
    P = result
    PH, gH = adjoint(P), adjoint(grad)
    left = matmul(gH, matmul(P, PH))
    right = matmul(matmul(PH, P), gH)
    return (
        -matmul(PH, matmul(grad, PH))
        + left
        - matmul(A, matmul(P, left))
        + right
        - matmul(matmul(right, P), A)
    )


_recorded_pinv.gradients(A=_pinv_rule)


@composite
def cond(A, p=None):
    """The condition number in the norm p: None and 2 (by singular values), -2, "fro", "nuc", 1, -1,
    inf, -inf.
    """
    check_matrix("linalg.cond", A)
    if p is None or p in (2, -2):
        values = spectral.svdvals(A)
        if not values.shape[-1]:
            return values.new_zeros(values.shape[:-1])
        largest, smallest = values.select(-1, 0), values.select(-1, -1)
        return largest / smallest if p != -2 else smallest / largest
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.cond(ord={p}): A must be batches of square matrices, but they are "
            f"{A.shape[-2]} by {A.shape[-1]} matrices"
        )
    if A.numel() == 0:
        return real(A.new_zeros(A.shape[:-2]))
    inverse, info = solving._inv_ex(A)
    made = matrix_norm(A, p) * matrix_norm(inverse, p)
    return made.masked_fill(info != 0, math.inf)


# ----- products and powers -----


@composite
def matrix_power(A, n):
    """The n-th power; of the inverse for negative n."""
    check_matrix("linalg.matrix_power", A, True) if A.dtype.category >= 2 else None
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError("linalg.matrix_power: A must be batches of square matrices")
    if n == 0:
        return A * 0 + A.new_ones(A.shape[-1]).diag_embed()
    if n < 0:
        A, n = solving.inv(A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else matmul(result, A)
        n >>= 1
        if n:
            A = matmul(A, A)
    return result.clone() if result.numel() and n == 0 and result is A else result


@composite
def matrix_exp(A):
    """The exponential, by scaling, a Taylor polynomial of degree 16 and repeated squaring."""
    check_matrix("linalg.matrix_exp", A, True) if A.dtype.itemsize != 2 else _square(A)
    if A.numel() == 0:
        return A.clone()
    half = A.dtype.itemsize == 2
    work = A.float() if half else A
    size = amax(vector_norm(work.detach(), 1.0, (-2,)), (-1,))
    halvings = 0
    if not is_traced(size._read()):
        largest = float(evaluate(size._read()).max().item()) if size.numel() else 0.0
        if math.isfinite(largest) and largest > 0.5:
            halvings = max(0, math.ceil(math.log2(largest / 0.5)))
    else:
        halvings = 8
    work = work / 2**halvings
    identity = work.new_zeros(work.shape) + work.new_ones(work.shape[-1]).diag_embed()
    # Paterson and Stockmeyer's grouping: powers up to the fourth, then Horner's rule in the fourth.
    A2 = matmul(work, work)
    A3 = matmul(A2, work)
    A4 = matmul(A2, A2)
    coefficients = [1 / math.factorial(k) for k in range(17)]
    result = identity * coefficients[16]
    for group in (3, 2, 1, 0):
        c = coefficients[4 * group:4 * group + 4]
        result = matmul(result, A4) + identity * c[0] + work * c[1] + A2 * c[2] + A3 * c[3]
    for _ in range(halvings):
        result = matmul(result, result)
    return result.to(A.dtype) if half else result


def _square(A):
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError("linalg.matrix_exp: A must be batches of square matrices")


@composite
def multi_dot(tensors, *, out=None):
    """The product of several matrices (the ends may be vectors), in the cheapest order."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for position, tensor in enumerate(tensors):
        edge = position in (0, len(tensors) - 1)
        if tensor.ndim not in ((1, 2) if edge else (2,)):
            where_ = "the first tensor must be 1D or 2D" if position == 0 else \
                "the last tensor must be 1D or 2D" if edge else f"tensor {position} must be 2D"
            raise RuntimeError(f"multi_dot(): {where_} but got {tensor.ndim}D")
        if tensor.dtype is not tensors[0].dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{SCALAR_TYPE_NAME[tensors[0].dtype]} and tensor {position} "
                f"{SCALAR_TYPE_NAME[tensor.dtype]}"
            )
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    chain = [tensors[0].unsqueeze(0) if first else tensors[0], *tensors[1:-1],
             tensors[-1].unsqueeze(-1) if last else tensors[-1]]
    for position, (a, b) in enumerate(zip(chain, chain[1:])):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {position} and {position + 1} with shapes {list(a.shape)} "
                f"and {list(b.shape)} cannot be multiplied"
            )
    made = _cheapest(chain)
    made = made.squeeze(0) if first else made
    made = made.squeeze(-1) if last else made
    if out is not None:
        from .operation import write_out
        return write_out(out, made)
    return made


def _cheapest(chain):
    """Multiply in the order with the fewest operations (Cormen et al., 15.2)."""
    n = len(chain)
    sizes = [m.shape[0] for m in chain] + [chain[-1].shape[1]]
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i][j], split[i][j] = min(options)

    def multiply(i, j):
        if i == j:
            return chain[i]
        k = split[i][j]
        return mm(multiply(i, k), multiply(k + 1, j))
    return multiply(0, n - 1)


@composite
def cross(input, other, *, dim=-1):
    """The cross product of vectors of three elements along `dim`."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = wrap_dim(dim, input.ndim)
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[d]} and "
            f"{other.shape[d]}"
        )
    a = [input.select(d, k) for k in range(3)]
    b = [other.select(d, k) for k in range(3)]
    parts = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return cat([part.unsqueeze(d) for part in parts], d)


@composite
def torch_cross(input, other, dim=None, *, out=None):
    """The cross product, along the first dimension of length 3 unless told."""
    if dim is None:
        found = [d for d, n in enumerate(input.shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return cross(input, other, dim=dim) if out is None else cross(input, other, dim=dim, out=out)


@composite
def vecdot(x, y, *, dim=-1):
    """The dot product conj(x)·y along `dim`."""
    return sum(conj(x) * y, dim)


@composite
def vander(x, N=None):
    """The powers of the elements of x, (…, n) -> (…, n, N)."""
    x = x if x.ndim else x.reshape(1)
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError(f"N must be greater than 1, got {n}")
    kind = x.dtype if x.dtype.category else x.long().dtype
    column = as_dtype(x, kind).unsqueeze(-1)
    ones = column.new_ones(column.shape)
    from .cumulative import cumprod
    return cat([ones, cumprod(column.expand((*x.shape, n - 1)), -1)], -1)


@composite
def torch_vander(x, N=None, increasing=False):
    """The powers of a vector's elements as columns, descending unless told."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n == 0:
        return x.new_zeros((x.shape[0], 0))
    column = x.unsqueeze(-1)
    if x.dtype.category < 1:
        column = column.long()
    powers = [column**k for k in range(n)]
    return cat(powers if increasing else powers[::-1], -1)


@composite
def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """A diagonal of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)


@composite
def trace(input):
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return sum(input.diagonal())


@composite
def linalg_matmul(input, other):
    """The product of matrices."""
    return matmul(input, other)


LINALG = {
    "LinAlgError": LinAlgError, "cholesky": factor.cholesky, "cholesky_ex": factor.cholesky_ex,
    "cond": cond, "cross": cross, "det": det, "diagonal": diagonal, "eig": spectral.eig,
    "eigh": spectral.eigh, "eigvals": spectral.eigvals, "eigvalsh": spectral.eigvalsh,
    "householder_product": factor.householder_product, "inv": solving.inv,
    "inv_ex": solving.inv_ex, "ldl_factor": ldl.ldl_factor,
    "ldl_factor_ex": ldl.ldl_factor_ex, "ldl_solve": ldl.ldl_solve, "lstsq": solving.lstsq,
    "lu": factor.lu, "lu_factor": factor.lu_factor, "lu_factor_ex": factor.lu_factor_ex,
    "lu_solve": solving.lu_solve, "matmul": linalg_matmul, "matrix_exp": matrix_exp,
    "matrix_norm": matrix_norm, "matrix_power": matrix_power, "matrix_rank": matrix_rank,
    "multi_dot": multi_dot, "norm": norm, "pinv": pinv, "qr": factor.qr, "slogdet": slogdet,
    "solve": solving.solve, "solve_ex": solving.solve_ex,
    "solve_triangular": solving.solve_triangular, "svd": spectral.svd,
    "svdvals": spectral.svdvals, "tensorinv": solving.tensorinv,
    "tensorsolve": solving.tensorsolve, "vander": vander, "vecdot": vecdot,
    "vector_norm": public_vector_norm,
}  # fmt: skip
FUNCTIONS = {
    "cholesky": factor.torch_cholesky, "cholesky_inverse": factor.cholesky_inverse,
    "cholesky_solve": factor.cholesky_solve, "cross": torch_cross, "det": det, "dist": dist,
    "geqrf": factor.geqrf, "inverse": solving.inv, "lobpcg": spectral.lobpcg, "logdet": logdet,
    "lu": factor.torch_lu, "lu_solve": solving.torch_lu_solve, "lu_unpack": factor.lu_unpack,
    "matrix_exp": matrix_exp, "matrix_power": matrix_power, "norm": torch_norm,
    "orgqr": factor.householder_product, "ormqr": factor.ormqr,
    "pca_lowrank": spectral.pca_lowrank, "pinverse": pinverse, "qr": factor.torch_qr,
    "renorm": renorm, "slogdet": torch_slogdet, "svd": spectral.torch_svd,
    "svd_lowrank": spectral.svd_lowrank, "trace": trace,
    "triangular_solve": solving.triangular_solve, "vander": torch_vander,
}  # fmt: skip
METHODS = {
    name: f
    for name, f in FUNCTIONS.items()
    if name not in ("lobpcg", "lu_unpack", "pca_lowrank", "svd_lowrank", "vander")
} | {"norm": norm_method, "lu": factor.lu_method}
FUNCTIONS |= {"frobenius_norm": frobenius_norm, "nuclear_norm": nuclear_norm}
INPLACE = ("renorm",)
