"""Products of matrices and vectors."""

from __future__ import annotations

import math

import mlx.core as mx

from .._autograd.history import check_inplace
from .._core.device import NATIVE
from .._core.dtype import (
    FROM_MLX,
    SCALAR_TYPE_NAME,
    bfloat16,
    bool_,
    complex64,
    float16,
    float32,
    float64,
)  # fmt: skip
from .._core.errors import broadcast_shapes
from .._core.tensor import Tensor
from .complex_parts import conj
from .kinds import SAME, adopt_result, composite, constant, inplace, primitive
from .shape import permute, reshape, transpose


def product(a: mx.array, b: mx.array, bias: mx.array | None = None) -> mx.array:
    """Return the matrix product, plus `bias`, in the dtype of the factors.

    Halves add up in float32 and are rounded once, integers add up exactly.
    """
    kind = a.dtype
    if kind in (mx.float32, mx.float64, mx.complex64):
        made = mx.matmul(a, b)
        return made if bias is None else made + bias
    if kind in (mx.float16, mx.bfloat16):
        if NATIVE == "cpu":  # MLX's CPU product of halves is a scalar loop
            made = mx.matmul(a.astype(mx.float32), b.astype(mx.float32))
            return (made if bias is None else made + bias.astype(mx.float32)).astype(kind)
        return mx.matmul(a, b) if bias is None else mx.addmm(bias, a, b)
    made = _integer_product(a, b)
    return made if bias is None else made + bias


def _integer_product(a, b):
    """MLX multiplies no integers: add up outer products, one slice of the inner dimension at a
    time.
    """
    kind = a.dtype
    wide = mx.int64 if kind != mx.uint64 else mx.uint64
    a, b = a.astype(wide), b.astype(wide)
    inner = a.shape[-1]
    if a.ndim == 1 or b.ndim == 1:
        if a.ndim == 1 and b.ndim == 1:
            return (a * b).sum().astype(kind)
        made = _integer_product(a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b)
        return (made.squeeze(-2) if a.ndim == 1 else made.squeeze(-1)).astype(kind)
    total = (
        math.prod(broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2])))
        * a.shape[-2]
        * b.shape[-1]
    )
    chunk = max(1, min(inner, (1 << 22) // max(total, 1)))
    made = None
    for start in range(0, inner, chunk):
        part = (a[..., :, start:start + chunk, None] * b[..., None, start:start + chunk, :]).sum(-2)
        made = part if made is None else made + part
    if made is None:
        shape = (
            *broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2])),
            a.shape[-2],
            b.shape[-1],
        )
        made = mx.zeros(shape, wide)
    return made.astype(kind)


def _same_dtype(name, a, b):
    if a.dtype != b.dtype:
        names = [SCALAR_TYPE_NAME[FROM_MLX[x.dtype]].lower() for x in (a, b)]
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {names[0]} != {names[1]}"
        )


def _no_bool(name, kind):
    if kind == mx.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")


@primitive
def mm(input: mx.array, mat2: mx.array) -> mx.array:
    """The product of two matrices, (n, m) and (m, p) -> (n, p)."""
    if input.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if mat2.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if input.shape[1] != mat2.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({input.shape[0]}x{input.shape[1]} and "
            f"{mat2.shape[0]}x{mat2.shape[1]})"
        )
    _same_dtype("mm", input, mat2)
    _no_bool("addmm_impl_cpu_", input.dtype)
    return product(input, mat2)


mm.gradients(input=lambda grad, mat2: mm(grad, conj(transpose(mat2, 0, 1))),
             mat2=lambda grad, input: mm(conj(transpose(input, 0, 1)), grad))


@primitive
def bmm(input: mx.array, mat2: mx.array) -> mx.array:
    """The products of batches of matrices, (b, n, m) and (b, m, p) -> (b, n, p)."""
    if input.ndim != 3 or mat2.ndim != 3:
        raise RuntimeError(f"batch{1 if input.ndim != 3 else 2} must be a 3D tensor")
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, "
            f"{input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    _same_dtype("bmm", input, mat2)
    _no_bool("bmm", input.dtype)
    return product(input, mat2)


bmm.gradients(input=lambda grad, mat2: bmm(grad, conj(transpose(mat2, 1, 2))),
              mat2=lambda grad, input: bmm(conj(transpose(input, 1, 2)), grad))


