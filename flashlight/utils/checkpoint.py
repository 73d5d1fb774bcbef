"""Checkpointing: what backward needs is computed again instead of kept.

https://docs.pytorch.org/docs/2.13/checkpoint.html
"""

from __future__ import annotations

import contextlib
import uuid
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import flashlight as torch
from flashlight._autograd.engine import current_walk
from flashlight.utils._pytree import tree_leaves
from flashlight.utils._selective_checkpoint import (
    SAC_IGNORED_OPS,
    CheckpointPolicy,
    OperationLog,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "checkpoint", "checkpoint_sequential", "CheckpointError", "CheckpointFunction",
    "check_backward_validity", "detach_variable", "get_device_states", "set_device_states",
    "noop_context_fn", "set_checkpoint_early_stop", "DefaultDeviceType",
    "set_checkpoint_debug_enabled", "CheckpointPolicy", "SelectiveCheckpointContext",
    "create_selective_checkpoint_contexts", "SAC_IGNORED_OPS", "GraphExecGroup",
]  # fmt: skip

_DEFAULT_DETERMINISM_MODE = "default"
_METADATA: dict[str, Callable[[torch.Tensor], Any]] = {
    "default": lambda x: {"shape": x.shape, "dtype": x.dtype, "device": x.device},
    "none": lambda x: None,
}

_TIP = (
    "To see which operations ran, pass `debug=True` to torch.utils.checkpoint.checkpoint(), or use "
    "`with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):`."
)

#: Settings that override the arguments of `checkpoint`; None leaves it to these.
_settings: dict[str, bool | None] = {"debug": None, "early_stop": None}


class CheckpointError(RuntimeError):
    """What was computed again is not what was computed at first."""


@contextlib.contextmanager
def _setting(name: str, value: bool | None) -> Iterator[None]:
    before = _settings[name]
    _settings[name] = value
    try:
        yield
    finally:
        _settings[name] = before


def set_checkpoint_debug_enabled(enabled: bool | None) -> contextlib.AbstractContextManager:
    """Return a context in which checkpoints log operations for their errors, or do not."""
    return _setting("debug", enabled)


def set_checkpoint_early_stop(enable: bool) -> contextlib.AbstractContextManager:
    """Return a context that says whether to recompute no more than backward needs."""
    return _setting("early_stop", enable)


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return detached tensors that need grad as before. Raises RuntimeError unless in a tuple."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    detached = []
    for value in inputs:
        if isinstance(value, torch.Tensor):
            needs_grad = value.requires_grad
            value = value.detach()
            value.requires_grad = needs_grad
        detached.append(value)
    return tuple(detached)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if no tensor needs a gradient: those of the checkpoint would all be None."""
    if not any(isinstance(value, torch.Tensor) and value.requires_grad for value in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


class DefaultDeviceType:
    """The type of device whose random state is kept when the arguments do not tell."""

    _default_device_type: str | None = None

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Set it."""
        DefaultDeviceType._default_device_type = device

    @staticmethod
    def get_device_type() -> str:
        """Return it: the accelerator's unless set, the CPU's without one."""
        accelerator = torch.accelerator.current_accelerator()
        return DefaultDeviceType._default_device_type or (
            accelerator.type if accelerator else "cpu"
        )


def _device_tensors(args: Any) -> list[torch.Tensor]:
    return [
        leaf
        for leaf in tree_leaves(args)
        if isinstance(leaf, torch.Tensor) and leaf.device.type not in ("cpu", "meta")
    ]


def _infer_device_type(*args: Any) -> str:
    tensors = _device_tensors(args)
    return tensors[0].device.type if tensors else DefaultDeviceType.get_device_type()


def get_device_states(*args: Any) -> tuple[list[int], list[torch.Tensor]]:
    """Return the devices of tensors among the arguments, and their random states."""
    tensors = _device_tensors(args)
    modules = [getattr(torch, tensor.device.type) for tensor in tensors]
    return (
        [tensor.get_device() for tensor in tensors],
        [module.get_rng_state() for module in modules],
    )


def set_device_states(
    devices: list[int], states: list[torch.Tensor], *, device_type: str | None = None
) -> None:
    """Set the random states of devices."""
    device_type = device_type or DefaultDeviceType.get_device_type()
    if device_type in ("cpu", "meta"):
        return
    for state in states:
        getattr(torch, device_type).set_rng_state(state)


