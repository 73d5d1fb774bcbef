"""One operation on each tensor of a list: `torch._foreach_*`.

MLX is lazy, so a loop costs no more than a fused kernel would: these are loops.
"""

from __future__ import annotations

from .._core.tensor import Tensor
from . import arithmetic, linalg, matmul, pointwise

NUMBERS = (bool, int, float, complex)


def _check_list(name, position, tensors, label="self"):
    if not isinstance(tensors, (list, tuple)) or any(not isinstance(t, Tensor) for t in tensors):
        raise TypeError(f"{name}(): argument '{label}' (position {position}) must be tuple of "
                        f"Tensors, not {type(tensors).__name__}")
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")


def _for_each(name, count, value, scalar_tensor=False):
    """Return one operand for each of `count` tensors, from a list, a number or a 0-d tensor."""
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            if value and isinstance(value[0], Tensor):
                raise RuntimeError("Tensor lists must have the same number of tensors, got "
                                   f"{count} and {len(value)}")
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
        return value
    if isinstance(value, Tensor):
        if value.ndim and scalar_tensor:
            raise RuntimeError(f"scalar tensor expected to be 0 dim but it has {value.ndim} "
                               f"dimensions and {value.numel()} elements.")
        if not value.ndim:
            return [value if scalar_tensor else value.item()] * count
    if isinstance(value, NUMBERS):
        return [value] * count
    raise TypeError(f"{name}() received an invalid combination of arguments - got "
                    f"({type(value).__name__})")


def _named(function, name, text):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


def _written(function, self, values):
    """Write what `function` gives for each tensor into it."""
    for tensor, rest in zip(self, values):
        function(tensor, *rest)
    return self


def _unary(name):
    plain, method = f"_foreach_{name}", f"{name}_"

    def apply(self):
        _check_list(plain, 1, self)
        return tuple([getattr(tensor, name)() for tensor in self])

    def write(self):
        _check_list(f"{plain}_", 1, self)
        for tensor in self:
            getattr(tensor, method)()
        return self
    yield plain, _named(apply, plain, f"`{name}` of each tensor.")
    yield f"{plain}_", _named(write, f"{plain}_", f"`{name}_` of each tensor.")


def _binary(name, text):
    """`_foreach_add` and its kin: the other operand is a list, a number or a 0-d tensor."""
    plain, method = f"_foreach_{name}", f"{name}_"
    takes_alpha = name in ("add", "sub")
    scalar_tensor = name in ("add", "mul", "div")

    def operands(self, other, alpha):
        _check_list(plain, 1, self)
        if alpha != 1 and not isinstance(other, (list, tuple, Tensor)):
            raise TypeError(f"{plain}(): argument 'other' (position 2) must be tuple of Tensors, "
                            f"not {type(other).__name__}")
        return _for_each(plain, len(self), other, scalar_tensor)

    def apply(self, other, *, alpha=1):
        options = {"alpha": alpha} if takes_alpha and alpha != 1 else {}
        return tuple([_METHOD[name](a, b, **options)
                      for a, b in zip(self, operands(self, other, alpha))])

    def write(self, other, *, alpha=1):
        options = {"alpha": alpha} if takes_alpha and alpha != 1 else {}
        for a, b in zip(self, operands(self, other, alpha)):
            if hasattr(a, method):
                getattr(a, method)(b, **options)
            else:
                a.copy_(_METHOD[name](a, b))
        return self
    yield plain, _named(apply, plain, text)
    yield f"{plain}_", _named(write, f"{plain}_", f"{text} In place.")


def _extreme(compare, clamp):
    """Return maximum or minimum for a tensor and a tensor or number."""
    def extreme(a, b):
        return compare(a, b) if isinstance(b, Tensor) else clamp(a, b)
    return extreme


_METHOD = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "div": arithmetic.div,
    "pow": pointwise.pow_,
    "maximum": _extreme(arithmetic.maximum, arithmetic.clamp_min),
    "minimum": _extreme(arithmetic.minimum, arithmetic.clamp_max),
    "clamp_min": _extreme(arithmetic.maximum, arithmetic.clamp_min),
    "clamp_max": _extreme(arithmetic.minimum, arithmetic.clamp_max),
}


def _foreach_pow(self, exponent):
    """Powers: of each tensor, or of one number with each tensor as exponent."""
    if isinstance(self, NUMBERS):
        _check_list("_foreach_pow", 2, exponent, "exponent")
        return tuple([pointwise.pow_(self, tensor) for tensor in exponent])
    return _powers(self, exponent)