@primitive
def matmul(input: mx.array, other: mx.array) -> mx.array:
    """The product of matrices, vectors or batches of matrices, as `@`."""
    if input.ndim == 0 or other.ndim == 0:
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{input.ndim}D and {other.ndim}D")
    _same_dtype("matmul", input, other)
    inner = other.shape[-2] if other.ndim > 1 else other.shape[0]
    if input.shape[-1] != inner:
        _refuse(input, other)
    try:
        broadcast_shapes(tuple(input.shape[:-2]), tuple(other.shape[:-2]))
    except RuntimeError as error:
        raise RuntimeError(str(error)) from None
    _no_bool("addmm_impl_cpu_", input.dtype)
    return product(input, other)


def _plain_product(input, other):
    return mx.matmul if input.dtype in (float32, float64, complex64) else None


for _product in (matmul, mm, bmm):
    _product.operation.shortcut = _plain_product


def _refuse(input, other):
    if input.ndim == 1 and other.ndim == 1:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src "
            f"[{other.shape[0]}] to have the same number of elements, but got {input.shape[0]} "
            f"and {other.shape[0]} elements respectively"
        )
    if other.ndim == 1:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}), mat "
            f"({input.shape[0]}x{input.shape[-1]}), vec "
            f"({other.shape[0]})"
        )
    if input.ndim <= 2 and other.ndim <= 2 or other.ndim == 2:
        rows = math.prod(input.shape[:-1]) if input.ndim > 1 else 1
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{other.shape[-2]}x{other.shape[-1]})"
        )
    raise RuntimeError(
        f"Expected size for first two dimensions of batch2 tensor to be: [{other.shape[0]}, "
        f"{input.shape[-1]}] but got: [{other.shape[0]}, {other.shape[-2]}]."
    )


def _matmul_left(grad, other, input_shape):
    if len(input_shape) == 1:
        if other.ndim == 1:
            return grad * conj(other)
        return _matmul_left(grad.unsqueeze(-2), other, (1, *input_shape)).squeeze(-2)
    if other.ndim == 1:
        return grad.unsqueeze(-1) * conj(other)
    if other.ndim == 2 and len(input_shape) > 2:
        return matmul(grad, conj(transpose(other, 0, 1)))
    if len(input_shape) == 2 and other.ndim > 2:
        # One product instead of a batch that is then summed: its columns are all the batch's.
        order = (other.ndim - 2, *range(other.ndim - 2), other.ndim - 1)
        columns = math.prod(grad.shape[:-2]) * grad.shape[-1]
        grad = reshape(permute(grad, order), (input_shape[0], columns))
        return matmul(grad, conj(transpose(reshape(permute(other, order),
                                                   (input_shape[1], columns)), 0, 1)))
    return matmul(grad, conj(transpose(other, -2, -1)))


def _matmul_right(grad, input, other_shape):
    if len(other_shape) == 1:
        if input.ndim == 1:
            return grad * conj(input)
        flat = reshape(input, (math.prod(input.shape[:-1]), input.shape[-1]))
        return matmul(conj(transpose(flat, 0, 1)), reshape(grad, (-1,)))
    if input.ndim == 1:
        return conj(input).unsqueeze(-1) * grad.unsqueeze(-2)
    if (
        len(other_shape) == 2 and input.ndim > 2
    ):  # one product instead of a batch that is then summed
        rows = math.prod(input.shape[:-1])  # -1 would be ambiguous for empty factors
        flat = reshape(input, (rows, input.shape[-1]))
        return matmul(conj(transpose(flat, 0, 1)), reshape(grad, (rows, grad.shape[-1])))
    return matmul(conj(transpose(input, -2, -1)), grad)


matmul.gradients(input=_matmul_left, other=_matmul_right)


@composite
def __matmul__(self, other):
    """self @ other."""
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def __rmatmul__(self, other):
    """other @ self."""
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


def _check_vector(input, vec):
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {1}, {input.ndim}, {vec.ndim}")


@composite
def mv(input, vec):
    """The product of a matrix and a vector."""
    _check_vector(input, vec)
    return matmul(input, vec)


@composite
def dot(input, tensor):
    """The dot product of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype is not tensor.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found "
                           f"{SCALAR_TYPE_NAME[input.dtype]} and {SCALAR_TYPE_NAME[tensor.dtype]}")
    return matmul(input, tensor)


@composite
def vdot(input, other):
    """The dot product of a conjugated vector and another."""
    return dot(conj(input), other)


@composite
def inner(input, other):
    """Products over the last dimension of both tensors."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, [[-1], [-1]])