class _Surroundings:
    """Random states and autocast at one time, to run something under them again."""

    def __init__(self, preserve_rng_state: bool, args: tuple) -> None:
        self.preserve_rng_state = preserve_rng_state
        self.device_type = _infer_device_type(*args)
        if preserve_rng_state:
            self.cpu_state = torch.get_rng_state()
            self.devices, self.device_states = get_device_states(*args)
        self.autocast = [
            {
                "device_type": device_type,
                "enabled": torch.is_autocast_enabled(device_type),
                "dtype": torch.get_autocast_dtype(device_type),
                "cache_enabled": torch.is_autocast_cache_enabled(),
            }
            for device_type in {self.device_type, "cpu"} - {"meta"}
        ]

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Return a context under the same states; those outside of it are put back."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(enabled=self.preserve_rng_state))
            if self.preserve_rng_state:
                torch.set_rng_state(self.cpu_state)
                set_device_states(self.devices, self.device_states, device_type=self.device_type)
            for options in self.autocast:
                stack.enter_context(torch.amp.autocast(**options))
            yield


class CheckpointFunction(torch.autograd.Function):
    """The reentrant kind: backward runs the function, and a backward of its own through that."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        """Run the function without recording it."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(preserve_rng_state, args)
        ctx.inputs = [None if isinstance(arg, torch.Tensor) else arg for arg in args]
        ctx.tensor_indices = [i for i, arg in enumerate(args) if isinstance(arg, torch.Tensor)]
        ctx.save_for_backward(*(args[index] for index in ctx.tensor_indices))
        with torch.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *args: Any) -> tuple:
        """Run the function again, recording it, and backward through it.

        Raises RuntimeError inside of `grad` or `backward(inputs=...)`, which would not reach the
        leaves inside of the function.
        """
        if not current_walk()[1]:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the "
                "`inputs` argument."
            )
        inputs = list(ctx.inputs)
        for index, tensor in zip(ctx.tensor_indices, ctx.saved_tensors, strict=True):
            inputs[index] = tensor
        detached = detach_variable(tuple(inputs))
        with ctx.surroundings.restored(), torch.enable_grad():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, args)
            if isinstance(output, torch.Tensor) and output.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        torch.autograd.backward(*map(list, zip(*pairs)))
        grads = [value.grad if isinstance(value, torch.Tensor) else None for value in detached]
        return (None, None, *grads)


