"""Methods that call a Python function for every element, and other leftovers of old PyTorch."""

from __future__ import annotations

import math
import warnings

from .._core.tensor import Tensor, from_host
from .conversion import memory_format
from .explained import invalid_combination
from .reduction import any as any_


def _check_plain(name, *tensors):
    for tensor in tensors:
        if tensor.requires_grad:
            raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use "
                               f"var.detach().{name}() instead.")
        if tensor.device.type != "cpu":
            raise TypeError(f"{name} is only implemented on CPU tensors")


def _with_each(name, tensor, function, *others):
    """Replace each element by the function of it and those of `others` at its place."""
    if not all(isinstance(other, Tensor) for other in others):
        raise invalid_combination(name, others, {})
    _check_plain(name, tensor, *others)
    columns = [t.expand(tensor.shape).reshape(-1).tolist() for t in (tensor, *others)]
    values = [function(*row) for row in zip(*columns)]
    if tensor.dtype.category < 2:
        values = [int(value) for value in values]
    return tensor.copy_(tensor.new_tensor(values, dtype=tensor.dtype).reshape(tensor.shape))


def apply_(self, callable):
    """Replace each element by `callable(element)`; slow. Raises RuntimeError if it needs grad."""
    return _with_each("apply_", self, callable)


def map_(self, tensor, callable):
    """Replace each element by `callable(element, element of tensor)`; slow."""
    return _with_each("map_", self, callable, tensor)


def map2_(self, x, y, callable):
    """Replace each element by `callable(element, element of x, element of y)`; slow."""
    return _with_each("map2_", self, callable, x, y)


def resize(self, *sizes):
    """The elements in another size of as many elements, as `reshape`; deprecated."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    if math.prod(sizes) != self.numel():
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, sizes))} ({math.prod(sizes)} elements in "
            f"total), but the given tensor has a size of {'x'.join(map(str, self.shape))} "
            f"({self.numel()} elements); resize only changes the shape")
    return self.contiguous().view(tuple(sizes))


def resize_as(self, tensor):
    """The elements in the size of another tensor; deprecated."""
    return resize(self, *tensor.shape)


def dim_order(self, *, ambiguity_check=False):
    """The dimensions as they lie in memory, outermost first.

    With `ambiguity_check`, raises RuntimeError if another order would do as well; with a list of
    memory formats, exactly one that describes the tensor settles where lengths of 1 belong.
    """
    formats = ambiguity_check if isinstance(ambiguity_check, list) else []
    if not isinstance(ambiguity_check, (bool, list)) or not all(
            isinstance(f, memory_format) for f in formats):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    stride = self.stride()
    fitting = sum(self.is_contiguous(memory_format=f) for f in formats)
    equal = any(a == b for a, b in zip(stride, stride[1:]))
    if ambiguity_check is not False and (equal or 1 in self.shape and fitting != 1):
        raise RuntimeError("The tensor does not have unique dim order, or cannot map to exact one "
                           "of the given memory formats.")
    return tuple(sorted(range(self.ndim), key=lambda d: -stride[d]))


def record_stream(self, s):
    """Nothing: MLX keeps memory until every stream is done with it."""


def const_data_ptr(self):
    """As `data_ptr`."""
    return self.data_ptr()


def _is_all_true(input):
    """Whether all elements of a bool tensor are True, as a tensor."""
    return input.all()


def _is_any_true(input):
    """Whether any element of a bool tensor is True, as a tensor."""
    return any_(input)


def reinforce(self, reward):
    """Raises RuntimeError: removed from PyTorch."""
    raise RuntimeError("reinforce() was removed from PyTorch: sample from torch.distributions, and "
                       "weigh log_prob() by the reward")


def _volatile(self):
    """False: PyTorch removed it for `torch.no_grad`."""
    warnings.warn("volatile was removed (Variable.volatile is always False); use torch.no_grad()",
                  UserWarning, stacklevel=2)
    return False


def _delete(self, key):
    raise TypeError("Tensor does not support deleting items")


def _array_wrap(self, array, context=None, return_scalar=False):
    return from_host(array.astype("uint8") if array.dtype == bool else array)


FUNCTIONS = {"_is_all_true": _is_all_true, "_is_any_true": _is_any_true}
METHODS = {
    f.__name__: f
    for f in (
        apply_, map_, map2_, resize, resize_as, dim_order, record_stream, const_data_ptr, reinforce,
        _is_all_true, _is_any_true,
    )
}
METHODS |= {
    "volatile": property(_volatile),
    "name": property(lambda self: None, doc="Always None."),
    "__delitem__": _delete,
    "__array_wrap__": _array_wrap,
}
INPLACE = ()
