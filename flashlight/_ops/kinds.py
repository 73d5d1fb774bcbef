"""The decorators that declare operations: primitive, pointwise, view; and `inplace`."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import mlx.core as mx

from .._autograd.history import (
    STALE,
    VIEW_NODE,
    adopt,
    check_inplace,
    edge_of,
    meta_of,
    remember_view,
    renew,
)  # fmt: skip
from .._autograd.lanes import join_levels
from .._autograd.node import Node, Saved, class_named, sequence
from .._core.batch import broadcast, in_use
from .._core.batched_storage import check_shared_write
from .._core.dtype import SCALAR_TYPE_NAME, bfloat16, float16
from .._core.errors import broadcast_shapes
from .._core.evaluation import LIMIT, flush, local
from .._core.layout import Layout
from .._core.promotion import can_cast
from .._core.storage import Storage, check_writable, stream_for
from .._core.tensor import TENSORS, Tensor, make, new, read, snapshot, to_array
from .composite import composite
from .interception import intercepted, interceptors, on_change
from .operation import (
    INT_TO_FLOAT,
    SAME,
    VALUE,
    Operand,
    Operation,
    OperationNode,
    observers,
)  # fmt: skip
from .overrides import call_overrides, is_override, overriding_in
from .prepared import remembering

__all__ = [
    "INT_TO_FLOAT", "SAME", "Operand", "composite", "inplace", "pointwise", "primitive", "view",
]  # fmt: skip


def _dress(call, operation: Operation):
    """Make `call` look like the body that it stands for, and give it `gradients`."""
    functools.update_wrapper(call, operation.body)
    call.__name__ = call.__qualname__ = operation.name
    del call.__wrapped__
    call.__signature__ = operation.signature
    call.operation = operation
    call.is_watched = True
    call.gradients = operation.gradients
    call.joint_gradient = operation.joint_gradient
    operation.function = call
    return call


def primitive(body=None, **options) -> Any:
    """Declare an operation on arrays. Options are those of `Operation`.

    The body's annotations tell which parameters are tensors: `mx.array`, `mx.array | None`,
    `list[mx.array]`, or `Operand` for a tensor or a number. With `promote`, they arrive in one
    dtype. A body with `many=True` returns a list; with `returns`, a named tuple class.
    """
    if body is None:
        return functools.partial(primitive, **options)
    operation = Operation(body, **options)
    return _dress(remembering(operation), operation)


# ----- pointwise: the fast path -----

#: Python numbers as 0-d arrays. MLX would make a new array for each use.
_constants: dict = {}
#: all dictionaries of fast paths, so that autocast and profilers can close them
_fast: list = []
fast_paths = [True]


def close_fast_paths(closed: bool) -> None:
    """Send every call through `Operation`, as long as something watches them."""
    fast_paths[0] = not closed
    for known in _fast:
        known.clear()


on_change.append(close_fast_paths)


def constant(value, dtype) -> mx.array:
    """Return a 0-d array of a Python number."""
    key = type(value), value, dtype
    found = _constants.get(key)
    if found is None:
        found = to_array(value, dtype)
        if len(_constants) > 4096:
            _constants.clear()
        if value or type(value) is int:  # 0.0 and -0.0 are one key
            _constants[key] = found
    return found


def pointwise(body=None, *, fast=None, **options) -> Any:
    """Declare an elementwise operation of one or two tensors.

    Like `primitive`, with a shorter way for plain tensors of one layout (or a tensor and a
    number) whose result is known, from an earlier call, to be plain too. `fast` is what runs
    there: the body, or the MLX function that it amounts to.
    """
    if body is None:
        return functools.partial(pointwise, fast=fast, **options)
    operation = Operation(body, elementwise=True, **options)
    operation.pointwise = True
    kernel = fast or body
    if len([k for k in operation.kinds if k is not VALUE]) == 1:
        return _dress(_unary(operation, kernel), operation)
    general = remembering(operation)
    call = _dress(_binary(operation, kernel, general), operation)

    def as_operator(*args, **kwargs):
        try:
            return general(*args, **kwargs)
        except TypeError:
            if isinstance(args[1], (Tensor, int, float, complex)):
                raise
            return _with_array(call, args)
    call.operator = _binary(operation, kernel, as_operator)
    call.operator.__name__ = operation.name
    call.operator.__signature__ = _OPERATOR
    return call


_OPERATOR = inspect.signature(lambda self, other: None)


def _with_array(call, args):
    from numpy import ndarray

    from .._core.tensor import from_host
    if isinstance(args[1], ndarray):
        return call(args[0], from_host(args[1]))
    return NotImplemented


_ABSENT = object()


def _given(input, other, rest):
    """Return the positional arguments of a call; keywords of these two names look the same."""
    if other is _ABSENT:
        return () if input is _ABSENT else (input,)
    return (input, other, *rest)


def _unary(operation, kernel):
    known: dict = {}
    _fast.append(known)
    general = remembering(operation)

    def call(input=_ABSENT, *rest, **options):
        if type(input) not in TENSORS or rest or options:
            return general(*(() if input is _ABSENT else (input, *rest)), **options)
        layout = input._layout
        storage = input._storage
        made = known.get(layout)
        if made is None or storage.layout is not layout:
            result = general(input)
            if type(result) is Tensor and fast_paths[0]:
                _learn_unary(operation, known, layout, result)
            return result
        # The short way: as `wrap` and `track`, without their calls. The first look at `local`
        # gives a new thread the shared stream, so it comes before any work of MLX's.
        pending = local.pending
        result = new(Tensor)
        result._storage = storage = new(Storage)
        storage.array = kernel(input._storage.array)
        storage.layout = result._layout = made
        storage.version = local.birth
        result._index = 0
        result._node = result._meta = None
        pending.append(storage)
        if len(pending) > LIMIT:
            flush(pending)
        if input._node is not None and local.grad_enabled and operation.differentiable:
            operation.record([input, *operation.defaults[1:]], [input], result)
        return result
    return call


def _learn_unary(operation, known, layout, result):
    """Remember a layout whose tensors need no cast on the way in."""
    made = result._layout
    if layout.plain and made.plain and made.size == layout.size and (
            operation.promote is not INT_TO_FLOAT or layout.dtype.category >= 2):
        if len(known) > 4096:
            known.clear()
        known[layout] = made


def _binary(operation, kernel, general):
    known: dict = {}
    _fast.append(known)

    def call(input=_ABSENT, other=_ABSENT, *rest, **options):
        if type(input) not in TENSORS or rest or options:
            if other is not _ABSENT and input is _ABSENT:
                return general(other=other, **options)
            return general(*_given(input, other, rest), **options)
        layout = input._layout
        if type(other) in TENSORS:
            kind = None
            key = layout if other._layout is layout else None
        else:
            kind = type(other)
            key = layout, kind
        made = known.get(key)
        if made is None or input._storage.layout is not layout:
            result = general(*_given(input, other, rest), **options)
            if type(result) is Tensor and fast_paths[0] and key is not None:
                _learn_binary(operation, known, key, layout, result, kind)
            return result
        pending = local.pending  # before any work of MLX's: see `_unary`
        if kind is None:
            right = other._storage
            if right.layout is not layout:
                return general(input, other)
            array = kernel(input._storage.array, right.array)
        else:
            array = kernel(input._storage.array, constant(other, layout.dtype))
        # The short way: as `wrap` and `track`, without their calls.
        result = new(Tensor)
        result._storage = storage = new(Storage)
        storage.array = array
        storage.layout = result._layout = made
        storage.version = local.birth
        result._index = 0
        result._node = result._meta = None
        pending.append(storage)
        if len(pending) > LIMIT:
            flush(pending)
        if input._node is not None or (kind is None and other._node is not None):
            if local.recording and operation.differentiable:
                _record_pair(operation, input, other, result, kind is not None)
            elif local.grad_enabled and operation.differentiable:
                inputs = [input, other] if kind is None else [input]
                operation.record([input, other, *operation.defaults[2:]], inputs, result)
        return result
    return call


_PLAIN_NUMBERS = {bool: 0, int: 1, float: 2}


def _learn_binary(operation, known, key, layout, result, kind):
    """Remember a layout whose tensors (or numbers of a type beside them) need no cast."""
    if kind is not None and kind not in _PLAIN_NUMBERS:
        return
    made = result._layout
    if not (layout.plain and made.plain and made.size == layout.size):
        return
    if operation.promote is INT_TO_FLOAT and layout.dtype.category < 2:
        return
    if operation.promote is None or (
        kind is not None and _PLAIN_NUMBERS[kind] > layout.dtype.category
    ):
        return
    if kind is not None and operation.exact_numbers and layout.dtype in (float16, bfloat16):
        return
    if len(known) > 4096:
        known.clear()
    known[key] = made


def _record_pair(operation, input, other, result, by_number):
    """`Operation.record` for two operands and one result, without its generality."""
    layout = result._layout
    if layout.dtype.category < 2:
        return
    node = new(operation.node_class)
    left = input._node
    if left is STALE:
        left = renew(input)
    if by_number:
        node.edges = ((left, input._index),)
        which = 0  # else nobody's: a result without history is not recorded
    else:
        right = other._node
        if right is STALE:
            right = renew(other)
        node.edges = (None if left is None else (left, input._index),
                      None if right is None else (right, other._index))
        which = (left is not None) + 2 * (right is not None)
    node.outputs = (layout,)
    node.sequence = sequence()
    plan = operation.pair_plans[which]
    if plan is None:
        mask = tuple([edge is not None for edge in node.edges])
        plan = operation.plan(mask, (1, 0) if by_number else (1, 1))
        operation.pair_plans[which] = plan
    node.plan = plan
    if plan.automatic:
        inputs = [input] if by_number else [input, other]
        operation.save(node, [input, other, *operation.defaults[2:]], inputs, (result,), None)
    else:
        saved = node.saved = {}
        for name in plan.names:
            if name == "other":
                saved[name] = other if by_number else Saved(other)
            elif name == "input":
                saved[name] = Saved(input)
            else:
                saved[name] = operation._value(
                    name, [input, other, *operation.defaults[2:]], (result,)
                )
    result._node = node


# ----- views -----


class ViewNode(Node):
    """The node of a view: its gradient is written through the view into zeros of the input's
    layout.
    """

    __slots__ = ("geometry",)

    def apply(self, grads: list) -> tuple:
        """Return the gradient of the input."""
        return (grads[0]._view_write(*self.geometry),)

    def release(self) -> None:
        """Nothing is saved."""


class ViewsNode(ViewNode):
    """The node of a view with several outputs."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Return the sum of the outputs' gradients, each written through its view."""
        source, targets = self.geometry
        total = None
        for grad, target in zip(grads, targets):
            if grad is not None:
                part = grad._view_write(source, target)
                total = part if total is None else total + part
        return (total,)