@composite
def outer(input, vec2):
    """All products of the elements of two vectors, (n,) and (m,) -> (n, m)."""
    for name, tensor in (("self", input), ("vec2", vec2)):
        if tensor.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {tensor.ndim}-D")
    return input.unsqueeze(1) * vec2.unsqueeze(0)


def _blend(input, made, beta, alpha):
    """beta * input + alpha * made, without reading `input` where beta is 0."""
    made = made if alpha == 1 else made * alpha
    if beta == 0:
        shape = broadcast_shapes(tuple(input.shape), tuple(made.shape))
        if shape != tuple(made.shape):
            raise RuntimeError(
                f"The expanded size of the tensor {list(made.shape)} must match the existing size "
                f"{list(input.shape)}"
            )
        return made
    input = input if beta == 1 else input * beta
    shape = broadcast_shapes(tuple(input.shape), tuple(made.shape))
    if shape != tuple(made.shape):
        raise RuntimeError(
            f"The expanded size of the tensor ({list(made.shape)}) must match the existing size "
            f"({list(input.shape)})"
        )
    return made + input


def _factor(value, kind):
    """Return beta or alpha as it counts for tensors of a dtype: integers drop its fraction."""
    if isinstance(value, complex) and not kind.is_complex:
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    return int(value) if kind.category < 2 and isinstance(value, float) else value


def _half_adder(name, parts):
    """Return the form for halves: added up in float32 and rounded where PyTorch rounds.

    `parts` gives what is to be added, from the factors in float32.
    """

    @primitive(name=name)
    def add_product(
        input: mx.array, left: mx.array, right: mx.array, beta, alpha
    ) -> mx.array:
        """beta * input + alpha * (left @ right)."""
        total = input
        for part in parts(left.astype(mx.float32), right.astype(mx.float32)):
            total = _blend(total.astype(mx.float32), part, beta, alpha).astype(input.dtype)
            beta = 1
        return total

    def of_each(grad, shape):
        return grad.expand((shape[0], *grad.shape)) if len(shape) == grad.ndim + 1 > 2 else grad

    def scaled(grad, factor):
        return grad if factor == 1 else grad * factor

    add_product.gradients(
        input=lambda grad, beta: scaled(grad, beta),
        left=lambda grad, left_shape, right, alpha: scaled(
            _matmul_left(of_each(grad, left_shape), right, left_shape), alpha),
        right=lambda grad, left, right_shape, alpha: scaled(
            _matmul_right(of_each(grad, left.shape), left, right_shape), alpha),
    )
    return add_product


def _adder(name, multiply, names, text, parts):
    first, second = names
    source_args = (first, second)
    add_halves = _half_adder(name, parts)

    def add_product(input, *args, beta=1, alpha=1, **kwargs):
        given = {**dict(zip(source_args, args)), **kwargs}
        missing = [f'"{each}"' for each in source_args if each not in given]
        if missing or len(given) > 2 or len(args) > 2:
            raise TypeError(f"{name}() takes input, {first} and {second}, beta and alpha"
                            + (f"; missing: {', '.join(missing)}" if missing else ""))
        left, right = given[first], given[second]
        beta, alpha = _factor(beta, input.dtype), _factor(alpha, input.dtype)
        if input.dtype is not left.dtype and left.dtype is right.dtype:
            raise RuntimeError(
                f"self and mat2 must have the same dtype, but got {SCALAR_TYPE_NAME[input.dtype]} "
                f"and {SCALAR_TYPE_NAME[right.dtype]}"
            )
        if input.dtype in (float16, bfloat16) and input.device.type == "cpu":
            return add_halves(input, left, right, beta, alpha)
        return _blend(input, multiply(left, right), beta, alpha)
    add_product.__name__ = add_product.__qualname__ = name
    add_product.__doc__ = text
    return composite(add_product)


def _products_in_turn(left, right):
    """The products of a batch: PyTorch adds, and rounds, one after the other."""
    made = bmm.operation.body(left, right)
    return list(made) if len(made) else [mx.zeros(made.shape[1:], made.dtype)]


def _matrix_vector(left, right):
    _check_vector(left, right)
    return [matmul.operation.body(left, right)]


addmm = _adder("addmm", mm, ("mat1", "mat2"), "beta * input + alpha * (mat1 @ mat2).",
               lambda left, right: [mm.operation.body(left, right)])
