"""Filling a tensor with random numbers in place: `uniform_` to `geometric_`.

Numbers go into the target in the order of its memory, as in PyTorch.
"""

from __future__ import annotations

import warnings

import mlx.core as mx
import numpy as np

from .._autograd.history import check_inplace
from .._core import samplers
from .._core.device import META
from .._core.dtype import (
    FLOATING,
    SCALAR_TYPE_NAME,
    bool_,
    dtype,
    finfo,
    float16,
    iinfo,
    int64,
    uint16,
    uint32,
    uint64,
)
from .._core.errors import not_implemented_for
from .._core.evaluation import local
from .._core.layout import Layout
from .._core.tensor import TENSORS, Tensor, read, snapshot, wrap
from .._kernels import random as kernels
from .creation import zeros_like
from .drawing import (
    ALL_INTEGERS,
    ANY_INT64,
    BERNOULLI,
    CAUCHY,
    EXPONENTIAL,
    GEOMETRIC,
    INTEGERS,
    LOG_NORMAL,
    NORMAL,
    UNIFORM,
    Distribution,
    check_generator,
    draw,
    in_memory_order,
    key_for,
    lay_out,
    source_of,
    stream_for,
    to_host,
    to_mlx,
)
from .kinds import primitive, replace
from .overrides import call_overrides, is_override, overriding_in

#: What the compiler of PyTorch calls the types, in its messages.
_C_NAME = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long int",
    "uint16": "short unsigned int",
    "uint32": "unsigned int",
    "uint64": "long unsigned int",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "c10::complex<float>",
}

# ----- arguments -----


def number(name: str, argument: str, position: int, value) -> float:
    """Return a float argument. Raises TypeError for what is no real number."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex():
        return float(value.item())
    if isinstance(value, (int, float, np.floating, np.integer, np.bool_)):
        return float(value)
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be float, "
        f"not {type(value).__name__}"
    )


def integer(name: str, argument: str, position: int, value) -> int:
    """Return an integer argument. Raises TypeError for other types, ValueError past 64 bits."""
    if isinstance(value, Tensor) and value.ndim == 0 and value.dtype.category < 2:
        value = int(value.item())
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be int, "
            f"not {type(value).__name__}"
        )
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError("Overflow when unpacking long long")
    return int(value)


def check_out(name: str, *tensors: Tensor) -> None:
    """Raise RuntimeError if a call with `out=` would have to be recorded."""
    if local.grad_enabled and any(t._node is not None for t in tensors):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )


def _bind(name: str, names: tuple, args: tuple, kwargs: dict) -> dict:
    """Match arguments to names; done by hand because one of them is called `from`."""
    if len(args) > len(names):
        raise TypeError(
            f"{name}() takes from 0 to {len(names)} positional arguments but {len(args)} were given"
        )
    given = dict(zip(names, args))
    for key, value in kwargs.items():
        if key not in names:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        if key in given:
            raise TypeError(f"{name}() got multiple values for argument '{key}'")
        given[key] = value
    return given


# ----- the common way -----


def fades(name: str):
    """Return a primitive of node `name`: its result is given, its input's gradient zero."""

    def one(input: mx.array, values: object) -> mx.array:
        return values

    function = primitive(one, name=name.lower())
    function.gradients(input=lambda grad: zeros_like(grad))
    function.operation.node_class.__name__ = f"{name}"
    return function


def fades_for_two(name: str):
    """Return such a primitive with two inputs."""

    def two(input: mx.array, other: mx.array, values: object) -> mx.array:
        return values

    function = primitive(two, name=name.lower())
    function.gradients(input=lambda grad: zeros_like(grad), other=lambda grad: zeros_like(grad))
    function.operation.node_class.__name__ = name
    return function


