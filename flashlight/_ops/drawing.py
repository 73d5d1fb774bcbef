"""Where random numbers come from, and how they are laid into a tensor.

Three sources: a CPU generator, whose numbers are PyTorch's and are made on the host; an
accelerator's generator, and the random state of a trace, which give keys to MLX. What names no
device (`rand(3)`, `x.normal_()`, hence all initial weights) draws from the CPU's generator
wherever the tensor lives, so that a seed gives the same weights everywhere. What names an
accelerator or follows a tensor there (`rand(3, device="mps")`, `rand_like`, dropout) draws from
the accelerator's.

Inside `mx.compile` every draw takes a key from `mx.random.state`, which must then be among the
`inputs=` and `outputs=` of the compiled function; a function compiled without repeats its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from .._core import generator as generators
from .._core import normals, samplers
from .._core.batch import Batch
from .._core.device import CPU, device
from .._core.dtype import bfloat16, dtype
from .._core.evaluation import ensure_memory, evaluate, is_traced, local
from .._core.generator import Generator
from .._core.keys import TRACE_KEYS, KeyStream, TraceKeys
from .._core.layout import Layout, contiguous
from .._core.mersenne import MersenneTwister
from .._core.storage import stream_for
from .._core.tensor import Tensor, read
from .._kernels import random as kernels

Source = MersenneTwister | KeyStream | TraceKeys

#: As a generator: that of the tensor's own device, also where None would mean the CPU's.
FOLLOW = object()


class Distribution(NamedTuple):
    """One distribution twice: drawn on the host, and as a graph of MLX operations from a key.

    `host(source, count, dtype_name, *parameters)` returns a flat NumPy array in memory order,
    `graph(key, shape, mlx_dtype, *parameters)` an MLX array.
    """

    host: Callable
    graph: Callable


def _host_bernoulli(source, count, kind, p):
    return samplers.bernoulli(source, count, p)


def _host_normal(source, count, kind, mean, std, contiguous):
    return normals.normal(source, count, kind, mean, std, contiguous)


def _graph_normal(key, shape, kind, mean, std, contiguous):
    return kernels.normal(key, shape, kind, mean, std)


def _graph_all_integers(key, shape, kind):
    top = {mx.float16: 11, mx.bfloat16: 8, mx.float32: 24, mx.float64: 53}.get(kind)
    if top is not None:
        return kernels.integers(key, shape, kind, 0, (1 << top) + 1)
    bits = 1 if kind == mx.bool_ else 8 * kind.size - (kind not in _UNSIGNED)
    return kernels.integers(key, shape, kind, 0, 1 << bits)


_UNSIGNED = (mx.uint8, mx.uint16, mx.uint32, mx.uint64)

UNIFORM = Distribution(samplers.uniform, kernels.uniform)
NORMAL = Distribution(_host_normal, _graph_normal)
INTEGERS = Distribution(samplers.integers, kernels.integers)
ALL_INTEGERS = Distribution(samplers.all_integers, _graph_all_integers)
ANY_INT64 = Distribution(
    samplers.any_int64,
    lambda key, shape, kind: kernels.integers(key, shape, kind, -(1 << 63), 1 << 63),
)
BERNOULLI = Distribution(
    _host_bernoulli, lambda key, shape, kind, p: kernels.bernoulli(key, shape, p).astype(kind)
)
EXPONENTIAL = Distribution(samplers.exponential, kernels.exponential)
CAUCHY = Distribution(samplers.cauchy, kernels.cauchy)
LOG_NORMAL = Distribution(normals.log_normal, kernels.log_normal)
GEOMETRIC = Distribution(samplers.geometric, kernels.geometric)


def check_generator(name: str, generator) -> None:
    """Raise TypeError unless `generator` is a `Generator` or None."""
    if generator is not None and generator is not FOLLOW and not isinstance(generator, Generator):
        kind = type(generator).__name__
        raise TypeError(f"{name}(): argument 'generator' must be torch.Generator, not {kind}")


def source_of(generator, where: device) -> Source:
    """Return what to draw from for a tensor on `where`, given a Generator, None or FOLLOW.

    Raises RuntimeError for a generator of another device, or for any generator inside a trace.
    """
    if any(level.randomness == "error" for level in local.levels):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap"
        )
    follows = generator is FOLLOW
    if follows:
        generator = None
    if TRACE_KEYS.active():
        if generator is not None:
            raise RuntimeError(
                "a generator cannot be used inside mx.compile: its state is on the host, and its "
                "numbers would be drawn once, while tracing; leave out generator= or draw outside"
            )
        return TRACE_KEYS
    if generator is not None:
        stream = generator._stream
        if isinstance(stream, KeyStream) and where is CPU:
            raise RuntimeError(
                f"Expected a 'cpu' device type for generator but found '{generator.device.type}'"
            )
        return stream
    if follows and where is not CPU and generators.accelerator_generator is not None:
        return generators.accelerator_generator._stream
    return generators.default_generator._stream


def key_for(source: Source, *arrays: mx.array) -> mx.array | None:
    """Return a key if a draw that depends on `arrays` must be a graph, None for the host.

    Under `mx.vmap` and in functions compiled without a random state the host can't see the
    arrays' values. The key is then a constant of the trace, made from the generator's next word.
    """
    if different_levels() or any(type(array) is Batch for array in arrays):
        raise RuntimeError(
            "vmap: this function draws by the values of a whole tensor, and would need a source "
            "for each lane; draw outside of vmap"
        )
    if not isinstance(source, MersenneTwister):
        return source.next_key()
    if arrays and is_traced(*arrays):
        return mx.array(source.words32(2))
    return None


def to_mlx(values: np.ndarray, kind: dtype) -> mx.array:
    """Return host values as an MLX array; bfloat16 comes as rounded float32 (see `_core.exact`)."""
    if kind is bfloat16:
        return mx.array(values.astype(np.float32, copy=False)).astype(mx.bfloat16)
    return mx.array(values.astype(kind.numpy, copy=False), kind.mlx)


def to_host(tensor: Tensor, reader: str) -> np.ndarray:
    """Return a tensor's values in NumPy, half types as float32."""
    array = read(tensor)
    if array.dtype in (mx.bfloat16, mx.float16):
        array = array.astype(mx.float32)
    return np.asarray(evaluate(array, reader))