def noop_context_fn() -> tuple[contextlib.AbstractContextManager, ...]:
    """Return two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple] = noop_context_fn,
    determinism_check: str = _DEFAULT_DETERMINISM_MODE,
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Return function(*args, **kwargs), whose intermediate values backward computes again.

    `context_fn` returns a context for the first run and one for the second. Raises ValueError for
    options that the reentrant kind does not have, CheckpointError, in backward, if the second run
    saves other tensors than the first.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve_rng_state = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if _settings["debug"] is not None:
        debug = _settings["debug"]
    if _settings["early_stop"] is not None:
        early_stop = _settings["early_stop"]
    if determinism_check not in _METADATA:
        raise ValueError(
            f"determinism_check should be one of {list(_METADATA)}, but got {determinism_check}"
        )
    logs = None
    if debug:
        if context_fn is not noop_context_fn:
            raise ValueError("debug=True is incompatible with non-default context_fn")
        logs = OperationLog(), OperationLog()
        context_fn = lambda: logs
    first_context, second_context = context_fn()
    surroundings = _Surroundings(preserve_rng_state, args)

    def recompute(*inputs: Any) -> None:
        with surroundings.restored(), second_context:
            function(*inputs, **kwargs)

    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    frame = _Frame(recompute, args, early_stop, _METADATA[determinism_check], logs)
    with frame.first_run(), first_context:
        result = function(*args, **kwargs)
    frame.forward_completed = True
    return result


class _Holder:
    """What a node keeps in place of a tensor."""

    __slots__ = ("__weakref__", "served")

    def __init__(self) -> None:
        self.served: set[Any] = set()


class _Frame:
    """One call of `checkpoint`: what the first run saved, and how to make it again.

    The tensors that the first run would have saved are numbered. When backward asks for one of
    them, everything is computed again, and the tensors with the same numbers are kept until they
    are asked for. Each backward walk has its own.
    """

    def __init__(
        self,
        recompute: Callable,
        args: tuple,
        early_stop: bool,
        metadata_of: Callable,
        logs: tuple[OperationLog, OperationLog] | None,
    ) -> None:
        self.recompute = recompute
        self.early_stop = early_stop
        self.metadata_of = metadata_of
        self.logs = logs
        self.forward_completed = False
        self.ignores_mismatch = False
        self.holders: list[weakref.ref[_Holder]] = []
        self.metadata: list[Any] = []
        # Weak, so that what no node asks for any more is dropped with it.
        self.made: defaultdict[Any, weakref.WeakKeyDictionary[_Holder, torch.Tensor]] = defaultdict(
            weakref.WeakKeyDictionary
        )
        self.counts: dict[Any, int] = {}
        self.args = [_Input(arg) if isinstance(arg, torch.Tensor) else arg for arg in args]

    def first_run(self) -> Any:
        """Return the context in which nothing but numbers is saved."""

        def pack(tensor: torch.Tensor) -> _Holder:
            holder = _Holder()
            self.holders.append(weakref.ref(holder))
            self.metadata.append(self.metadata_of(tensor))
            return holder

        return torch.autograd.graph.saved_tensors_hooks(pack, self._unpack)

    def _unpack(self, holder: _Holder) -> torch.Tensor:
        try:
            return self._take(holder)
        except CheckpointError as error:
            if self.logs is None:
                raise
            _raise_with_logs(error, *self.logs)

    def _take(self, holder: _Holder) -> torch.Tensor:
        walk = GraphExecGroup._get_current_group()
        if walk is None:
            walk = current_walk()[0]
            if walk == -1:
                walk = uuid.uuid4()
        if walk not in self.counts:
            self._run_again(walk)
        if walk in holder.served:
            raise CheckpointError(
                "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already "
                "unpacked once. If you are calling ctx.saved_tensors in backward, make sure to do "
                "so only once."
            )
        holder.served.add(walk)
        return self.made[walk].pop(holder)

    def _run_again(self, walk: Any) -> None:
        self.counts[walk] = 0
        inputs = [arg.tensor() if isinstance(arg, _Input) else arg for arg in self.args]
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: self._keep(walk, tensor), lambda tensor: tensor
        )
        try:
            with hooks, torch.enable_grad():
                self.recompute(*inputs)
        except _Enough:
            pass
        self._check(walk)

    def _keep(self, walk: Any, tensor: torch.Tensor) -> torch.Tensor:
        """Take a tensor that the second run saves."""
        tensor = tensor.detach()
        number = self.counts[walk]
        self.counts[walk] += 1
        if number >= len(self.holders):
            if not self.forward_completed:
                # Backward inside of the checkpoint: the rest of it has not run yet.
                self.ignores_mismatch = True
                return tensor
            raise CheckpointError(
                "torch.utils.checkpoint: trying to save more tensors during recomputation than "
                f"during the original forward pass.\n{_TIP}"
            )
        holder = self.holders[number]()
        if holder is not None:
            self.made[walk][holder] = tensor
        if self.early_stop and self.counts[walk] == len(self.holders):
            raise _Enough
        return tensor

    def _check(self, walk: Any) -> None:
        if self.ignores_mismatch:
            return
        if self.counts[walk] != len(self.holders):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{len(self.holders)}\nNumber of tensors saved during recomputation: "
                f"{self.counts[walk]}.\n{_TIP}"
            )
        different = ""
        for number, (reference, before) in enumerate(zip(self.holders, self.metadata, strict=True)):
            holder = reference()
            if holder is None or holder not in self.made[walk]:
                continue
            now = self.metadata_of(self.made[walk][holder])
            if now != before:
                different += (
                    f"tensor at position {number}:\nsaved metadata: {before}\n"
                    f"recomputed metadata: {now}\n"
                )
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                f"different metadata than during the forward pass.\n{different}.\n{_TIP}"
            )


class _Enough(Exception):
    """Ends a recomputation that has made all that is needed."""


class _Input:
    """A tensor argument, with its history, that must not have changed when it is used again."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.value = tensor
        self.version = tensor._version

    def tensor(self) -> torch.Tensor:
        """Return the tensor. Raises RuntimeError if it was written to meanwhile."""
        if self.value._version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: an input of a checkpoint, of shape {list(self.value.shape)}, "
                f"is at version {self.value._version}; expected version {self.version} instead."
            )
        return self.value


def _raise_with_logs(error: Exception, first: OperationLog, second: OperationLog) -> NoReturn:
    raise CheckpointError(
        "Detected non-determinism while running activation checkpointing: the second run saves "
        "other tensors than the first.\n\nOperations executed during the original forward:\n\n"
        f"{first.text('original')}\n\nOperations executed during recomputation:\n\n"
        f"{second.text('recompute')}\n\n{error}"
    ) from error


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Run a chain of modules in `segments` checkpoints, the last of which is kept as it is.

    Raises ValueError for other keyword arguments than ``preserve_rng_state``.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve_rng_state = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    if isinstance(functions, torch.nn.Sequential):
        functions = list(functions.children())

    def chain(part: list) -> Callable:
        def run(value: Any) -> Any:
            for function in part:
                value = function(value)
            return value

        return run

    size = len(functions) // segments
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(
            chain(functions[start : start + size]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return chain(functions[size * (segments - 1) :])(input)


class GraphExecGroup:
    """A context whose backward walks share what checkpoints compute again."""

    _current: GraphExecGroup | None = None

    def __enter__(self) -> GraphExecGroup:
        if GraphExecGroup._current is not None:
            raise RuntimeError(
                "GraphExecGroup contexts cannot be nested. Already inside group "
                f"{GraphExecGroup._current}"
            )
        GraphExecGroup._current = self
        return self

    def __exit__(self, *args: object) -> None:
        GraphExecGroup._current = None

    @classmethod
    def _get_current_group(cls) -> GraphExecGroup | None:
        return cls._current