def _ternary(name):
    """`_foreach_addcmul` and `_foreach_addcdiv`."""
    plain, method = f"_foreach_{name}", f"{name}_"
    operation = getattr(pointwise, name)

    def rows(self, tensor1, tensor2, value):
        for position, tensors in enumerate((self, tensor1, tensor2), 1):
            _check_list(plain, position, tensors)
        if isinstance(value, Tensor):
            if value.ndim != 1:
                raise RuntimeError(f"Expected packed scalar Tensor to be of dimension 1. Got "
                                   f"{value.ndim} instead.")
            if value.numel() != len(self):
                raise RuntimeError(f"Expected length of scalars to match input of length "
                                   f"{len(self)} but got {value.numel()} instead.")
            value = value.tolist()
        count = len(self)
        return zip(self, _for_each(plain, count, tensor1), _for_each(plain, count, tensor2),
                   _for_each(plain, count, value))

    def apply(self, tensor1, tensor2, value=1):
        return tuple([operation(a, b, c, value=v) for a, b, c, v in
                      rows(self, tensor1, tensor2, value)])

    def write(self, tensor1, tensor2, value=1):
        for a, b, c, v in rows(self, tensor1, tensor2, value):
            getattr(a, method)(b, c, value=v)
        return self
    yield plain, _named(apply, plain, f"`{name}` of each tensor.")
    yield f"{plain}_", _named(write, f"{plain}_", f"`{name}_` of each tensor.")


def _foreach_lerp(self, tensors1, weight):
    """Interpolate between the tensors of two lists."""
    _check_list("_foreach_lerp", 1, self)
    return tuple([pointwise.lerp(a, b, w) for a, b, w in _lerp_rows(self, tensors1, weight)])


def _foreach_lerp_(self, tensors1, weight):
    """Interpolate towards the tensors of another list, in place."""
    _check_list("_foreach_lerp_", 1, self)
    for a, b, w in _lerp_rows(self, tensors1, weight):
        a.lerp_(b, w)
    return self


def _lerp_rows(self, tensors1, weight):
    count = len(self)
    return zip(self, _for_each("_foreach_lerp", count, tensors1),
               _for_each("_foreach_lerp", count, weight))


def _foreach_norm(self, ord=2, dtype=None):
    """The norm of each tensor as a vector."""
    _check_list("_foreach_norm", 1, self)
    return tuple([linalg.public_vector_norm(tensor, ord, dtype=dtype) for tensor in self])


def _foreach_powsum(self, ord=2, dtype=None):
    """The sum of the powers of each tensor's absolute values."""
    _check_list("_foreach_powsum", 1, self)
    return tuple([tensor.abs().pow(ord).sum(dtype=dtype) for tensor in self])


def _foreach_max(self):
    """The greatest element of each tensor."""
    _check_list("_foreach_max", 1, self)
    if any(not tensor.numel() for tensor in self):
        raise RuntimeError("_foreach_max cannot compute the maximum of an empty tensor; max over "
                           "zero elements is undefined.")
    return tuple([tensor.max() for tensor in self])


def _foreach_mm(self, mat2):
    """The products of the matrices of two lists."""
    _check_list("_foreach_mm", 1, self)
    return tuple([matmul.mm(a, b) for a, b in
                  zip(self, _for_each("_foreach_mm", len(self), mat2))])


def _foreach_clone(self, *, memory_format=None):
    """A copy of each tensor."""
    _check_list("_foreach_clone", 1, self)
    options = {} if memory_format is None else {"memory_format": memory_format}
    return tuple([tensor.clone(**options) for tensor in self])


def _foreach_copy_(self, src, non_blocking=False):
    """Copy the tensors of another list into these."""
    _check_list("_foreach_copy_", 1, self)
    for target, source in zip(self, _for_each("_foreach_copy_", len(self), src)):
        target.copy_(source)
    return self


def _foreach_zero_(self):
    """Set every element of each tensor to 0."""
    _check_list("_foreach_zero_", 1, self)
    for tensor in self:
        tensor.zero_()
    return self


_UNARY = (
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor",
    "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt",
    "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
_BINARY = {
    "add": "Add to each tensor.",
    "sub": "Subtract from each tensor.",
    "mul": "Multiply each tensor.",
    "div": "Divide each tensor.",
    "pow": "Raise each tensor to a power.",
    "maximum": "The greater elements.",
    "minimum": "The smaller elements.",
    "clamp_min": "Limit each tensor from below.",
    "clamp_max": "Limit each tensor from above.",
}
FUNCTIONS = {
    name: function
    for made in (*map(_unary, _UNARY), *(_binary(*item) for item in _BINARY.items()),
                 _ternary("addcmul"), _ternary("addcdiv"))
    for name, function in made
}
_powers = FUNCTIONS["_foreach_pow"]
FUNCTIONS |= {
    f.__name__: f
    for f in (
        _foreach_pow, _foreach_lerp, _foreach_lerp_, _foreach_norm, _foreach_powsum, _foreach_max,
        _foreach_mm, _foreach_clone, _foreach_copy_, _foreach_zero_,
    )
}  # fmt: skip
METHODS: dict = {}
INPLACE = ()