_HISTORY = {
    name: fades(f"{name}Backward{suffix}")
    for name, suffix in (
        ("Uniform", 0),
        ("Normal", 0),
        ("Exponential", 0),
        ("Cauchy", 0),
        ("LogNormal", 0),
        ("Geometric", 0),
        ("Random", 0),
        ("Bernoulli", 2),
    )
}
_BERNOULLI_BY_TENSOR = fades_for_two("BernoulliBackward1")


def prepare(self: Tensor) -> bool:
    """Check that `self` can be written; return whether the write is recorded."""
    recorded = local.grad_enabled
    meta = self._meta
    if recorded and (self._node is not None or (meta is not None and meta.creation is not None)):
        check_inplace(self)
    layout = self._layout
    if not layout.contiguous and layout.overlaps():
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    return recorded


def fill(self: Tensor, name: str, distribution: Distribution, generator, *parameters) -> Tensor:
    """Draw for every element of `self`, which gets the history that `name` gives."""
    recorded = prepare(self)
    layout = self._layout
    if layout.device is META:
        return self
    if layout.numel:
        source = source_of(generator, layout.device)
        array = draw(distribution, source, layout, *parameters)
    else:
        array = mx.zeros(tuple(layout.size), layout.dtype.mlx)
    return _deliver(self, array, recorded, _HISTORY[name])


def _deliver(self, array, recorded, history, *others):
    if recorded and (self._node is not None or any(t._node is not None for t in others)):
        result = history(snapshot(self), *others, array)
    else:
        result = wrap(array, self._layout.device)
    return replace(self, result, recorded)


def _method(function):
    """Make a filler a method: overrides see it, and `generator` is checked."""
    name = function.__name__

    def method(self, *args, generator=None, **kwargs):
        if type(self) not in TENSORS and is_override(self):
            if generator is not None:
                kwargs["generator"] = generator
            return call_overrides(method, overriding_in((self, *args)), (self, *args), kwargs)
        check_generator(name, generator)
        return function(self, generator, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


# ----- uniform and normal -----


def check_uniform(kind: dtype, low: float, high: float) -> None:
    """Raise for a dtype or an interval that PyTorch's uniform numbers don't have."""
    if kind.category < 2:
        raise not_implemented_for("check_uniform_bounds", kind)
    real = kind.to_real()
    top = finfo(real).max
    for name, value in (("from", low), ("to", high)):
        if not -top <= value <= top:
            raise RuntimeError(f"{name} is out of bounds for {_C_NAME[real.name]}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > top:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{SCALAR_TYPE_NAME[real]}>::max(), "
            f"but found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


@_method
def uniform_(self, generator, *args, **kwargs):
    """Fill with uniform numbers: `uniform_(from=0, to=1, *, generator=None)`."""
    given = _bind("uniform_", ("from", "to"), args, kwargs)
    low = number("uniform_", "from", 1, given.get("from", 0.0))
    high = number("uniform_", "to", 2, given.get("to", 1.0))
    if self._layout.device is not META:
        check_uniform(self.dtype, low, high)
    return fill(self, "Uniform", UNIFORM, generator, low, high)


def check_normal(kind: dtype, std: float) -> None:
    """Raise for a dtype or a standard deviation that PyTorch's normal numbers don't have."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if kind.category < 2:
        raise not_implemented_for("normal_kernel_cpu", kind)


@_method
def normal_(self, generator, mean=0.0, std=1.0):
    """Fill with normal numbers; complex ones have half the variance in each part."""
    mean, std = number("normal_", "mean", 1, mean), number("normal_", "std", 2, std)
    check_normal(self.dtype, std)
    return fill(self, "Normal", NORMAL, generator, mean, std, self._layout.contiguous)


# ----- integers -----


def _check_in_range(kind: dtype, low: int, last: int) -> None:
    if kind is bool_:
        least, most = 0, 1
    elif kind in FLOATING:
        least, most = -finfo(kind).max, finfo(kind).max
    elif kind.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    else:
        least, most = iinfo(kind).min, iinfo(kind).max
    for name, value in (("from", low), ("to - 1", last)):
        if not least <= value <= most:
            raise RuntimeError(f"{name} is out of bounds for {_C_NAME[kind.name]}")
        digits = samplers.DIGITS.get(kind.name, 64)
        if abs(value) > 1 << digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. {_C_NAME[kind.name]} lacks "
                "integers beyond it: the numbers are not spread evenly there.",
                UserWarning,
                stacklevel=5,
            )


def integer_range(kind: dtype, low: int, high: int) -> tuple[int, int]:
    """Check a range [low, high) for a dtype; return it moved to numbers that the dtype has."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    if kind in FLOATING:
        low, high = samplers.representable_range(low, high, kind.name)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                f"but got from={low} >= to={high}"
            )
    _check_in_range(kind, low, high - 1)
    return low, high


def _range_from(kind: dtype, low: int) -> tuple[int, int]:
    """Return the range from `low` to the largest integer of the dtype that counts exactly."""
    if kind in FLOATING:
        top = 1 << samplers.DIGITS[kind.name]
        low, _ = samplers.representable_range(low, top + 1, kind.name)
    elif kind.is_complex:
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean types"
        )
    else:
        # The bound is a signed 64-bit number, which the top of uint64 is not.
        top = 1 if kind is bool_ else -1 if kind is uint64 else iinfo(kind).max
    if kind is uint64:
        raise RuntimeError("to - 1 is out of bounds for long unsigned int")
    if low > top and (kind not in FLOATING or low <= finfo(kind).max):
        if kind in FLOATING:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={top}"
            )
        raise RuntimeError(f"from is out of bounds for {_C_NAME[kind.name]}")
    _check_in_range(kind, low, top)
    return low, top + 1


