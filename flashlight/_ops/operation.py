"""`Operation`: what is known of a declared op, and the one way its calls go.

A call binds its arguments, brings tensors to a common dtype, runs the body on MLX arrays,
wraps what comes back and, if an input has a history, records a node with what the gradient
rules name.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any, TypeAlias

import mlx.core as mx
import numpy as np

from .._autograd.grad_mode import observers
from .._autograd.history import STALE, renew
from .._autograd.lanes import join_levels
from .._autograd.node import FREED, Node, PackedSaved, Saved, class_named, sequence
from .._core.arrangement import channels_last_stride, elementwise_stride, is_channels_last
from .._core.batch import Batch, along_lanes, in_use, over_lanes
from .._core.batched_storage import check_shared_write
from .._core.device import META, NATIVE, STREAMS, device
from .._core.dtype import SCALAR_TYPE_NAME, bfloat16, float16, float32, float64
from .._core.errors import not_implemented_for
from .._core.evaluation import local, ready
from .._core.promotion import can_cast, result_of, to_floating
from .._core.storage import check_writable, stream_for
from .._core.tensor import TENSORS, Tensor, read, restride, to_array, wrap
from .explained import RAW, explain
from .interception import intercepted, interceptors
from .overrides import call_overrides, is_override, overriding_in

SAME = "same"
INT_TO_FLOAT = "int to float"

TENSOR, OPTIONAL, OPERAND, LIST, VALUE = "tensor", "optional", "operand", "list", "value"
_KINDS = {"mx.array": TENSOR, "mx.array | None": OPTIONAL, "Operand": OPERAND,
          "Operand | None": OPERAND, "list[mx.array]": LIST}
#: a tensor or a Python number, in annotations of bodies
Operand: TypeAlias = Any
NUMBERS = (int, float, complex, np.number, np.bool_)
REQUIRED = inspect.Parameter.empty
ALIASES = {
    "axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other",
    "self": "input", "axes": "dims", "a": "input", "shape": "size",
}  # fmt: skip


class Operation:
    """A declared op: its body on arrays, its signature, its gradient rules."""

    def __init__(
        self,
        body,
        *,
        promote=None,
        promoted=None,
        dtypes=None,
        returns=None,
        many=False,
        varargs=None,
        on_cpu=False,
        differentiable=True,
        name=None,
        node=None,
        kernel=None,
        exact_numbers=False,
        scatters=False,
        strict_out=False,
        elementwise=False,
        channels_last=(),
    ):
        self.body = body
        self.name = name or body.__name__
        self.promote = promote
        self.dtypes = dtypes
        self.returns = returns
        self.many = many
        self.on_cpu = on_cpu
        self.scatters = scatters
        self.strict_out = strict_out
        # Whose strides the result takes: all operands', or those of whichever is channels-last.
        self.elementwise = elementwise
        self.channels_last = channels_last
        # Whether the body is a broadcasting function of elements: lanes are dimensions to it.
        self.pointwise = False
        self.differentiable = differentiable
        self.kernel = kernel or self.name
        # Beside half precision, numbers and 0-d tensors reach the body in float32.
        self.exact_numbers = exact_numbers
        self.signature = inspect.signature(body)
        parameters = list(self.signature.parameters.values())
        self.names = [p.name for p in parameters]
        self.kinds = [_KINDS.get(p.annotation, VALUE) for p in parameters]
        self.defaults = [p.default for p in parameters]
        self.positional = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        self.varargs = None if varargs is None else self.names.index(varargs)
        self.tensors = [i for i, kind in enumerate(self.kinds) if kind is not VALUE]
        self.promoted = [self.names.index(n) for n in promoted] if promoted else self.tensors
        self.rules: dict = {}
        self.joint = None
        self.node_class = class_named(node or self.name, OperationNode, operation=self)
        self.function = None  # what users call, as overrides see it
        #: From layouts and options to a function of the arrays alone, or None: see `prepared`.
        self.shortcut = None
        self.naming = None  # from a node to its name: see `node_names`
        self._plans: dict = {}
        self.pair_plans: list = [None] * 4  # for two tensors: which of them need a gradient

    # ----- binding -----

    def bind(self, args: tuple, kwargs: dict) -> list:
        """Return one value per parameter. Raises TypeError as PyTorch's argument parser does."""
        names = self.names
        count = len(args)
        at = self.varargs
        if at is not None and count > at and not isinstance(args[at], (tuple, list)) and (
            count > at + 1
            or isinstance(args[at], (int, np.integer, Tensor))
            or args[at] is None
        ):
            args = (*args[:at], tuple(args[at:]))
            count = at + 1
        if count > self.positional:
            raise TypeError(
                f"{self.name}() takes {self.positional} positional arguments but {count} were given"
            )
        values = [*args, *self.defaults[count:]]
        for key, value in kwargs.items():
            if key not in names:
                key = ALIASES.get(key, key)
                if key not in names:
                    raise TypeError(f"{self.name}() got an unexpected keyword argument '{key}'")
            position = names.index(key)
            if position < count:
                raise TypeError(f"{self.name}() got multiple values for argument '{key}'")
            values[position] = value
        for position, value in enumerate(values):
            if value is REQUIRED:
                raise TypeError(
                    f'{self.name}() missing 1 required positional arguments: "{names[position]}"'
                )
        return values

    def expected(self, position: int, value, what: str) -> TypeError:
        """Return the error for an argument of the wrong type."""
        return TypeError(
            f"{self.name}(): argument '{self.names[position]}' (position {position + 1}) must be "
            f"{what}, not {type(value).__name__}"
        )

    # ----- calling -----

    def __call__(self, args: tuple, kwargs: dict):
        """Run the operation."""
        if interceptors:
            return intercepted(self.function, self._call, args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple, kwargs: dict):
        out = kwargs.pop("out", None) if "out" in kwargs and "out" not in self.names else None
        values = self.bind(args, kwargs)
        inputs: list = []  # the tensors, lists flattened
        numbers: list = []
        override = False
        for position in self.tensors:
            value = values[position]
            if type(value) in TENSORS:
                inputs.append(value)
                continue
            kind = self.kinds[position]
            if kind is LIST and isinstance(value, (list, tuple)):
                for item in value:
                    if type(item) not in TENSORS:
                        if is_override(item):
                            override = True
                        elif not isinstance(item, Tensor):
                            raise self.expected(position, value, "tuple of Tensors")
                    inputs.append(item)
            elif is_override(value):
                override = True
            elif isinstance(value, Tensor):
                inputs.append(value)
            elif kind is OPERAND and isinstance(value, NUMBERS):
                value = value.item() if isinstance(value, (np.number, np.bool_)) else value
                values[position] = value
                if position in self.promoted:
                    numbers.append(value)
            elif not (value is None and (kind is OPTIONAL or self.defaults[position] is None)):
                raise self.expected(position, value, "Tensor")
        if override or (out is not None and is_override(out)):
            if out is not None:
                kwargs["out"] = out
            return call_overrides(
                self.function, overriding_in((*args, *kwargs.values())), args, kwargs
            )
        if numbers and not inputs:
            kinds = ", ".join(type(value).__name__ for value in args)
            raise TypeError(
                f"{self.name}() received an invalid combination of arguments - got ({kinds}), but "
                "one of them must be a Tensor"
            )
        return self.run(values, inputs, numbers, out)

    def run(self, values: list, inputs: list, numbers: list, out=None):
        """Compute on bound values, wrap the result and record it."""
        ready()
        where = _common_device(inputs)
        common = None
        if self.promote is not None:
            layouts = [t._layout for t in inputs] if self.promoted is self.tensors else \
                [t._layout for position in self.promoted for t in _tensors_of(values[position])]
            common = result_of(layouts, numbers)
            if self.promote is INT_TO_FLOAT:
                common = to_floating(common)
        if self.dtypes is not None:
            self._check_dtype(common or inputs[0]._layout.dtype)
        arrays = [read(t) for t in inputs]
        compute = self._computation(values, common)
        result = self.compute_on(where, common, inputs, compute, arrays, values)
        outputs = self.wrap_all(result, where)
        if self.elementwise or self.channels_last:
            for tensor in inputs:
                if not tensor._layout.contiguous:
                    self.arrange(outputs, values, inputs)
                    break
        if out is not None:
            return self._write_out(out, outputs, inputs)
        if local.grad_enabled and self.differentiable:
            for tensor in inputs:
                if tensor._node is not None:
                    self.record(values, inputs, outputs, compute)
                    break
        return outputs

    def _check_dtype(self, dtype):
        if dtype not in self.dtypes:
            raise not_implemented_for(self.kernel, dtype)

    def _computation(self, values, common):
        """Return a function of the input arrays that runs the body on them."""
        kinds, body, promoted = self.kinds, self.body, self.promoted
        positions = self.tensors
        target = None if common is None else common.mlx
        if common is not None and target is None:
            from .._core.dtype import check_supported
            check_supported(common)
        number = float32 if self.exact_numbers and common in (float16, bfloat16) else common

        def compute(arrays):
            filled = list(values)
            supply = iter(arrays)
            for position in positions:
                value = filled[position]
                cast = target is not None and position in promoted
                if kinds[position] is LIST:
                    items = [next(supply) for _ in value]
                    filled[position] = (
                        [a.astype(target) if a.dtype != target else a for a in items]
                        if cast
                        else items
                    )
                elif isinstance(value, Tensor):
                    array = next(supply)
                    if cast and array.dtype != target:
                        array = array.astype(target if array.ndim else number.mlx)
                    filled[position] = array
                elif cast and value is not None:
                    filled[position] = to_array(value, number)
            return body(*filled[:self.positional],
                        **dict(zip(self.names[self.positional:], filled[self.positional:])))
        return compute

    def compute_on(self, where: device, common, inputs, compute, arrays, values):
        """Run `compute` on the stream for `where`; `values` are for errors to name."""
        if in_use[0] and any(type(array) is Batch for array in arrays):
            compute = functools.partial(along_lanes if self.pointwise else over_lanes, compute)
        try:
            if NATIVE == "cpu":
                return compute(arrays)
            on_cpu = (
                self.on_cpu
                or where.type == "cpu"
                or common is float64
                or any(t._layout.dtype is float64 for t in inputs)
                # GPUs do not scatter what has eight bytes
                or (self.scatters and any(t._layout.dtype.itemsize == 8 for t in inputs))
            )
            with mx.stream(STREAMS.cpu if on_cpu else STREAMS.native):
                return compute(arrays)
        except RAW as error:
            explain(self.name, self.names, error, values)
            raise

    def wrap_all(self, result, where):
        if type(result) is mx.array or type(result) is Batch:
            return wrap(result, where)
        if self.returns is not None:
            return self.returns(*[None if a is None else wrap(a, where) for a in result])
        return tuple([None if a is None else wrap(a, where) for a in result])

    def arrange(self, outputs, values, inputs):
        """Lay the results out in memory as the inputs are."""
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        if self.elementwise:
            operands = tuple([t._layout for t in inputs])
            for made in results:
                restride(made, elementwise_stride(operands, made._layout.size))
            return
        for name in self.channels_last:
            models = _tensors_of(values[self.names.index(name)])
            if all(is_channels_last(model._layout) for model in models):
                for made in results:
                    if made is not None and made._layout.ndim == models[0]._layout.ndim:
                        restride(made, channels_last_stride(made._layout.size))
                return

    def _write_out(self, out, outputs, inputs):
        for tensor in (*inputs, *(out if isinstance(out, (tuple, list)) else (out,))):
            if not isinstance(tensor, Tensor):
                name = type(tensor).__name__
                raise TypeError(f"{self.name}(): argument 'out' must be Tensor, not {name}")
            if tensor._node is not None and local.grad_enabled:
                raise RuntimeError(
                    f"{self.name}(): functions with out=... arguments don't support automatic "
                    "differentiation, but one of the arguments requires grad."
                )
        if self.strict_out:
            check_apart(out, outputs, inputs)
        if isinstance(outputs, tuple):
            if not isinstance(out, (tuple, list)) or len(out) != len(outputs):
                raise TypeError(
                    f"{self.name}(): argument 'out' must be a tuple of {len(outputs)} Tensors"
                )
            for target, value in zip(out, outputs):
                write_out(target, value)
            return type(outputs)(*out) if self.returns is not None else tuple(out)
        if isinstance(out, (tuple, list)) and len(out) == 1:
            out = out[0]
        if not isinstance(out, Tensor):
            raise TypeError(
                f"{self.name}(): argument 'out' must be Tensor, not {type(out).__name__}"
            )
        return write_out(out, outputs)

    # ----- recording -----

    def record(self, values: list, inputs: list, outputs, compute=None) -> None:
        """Add a node to the tensors in `outputs` that gradients can flow through."""
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        if not any(r is not None and r._layout.dtype.category >= 2 for r in results):
            return
        node = self.node_class()
        edges = []
        for tensor in inputs:
            previous = tensor._node
            if previous is STALE:
                previous = renew(tensor)
            edges.append(None if previous is None else (previous, tensor._index))
        node.edges = tuple(edges)
        if in_use[0]:
            join_levels(node, inputs, results)
        node.outputs = tuple([None if r is None else r._layout for r in results])
        node.sequence = sequence()
        for index, result in enumerate(results):
            if result is not None:
                result._index = index  # which what is saved of it remembers
        self.save(node, values, inputs, results, compute)
        for result in results:
            if result is not None and result._layout.dtype.category >= 2:
                result._node = node
        if observers.anomaly:
            observers.trace(node)

    def save(self, node, values, inputs, results, compute) -> None:
        """Keep in `node` what the rules of the inputs that need a gradient ask for."""
        mask = tuple([edge is not None for edge in node.edges])
        plan = node.plan = self.plan(
            mask, tuple([len(_tensors_of(values[p])) for p in self.tensors])
        )
        saved: dict = {}
        for name in plan.names:
            saved[name] = self._value(name, values, results)
        if plan.automatic:
            saved["*"] = [_keep(t) for t in inputs]
            node.compute = compute or self._computation(values, _common(self, values, inputs))
        node.saved = saved

    def plan(self, mask: tuple, counts: tuple) -> Plan:
        """Return what to save and how to run the rules, for these edges and tensors per parameter.
        """
        key = mask, counts
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = Plan(self, mask, counts)
        return found

    def _value(self, name, values, results):
        if name in self.names:
            value = values[self.names.index(name)]
            if isinstance(value, Tensor):
                return _keep(value)
            if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
                return [_keep(item) for item in value]
            return value
        if name == "result":
            return _keep(results[0], True)
        if name == "results":
            return [None if r is None else _keep(r, True) for r in results]
        if name.endswith("_shape") and name[:-6] in self.names:
            value = values[self.names.index(name[:-6])]
            return value.shape if isinstance(value, Tensor) else \
                [item.shape for item in value] if isinstance(value, (list, tuple)) else ()
        if name.endswith("_dtype") and name[:-6] in self.names:
            value = values[self.names.index(name[:-6])]
            return value.dtype if isinstance(value, Tensor) else None
        if self.returns is not None and name in self.returns._fields:
            return _keep(results[self.returns._fields.index(name)], True)
        raise AttributeError(f"{self.name}: a gradient rule asks for '{name}'")

    def gradients(self, **rules) -> None:
        """Declare rules, each named after the input it is for. Raises TypeError for unknown names.
        """
        for name, rule in rules.items():
            if name not in self.names:
                raise TypeError(f"{self.name} has no input '{name}'")
            self.rules[name] = Rule(self, rule)
        self._plans.clear()
        self.pair_plans = [None] * 4

    def joint_gradient(self, rule) -> None:
        """Declare one rule for all inputs; it returns a gradient (or None) for each."""
        self.joint = Rule(self, rule)


