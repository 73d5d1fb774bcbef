"""`Function`: operations with a derivative of your own, as `torch.autograd.Function`."""

from __future__ import annotations

import functools
import inspect
from typing import NamedTuple

from .._autograd.grad_mode import _set_grad_enabled, observers
from .._autograd.history import adopt, check_inplace, edge_of, meta_of, remember_view
from .._autograd.lanes import enter, join_levels, leave
from .._autograd.node import FREED, Node, sequence
from .._core.batch import in_use
from .._core.batched_storage import BatchedStorage
from .._core.evaluation import local
from .._core.tensor import Tensor, around
from .._ops.sparse.history import keep

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`: attributes, and tensors by `save_for_backward`."""

    materialize_grads = True

    def save_for_backward(self, *tensors) -> None:
        """Keep tensors (or None) for backward. Raises TypeError for anything else."""
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of "
                    f"type {type(tensor).__name__}"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors) -> None:
        """Keep tensors for forward-mode differentiation."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors) -> None:
        """Say which inputs `forward` changed in place."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors) -> None:
        """Say which outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Choose whether `backward` gets zeros or None for outputs that were not used."""
        self.materialize_grads = value


class BackwardCFunction(Node, FunctionCtx):
    """The node of a custom function, which is also its context."""

    __slots__ = ()
    _function: type
    to_save: tuple = ()
    dirty_tensors: tuple = ()
    non_differentiable: tuple = ()
    kept = None

    @property
    def saved_tensors(self) -> tuple:
        """The tensors that were saved. Raises RuntimeError once they are freed."""
        if self.kept is None:
            return tuple(self.to_save)
        if self.kept is FREED:
            self.saved = FREED
            self.check_not_freed()
        return tuple([None if item is None else item.unpack(self) for item in self.kept])

    saved_variables = saved_tensors

    def apply(self, grads: list) -> tuple:
        """Run the user's `backward`."""
        function = self._function
        if self.materialize_grads:
            grads = [_zeros(layout) if grad is None and layout is not None else grad
                     for grad, layout in zip(grads, self.outputs)]
        user = function.backward if function.backward is not Function.backward else function.vjp
        result = user(self, *grads)
        if not isinstance(result, tuple):
            result = (result,)
        count = len(self.positions)
        if len(result) > count and any(extra is not None for extra in result[count:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, got {len(result)})"
            )
        if len(result) < count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, got {len(result)})"
            )
        outgoing = []
        for grad, is_tensor in zip(result, self.positions):
            if is_tensor:
                if grad is not None and not isinstance(grad, Tensor):
                    raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
                outgoing.append(grad)
        return tuple(outgoing)

    def release(self) -> None:
        """Drop what was saved."""
        if self.kept is not None and len(self.kept):
            self.kept = FREED

    def name(self) -> str:
        """Return the node's name."""
        return f"{self._function.__name__}Backward"

    def __repr__(self):
        return f"<torch.autograd.function.{self.name()} object at {hex(id(self))}>"

    def maybe_clear_saved_tensors(self) -> None:
        """Drop what was saved."""
        self.release()


def _zeros(layout):
    import flashlight
    return flashlight.zeros(layout.size, dtype=layout.dtype, device=layout.device)


class _FunctionMeta(type):
    def __init__(cls, name, bases, namespace):
        cls._backward_cls = type(
            f"{name}Backward", (BackwardCFunction,), {"__slots__": (), "_function": cls}
        )
        super().__init__(name, bases, namespace)


class Function(FunctionCtx, metaclass=_FunctionMeta):
    """Subclass with static `forward(ctx, …)` (or `forward(…)` and `setup_context`) and
    `backward(ctx, *grads)`.

    Call it by `apply`. See https://pytorch.org/docs/stable/notes/extending.html.
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        import warnings

        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the result; subclasses define this."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Fill the context after a `forward` without one; subclasses may define this."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Return the gradients of the inputs; subclasses define this."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Return the tangents of the outputs; subclasses may define this."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """Return the result for batched inputs; subclasses may define this."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap static method "
            "or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run `forward` and record `backward`; inside vmap, run a `vmap` of the function's own."""
        if local.levels and cls.vmap is not Function.vmap:
            mapped = [_is_mapped(value, local.levels[-1]) for value in args]
            if any(mapped):
                return _apply_mapped(cls, args, mapped)
        separate = cls.setup_context is not Function.setup_context
        if kwargs or separate:
            bound = inspect.signature(cls.forward).bind(
                *(args if separate else (None, *args)), **kwargs
            )
            bound.apply_defaults()
            args = bound.args if separate else bound.args[1:]
        node = cls._backward_cls()
        node.saved = None
        inputs = [value for value in args if isinstance(value, Tensor)]
        node.needs_input_grad = tuple([isinstance(v, Tensor) and v._node is not None for v in args])
        recorded = local.grad_enabled and any(node.needs_input_grad)
        edges = [edge_of(tensor) for tensor in inputs]
        was = local.grad_enabled
        _set_grad_enabled(False)
        try:
            if separate:
                result = cls.forward(*args)
                cls.setup_context(node, args, result)
            else:
                result = cls.forward(node, *args)
        finally:
            _set_grad_enabled(was)
        return _finish(cls, node, args, inputs, edges, result, recorded)


class VmapInfo(NamedTuple):
    """What a function's `vmap` is told."""

    batch_size: int
    randomness: str


def _is_mapped(value, level) -> bool:
    storage = getattr(value, "_storage", None)
    return type(storage) is BatchedStorage and level in storage.levels


def _apply_mapped(cls, args, mapped):
    """Run the function's own `vmap` on the tensors with their lanes as dimension 0."""
    levels = local.levels
    level = levels[-1]
    given = [leave(value, level, 0) if there else value for value, there in zip(args, mapped)]
    in_dims = tuple([0 if there else None for there in mapped])
    local.levels = levels[:-1]
    try:
        result, out_dims = cls.vmap(VmapInfo(level.size, level.randomness), in_dims, *given)
        single = not isinstance(result, tuple)
        results = (result,) if single else result
        dims = out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(results)
        made = tuple([
            value if dim is None else enter(value, level, dim % value.ndim)
            for value, dim in zip(results, dims)
        ])
    finally:
        local.levels = levels
    return made[0] if single else made


def _finish(cls, node, args, inputs, edges, result, recorded):
    single = not isinstance(result, tuple)
    outputs = [result] if single else list(result)
    if not recorded:
        node.edges, node.outputs = (), ()
        return result
    node.positions = [isinstance(value, Tensor) for value in args]
    node.edges = tuple(edges)
    node.sequence = sequence()
    if in_use[0]:
        join_levels(node, inputs, [o for o in outputs if isinstance(o, Tensor)])
    dirty = {id(tensor) for tensor in node.dirty_tensors}
    plain = {id(tensor) for tensor in node.non_differentiable}
    for position, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            continue
        if id(output) in dirty:
            check_inplace(output)
            output._storage.version += 1
            adopt(output, (node, position))
            continue
        if id(output) in plain or output.dtype.category < 2:
            continue
        if any(output is tensor for tensor in inputs):
            # An input returned as it is becomes a view of itself, with the function's history.
            output = outputs[position] = _alias(output)
        elif output._node is not None:
            output = outputs[position] = around(output._storage, output._layout)
        output._node, output._index = node, position
        if output._meta is not None and output._meta.base is not None:
            output._meta.creation = "function"
    node.outputs = tuple([o._layout if isinstance(o, Tensor) else None for o in outputs])
    node.kept = [None if tensor is None else
                 keep(tensor, is_output=any(tensor is output for output in outputs))
                 if tensor._node is not node else keep(tensor, True) for tensor in node.to_save]
    node.to_save = ()
    if observers.anomaly:
        observers.trace(node)
    return outputs[0] if single else tuple(outputs)


def _alias(tensor):
    made = around(tensor._storage, tensor._layout)
    base = tensor if tensor._base is None else tensor._base
    meta_of(made).base = base
    remember_view(base, made)
    return made


InplaceFunction = Function


class NestedIOFunction(Function):
    """Kept for its name; plain `Function` takes nested structures as they are."""


def once_differentiable(backward):
    """Decorate `backward`: it runs without being recorded, and its result cannot be differentiated
    again.
    """

    @functools.wraps(backward)
    def wrapper(ctx, *grads):
        was = local.grad_enabled
        _set_grad_enabled(False)
        try:
            result = backward(ctx, *grads)
        finally:
            _set_grad_enabled(was)
        if not was or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return result
        results = result if isinstance(result, tuple) else (result,)
        made = [_forbid(r) if isinstance(r, Tensor) else r for r in results]
        return tuple(made) if isinstance(result, tuple) else made[0]
    return wrapper


class _Once(Node):
    __slots__ = ()

    def apply(self, grads):
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def _forbid(tensor):
    made = around(tensor._storage, tensor._layout)
    node = _Once()
    node.edges, node.outputs, node.saved, node.sequence = (), (tensor._layout,), None, sequence()
    made._node = node
    return made