addmv = _adder("addmv", mv, ("mat", "vec"), "beta * input + alpha * (mat @ vec).", _matrix_vector)
baddbmm = _adder(
    "baddbmm",
    bmm,
    ("batch1", "batch2"),
    "beta * input + alpha * (batch1 @ batch2), batch by batch.",
    lambda left, right: [bmm.operation.body(left, right)],
)
addbmm = _adder("addbmm", lambda a, b: bmm(a, b).sum(0, dtype=a.dtype), ("batch1", "batch2"),
                "beta * input + alpha * the sum of the products of a batch.", _products_in_turn)


@primitive(promote=SAME)
def addr(
    input: mx.array, vec1: mx.array, vec2: mx.array, *, beta=1, alpha=1
) -> mx.array:
    """beta * input + alpha * outer(vec1, vec2)."""
    kind = FROM_MLX[input.dtype]
    for name, vector in (("vec1", vec1), ("vec2", vec2)):
        if vector.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {vector.ndim}-D")
    for name, value in (("beta", beta), ("alpha", alpha)):
        if isinstance(value, bool) and kind is not bool_:
            raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
        if kind.category < 2 and isinstance(value, (float, complex)):
            raise RuntimeError(
                f"For integral input tensors, argument {name} must not be a floating point number."
            )
    size = vec1.size, vec2.size
    if broadcast_shapes(tuple(input.shape), size) != size:
        raise RuntimeError(
            f"The expanded size of the tensor ({list(size)}) must match the existing size "
            f"({list(input.shape)})"
        )
    vec1, vec2 = vec1[:, None], vec2[None]
    if kind is bool_:
        made = vec1 & vec2 & bool(alpha)
        return made | input if beta else made
    # One step after the other, and halves rounded after each, as PyTorch does.
    made = vec1 * constant(_factor(alpha, kind), kind) * vec2
    return made if beta == 0 else input * constant(_factor(beta, kind), kind) + made


addr.gradients(
    input=lambda grad, beta: grad * beta.conjugate(),
    vec1=lambda grad, vec2, alpha: mv(grad, conj(vec2)) * alpha.conjugate(),
    vec2=lambda grad, vec1, alpha: mv(transpose(grad, 0, 1), conj(vec1)) * alpha.conjugate(),
)


_addbmm_ = inplace(addbmm)


def addbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """addbmm in place. As in PyTorch, a smaller tensor grows to the size of the result."""
    size = (batch1.shape[-2], batch2.shape[-1])
    if tuple(self.shape) == size or batch1.ndim != 3 or batch2.ndim != 3:
        return _addbmm_(self, batch1, batch2, beta=beta, alpha=alpha)
    check_inplace(self)
    made = addbmm(self, batch1, batch2, beta=beta, alpha=alpha)
    self._storage, self._layout = made._storage, made._layout
    adopt_result(self, made)
    return self


