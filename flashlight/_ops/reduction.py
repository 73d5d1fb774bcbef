"""Sums, means, extremes and other values of whole dimensions."""

from __future__ import annotations

import builtins
import functools
import math
import operator
import warnings

import mlx.core as mx

from .._core.dtype import (
    FLOATING,
    FROM_MLX,
    bool_,
    check_supported,
    dtype,
    float32,
    float64,
)  # fmt: skip
from .._core.errors import wrap_dim, wrap_dims
from .._core.tensor import Tensor
from .._kernels import reduction as kernels
from .._kernels import softmax as softmax_kernels
from .arithmetic import REAL, eq, ne
from .complex_parts import conj, real
from .conversion import as_dtype
from .kinds import INT_TO_FLOAT, composite, primitive
from .operation import check_apart
from .pointwise import abs_, exp, isnan, pow_, sgn, where
from .return_types import ALL
from .return_types import aminmax as aminmax_type
from .shape import unsqueeze

Max, Min = ALL["max"], ALL["min"]


def reduced(dim, ndim: int) -> tuple:
    """Return the dimensions that `dim` (None, a number or several) means; none given means all."""
    if dim is None or isinstance(dim, (tuple, list)) and not len(dim):
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        dim = (dim,)
    dims = wrap_dims([operator.index(d) for d in dim], ndim)
    return dims if ndim else ()


def restore(grad: Tensor, input_shape, dim, keepdim: bool) -> Tensor:
    """Return a reduced tensor with the dimensions that went away back, with length 1."""
    if keepdim or not len(input_shape):
        return grad
    for d in sorted(reduced(dim, len(input_shape))):
        grad = unsqueeze(grad, d)
    return grad


def _spread(grad, input_shape, dim, keepdim):
    return restore(grad, input_shape, dim, keepdim).expand(input_shape)


def accumulated(kernel, input: mx.array, dtype, *where) -> mx.array:
    """Add up or multiply in `dtype`, of which integers wrap; the kernels make integers int64."""
    if dtype is None:
        return kernel(input, *where)
    kind = check_supported(dtype).mlx
    return kernel(input.astype(kind), *where).astype(kind)


@primitive(name="sum")
def _sum(input: mx.array, dim=None, keepdim=False, *, dtype=None) -> mx.array:
    """Sum over dimensions."""
    return accumulated(kernels.sum, input, dtype, reduced(dim, input.ndim), keepdim)


def _plain_sum(input, dim, keepdim, dtype):
    """Short sums of floating point numbers are MLX's own."""
    axes = reduced(dim, input.ndim)
    if dtype is not None or input.dtype not in (float32, float64) or not axes:
        return None
    if not input.numel or _count(input.size, axes) > kernels.PLAIN:
        return None
    return functools.partial(mx.sum, axis=axes, keepdims=keepdim)


_sum.operation.shortcut = _plain_sum

_sum.gradients(
    input=lambda grad, input_shape, dim, keepdim: _spread(grad, input_shape, dim, keepdim)
)


@composite
def sum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The sum, of all elements or over `dim`; integers add up as int64."""
    if out is not None:
        return _sum(input, dim, keepdim, dtype=dtype or out.dtype, out=out)
    return _sum(input, dim, keepdim, dtype=dtype)


def _mean_dtype(input, dtype):
    if dtype is None and input.dtype.category < 2 or dtype is not None and dtype.category < 2:
        which = "Input" if dtype is None else "Optional"
        kind = input.dtype if dtype is None else dtype
        from .._core.dtype import SCALAR_TYPE_NAME

        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} dtype must be either a floating point "
            f"or complex dtype. Got: {SCALAR_TYPE_NAME[kind]}"
        )


@primitive(name="mean")
def _mean(input: mx.array, dim=None, keepdim=False, *, dtype=None) -> mx.array:
    """Mean over dimensions."""
    if dtype is not None:
        input = input.astype(check_supported(dtype).mlx)
    return kernels.mean(input, reduced(dim, input.ndim), keepdim)


def _count(shape, dim):
    return math.prod([shape[d] for d in reduced(dim, len(shape))])


_mean.gradients(
    input=lambda grad, input_shape, dim, keepdim: _spread(
        grad / _count(input_shape, dim) if _count(input_shape, dim) else grad,
        input_shape,
        dim,
        keepdim,
    )
)


@composite
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean, of all elements or over `dim`. Raises RuntimeError for integers without `dtype`."""
    _mean_dtype(input, dtype)
    return _mean(input, dim, keepdim, dtype=dtype)