class AsStridedBackward0(ViewNode):
    """The node of a view that was made anew from its base."""

    __slots__ = ()


def _renewed(base: Tensor, view_: Tensor) -> Node:
    node = AsStridedBackward0()
    node.edges = (edge_of(base),)
    node.outputs = (view_._layout,)
    node.saved = None
    node.sequence = sequence()
    node.geometry = (base._layout, view_._layout)
    if in_use[0]:
        node.levels = node.edges[0][0].levels
    return node


VIEW_NODE.append(_renewed)


def view(body=None, *, name=None, varargs=None, many=False, node=None, overload=None) -> Any:
    """Declare an operation that turns a tensor's layout into another over the same storage.

    The body takes the `Layout` and returns one, or a list of them with `many`. The gradient is
    the same for every view and written once; `overload` tells the end of its name, which PyTorch
    numbers, from the arguments. Raises what the body raises.
    """
    if body is None:
        return functools.partial(
            view, name=name, varargs=varargs, many=many, node=node, overload=overload
        )
    operation = Operation(body, name=name, varargs=varargs)
    numbered = functools.cache(
        functools.partial(class_named, node or operation.name, ViewsNode if many else ViewNode)
    )

    usual = numbered(0)

    known: dict = {}  # views' layouts and nodes' classes by the input's layout and by integers

    def call(*args, **kwargs):
        if interceptors:
            return intercepted(call, proceed, args, kwargs)
        if kwargs or many or not args or type(args[0]) not in TENSORS:
            return proceed(args, kwargs)
        input, *rest = args
        for value in rest:
            if type(value) is not int:
                return proceed(args, kwargs)
        key = input._layout, *rest
        found = known.get(key)
        if found is not None:
            return view_of(input, *found)
        made = proceed(args, kwargs)
        if len(known) > 4096:
            known.clear()
        known[key] = made._layout, class_for(args)
        return made

    def class_for(values):
        return usual if overload is None else numbered(overload(*values[1:]))

    def proceed(args, kwargs):
        values = operation.bind(args, kwargs)
        input = values[0]
        if type(input) not in TENSORS:
            if is_override(input):
                return call_overrides(call, overriding_in((input,)), args, kwargs)
            if not isinstance(input, Tensor):
                raise operation.expected(0, input, "Tensor")
        source = input._layout
        target = body(source, *values[1:])
        if many:
            return _views_of(input, source, target, class_for(values))
        return view_of(input, target, class_for(values))
    return _dress(call, operation)