@composite
def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the cheapest order."""
    from .linalg import multi_dot
    if len(matrices) == 1:
        return matrices[0]
    return multi_dot(matrices, out=out)


@primitive
def linear(input: mx.array, weight: mx.array, bias: mx.array | None = None) -> mx.array:
    """input @ weight.T + bias, (..., in) -> (..., out)."""
    _same_linear(input, weight, bias)
    return product(input, mx.swapaxes(weight, 0, 1) if weight.ndim == 2 else weight, bias)


def _plain_linear(input, weight, bias):
    if weight.ndim != 2 or _plain_product(input, weight) is None:
        return None
    if bias is None:
        return lambda input, weight: mx.matmul(input, weight.T)
    return lambda input, weight, bias: mx.matmul(input, weight.T) + bias


linear.operation.shortcut = _plain_linear


def _same_linear(input, weight, bias):
    if input.ndim == 0 or weight.ndim not in (1, 2):
        raise RuntimeError("both arguments to linear need to be at least 1D, but they are "
                           f"{input.ndim}D and {weight.ndim}D")
    if input.shape[-1] != weight.shape[-1]:
        rows = math.prod(input.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{weight.shape[-1]}x{weight.shape[0]})"
        )
    if input.dtype != weight.dtype:
        names = [SCALAR_TYPE_NAME[FROM_MLX[x.dtype]] for x in (input, weight)]
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {names[0]} and {names[1]}"
        )
    if bias is not None and bias.dtype != input.dtype:
        names = [SCALAR_TYPE_NAME[FROM_MLX[x.dtype]] for x in (bias, input)]
        raise RuntimeError(f"Input type ({names[1]}) and bias type ({names[0]}) should be the same")


def _linear_weight(grad, input, weight_shape):
    # Counted, not -1: that is ambiguous for layers without inputs.
    rows = math.prod(input.shape[:-1])
    flat = conj(reshape(input, (rows, input.shape[-1])))
    if len(weight_shape) == 1:
        return matmul(reshape(grad, (-1,)), flat)
    return matmul(transpose(reshape(grad, (rows, grad.shape[-1])), 0, 1), flat)


linear.gradients(
    input=lambda grad, weight: (
        matmul(grad, conj(weight)) if weight.ndim == 2 else grad.unsqueeze(-1) * conj(weight)
    ),
    weight=_linear_weight,
    bias=lambda grad, bias_shape: reshape(grad, (-1, *bias_shape)).sum(0),
)


@composite
def bilinear(input1, input2, weight, bias=None):
    """input1 · weight[k] · input2 + bias[k], (..., n) and (..., m) -> (..., out)."""
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: {list(input1.shape)} and "
            f"{list(input2.shape)}"
        )
    for position, (tensor, axis) in enumerate(((input1, 1), (input2, 2)), 1):
        if tensor.shape[-1] != weight.shape[axis]:
            raise RuntimeError(
                f"bilinear(): input{position} size does not match weight size: got "
                f"{tensor.shape[-1]} but expected {weight.shape[axis]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{weight.shape[0]}"
        )
    batch = input1.shape[:-1]
    left, right = reshape(input1, (-1, input1.shape[-1])), reshape(input2, (-1, input2.shape[-1]))
    k, n, m = weight.shape
    half = matmul(left, reshape(permute(weight, (1, 0, 2)), (n, k * m)))
    made = matmul(reshape(half, (-1, k, m)), right.unsqueeze(-1))
    made = reshape(made, (*batch, k))
    return made if bias is None else made + bias


@composite
def tensordot(a, b, dims=2, out=None):
    """Products summed over several dimensions of two tensors."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    left, right = [d % a.ndim for d in left], [d % b.ndim for d in right]
    for x, y in zip(left, right):
        if a.shape[x] != b.shape[y] and 1 not in (a.shape[x], b.shape[y]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[x]} in dim {x} "
                f"and second has size {b.shape[y]} in dim {y}"
            )
        if a.shape[x] != b.shape[y]:
            if a.shape[x] == 1:
                b = b.sum(y, keepdim=True)
            else:
                a = a.sum(x, keepdim=True)
    free_a = [d for d in range(a.ndim) if d not in left]
    free_b = [d for d in range(b.ndim) if d not in right]
    count = math.prod([a.shape[d] for d in left])
    rows = reshape(permute(a, free_a + left), (math.prod([a.shape[d] for d in free_a]), count))
    columns = reshape(permute(b, right + free_b), (count, math.prod([b.shape[d] for d in free_b])))
    if rows.shape[0] == columns.shape[1] == 1:
        # As PyTorch does, for which this is no matter of lower precision under autocast.
        made = dot(reshape(rows, -1), reshape(columns, -1))
    else:
        made = mm(rows, columns)
    made = reshape(made, [a.shape[d] for d in free_a] + [b.shape[d] for d in free_b])
    if out is not None:
        from .operation import write_out
        if made.requires_grad or out.requires_grad:
            raise RuntimeError(
                "tensordot(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )
        return write_out(out, made)
    return made


@composite
def kron(input, other):
    """The Kronecker product."""
    ndim = max(input.ndim, other.ndim)
    a = input.reshape((1,) * (ndim - input.ndim) + tuple(input.shape))
    b = other.reshape((1,) * (ndim - other.ndim) + tuple(other.shape))
    pairs_a = [n for k in a.shape for n in (k, 1)]
    pairs_b = [n for k in b.shape for n in (1, k)]
    return (a.reshape(pairs_a) * b.reshape(pairs_b)).reshape(
        [n * m for n, m in zip(a.shape, b.shape)]
    )


FUNCTIONS = {
    f.__name__: f
    for f in (
        mm, bmm, matmul, mv, dot, vdot, inner, outer, addmm, addmv, addr, baddbmm, addbmm,
        chain_matmul, tensordot, kron, bilinear,
    )
} | {"ger": outer}
METHODS = {
    name: f
    for name, f in FUNCTIONS.items()
    if name not in ("chain_matmul", "tensordot", "bilinear")
}
METHODS |= {"__matmul__": __matmul__, "__rmatmul__": __rmatmul__}
METHODS["addbmm_"] = addbmm_
INPLACE = ("addmm", "addmv", "addr", "baddbmm")