@composite
def nansum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The sum without NaNs."""
    if input.dtype.is_complex:
        raise RuntimeError("nansum does not support complex inputs")
    cleaned = where(isnan(input), 0, input) if input.dtype.category == 2 else input
    return sum(cleaned, dim, keepdim, dtype=dtype, out=out)


@composite
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean without NaNs."""
    if input.dtype.category < 2:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype.name}"
        )
    count = _sum(isnan(input).logical_not(), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count.detach()


@primitive(name="prod")
def _prod(input: mx.array, dim=None, keepdim=False, *, dtype=None) -> mx.array:
    """Product over dimensions."""
    return accumulated(kernels.prod, input, dtype, reduced(dim, input.ndim), keepdim)


@composite
def prod(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The product, of all elements or over `dim`; integers multiply as int64."""
    if isinstance(dim, dtype_class) and dtype is None:
        dim, dtype = None, dim
    if out is not None:
        return _prod(input, dim, keepdim, dtype=dtype or out.dtype, out=out)
    return _prod(input, dim, keepdim, dtype=dtype)


dtype_class = dtype


def _exclusive_products(input, dim):
    """The product of all other elements along `dim`: exact where some are zero."""
    from .cumulative import cumprod
    from .joining import cat
    n = input.shape[dim]
    one = input.new_ones([1 if d == dim else k for d, k in enumerate(input.shape)])
    before = cumprod(cat([one, input.narrow(dim, 0, n - 1)], dim), dim)
    flipped = input.flip(dim)
    after = cumprod(cat([one, flipped.narrow(dim, 0, n - 1)], dim), dim).flip(dim)
    return before * after


def _prod_rule(grad, input, dim, keepdim, dtype):
    if dtype is not None:
        input = as_dtype(input, dtype)
    if input.ndim == 0:
        return grad
    if dim is None:
        if input.numel() == 0:
            return input.new_zeros(input.shape)
        flat = input.reshape(-1)
        return grad * conj(_exclusive_products(flat, 0)).reshape(input.shape)
    d = wrap_dim(dim, input.ndim)
    if input.shape[d] == 0:
        return input.new_zeros(input.shape)
    return restore(grad, input.shape, d, keepdim) * conj(_exclusive_products(input, d))


_prod.gradients(input=_prod_rule)


# ----- extremes -----


def _nonempty(name, shape, dim):
    """Raise as PyTorch does if a reduction without identity meets an empty dimension."""
    if dim is None or dim == ():
        if 0 in shape:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return
    for d in reduced(dim, len(shape)):
        if shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _extreme(name, function):
    def body(input: mx.array, dim=(), keepdim=False) -> mx.array:
        _nonempty(name, input.shape, dim)
        dims = reduced(dim, input.ndim)
        if not dims:
            return input
        if 0 in input.shape:
            shape = [1 if d in dims else n for d, n in enumerate(input.shape)]
            return mx.zeros(
                shape if keepdim else [n for d, n in enumerate(input.shape) if d not in dims],
                input.dtype,
            )
        return function(input, axis=dims, keepdims=keepdim)
    body.__name__, body.__module__ = name, __name__
    extreme = "largest" if name == "amax" else "smallest"
    body.__doc__ = f"The {extreme} element over dimensions; ties share the gradient."
    made = primitive(body, dtypes=REAL, kernel=f"{name}_values_cpu")
    made.gradients(input=_share_ties)
    return made


def _share_ties(grad, input, result, dim, keepdim):
    result = restore(result, input.shape, dim, keepdim)
    grad = restore(grad, input.shape, dim, keepdim)
    mask = (
        eq(input, result) | (isnan(input) & isnan(result))
        if input.dtype.category >= 2
        else eq(input, result)
    )
    mask = as_dtype(mask, grad.dtype)
    return grad / _sum(mask, dim or None, True) * mask


amax, amin = _extreme("amax", mx.max), _extreme("amin", mx.min)


def _arg(name, function):
    def body(input: mx.array, dim=None, keepdim=False) -> mx.array:
        if dim is None:
            if input.size == 0:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            found = function(input.reshape(-1)).astype(mx.int64)
            return found.reshape((1,) * input.ndim) if keepdim else found
        d = wrap_dim(dim, input.ndim)
        if not input.ndim:
            return mx.zeros((), mx.int64)
        if input.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        if input.size == 0:
            shape = [1 if i == d else n for i, n in enumerate(input.shape)]
            return mx.zeros(
                shape if keepdim else [n for i, n in enumerate(input.shape) if i != d], mx.int64
            )
        return function(input, axis=d, keepdims=keepdim).astype(mx.int64)
    body.__name__, body.__module__ = name, __name__
    extreme = "largest" if name == "argmax" else "smallest"
    body.__doc__ = f"The position of the {extreme} element (the first of ties)."
    return primitive(
        body,
        differentiable=False,
        dtypes=tuple(d for d in REAL if d is not bool_),
        kernel=f"{name}_cpu",
    )


argmax, argmin = _arg("argmax", mx.argmax), _arg("argmin", mx.argmin)


def _with_indices(name, values, positions, returns):
    def body(input: mx.array, dim, keepdim=False) -> mx.array:
        d = wrap_dim(dim, input.ndim)
        if not input.ndim:
            return input, mx.zeros((), mx.int64)
        if input.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        if input.size == 0:
            shape = [1 if i == d else n for i, n in enumerate(input.shape)]
            shape = shape if keepdim else [n for i, n in enumerate(input.shape) if i != d]
            return mx.zeros(shape, input.dtype), mx.zeros(shape, mx.int64)
        at = positions(input, axis=d, keepdims=True)
        return (
            values(input, axis=d, keepdims=keepdim),
            (at if keepdim else at.squeeze(d)).astype(mx.int64),
        )

    body.__name__, body.__module__, body.__doc__ = (
        name,
        __name__,
        f"The {name} over a dimension, and where it is.",
    )
    made = primitive(body, returns=returns, dtypes=REAL, kernel=f"{name}_cpu")
    made.gradients(input=to_position)
    return made


def to_position(grad, input_shape, dim, keepdim, indices):
    """Return zeros with the gradient at the positions that were chosen."""
    if not len(input_shape):
        return grad
    d = wrap_dim(dim, len(input_shape))
    if not keepdim:
        grad, indices = unsqueeze(grad, d), unsqueeze(indices, d)
    return grad.new_zeros(input_shape).scatter(d, indices, grad)


_max_dim = _with_indices("max", mx.max, mx.argmax, Max)
_min_dim = _with_indices("min", mx.min, mx.argmin, Min)


def _max_or_min(name, whole, along, pair):
    def find(input, dim=None, keepdim=False, *, out=None, other=None):
        if isinstance(dim, Tensor) or other is not None:
            other = dim if other is None else other
            return pair(input, other) if out is None else pair(input, other, out=out)
        if dim is None:
            _nonempty(name, input.shape, None)
            result = whole(input)
            return result if out is None else out.resize_(result.shape).copy_(result)
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"{name}() received an invalid combination of arguments - got (Tensor, "
                            f"{type(dim).__name__})")
        return along(input, dim, keepdim) if out is None else along(input, dim, keepdim, out=out)
    find.__name__ = find.__qualname__ = name
    find.__doc__ = (
        f"The {name} of all elements, over a dimension (with positions, as "
        f"`torch.return_types.{name}`), "
        "or of two tensors element by element."
    )
    return composite(find)


def _pair(name):
    def pair(input, other, out=None):
        from . import arithmetic
        function = getattr(arithmetic, name)
        return function(input, other) if out is None else function(input, other, out=out)
    return pair


max = _max_or_min("max", amax, _max_dim, _pair("maximum"))
min = _max_or_min("min", amin, _min_dim, _pair("minimum"))


@composite
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """The smallest and the largest element."""
    if input.dtype.is_complex:
        from .._core.errors import not_implemented_for
        raise not_implemented_for("aminmax", input.dtype)
    if dim is None and input.numel() == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    dims = () if dim is None else dim
    if dim is None and keepdim and input.ndim:
        result = aminmax_type(amin(input, (), True), amax(input, (), True))
    else:
        result = aminmax_type(amin(input, dims, keepdim), amax(input, dims, keepdim))
    if out is not None:
        check_apart(out, result, (input,))
        return aminmax_type(*[o.resize_(r.shape).copy_(r) for o, r in zip(out, result)])
    return result


# ----- truth and counts -----


def _logic(name, function, empty):
    def body(input: mx.array, dim=None, keepdim=False) -> mx.array:
        truth = input if input.dtype == mx.bool_ else input != 0
        found = (
            function(truth, axis=reduced(dim, input.ndim), keepdims=keepdim)
            if input.ndim
            else truth
        )
        return found.astype(mx.uint8) if input.dtype == mx.uint8 else found
    body.__name__, body.__module__ = name, __name__
    body.__doc__ = (
        f"Whether {name} of the elements {'is' if name == 'any' else 'are'} other than zero."
    )
    return primitive(body, differentiable=False)


all, any = _logic("all", mx.all, True), _logic("any", mx.any, False)


@composite
def count_nonzero(input, dim=None):
    """The number of elements other than zero."""
    return _sum(ne(input, 0), dim)


# ----- spread -----


def _correction(unbiased, correction):
    if correction is not None:
        return correction
    return 1 if unbiased is None or unbiased else 0


def _spread_arguments(dim, unbiased, correction):
    if isinstance(dim, bool):
        return None, int(dim)
    return dim, _correction(unbiased, correction)


def _warn_degrees(name, shape, dim, correction):
    count = _count(shape, dim)
    outer = math.prod(shape) // count if count else 0
    if count - correction <= 0 and (outer or not math.prod(shape)):
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=6,
        )


def _spread_op(name, function):
    def body(input: mx.array, dim=None, correction=1, keepdim=False) -> mx.array:
        if FROM_MLX[input.dtype].category < 2:
            raise RuntimeError("std and var only support floating point and complex dtypes")
        _warn_degrees("std" if name == "std" else "var", input.shape, dim, correction)
        return function(input, reduced(dim, input.ndim), correction, keepdim)
    body.__name__, body.__module__, body.__doc__ = name, __name__, f"The {name} over dimensions."
    return primitive(body)


_var, _std = _spread_op("var", kernels.var), _spread_op("std", kernels.std)


def _var_slope(grad, input, dim, correction, keepdim):
    count = _count(input.shape, dim)
    deviation = input - _mean(input, dim, True)
    freedom = count - correction
    scale = 2.0 / freedom if freedom > 0 else math.nan
    return restore(grad, input.shape, dim, keepdim) * scale * deviation


def _std_slope(grad, input, result, dim, correction, keepdim):
    inner = (grad / (2 * result)).masked_fill(eq(result, 0), 0)
    return _var_slope(inner, input, dim, correction, keepdim)


_var.gradients(input=_var_slope)
_std.gradients(input=_std_slope)


def _public_spread(name, operation):
    def spread(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
        dim, correction = _spread_arguments(dim, unbiased, correction)
        if out is not None:
            return operation(input, dim, correction, keepdim, out=out)
        return operation(input, dim, correction, keepdim)
    spread.__name__ = spread.__qualname__ = name
    measure = "variance" if name == "var" else "standard deviation"
    spread.__doc__ = f"The {measure}, of all elements or over `dim`."
    return composite(spread)


var, std = _public_spread("var", _var), _public_spread("std", _std)


@composite
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance and the mean."""
    dim, correction = _spread_arguments(dim, unbiased, correction)
    return _var(input, dim, correction, keepdim), _mean(input, dim, keepdim)


@composite
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation and the mean."""
    dim, correction = _spread_arguments(dim, unbiased, correction)
    return _std(input, dim, correction, keepdim), _mean(input, dim, keepdim)


@primitive(name="logsumexp", promote=INT_TO_FLOAT)
def _logsumexp(input: mx.array, dim, keepdim=False) -> mx.array:
    """log of the sum of exponentials over dimensions."""
    return softmax_kernels.logsumexp(input, reduced(dim, input.ndim), keepdim)


def _logsumexp_rule(grad, input, result, dim, keepdim):
    result = restore(result, input.shape, dim, keepdim)
    far = eq(abs_(real(result)), math.inf)
    return restore(grad, input.shape, dim, keepdim) * conj(exp(input - result.masked_fill(far, 0)))


_logsumexp.gradients(input=_logsumexp_rule)


@composite
def logsumexp(input, dim, keepdim=False):
    """log(sum(exp(input))) over `dim`, without overflow."""
    return _logsumexp(input, dim, keepdim)


# ----- norms -----


@primitive(name="linalg_vector_norm", dtypes=(*FLOATING, FROM_MLX[mx.complex64]))
def _vector_norm(input: mx.array, order=2, dim=None, keepdim=False) -> mx.array:
    """The vector norm over dimensions."""
    if order in (math.inf, -math.inf) and input.size == 0:
        dims = reduced(dim, input.ndim)
        if builtins.any(input.shape[d] == 0 for d in dims):
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {order} norm on an empty "
                f"{'tensor' if dim is None else 'dimension'} because the operation does not have "
                "an identity"
            )
    dims = reduced(dim, input.ndim)
    if not dims:
        found = mx.abs(input)
        return (found != 0).astype(found.dtype) if order == 0 else found
    return kernels.norm(input, order, dims, keepdim)


def norm_rule(grad, input, result, order, dim, keepdim):
    """The gradient of a vector norm."""
    result = restore(result, input.shape, dim, keepdim)
    grad = restore(grad, input.shape, dim, keepdim)
    if order == 0:
        return input.new_zeros(()).expand(input.shape)
    if order == 1:
        return grad * sgn(input)
    if order == 2:
        return (grad * (input / result)).masked_fill(eq(result, 0), 0)
    if order in (math.inf, -math.inf):
        size = abs_(input)
        mask = eq(size, result) | (isnan(size) & isnan(result))
        return sgn(input) * (grad / _sum(mask, dim, True)) * as_dtype(mask, result.dtype)
    size = abs_(input)
    if order < 1:
        slope = sgn(input) * pow_(size, order - 1).masked_fill(eq(input, 0), 0)
        return slope * grad * pow_(result, 1 - order)
    if order < 2:
        slope = sgn(input) * pow_(size, order - 1)
        return (slope * (grad / pow_(result, order - 1))).masked_fill(eq(result, 0), 0)
    slope = input * pow_(size, order - 2)
    return (slope * (grad / pow_(result, order - 1))).masked_fill(eq(result, 0), 0)


_vector_norm.gradients(input=norm_rule)
vector_norm = _vector_norm


# ----- to a size -----


@composite
def sum_to_size(input, *size):
    """Sum so that the result has `size`, which must broadcast to the tensor's."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    size = tuple(size)
    if not size:
        return _sum(input)
    shape = tuple(input.shape)
    extra = len(shape) - len(size)
    if extra < 0 or builtins.any(n != m and m != 1 for n, m in zip(shape[extra:], size)):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(shape)}}}.")
    dims = [
        *range(extra),
        *[d + extra for d, m in enumerate(size) if m == 1 and shape[d + extra] != 1],
    ]
    if not dims:
        return input
    result = _sum(input, dims, True)
    return result.reshape(size) if extra else result


_REDUCTIONS = (
    sum, mean, nansum, nanmean, prod, amax, amin, argmax, argmin, max, min, aminmax, all, any,
    count_nonzero, var, std, var_mean, std_mean, logsumexp,
)  # fmt: skip
FUNCTIONS = {f.__name__: f for f in _REDUCTIONS}
METHODS = {name: f for name, f in FUNCTIONS.items() if name not in ("var_mean", "std_mean")}
METHODS["sum_to_size"] = sum_to_size
INPLACE = ()