class Rule:
    """A gradient rule and what it asks for."""

    __slots__ = ("function", "names", "several", "needs")

    def __init__(self, operation: Operation, function):
        self.function = function
        names = list(inspect.signature(function).parameters)
        if names[0] not in ("grad", "grads"):
            raise TypeError(
                f"{operation.name}: a gradient rule's first parameter is `grad` or `grads`"
            )
        self.several = names[0] == "grads"
        self.needs = "needs" in names
        self.names = tuple(name for name in names[1:] if name != "needs")
        fields = () if operation.returns is None else operation.returns._fields
        for name in self.names:
            base = name[:-6] if name.endswith(("_shape", "_dtype")) else name
            if (
                base not in operation.names
                and name not in ("result", "results")
                and name not in fields
            ):
                raise TypeError(
                    f"{operation.name}: a gradient rule asks for '{name}', which is neither a "
                    "parameter nor a result"
                )

    def __call__(self, grads, saved, owner, mask):
        """Return the gradient(s) for the rule's input(s)."""
        values = [_unpack(saved[name], owner) for name in self.names]
        first = grads if self.several else grads[0]
        if first is None:
            return None
        if self.needs:
            return self.function(first, *values, needs=mask)
        return self.function(first, *values)


class Plan:
    """For one pattern of inputs that need a gradient: what to save, and which rules run."""

    __slots__ = ("names", "automatic", "steps", "mask", "keeps_tensors")

    def __init__(self, operation: Operation, mask: tuple, counts: tuple):
        self.mask = mask
        self.automatic = False
        self.steps = []  # (rule or None, number of edges, whether a list) for each parameter given
        names: list = [] if operation.joint is None else list(operation.joint.names)
        fields = () if operation.returns is None else operation.returns._fields
        edge = 0
        for position, count in zip(operation.tensors, counts):
            if operation.joint is None:
                rule = operation.rules.get(operation.names[position])
                wanted = any(mask[edge:edge + count])
                if wanted and rule is None:
                    self.automatic = True
                elif wanted:
                    names += [name for name in rule.names if name not in names]
                self.steps.append(
                    (rule if wanted else None, count, operation.kinds[position] is LIST)
                )
            else:
                self.steps.append((None, count, operation.kinds[position] is LIST))
            edge += count
        self.names = tuple(names)
        # A graph without saved tensors may be walked again and again; a factor counts as one.
        factors = operation.pointwise and operation.exact_numbers
        given = {operation.names[p] for p, n in zip(operation.tensors, counts) if n or factors}
        self.keeps_tensors = self.automatic or any(
            name in given or name in ("result", "results") or name in fields for name in names
        )