@_method
def random_(self, generator, *args, **kwargs):
    """Fill with integers: `random_()`, `random_(to)`, `random_(from, to)`; `to` is left out.

    Without arguments: all non-negative integers that the dtype counts exactly.
    `random_(from, None)`: from `from` to the largest such.
    """
    kind = self.dtype
    if len(args) > 2:
        raise TypeError(f"random_() takes 2 positional arguments but {len(args)} were given")
    if len(args) == 1 and not kwargs:
        args = (0, *args)
    given = _bind("random_", ("from", "to"), args, kwargs)
    if not given:
        if kind.is_complex or kind in (uint16, uint32, uint64):
            raise not_implemented_for("random_kernel_cpu", kind)
        return fill(self, "Random", ALL_INTEGERS, generator)
    low = integer("random_", "from", 1, given.get("from", 0))
    if given.get("to") is not None:
        high = integer("random_", "to", 2, given["to"])
        if self._layout.device is not META:
            low, high = integer_range(kind, low, high)
    elif low == -(1 << 63):
        if kind is float16:
            raise not_implemented_for("random_full_64_bits_range_kernel_cpu", kind)
        if kind not in FLOATING and kind is not int64:
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                "bfloat16"
            )
        return fill(self, "Random", ANY_INT64, generator)
    else:
        low, high = _range_from(kind, low)
    return fill(self, "Random", INTEGERS, generator, low, high)


# ----- yes or no -----


