"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FROM_MLX, bool_
from .._core.errors import not_implemented_for, wrap_dim
from .._kernels import reduction as kernels
from .._kernels import softmax as softmax_kernels
from .arithmetic import REAL
from .complex_parts import conj
from .joining import cat
from .kinds import INT_TO_FLOAT, composite, primitive
from .pointwise import exp, log, where
from .reduction import accumulated
from .return_types import ALL
from .shape import narrow


def _scan(name, kernel, verb):
    def body(input: mx.array, dim, *, dtype=None) -> mx.array:
        dim = wrap_dim(dim, input.ndim)
        if dtype is bool_:
            raise not_implemented_for(f"{name}_out_cpu", dtype)
        return accumulated(kernel, input, dtype, dim)
    body.__name__, body.__module__ = name, __name__
    made = primitive(body)

    def scan(input, dim, *, dtype=None, out=None):
        if out is not None:
            return made(input, dim, dtype=dtype or out.dtype, out=out)
        return made(input, dim, dtype=dtype)
    scan.__name__ = scan.__qualname__ = name
    scan.__doc__ = f"The running {verb[0]} along `dim`; integers {verb[1]} as int64."
    scan = composite(scan)
    scan.gradients = made.gradients
    return scan


cumsum = _scan("cumsum", kernels.cumsum, ("sum", "add up"))
cumprod = _scan("cumprod", kernels.cumprod, ("product", "multiply"))
cumsum.gradients(input=lambda grad, dim: _reversed_sum(grad, dim))


def _reversed_sum(grad, dim):
    return cumsum(grad.flip(dim), dim).flip(dim) if grad.ndim and grad.numel() else grad


def _cumprod_rule(grad, input, result, dim):
    """Σ over later products, each without the element; exact at and after zeros.

    With w = grad * result, the sum for element k is Σ_{i>=k} w_i / x_k where x_k is not zero.
    A first zero takes the products that would be without it; elements after it get nothing
    from beyond, and those between zeros nothing at all.
    """
    if input.ndim == 0 or input.numel() == 0:
        return grad
    d = wrap_dim(dim, input.ndim)
    result = result.to(input.dtype) if input.dtype.category >= 2 else result
    weighted = _reversed_sum(grad * conj(result), d)
    zero = input == 0
    if not _any_zero(zero):
        return weighted / conj(input)
    count = cumsum(zero, d)
    before = count == 0
    first = zero & (count == 1)
    without = input.masked_fill(first, 1)
    beyond = cumprod(without, d)
    summed = _reversed_sum(grad * conj(beyond), d)
    at_first = summed  # what follows the first zero, divided by 1
    plain = weighted / conj(input.masked_fill(zero, 1))
    return where(before, plain, where(first, at_first, 0).to(plain.dtype))


def _any_zero(zero):
    from .._core.evaluation import is_traced
    from .._core.tensor import read
    array = read(zero)
    return True if is_traced(array) else bool(mx.any(array).item())


cumprod.gradients(input=_cumprod_rule)


@primitive(promote=INT_TO_FLOAT)
def logcumsumexp(input: mx.array, dim) -> mx.array:
    """The logarithm of the running sum of exponentials along `dim`."""
    dim = wrap_dim(dim, input.ndim)
    return softmax_kernels.logcumsumexp(input, dim) if input.ndim and input.size else input


def _logcumsumexp_rule(grad, input, result, dim):
    """Positive and negative gradients apart, so that their logarithms can be added up."""
    if input.ndim == 0 or input.numel() == 0:
        return grad
    if input.dtype.is_complex:
        scaled = log(grad.conj()) - result
        return exp(logcumsumexp(scaled.flip(dim), dim).flip(dim) + input).conj()

    def part(chosen):
        size = log(grad.abs().masked_fill(chosen.logical_not(), 0))
        return exp(logcumsumexp((size - result).flip(dim), dim).flip(dim) + input)
    return part(grad > 0) - part(grad < 0)


logcumsumexp.gradients(input=_logcumsumexp_rule)


def _running(name, function, later):
    returns = ALL[name]

    def body(input: mx.array, dim) -> mx.array:
        dim = wrap_dim(dim, input.ndim)
        if not input.ndim or not input.size:
            return input, mx.zeros(input.shape, mx.int64)
        values = function(input, axis=dim)
        positions = mx.arange(input.shape[dim]).reshape(
            [-1 if d == dim else 1 for d in range(input.ndim)]
        )
        # The newest element that equals (or is NaN with) the running extreme.
        attained = input == values
        if FROM_MLX[input.dtype].category == 2:
            attained = attained | mx.isnan(input)
        at = mx.where(attained, positions, mx.zeros_like(positions))
        return values, mx.cummax(at, axis=dim).astype(mx.int64)
    body.__name__, body.__module__ = name, __name__
    extreme = "largest" if name == "cummax" else "smallest"
    body.__doc__ = f"The running {extreme} element along `dim`, and where it is."
    made = primitive(body, returns=returns, dtypes=REAL, kernel=f"{name}_helper_cpu")
    made.gradients(
        input=lambda grad, input_shape, dim, indices: (
            grad.new_zeros(input_shape).scatter_add(dim, indices, grad)
            if len(input_shape) and indices.numel()
            else grad
        )
    )
    return made


cummax, cummin = _running("cummax", mx.cummax, True), _running("cummin", mx.cummin, False)


@composite
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The n-th difference of neighbours along `dim`."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    parts = [part for part in (prepend, input, append) if part is not None]
    for part in (prepend, append):
        if part is not None and part.ndim != input.ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    joined = cat(parts, dim) if len(parts) > 1 else input
    d = wrap_dim(dim, joined.ndim)
    if n == 0:
        return input.clone()
    for _ in range(min(n, joined.shape[d])):
        count = joined.shape[d]
        if count == 0:
            break
        after, before = narrow(joined, d, 1, count - 1), narrow(joined, d, 0, count - 1)
        joined = after.logical_xor(before) if joined.dtype.category == 0 else after - before
    return joined


@composite
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integral by the trapezoidal rule along `dim`."""
    return _panels(y, x, dx, dim, "trapezoid").sum(dim)


@composite
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The running integral by the trapezoidal rule along `dim`."""
    return cumsum(_panels(y, x, dx, dim, "cumulative_trapezoid"), dim)


def _panels(y, x, dx, dim, name):
    d = wrap_dim(dim, y.ndim)
    n = y.shape[d]
    if n == 0:
        return y.new_zeros([0 if i == d else k for i, k in enumerate(y.shape)])
    pairs = narrow(y, d, 1, n - 1) + narrow(y, d, 0, n - 1)
    if x is None:
        return pairs * ((1 if dx is None else dx) / 2)
    if x.ndim == 1 and x.shape[0] != n:
        raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
    if x.ndim == 1:
        x = x.reshape([-1 if i == d else 1 for i in range(y.ndim)])
    axis = d - y.ndim
    width = narrow(x, axis, 1, x.shape[axis] - 1) - narrow(x, axis, 0, x.shape[axis] - 1)
    return width * pairs / 2


FUNCTIONS = {f.__name__: f for f in (cumsum, cumprod, logcumsumexp, cummax, cummin, diff, trapezoid,
                                     cumulative_trapezoid)} | {"trapz": trapezoid}
METHODS = {
    name: FUNCTIONS[name]
    for name in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "diff")
}
INPLACE = ("cumsum", "cumprod")