class OperationNode(Node):
    """The node of a declared operation."""

    __slots__ = ("compute", "plan")
    operation: Operation

    def apply(self, grads: list) -> tuple:
        """Run the rules of the inputs that need a gradient."""
        saved = self.saved
        if type(saved) is not dict:
            self.check_not_freed()
        plan = self.plan
        if plan.automatic:
            return self._automatic(grads)
        joint = self.operation.joint
        if joint is not None:
            return self._spread(joint(grads, saved, self, plan.mask))
        outgoing: list = []
        for rule, count, is_list in plan.steps:
            if rule is None:
                outgoing += [None] * count
            elif is_list:
                mask = plan.mask[len(outgoing):len(outgoing) + count]
                outgoing += rule(grads, saved, self, mask) or [None] * count
            else:
                outgoing.append(rule(grads, saved, self, plan.mask))
        return outgoing

    def name(self) -> str:
        """Return PyTorch's name."""
        naming = self.operation.naming
        return type(self).__name__ if naming is None else naming(self)

    def release(self) -> None:
        """Drop what was saved, if there is a tensor among it."""
        if self.plan.keeps_tensors:
            self.saved = FREED

    def _spread(self, result):
        """Bring a joint rule's gradients, one for each parameter, to one for each edge."""
        if result is None:
            return (None,) * len(self.edges)
        if not isinstance(result, tuple):
            result = (result,)
        outgoing: list = []
        for (_, count, is_list), grad in zip(self.plan.steps, result):
            if is_list:
                outgoing += grad or [None] * count
            elif count:
                outgoing.append(grad)
        return outgoing

    def _automatic(self, grads):
        from .automatic import automatic_gradient

        tensors = [_unpack(item, self) for item in self.saved["*"]]
        return automatic_gradient(self, tensors, grads)

    def __getattr__(self, name):
        if name.startswith("_saved_"):
            self.check_not_freed()
            key = {"_saved_self": "input"}.get(name, name[7:])
            if key in self.saved:
                return _unpack(self.saved[key], self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def _keep(tensor, is_output=False):
    stack = local.__dict__.get("saved_hooks")
    if stack:
        return PackedSaved(tensor, stack[-1], is_output)
    return Saved(tensor, None, is_output)


def _unpack(item, owner):
    kind = type(item)
    if kind is Saved or kind is PackedSaved:
        return item.unpack(owner)
    if kind is list:
        return [_unpack(inner, owner) for inner in item]
    return item


def _tensors_of(value):
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, (list, tuple)):
        return value
    return ()


