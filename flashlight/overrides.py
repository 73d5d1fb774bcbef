"""How classes and contexts take part in operations: the `__torch_function__` protocol.

https://docs.pytorch.org/docs/2.13/notes/extending.html#extending-torch-python-api
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flashlight as torch
from flashlight._ops import interception
from flashlight._ops.overrides import (
    PLAIN_RESULTS,
    DisableTorchFunctionSubclass,
    call_overrides,
    has_hook,
    hooks_in,
)

__all__ = [
    "enable_reentrant_dispatch",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "redispatch_function",
    "resolve_name",
    "wrap_torch_function",
]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Tell whether any argument, or an active mode, wants to see a call."""
    if _modes.skips_one:
        _modes.skips_one = False
        return False
    return bool(_modes.stack) or any(map(has_hook, relevant_args))


def has_torch_function_unary(obj: Any) -> bool:
    """Tell whether an argument, or an active mode, wants to see a call."""
    return has_torch_function((obj,))


def has_torch_function_variadic(*args: Any) -> bool:
    """Tell whether any argument, or an active mode, wants to see a call."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Return what the active mode, or the first willing argument, makes of a call.

    Raises TypeError if all decline.
    """
    overriding = hooks_in(tuple(relevant_args))
    if _modes.stack:
        types = tuple(map(type, overriding))
        with _pop_mode_temporarily() as mode:
            result = mode.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    return call_overrides(public_api, overriding, args, kwargs)


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable:
    """Let a function be overridden by the arguments that `dispatcher` picks from its own."""

    def decorate(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Tell whether `inp` is a tensor, or of a class that overrides functions of tensors."""
    return type(inp) is torch.Tensor or hasattr(inp, "__torch_function__")


def redispatch_function(func: Callable, types: Any, args: tuple, kwargs: dict | None) -> Any:
    """Call `func` once past its own overrides; what it calls in turn sees them again."""
    kwargs = kwargs or {}
    if _modes.stack:
        with _pop_mode_temporarily():
            return func(*args, **kwargs)
    if getattr(func, "is_watched", False):  # an operation: nothing in it is to be seen
        with DisableTorchFunctionSubclass():
            return func(*args, **kwargs)
    _modes.skips_one = True
    try:
        return func(*args, **kwargs)
    finally:
        _modes.skips_one = False


@contextlib.contextmanager
def enable_reentrant_dispatch() -> Iterator[None]:
    """Do nothing: there is one dispatcher, and it may be entered from anywhere."""
    yield


# ----- modes -----


class _Modes(threading.local):
    def __init__(self) -> None:
        self.stack: list[TorchFunctionMode] = []
        self.skips_one = False


_modes = _Modes()


class TorchFunctionMode:
    """A context whose ``__torch_function__`` sees every operation called inside.

    Operations called from there see the next mode outside, if there is one.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Return the result of a call."""
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        _push_mode(self)
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        _pop_mode()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        """Return an instance: enter that."""
        warnings.warn(
            "`Mode.push()` is no longer necessary and can be replaced with just `with Mode()`",
            stacklevel=2,
        )
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Return the result of the call."""
        return func(*args, **(kwargs or {}))


def _intercept(function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
    if not _modes.stack:
        return proceed(args, kwargs)
    types = tuple(map(type, hooks_in((*args, *kwargs.values()))))
    with _pop_mode_temporarily() as mode:
        result = mode.__torch_function__(function, types, args, kwargs)
        return proceed(args, kwargs) if result is NotImplemented else result


def _push_mode(mode: TorchFunctionMode) -> None:
    _modes.stack.append(mode)
    interception.want(_intercept)


def _pop_mode() -> TorchFunctionMode:
    interception.release(_intercept)
    return _modes.stack.pop()


@contextlib.contextmanager
def _pop_mode_temporarily() -> Iterator[TorchFunctionMode]:
    # Interception goes on: it is what finds the next mode outside.
    mode = _modes.stack.pop()
    try:
        yield mode
    finally:
        _modes.stack.append(mode)


def _get_current_function_mode() -> TorchFunctionMode | None:
    return _modes.stack[-1] if _modes.stack else None


def _get_current_function_mode_stack() -> list[TorchFunctionMode]:
    return list(_modes.stack)


# ----- what can be overridden -----


@functools.cache
def get_default_nowrap_functions() -> set[Callable]:
    """Return the functions whose results are not made instances of the subclass."""
    return PLAIN_RESULTS


def get_ignored_functions() -> set[Callable]:
    """Return the functions that do not ask their arguments: they take none that are tensors."""
    names = (
        "typename", "is_tensor", "is_storage", "set_default_device", "set_default_dtype",
        "get_default_dtype", "set_rng_state", "get_rng_state", "manual_seed", "initial_seed",
        "seed", "save", "load", "set_printoptions", "arange", "as_tensor", "empty",
        "empty_strided", "eye", "from_numpy", "full", "linspace", "logspace", "ones", "rand",
        "randint", "randn", "randperm", "tensor", "zeros", "asarray", "can_cast",
        "promote_types", "finfo", "iinfo", "is_grad_enabled", "is_inference_mode_enabled",
        "get_num_threads", "set_num_threads", "compile",
    )  # fmt: skip
    found = {getattr(torch, name) for name in names if hasattr(torch, name)}
    methods = ("__new__", "__init__", "__class__", "__subclasshook__", "__hash__", "__dir__",
               "__init_subclass__", "__delattr__", "__setattr__", "__getattribute__",
               "__torch_function__", "as_subclass", "__reduce__", "__reduce_ex__")  # fmt: skip
    return found | {getattr(torch.Tensor, name) for name in methods}


@functools.cache
def _overridable() -> dict[Any, list[Callable]]:
    ignored = get_ignored_functions()
    found: dict[Any, list[Callable]] = {}
    namespaces = [torch, torch.nn.functional, torch.Tensor]
    namespaces += [
        getattr(torch, name)
        for name in ("functional", "linalg", "fft", "special")
        if hasattr(torch, name)
    ]
    for namespace in namespaces:
        functions = []
        for name in dir(namespace):
            value = inspect.getattr_static(namespace, name)
            if isinstance(value, property):
                functions.append(value.__get__)
            elif (
                callable(value)
                and not inspect.isclass(value)
                and not name.startswith("__")
                and value not in ignored
            ):
                functions.append(value)
        found[namespace] = functions
    return found


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """Return, by namespace, the functions that ask their arguments."""
    return {namespace: list(functions) for namespace, functions in _overridable().items()}


def get_testing_overrides() -> dict[Callable, Callable]:
    """Return, for each function that asks its arguments, one of the same parameters giving −1."""
    overrides = {}
    for functions in _overridable().values():
        for function in functions:
            try:
                parameters = inspect.signature(function).parameters.values()
            except (TypeError, ValueError):
                continue

            def override(*args: Any, **kwargs: Any) -> int:
                return -1

            override.__signature__ = inspect.Signature(list(parameters))
            overrides[function] = override
    return overrides


@functools.cache
def _names() -> dict[Callable, str]:
    names: dict[Callable, str] = {}
    for namespace in _overridable():
        prefix = "torch.Tensor" if namespace is torch.Tensor else _public_name(namespace)
        for name in dir(namespace):
            value = inspect.getattr_static(namespace, name)
            if isinstance(value, property):
                names[value.__get__] = f"{prefix}.{name}.__get__"
            elif callable(value):
                names.setdefault(value, f"{prefix}.{name}")
    return names


def _public_name(module: Any) -> str:
    return module.__name__.replace("flashlight", "torch", 1)


def resolve_name(f: Callable) -> str | None:
    """Return the name by which programs reach a function; None for one that is not public."""
    return _names().get(f)


def is_tensor_method_or_property(func: Callable) -> bool:
    """Tell whether a function is a method of tensors, or the getter of a property."""
    if getattr(func, "__name__", None) == "__get__":
        return True
    return any(func is value for value in vars(torch.Tensor).values())
