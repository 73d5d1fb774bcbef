"""New tensors of random numbers: `rand` to `normal`."""

from __future__ import annotations

import operator
import warnings

import numpy as np

from .._core import samplers
from .._core.device import META, device, resolve
from .._core.dtype import (
    FLOATING,
    INTEGRAL,
    SCALAR_TYPE_NAME,
    bool_,
    check_supported,
    dtype,
    get_default_dtype,
    int64,
    uint16,
    uint32,
    uint64,
)
from .._core.errors import broadcast_shapes, not_implemented_for
from .._core.evaluation import is_traced, local
from .._core.layout import contiguous
from .._core.tensor import Tensor, read, wrap
from .._kernels import random as kernels
from . import random_by_values, random_inplace
from .creation import _place, empty_like, filled, size_from
from .drawing import (
    FOLLOW,
    INTEGERS,
    NORMAL,
    UNIFORM,
    Distribution,
    check_generator,
    draw,
    source_of,
)
from .kinds import composite
from .random_inplace import (
    check_normal,
    check_out,
    check_uniform,
    fades,
    fades_for_two,
    integer,
    integer_range,
    number,
)

# ----- new tensors -----


class _Wanted:
    """What a factory's keyword arguments ask for."""

    def __init__(self, name: str, *, generator=None, out=None, dtype=None, layout=None, device=None,
                 pin_memory=False, requires_grad=False, names=None):  # fmt: skip
        check_generator(name, generator)
        if names is not None:
            raise TypeError(f"{name}() does not name dimensions; leave out 'names'")
        _place(layout, pin_memory)
        self.generator = FOLLOW if generator is None and device is not None else generator
        self.out = out
        self.dtype = _checked_dtype(name, dtype)
        self.device = resolve(device)
        self.requires_grad = requires_grad
        if out is not None:
            self._check_out(name, device)

    def _check_out(self, name: str, where) -> None:
        out = self.out
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        if self.dtype is not None and self.dtype is not out.dtype:
            raise RuntimeError(
                f"dtype {SCALAR_TYPE_NAME[self.dtype]} does not match dtype of out parameter "
                f"({SCALAR_TYPE_NAME[out.dtype]})"
            )
        if where is not None and self.device is not out.device:
            raise RuntimeError(
                f"device type {self.device.type} does not match device type of out parameter "
                f"({out.device.type})"
            )
        if out._node is not None and local.grad_enabled:
            raise RuntimeError(
                f"aten::{name}(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )

    def make(self, size: tuple, kind: dtype, distribution: Distribution, *parameters) -> Tensor:
        """Return a new tensor of `size`, drawn from `distribution`."""
        check_supported(kind)
        if self.device is META or 0 in size:
            made = filled(size, 0, kind, self.device)
        else:
            layout = contiguous(size, kind, self.device)
            source = source_of(self.generator, self.device)
            made = wrap(draw(distribution, source, layout, *parameters), self.device)
        return made.requires_grad_() if self.requires_grad else made

    def fill(self, size: tuple, method: str, *parameters) -> Tensor:
        """Resize `out` and fill it by an in-place method."""
        out = self.out
        if tuple(out.shape) != size:
            out.resize_(size)
        getattr(out, method)(*parameters, generator=self.generator)
        return out.requires_grad_() if self.requires_grad else out


def _checked_dtype(name, kind):
    if kind is not None and not isinstance(kind, dtype):
        found = type(kind).__name__
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {found}")
    return kind


def _size(name: str, size: tuple, options: dict) -> tuple:
    if "size" in options:
        if size:
            raise TypeError(f"{name}() got multiple values for argument 'size'")
        size = (options.pop("size"),)
    elif not size or (isinstance(size[0], (tuple, list)) and len(size) > 1):
        raise TypeError(
            f"{name}() received an invalid combination of arguments: it takes one size, as "
            "integers or as a tuple"
        )
    if not isinstance(size[0], (tuple, list)) and not hasattr(size[0], "__index__"):
        found = type(size[0]).__name__
        raise TypeError(
            f"{name}(): argument 'size' (position 1) must be tuple of ints, not {found}"
        )
    return size_from(name, size)


def rand(*size, **options) -> Tensor:
    """Return uniform numbers in [0, 1): `rand(2, 3)` or `rand((2, 3))`.

    Options: generator, out, dtype, layout, device, pin_memory, requires_grad.
    """
    size = _size("rand", size, options)
    wanted = _Wanted("rand", **options)
    if wanted.out is not None:
        return wanted.fill(size, "uniform_")
    kind = wanted.dtype or get_default_dtype()
    if wanted.device is not META:
        check_uniform(kind, 0.0, 1.0)
    return wanted.make(size, kind, UNIFORM)


def randn(*size, **options) -> Tensor:
    """Return standard normal numbers: `randn(2, 3)` or `randn((2, 3))`. Options as `rand`'s."""
    size = _size("randn", size, options)
    wanted = _Wanted("randn", **options)
    if wanted.out is not None:
        return wanted.fill(size, "normal_")
    kind = wanted.dtype or get_default_dtype()
    check_normal(kind, 1.0)
    return wanted.make(size, kind, NORMAL, 0.0, 1.0, True)


def randint(*args, **options) -> Tensor:
    """Return integers in [low, high): `randint(high, size)` or `randint(low, high, size)`.

    int64 unless `dtype` (or `out`) says otherwise; options as `rand`'s.
    """
    named = {key: options.pop(key) for key in ("low", "high", "size") if key in options}
    three = len(args) == 3 or "low" in named or (len(args) == 2 and "size" in named)
    order = ("low", "high", "size") if three else ("high", "size")
    order = order[: len(args)] if len(args) <= len(order) else ()
    given = dict(zip(order, args)) | named
    if len(given) != len(args) + len(named) or "high" not in given:
        raise TypeError(
            "randint() received an invalid combination of arguments: expected (high, size) or "
            "(low, high, size)"
        )
    if "size" not in given:
        raise TypeError('randint() missing 1 required positional arguments: "size"')
    low = integer("randint", "low", 1, given.get("low", 0))
    high = integer("randint", "high", 2 if three else 1, given["high"])
    if not isinstance(given["size"], (tuple, list, Tensor)):
        raise TypeError(
            f"randint(): argument 'size' (position {len(given)}) must be tuple of ints, "
            f"not {type(given['size']).__name__}"
        )
    size = size_from("randint", (given["size"],))
    wanted = _Wanted("randint", **options)
    if wanted.out is not None:
        return wanted.fill(size, "random_", low, high)
    kind = wanted.dtype or int64
    if wanted.requires_grad and kind.category < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return wanted.make(size, kind, INTEGERS, *integer_range(kind, low, high))


def randperm(n, **options) -> Tensor:
    """Return a random permutation of 0 .. n-1; int64 unless `dtype` (or `out`) says otherwise."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        found = type(n).__name__
        raise TypeError(f"randperm(): argument 'n' (position 1) must be int, not {found}")
    n = operator.index(n)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    wanted = _Wanted("randperm", **options)
    kind = wanted.dtype or (int64 if wanted.out is None else wanted.out.dtype)
    _check_permutation(n, kind)
    if wanted.requires_grad and kind.category < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    made = wanted.make((n,), kind, _PERMUTATION)
    if wanted.out is None:
        return made
    out = wanted.out
    return (out if out.shape == made.shape else out.resize_(n)).copy_(made)


def _host_permutation(source, count, kind):
    return samplers.permutation(source, count)


_PERMUTATION = Distribution(
    _host_permutation, lambda key, shape, kind: kernels.permutation(key, shape[0]).astype(kind)
)


def _check_permutation(n: int, kind: dtype) -> None:
    if kind in FLOATING:
        limit = (1 << samplers.DIGITS[kind.name]) + 1
        # PyTorch does not hold bfloat16 to the integers that it counts.
        if kind.name != "bfloat16" and n > limit:
            found = SCALAR_TYPE_NAME[kind]
            raise RuntimeError(f"n cannot be greater than {limit} for {found} type.")
    elif kind in (bool_, uint16, uint32, uint64) or kind not in INTEGRAL:
        raise not_implemented_for("randperm", kind)
    elif n > np.iinfo(kind.numpy).max:
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")


def _like(name: str, input, method: str, parameters, options: dict) -> Tensor:
    """Return a tensor made like `input` and filled by an in-place method."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    unknown = options.keys() - _LIKE_OPTIONS
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument '{min(unknown)}'")
    generator = options.pop("generator", None)
    requires_grad = options.pop("requires_grad", False)
    check_generator(name, generator)
    _checked_dtype(name, options.get("dtype"))
    made = empty_like(input, **options)
    getattr(made, method)(*parameters, generator=generator or FOLLOW)
    return made.requires_grad_() if requires_grad else made


_LIKE_OPTIONS = {
    *("generator", "dtype", "layout", "device", "pin_memory", "requires_grad", "memory_format"),
}


@composite(out=False)
def rand_like(input, **options):
    """Return uniform numbers in [0, 1) with the size, strides, dtype and device of `input`.

    Options: generator, dtype, layout, device, pin_memory, requires_grad, memory_format.
    """
    return _like("rand_like", input, "uniform_", (), options)


@composite(out=False)
def randn_like(input, **options):
    """Return standard normal numbers like `input`; options as `rand_like`'s."""
    return _like("randn_like", input, "normal_", (), options)


@composite(out=False)
def randint_like(input, *args, **options):
    """Return integers in [low, high) like `input`; options as `rand_like`'s.

    `randint_like(input, high)` or `randint_like(input, low, high)`.
    """
    named = {key: options.pop(key) for key in ("low", "high") if key in options}
    order = ("low", "high") if len(args) == 2 or "low" in named else ("high",)
    given = dict(zip(order, args)) | named
    if len(given) != len(args) + len(named) or "high" not in given:
        raise TypeError(
            "randint_like() received an invalid combination of arguments: expected (input, high) "
            "or (input, low, high)"
        )
    bounds = [
        int(value.item())
        if isinstance(value, Tensor) and value.numel() == 1
        else integer("randint_like", name, 2, value)
        for name, value in (("low", given.get("low", 0)), ("high", given["high"]))
    ]
    return _like("randint_like", input, "random_", bounds, options)


# ----- normal numbers with means and deviations of their own -----


_NORMAL_HISTORY = {
    (True, False): fades("NormalBackward1"),
    (False, True): fades("NormalBackward2"),
    (True, True): fades_for_two("NormalBackward3"),
}


@composite
def normal(mean=0.0, std=1.0, size=None, *, generator=None, out=None, **options):
    """Return normal numbers: `normal(mean, std, size)`, or with a mean or std for each number.

    Where `mean` or `std` is a tensor the result has their broadcast size; with a size, options
    are `rand`'s. Raises RuntimeError for a negative deviation.
    """
    check_generator("normal", generator)
    if size is None and any(isinstance(value, Tensor) for value in (mean, std)):
        return _normal_each(mean, std, generator, out)
    if not isinstance(size, (tuple, list)):
        found = ", ".join(type(value).__name__ for value in (mean, std, size))
        raise TypeError(
            "normal() received an invalid combination of arguments: expected two numbers and a "
            f"size, or a tensor - got ({found})"
        )
    size = size_from("normal", (size,))
    mean, std = number("normal", "mean", 1, mean), number("normal", "std", 2, std)
    wanted = _Wanted("normal", generator=generator, out=out, **options)
    if out is not None:
        return wanted.fill(size, "normal_", mean, std)
    kind = wanted.dtype or get_default_dtype()
    check_normal(kind, std)
    return wanted.make(size, kind, NORMAL, mean, std, True)


def _normal_each(mean, std, generator, out):
    which = isinstance(mean, Tensor), isinstance(std, Tensor)
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    size = broadcast_shapes(*[tuple(t.shape) for t in tensors])
    if which[1]:
        _check_deviations(std)
    else:
        std = number("normal", "std", 2, std)
    if not which[0]:
        mean = number("normal", "mean", 1, mean)
    kind = tensors[0].dtype if out is None else out.dtype
    check_normal(kind, 1.0 if which[1] else std)
    mean, std = (v.detach() if isinstance(v, Tensor) else v for v in (mean, std))
    if out is not None:
        check_out("normal", *tensors, out)
        if which[1]:
            return _compose_normal(_resized(out, size), mean, std, generator)
        # Here PyTorch fills the buffer as it is, then adds the means, which may enlarge it.
        size = broadcast_shapes(size, tuple(out.shape))
        total = out.normal_(0.0, std, generator=generator) + mean
        return _resized(out, size).copy_(total)
    made = filled(size, 0, kind, _device_of(tensors))
    _compose_normal(made, mean, std, generator or FOLLOW)
    if local.grad_enabled and any(t._node is not None for t in tensors):
        return _NORMAL_HISTORY[which](*tensors, read(made))
    return made


def _check_deviations(std: Tensor) -> None:
    if std.is_complex():
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if std.device is META or not std.numel() or is_traced(read(std)):
        return
    if not (std.detach() >= 0).all().item():
        raise RuntimeError("normal expects all elements of std >= 0.0")


def _compose_normal(target, mean, std, generator):
    # Rounded at each step in the result's dtype, as PyTorch does.
    if isinstance(std, Tensor):
        target.normal_(0.0, 1.0, generator=generator).mul_(std)
    else:
        target.normal_(0.0, std, generator=generator)
    return target.add_(mean)


def _resized(out, size):
    if tuple(out.shape) == tuple(size):
        return out
    if out.numel():
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(out.shape)}"
            f", which does not match the required output shape {list(size)}. Resize it to zero "
            "elements first (out.resize_(0)) if it is meant to be reused.",
            UserWarning,
            stacklevel=4,
        )
    return out.resize_(size)


def _device_of(tensors) -> device:
    first = tensors[0].device
    elsewhere = [t.device for t in tensors if t.device.type not in ("cpu", first.type)]
    return elsewhere[0] if elsewhere else first


_PUBLIC = (rand, randn, randint, randperm, rand_like, randn_like, randint_like, normal)
FUNCTIONS = {f.__name__: f for f in _PUBLIC} | random_by_values.FUNCTIONS
METHODS = random_inplace.METHODS | random_by_values.METHODS
INPLACE = ()