def _common(operation, values, inputs):
    if operation.promote is None:
        return None
    numbers = [values[p] for p in operation.promoted if isinstance(values[p], NUMBERS)]
    common = result_of(
        [t._layout for p in operation.promoted for t in _tensors_of(values[p])], numbers
    )
    return to_floating(common) if operation.promote is INT_TO_FLOAT else common


def _common_device(inputs) -> device:
    """Return where the result of these inputs lives: meta, else an accelerator, else the first's.
    """
    if not inputs:
        from .._core.device import get_default_device
        return get_default_device()
    first = inputs[0]._layout.device
    for tensor in inputs:
        where = tensor._layout.device
        if where is not first:
            if where is META or first is META:
                return META
            if first.type == "cpu":
                first = where
    return first


def check_apart(out, results, inputs) -> None:
    """Raise RuntimeError if `out=` has another dtype than the result, or an input's memory."""
    outs = out if isinstance(out, (tuple, list)) else (out,)
    found = results if isinstance(results, tuple) else (results,)
    for target, result in zip(outs, found):
        if target.dtype is not result.dtype:
            raise RuntimeError(
                f"Expected out tensor to have dtype {result.dtype.name}, but got "
                f"{target.dtype.name} instead"
            )
        if target._layout.overlaps() or any(target._storage is t._storage for t in inputs):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory location. Please clone() the tensor before "
                "performing the operation."
            )