def view_of(input: Tensor, target: Layout, node_class=AsStridedBackward0) -> Tensor:
    """Return a view of `input` with the layout `target`."""
    made = make(input._storage, target)
    previous = input._node
    if previous is not None:
        if previous is STALE:
            previous = renew(input)
        if local.grad_enabled:
            node = node_class()
            node.edges = ((previous, input._index),)
            node.outputs = (target,)
            node.saved = None
            node.sequence = sequence()
            node.geometry = (input._layout, target)
            if in_use[0]:
                node.levels = previous.levels
            made._node = node
            if observers.anomaly:
                observers.trace(node)
    _join_family(input, made, previous)
    return made


def _views_of(input, source, targets, node_class):
    previous = input._node
    if previous is STALE:
        previous = renew(input)
    made = [make(input._storage, target) for target in targets]
    node = None
    if previous is not None and local.grad_enabled:
        node = node_class()
        node.edges = ((previous, input._index),)
        node.outputs = tuple(targets)
        node.saved = None
        node.sequence = sequence()
        node.geometry = (source, tuple(targets))
        if in_use[0]:
            node.levels = previous.levels
    for index, tensor in enumerate(made):
        if node is not None:
            tensor._node, tensor._index = node, index
        _join_family(input, tensor, previous)
        tensor._meta.creation = tensor._meta.creation or "multi"
    return tuple(made)


