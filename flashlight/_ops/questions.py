"""What a program may ask of a tensor, and hashes of its bits."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.dtype import FROM_MLX
from .._core.errors import not_implemented_for
from .._core.tensor import Tensor
from .host import to_numpy
from .kinds import composite, primitive
from .reduction import reduced


@composite(out=False)
def is_nonzero(input):
    """Whether a tensor of one element is other than zero. Raises RuntimeError for other sizes."""
    return Tensor.__bool__(input)


@composite(out=False)
def is_same_size(input, other):
    """Whether both tensors have the same size."""
    return input.shape == other.shape


def _never(name, text):
    def answer(input):
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                            f"{type(input).__name__}")
        return False
    answer.__name__ = answer.__qualname__ = name
    answer.__doc__ = text
    return composite(answer, out=False)


is_conj = _never("is_conj", "Whether a conjugation is pending: no, it is done at once.")
is_neg = _never("is_neg", "Whether a negation is pending: no, it is done at once.")
is_distributed = _never("is_distributed", "Whether the tensor lives on several machines: no.")


@composite(out=False)
def is_inference(input):
    """Whether the tensor was made in inference mode, and so is nothing for autograd."""
    return input._storage.version < 0


def _bits(array: mx.array) -> np.ndarray:
    """The elements as 64 bits each: integers widened, other numbers as doubles."""
    kind = FROM_MLX[array.dtype]
    if kind.is_complex:
        raise not_implemented_for("xor_sum_cpu", kind)
    if array.dtype == mx.bfloat16:
        array = array.astype(mx.float32)
    host = to_numpy(array, "hash_tensor")
    wide = host.astype(np.float64 if kind.is_floating_point else np.int64)
    return wide.view(np.uint64) if wide.ndim else wide.reshape(1).view(np.uint64).reshape(())


@primitive(differentiable=False)
def hash_tensor(input: mx.array, dim=(), *, keepdim=False, mode=0) -> mx.array:
    """The exclusive or of all elements' bits, as uint64. Reads the values.

    Raises RuntimeError for another `mode` than 0 and without elements.
    """
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    dims = reduced(dim, input.ndim)
    if input.size == 0:
        if dim in ((), [], None):
            raise RuntimeError(
                "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument.")
        for d in dims:
            if input.shape[d] == 0:
                raise IndexError(
                    f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    made = _bits(input)
    made = np.bitwise_xor.reduce(made, axis=dims, keepdims=keepdim) if dims else made
    return mx.array(np.asarray(made, np.uint64))


_QUESTIONS = (is_nonzero, is_same_size, is_conj, is_neg, is_inference, is_distributed)
FUNCTIONS = {f.__name__: f for f in (*_QUESTIONS, hash_tensor)}
METHODS = dict(FUNCTIONS)
INPLACE = ()
