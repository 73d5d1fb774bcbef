"""Optimizer rules applied to whole lists of parameters, one compiled call each.

A rule is a pure function written in the vocabulary of `_kernels.optimizer_math` (the rules
themselves are in `optim`, with the formulas they implement). Arrays are read from the storages
of parameters and state, and the results swapped in, which counts a version as every in-place
operation does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import mlx.core as mx
import numpy as np

from flashlight._core.device import NATIVE, STREAMS
from flashlight._core.dtype import float32, float64
from flashlight._core.evaluation import evaluate, flush, local
from flashlight._core.tensor import Tensor, read, wrap
from flashlight._kernels import optimizer_math

#: Elements in a group of parameters from which its rule is compiled. Below, the arithmetic is
#: cheap and a compiler run on the CPU (0.4 s for each new kernel) never pays.
COMPILED_FROM = 1 << 14


def host_number(tensor: Tensor) -> float | None:
    """Return the number in a tensor of one element, or None inside a trace."""
    array = read(tensor)
    try:
        return array.item()
    except ValueError as error:
        if "transformation" not in str(error):
            raise
        return None


def read_counters(counters: Sequence[list[Tensor]], length: int) -> list[tuple] | None:
    """Return, for each parameter, the numbers in its counters; None if any is traced."""
    if not counters:
        return [()] * length
    columns = [[host_number(tensor) for tensor in column] for column in counters]
    if any(None in column for column in columns):
        return None
    return list(zip(*columns, strict=True))


def write_counters(
    counters: Sequence[list[Tensor]], indices: list[int], values: Sequence[float]
) -> None:
    """Set each counter of the parameters at `indices` to its value."""
    for column, value in zip(counters, values, strict=True):
        made: dict = {}  # arrays never change, so equal counters may share one
        for index in indices:
            tensor = column[index]
            layout = tensor._layout
            if layout not in made:
                made[layout] = mx.reshape(mx.array(value, layout.dtype.mlx), layout.size)
                mx.eval(made[layout])
            tensor._storage.write(layout, made[layout])


def run(
    rule: Callable,
    indices: list[int],
    grads: list[Tensor],
    columns: Sequence[list[Tensor | None]],
    numbers: dict[str, float],
    options: dict[str, bool],
) -> None:
    """Replace the tensors at `indices` of `columns` (parameters first) by what `rule` gives."""
    params = columns[0]
    compiled = sum(params[index]._layout.numel for index in indices) >= COMPILED_FROM
    names = tuple(numbers)
    options = tuple(options.items())
    scalars: dict = {}
    pending = local.pending
    for index in indices:
        layout = params[index]._layout
        double = layout.dtype is float64
        stream = STREAMS.cpu if double else STREAMS.of(layout.device)
        if double not in scalars:
            kind = mx.float64 if double else mx.float32
            scalars[double] = [mx.array(value, kind) for value in numbers.values()]
        present = tuple(column[index] is not None for column in columns)
        step = _prepared(rule, names, options, present, compiled, stream is STREAMS.cpu)
        with mx.stream(stream):
            arrays = [read(column[index]) for column in columns if column[index] is not None]
            results = step(read(grads[index]), arrays, scalars[double])
        for column, result in zip(columns, results, strict=True):
            if result is None:
                continue
            tensor = column[index]
            if tensor is None:
                column[index] = wrap(result, layout.device)
            else:
                if result.dtype != tensor._layout.dtype.mlx:
                    result = result.astype(tensor._layout.dtype.mlx)
                tensor._storage.write(tensor._layout, result)
                pending.append(tensor._storage)
    # The whole step is issued: computing it can begin while the program goes on.
    flush()


@functools.lru_cache(maxsize=4096)
def _prepared(
    rule: Callable,
    names: tuple[str, ...],
    options: tuple[tuple[str, bool], ...],
    present: tuple[bool, ...],
    compiled: bool,
    on_cpu: bool,
) -> Callable[[mx.array, list[mx.array], list[mx.array]], list[mx.array | None]]:
    """Return `rule` as a function of its arrays alone; None in the result is state not kept."""
    switches = dict(options)
    kept: list[bool] = []

    def apply(grad: mx.array, arrays: list[mx.array], scalars: list[mx.array]) -> list[mx.array]:
        remaining = iter(arrays)
        state = [next(remaining) if there else None for there in present]
        numbers = dict(zip(names, scalars, strict=True))
        results = rule(optimizer_math, grad, *state, **numbers, **switches)
        kept[:] = [result is not None for result in results]
        return [result for result in results if result is not None]

    if compiled:
        apply = mx.compile(apply)

    def call(grad, arrays, scalars):
        results = apply(grad, arrays, scalars)
        if len(results) == len(present):
            return results
        remaining = iter(results)
        return [next(remaining) if there else None for there in kept]

    return call



def two_loops(
    gradient: Tensor,
    changes: list[Tensor],
    steps: list[Tensor],
    inverses: list[Tensor],
    scale: Tensor | float,
) -> tuple[Tensor, list[float]] | None:
    """Return −H·gradient for L-BFGS's history, and the weights of the first loop.

    In NumPy: each of the hundreds of small products waits for the one before, which costs MLX's
    queue far more than the arithmetic. None where the data is not the CPU's.
    """
    layout = gradient._layout
    if NATIVE != "cpu" or layout.dtype not in (float32, float64):
        return None
    vectors = [np.asarray(evaluate(read(tensor))) for tensor in (gradient, *changes, *steps)]
    count = len(changes)
    changes, steps = vectors[1 : count + 1], vectors[count + 1 :]
    factors = [vectors[0].dtype.type(host_number(inverse)) for inverse in inverses]
    direction = -vectors[0]
    weights = [0.0] * count
    for index in reversed(range(count)):
        weights[index] = steps[index].dot(direction) * factors[index]
        direction -= weights[index] * changes[index]
    direction *= direction.dtype.type(host_number(scale) if isinstance(scale, Tensor) else scale)
    for index in range(count):
        weight = changes[index].dot(direction) * factors[index]
        direction += (weights[index] - weight) * steps[index]
    return wrap(mx.array(direction, layout.dtype.mlx), layout.device), [float(w) for w in weights]