def _join_family(input, made, previous):
    own = input._meta
    base = input if own is None or own.base is None else own.base
    meta = meta_of(made)
    meta.base = base
    if own is not None:
        meta.untracked = own.untracked
        meta.creation = own.creation if own.base is not None else None
    if previous is not None and not local.grad_enabled:
        meta.creation = "no_grad"
    remember_view(base, made)


# ----- in place -----


def inplace(operation, name=None) -> Any:
    """Return the in-place form of `operation`: its result is written into the first argument.

    Raises RuntimeError where PyTorch does: a leaf that needs grad, elements that share memory,
    a result of another shape or of a dtype that cannot be cast.
    """
    name = name or f"{operation.__name__}_"

    def write(self, *args, **kwargs):
        if interceptors:
            return intercepted(write, proceed, (self, *args), kwargs)
        return run(self, *args, **kwargs)

    def proceed(args, kwargs):
        return run(*args, **kwargs)

    def run(self, *args, **kwargs):
        if type(self) not in TENSORS:
            if is_override(self):
                return call_overrides(write, overriding_in((self, *args)), (self, *args), kwargs)
            if not isinstance(self, Tensor):
                raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                                f"{type(self).__name__}")
        recorded = local.grad_enabled
        history = recorded and _any_history(self, args, kwargs)
        meta = self._meta
        if recorded and (self._node is not None or meta is not None and meta.creation is not None):
            check_inplace(self, history)
        layout = self._layout
        if layout.contiguous is False and layout.overlaps():
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to "
                "a single memory location. Please clone() the tensor before performing the "
                "operation."
            )
        if history:
            if self._node is STALE:
                renew(self)
            result = operation(snapshot(self), *args, **kwargs)
        else:
            result = operation(self, *args, **kwargs)
        if result is NotImplemented:
            return result
        return replace(self, result, recorded)

    functools.update_wrapper(write, operation)
    write.__name__ = write.__qualname__ = name
    write.__dict__.pop("operation", None)
    return write