def memory_order(layout: Layout) -> list[int] | None:
    """Return the dimensions from the slowest to the fastest in memory; None if in order."""
    if layout.contiguous:
        return None
    return sorted(range(layout.ndim), key=lambda d: -layout.stride[d])


def lay_out(flat: np.ndarray, layout: Layout) -> np.ndarray:
    """Give numbers in memory order the shape of the layout."""
    order = memory_order(layout)
    if order is None:
        return flat.reshape(layout.size)
    inverse = sorted(range(layout.ndim), key=order.__getitem__)
    return flat.reshape([layout.size[d] for d in order]).transpose(inverse)


def in_memory_order(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Return values of the layout's shape as a flat array in its memory order."""
    order = memory_order(layout)
    return (values if order is None else values.transpose(order)).reshape(-1)


def different_levels() -> tuple:
    """Return the surrounding calls of vmap in which each lane has its own random numbers."""
    return tuple(level for level in local.levels if level.randomness == "different")


def draw(distribution: Distribution, source: Source, layout: Layout, *parameters) -> mx.array:
    """Return numbers for a tensor of this layout, as an array of its shape and dtype.

    Inside vmap with different random numbers in each lane, an array with lanes.
    """
    levels = different_levels() if local.levels else ()
    if levels:
        shape = (*[level.size for level in levels], *layout.size)
        whole = contiguous(shape, layout.dtype, layout.device)
        return Batch(_draw(distribution, source, whole, *parameters), levels)
    return _draw(distribution, source, layout, *parameters)


def _draw(distribution: Distribution, source: Source, layout: Layout, *parameters) -> mx.array:
    kind = layout.dtype
    ensure_memory(layout.numel * max(kind.itemsize, 8))
    if isinstance(source, MersenneTwister):
        flat = distribution.host(source, layout.numel, kind.name, *parameters)
        return to_mlx(lay_out(flat, layout), kind)
    with stream_for(layout):
        return distribution.graph(source.next_key(), tuple(layout.size), kind.mlx, *parameters)