def check_probability(p: float) -> None:
    """Raise RuntimeError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


@_method
def bernoulli_(self, generator, p=0.5):
    """Fill with ones with the probability `p` (a number, or a tensor that expands), else zeros."""
    if isinstance(p, Tensor):
        return bernoulli_by(self, p, generator)
    p = number("bernoulli_", "p", 1, p)
    check_probability(p)
    check_bernoulli_dtype(self.dtype)
    return fill(self, "Bernoulli", BERNOULLI, generator, p)


def check_bernoulli_dtype(kind: dtype) -> None:
    """Raise NotImplementedError for dtypes without random yes or no."""
    if kind.is_complex or kind in (uint16, uint32, uint64):
        raise not_implemented_for("bernoulli_scalar_cpu_", kind)


def bernoulli_by(self: Tensor, p: Tensor, generator) -> Tensor:
    """Fill `self` with ones with the probabilities in `p`."""
    recorded = prepare(self)
    layout = self._layout
    if layout.dtype.is_complex or layout.dtype in (uint16, uint32, uint64):
        raise not_implemented_for("bernoulli_tensor_cpu_self_", layout.dtype)
    if p.dtype not in FLOATING:
        raise not_implemented_for("bernoulli_tensor_cpu_p_", p.dtype)
    p = p.expand(layout.size)
    if layout.device is META:
        return self
    source = source_of(generator, layout.device)
    array = draw_by_probability(p, layout, source)
    return _deliver(self, array, recorded, _BERNOULLI_BY_TENSOR, p)


def draw_by_probability(p: Tensor, layout: Layout, source) -> mx.array:
    """Return zeros and ones for a layout, given probabilities of its shape.

    Raises RuntimeError for numbers outside [0, 1].
    """
    probabilities = read(p)
    key = key_for(source, probabilities)
    if key is not None:
        with stream_for(p._layout):
            drawn = kernels.bernoulli(key, tuple(layout.size), probabilities)
            return drawn.astype(layout.dtype.mlx)
    values = to_host(p, "bernoulli_()")
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false: a probability is below 0, "
            "above 1 or NaN"
        )
    flat = samplers.bernoulli_each(source, in_memory_order(values, layout))
    return to_mlx(lay_out(flat, layout), layout.dtype)


# ----- continuous and counting -----


def _check_positive(function: str, argument: str, value: float) -> None:
    if not value > 0:
        raise RuntimeError(f"{function} expects {argument} > 0.0, but found {argument}={value:g}")


def _check_continuous(title: str, kind: dtype, name: str) -> None:
    if kind not in FLOATING:
        raise RuntimeError(
            f"{title} distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {name}"
        )


@_method
def exponential_(self, generator, lambd=1.0):
    """Fill with exponential numbers of the rate `lambd`."""
    lambd = number("exponential_", "lambd", 1, lambd)
    _check_continuous("Exponential", self.dtype, SCALAR_TYPE_NAME[self.dtype])
    _check_positive("exponential_", "lambda", lambd)
    return fill(self, "Exponential", EXPONENTIAL, generator, lambd)


@_method
def cauchy_(self, generator, median=0.0, sigma=1.0):
    """Fill with Cauchy numbers."""
    median, sigma = number("cauchy_", "median", 1, median), number("cauchy_", "sigma", 2, sigma)
    _check_positive("cauchy_", "sigma", sigma)
    _check_continuous("Cauchy", self.dtype, _C_NAME[self.dtype.name])
    return fill(self, "Cauchy", CAUCHY, generator, median, sigma)


@_method
def log_normal_(self, generator, mean=1.0, std=2.0):
    """Fill with numbers whose logarithm is normal with this mean and standard deviation."""
    mean, std = number("log_normal_", "mean", 1, mean), number("log_normal_", "std", 2, std)
    _check_positive("log_normal_", "std", std)
    if self.dtype not in FLOATING:
        raise not_implemented_for("log_normal_cpu", self.dtype)
    return fill(self, "LogNormal", LOG_NORMAL, generator, mean, std)


@_method
def geometric_(self, generator, p):
    """Fill with the number of trials up to the first success, each of which has probability `p`."""
    p = number("geometric_", "p", 1, p)
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    kind = self.dtype
    if kind.is_complex or kind in (bool_, uint16, uint32, uint64):
        raise not_implemented_for("geometric_cpu", kind)
    return fill(self, "Geometric", GEOMETRIC, generator, p)


METHODS = {
    f.__name__: f
    for f in (
        uniform_,
        normal_,
        random_,
        bernoulli_,
        exponential_,
        cauchy_,
        log_normal_,
        geometric_,
    )
}