def _any_history(self, args, kwargs):
    if self._node is not None:
        return True
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value._node is not None:
            return True
        if isinstance(value, (list, tuple)) and any(
                isinstance(item, Tensor) and item._node is not None for item in value):
            return True
    return False


def replace(
    self: Tensor, result: Tensor, recorded: bool, node_class: type | None = None
) -> Tensor:
    """Write `result` into `self`, with its history if `recorded`.

    `node_class` is the node's if there was a history before and `result` has none.
    """
    layout, made = self._layout, result._layout
    storage = self._storage
    if made is layout and storage.layout is layout:
        array = read(result)
    else:
        if made.size != layout.size:
            shape = broadcast_shapes(tuple(layout.size), tuple(made.size))
            if shape != tuple(layout.size):
                raise RuntimeError(
                    f"output with shape {list(layout.size)} doesn't match the broadcast shape "
                    f"{list(shape)}"
                )
        if made.dtype is not layout.dtype and not can_cast(made.dtype, layout.dtype):
            raise RuntimeError(
                f"result type {SCALAR_TYPE_NAME[made.dtype]} can't be cast to the desired output "
                f"type {SCALAR_TYPE_NAME[layout.dtype]}"
            )
        array = read(result)
        if made.dtype is not layout.dtype:
            if recorded and result._node is not None:
                result = result.to(layout.dtype)
                array = read(result)
            else:
                with stream_for(layout):
                    array = array.astype(layout.dtype.mlx)
        if made.size != layout.size:
            with stream_for(layout):
                array = broadcast(array, tuple(layout.size))
    store(self, array)
    if recorded and (self._node is not None or result._node is not None
                     or self._meta is not None and self._meta.base is not None
                     and self._meta.base._node is not None):
        adopt_result(self, result, node_class)
    return self


def store(self: Tensor, array: mx.array, layout: Layout | None = None) -> None:
    """Write `array` into the tensor's storage, through the tensor's layout or another."""
    storage = self._storage
    if storage.version < 0:
        check_writable(storage)
    if in_use[0]:
        check_shared_write(storage, array)
    storage.write(layout or self._layout, array)
    meta = self._meta
    if meta is not None and meta.untracked:
        storage.version -= 1
    pending = local.pending
    pending.append(storage)
    if len(pending) > LIMIT:
        flush(pending)


def adopt_result(self: Tensor, result: Tensor, node_class: type | None = None) -> None:
    """Give `self`, just written, the history of `result`, or of having been overwritten."""
    node = result._node
    if isinstance(node, OperationNode) and type(node.saved) is dict:
        # The rule reads the tensor written to: a later write must be noticed, as in PyTorch.
        own = result._storage
        for item in node.saved.values():
            if type(item) is Saved and item.storage is own and item.node is None:
                item.storage, item.version = self._storage, self._storage.version
    edge = edge_of(result)
    own = edge_of(self)
    is_view = self._meta is not None and self._meta.base is not None
    if edge is None and own is not None and not is_view:
        node = (node_class or Overwritten)()
        node.edges, node.outputs, node.saved, node.sequence = (
            (own,),
            (self._layout,),
            None,
            sequence(),
        )
        if in_use[0]:
            join_levels(node, (self,), (self,))
        edge = node, 0
    adopt(self, edge)


class Overwritten(Node):
    """The node of a tensor whose every element was replaced by values without history."""

    __slots__ = ()

    def apply(self, grads: list) -> tuple:
        """Return zeros."""
        return (grads[0]._zeros(),)

    def release(self) -> None:
        """Nothing is saved."""