def check_no_overlap(out: Tensor, inputs) -> None:
    """Raise RuntimeError if `out=` shares elements with an input."""
    target = out._layout
    for tensor in inputs:
        source = tensor._layout
        if tensor._storage is not out._storage:
            continue
        overlap = source.offset < target.extent() and target.offset < source.extent()
        if tensor is out or overlap and source.numel and target.numel:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory location. Please clone() the tensor before "
                "performing the operation."
            )


def write_out(out: Tensor, result: Tensor) -> Tensor:
    """Write `result` into `out=`, resizing and casting as PyTorch does."""
    check_writable(out._storage)
    target = out._layout
    if not can_cast(result._layout.dtype, target.dtype):
        raise RuntimeError(
            f"result type {SCALAR_TYPE_NAME[result.dtype]} can't be cast to the desired output "
            f"type {SCALAR_TYPE_NAME[out.dtype]}"
        )
    if target.size != result._layout.size:
        if target.numel != 0:
            warnings.warn(
                "An output with one or more elements was resized since it had shape "
                f"{list(out.shape)}, which does not match the required output shape "
                f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch "
                "release outputs will not be resized unless they have zero elements. You can "
                "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
                "t.resize_(0).",
                UserWarning,
                stacklevel=5,
            )
        out.resize_(result.shape)
    elif target.overlaps():
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    array = read(result)
    if result._layout.dtype is not target.dtype:
        with stream_for(target):
            array = array.astype(target.dtype.mlx)
    if in_use[0]:
        check_shared_write(out._storage, array)
    out._storage.write(out._layout, array)
    return out
