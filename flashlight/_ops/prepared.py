"""Calls that were seen before: what binding, promotion and checks found, kept by their layouts.

Most calls of a program repeat: the same operation on tensors of the same layouts, with the same
options. What depends on these alone is found once; then a call is a look-up, the body and `wrap`.
"""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx

from .._core.batch import in_use
from .._core.device import META, NATIVE
from .._core.dtype import bfloat16, dtype, float16, float32, float64
from .._core.evaluation import local
from .._core.promotion import result_of, to_floating
from .._core.size import Size
from .._core.tensor import TENSORS, read, to_array, wrap
from .interception import interceptors

_MOST = 4096
#: What is known of calls that are not prepared; all are false.
_UNSEEN, _ONCE, _SPECIAL = 0, None, False
#: Options by which a call may be known. They compare by value, and as the type is part of the key,
#: 1, 1.0 and True are three.
_OPTIONS = (int, float, bool, str, type(None), dtype)


class Prepared:
    """A call whose arguments differ from an earlier one's in the tensors' values only."""

    __slots__ = ("body", "filled", "constants", "places", "positions", "values", "where", "strided")

    body: Any  # what to run: the operation's body, or its shortcut for these layouts
    filled: list  # the body's positional arguments, with gaps for arrays
    constants: dict  # and those by keyword
    places: list  # where in `filled` the arrays go
    positions: list  # where in the arguments the tensors are
    values: list  # all arguments as bound, with gaps: what gradient rules ask for
    where: Any  # the result's device
    strided: bool  # whether operands tell the result's strides


def remembering(operation) -> Any:
    """Return a function that calls `operation`, quicker for calls like earlier ones."""
    known: dict = {}

    def call(*args, **kwargs):
        if interceptors or in_use[0]:
            return operation(args, kwargs)
        key: Any = [a._layout if type(a) in TENSORS else (type(a), a) for a in args]
        if kwargs:
            key += [(name, type(value), value) for name, value in kwargs.items()]
        key = tuple(key)
        try:
            prepared = known.get(key, _UNSEEN)
        except TypeError:  # lists, arrays
            return operation(args, kwargs)
        if not prepared:
            options = dict(kwargs)
            result = operation(args, kwargs)
            if prepared is not _SPECIAL:
                _learn(operation, known, key, prepared, args, options)
            return result
        _ = local.pending  # gives a new thread the shared stream before any work of MLX's
        filled = prepared.filled.copy()
        positions = prepared.positions
        for place, position in zip(prepared.places, positions):
            filled[place] = read(args[position])
        try:
            result = prepared.body(*filled, **prepared.constants)
        except ValueError:
            return operation(args, kwargs)  # raises it again, in the operation's words
        outputs = wrap(result, prepared.where) if type(result) is mx.array else \
            operation.wrap_all(result, prepared.where)
        if prepared.strided:
            operation.arrange(outputs, *_bound(prepared, args))
        if local.grad_enabled and operation.differentiable:
            for position in positions:
                if args[position]._node is not None:
                    operation.record(*_bound(prepared, args), outputs)
                    break
        return outputs
    return call


def _bound(prepared, args):
    """Return the values of all parameters, and the tensors among them."""
    values = prepared.values.copy()
    inputs = []
    for position in prepared.positions:
        values[position] = args[position]
        inputs.append(args[position])
    return values, inputs


def _learn(operation, known, key, seen, args, options):
    """Note a call; the second time, prepare it: options that change all the time cost little."""
    if not all(type(a) in TENSORS or _is_option(a) for a in (*args, *options.values())):
        return
    if len(known) > _MOST:
        known.clear()
    if seen is _UNSEEN:
        known[key] = _ONCE
    else:
        known[key] = prepare(operation, args, options) or _SPECIAL


def prepare(operation, args: tuple, kwargs: dict) -> Prepared | None:
    """Return what to know of a call that has just succeeded, or None if it is a special one."""
    if operation.on_cpu and NATIVE != "cpu":
        return None
    if "out" in kwargs:
        return None
    values = operation.bind(args, kwargs)
    positions, numbers = [], {}
    for position in operation.tensors:
        value = values[position]
        if type(value) in TENSORS:
            if position >= len(args) or args[position] is not value:
                return None
            positions.append(position)
        elif value is not None:
            numbers[position] = value
    layouts = [values[position]._layout for position in positions]
    if not layouts or any(_is_special(operation, layout) for layout in layouts):
        return None
    where = layouts[0].device
    if any(layout.device is not where for layout in layouts):
        return None
    made = Prepared()
    made.positions, made.where = positions, where
    made.strided = bool(operation.elementwise or operation.channels_last) and not all(
        layout.contiguous for layout in layouts
    )
    filled = _promoted(operation, values, positions, numbers)
    if filled is None:
        return None
    for position, layout in zip(positions, layouts):
        filled[position], values[position] = layout, None
    made.values = values
    made.body = None if operation.shortcut is None else operation.shortcut(*filled)
    if made.body is not None:
        made.filled, made.constants, made.places = [None] * len(positions), {}, range(len(positions))
        return made
    count = operation.positional
    if any(position >= count for position in positions):
        return None
    made.body, made.filled, made.places = operation.body, filled[:count], positions
    made.constants = dict(zip(operation.names[count:], filled[count:]))
    return made


def _promoted(operation, values, positions, numbers):
    """Return the values with numbers as arrays, or None if a tensor has to be cast."""
    filled = list(values)
    if operation.promote is None:
        return filled
    promoted = [p for p in positions if p in operation.promoted]
    common = result_of(
        [values[p]._layout for p in promoted],
        [number for p, number in numbers.items() if p in operation.promoted],
    )
    if operation.promote == "int to float":
        common = to_floating(common)
    if any(values[p]._layout.dtype is not common for p in promoted):
        return None
    exact = operation.exact_numbers and common in (float16, bfloat16)
    for position, number in numbers.items():
        if position in operation.promoted:
            filled[position] = to_array(number, float32 if exact else common)
    return filled


def _is_option(value) -> bool:
    kind = type(value)
    if kind in (tuple, Size):
        return all(type(item) is int for item in value)
    # 0.0 and -0.0 are one key, and NaN is none.
    return kind in _OPTIONS and not (kind is float and (value == 0 or math.isnan(value)))


def _is_special(operation, layout) -> bool:
    """Tell whether work on such a tensor needs another stream, or does not happen."""
    if layout.device is META:
        return True
    if NATIVE == "cpu":
        return False
    return (
        layout.device.type != NATIVE
        or layout.dtype is float64
        or operation.scatters and layout.dtype.itemsize == 8
    )
