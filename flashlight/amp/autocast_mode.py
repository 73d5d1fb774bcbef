"""Autocast: operations that are safe in lower precision run in it, the others in float32."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import flashlight as torch
from flashlight._ops import interception
from flashlight.amp import policies

__all__ = [
    "autocast_decorator",
    "autocast",
    "is_autocast_available",
    "custom_fwd",
    "custom_bwd",
]

#: Device types that autocast knows, and the type that it casts to there by default.
_DEFAULTS = {
    "cpu": torch.bfloat16,
    "cuda": torch.float16,
    "mps": torch.float16,
    "xpu": torch.float16,
    "hpu": torch.bfloat16,
    "mtia": torch.float16,
    "maia": torch.float16,
    "xla": torch.bfloat16,
    "ipu": torch.float16,
    "privateuseone": torch.float16,
}
_NARROW = (torch.bfloat16, torch.float16)


class _State(threading.local):
    """What each thread has switched on."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        self.cache_enabled = True
        self.nesting = 0
        self.cache: dict[tuple, tuple] = {}
        self.inside = False  # an operation whose inputs have been cast already


_state = _State()


def is_autocast_available(device_type: str) -> bool:
    """Tell whether autocast knows a type of device."""
    return device_type in _DEFAULTS


def _check_device_type(device_type: str) -> None:
    if device_type not in _DEFAULTS:
        raise RuntimeError(f"unknown device type for autocast: '{device_type}'")


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Tell whether autocast is on in this thread, for CUDA unless a device type is given."""
    if device_type is not None:
        _check_device_type(device_type)
    return _state.enabled.get(device_type or "cuda", False)


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast for a type of device on or off, in this thread."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _check_device_type(device_type)
    before = _state.enabled.get(device_type, False)
    _state.enabled[device_type] = bool(enabled)
    if enabled and not before:
        interception.want(_autocast)
    elif before and not enabled:
        interception.release(_autocast)


def get_autocast_dtype(device_type: str) -> torch.dtype:
    """Return the type to which autocast casts on a type of device."""
    _check_device_type(device_type)
    return _state.dtypes.get(device_type, _DEFAULTS[device_type])


def set_autocast_dtype(device_type: str, dtype: torch.dtype) -> None:
    """Set the type to which autocast casts on a type of device, in this thread."""
    _check_device_type(device_type)
    _state.dtypes[device_type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Tell whether cast weights are kept for their next use."""
    return _state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether cast weights are kept for their next use."""
    _state.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Drop the cast weights."""
    _state.cache.clear()


def autocast_increment_nesting() -> int:
    """Count a context more; return how many there are."""
    _state.nesting += 1
    return _state.nesting


def autocast_decrement_nesting() -> int:
    """Count a context less; return how many are left."""
    _state.nesting -= 1
    return _state.nesting


def _of(device_type: str) -> tuple[Callable, ...]:
    return (
        lambda: is_autocast_enabled(device_type),
        lambda enabled: set_autocast_enabled(device_type, enabled),
        lambda: get_autocast_dtype(device_type),
        lambda dtype: set_autocast_dtype(device_type, dtype),
    )


(
    is_autocast_cpu_enabled,
    set_autocast_cpu_enabled,
    get_autocast_cpu_dtype,
    set_autocast_cpu_dtype,
) = _of("cpu")
_, _, get_autocast_gpu_dtype, set_autocast_gpu_dtype = _of("cuda")


def _autocast(function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
    """Cast the inputs of a call as its operation's policy says."""
    state = _state
    if state.inside or not any(state.enabled.values()):
        return proceed(args, kwargs)
    device_type = _device_type((args, kwargs))
    if not state.enabled.get(device_type):
        return proceed(args, kwargs)
    policy = policies.find(function, device_type, args, kwargs)
    if policy is None:
        return proceed(args, kwargs)
    if policy is policies.BANNED:
        raise RuntimeError(
            f"torch.nn.functional.{function.__name__} is unsafe to autocast. Many models use a "
            "sigmoid layer right before it: combine the two with "
            "torch.nn.functional.binary_cross_entropy_with_logits or torch.nn.BCEWithLogitsLoss, "
            "which are safe to autocast."
        )
    if policy is policies.FLOAT32_RESULT:
        if kwargs.get("dtype") is None and args and _is_eligible(args[0], device_type):
            kwargs = {**kwargs, "dtype": torch.float32}
        return proceed(args, kwargs)
    if policy is policies.WIDEST:
        dtype = _widest((args, kwargs), device_type)
    else:
        dtype = torch.float32 if policy is policies.FLOAT32 else get_autocast_dtype(device_type)
    state.inside = True
    try:
        if policy is policies.UNTOUCHED:
            return proceed(args, kwargs)
        cast = _cast_all((args, kwargs), device_type, dtype)
        result = proceed(*cast)
        if policy is policies.LOWER_STATE:
            state_type = next(_tensors(args[1])).dtype
            result = _cast_all(result, device_type, torch.promote_types(state_type, dtype))
        return result
    finally:
        state.inside = False


def _tensors(value: Any) -> Iterable[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _device_type(value: Any) -> str | None:
    return next((tensor.device.type for tensor in _tensors(value)), None)


def _is_eligible(value: Any, device_type: str) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dtype is not torch.float64
        and value.device.type == device_type
    )


def _widest(value: Any, device_type: str) -> torch.dtype:
    """Return float32 if it is among the eligible inputs, else the type that autocast casts to."""
    for tensor in _tensors(value):
        if _is_eligible(tensor, device_type) and tensor.dtype is torch.float32:
            return torch.float32
    return get_autocast_dtype(device_type)


def _cast_all(value: Any, device_type: str, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        if value.dtype is dtype or not _is_eligible(value, device_type):
            return value
        return _cached_cast(value, dtype)
    if type(value) in (list, tuple):
        return type(value)([_cast_all(item, device_type, dtype) for item in value])
    if type(value) is dict:
        return {key: _cast_all(item, device_type, dtype) for key, item in value.items()}
    return value


def _cached_cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return `tensor` cast; a weight's result is kept until autocast ends or the weight changes."""
    cached = (
        _state.cache_enabled
        and _state.nesting
        and dtype in _NARROW
        and tensor.dtype is torch.float32
        and tensor.requires_grad
        and tensor.is_leaf
        and not tensor._is_view()
    )
    if not cached:
        return tensor.to(dtype)
    key = (id(tensor), dtype, torch.is_grad_enabled())
    found = _state.cache.get(key)
    if found is None or found[0] is not tensor or found[1] != tensor._version:
        found = _state.cache[key] = (tensor, tensor._version, tensor.to(dtype))
    return found[2]


def autocast_decorator(autocast_instance: autocast, func: Callable) -> Callable:
    """Return `func` run inside of `autocast_instance`."""

    @functools.wraps(func)
    def decorate_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorate_autocast


class autocast:
    """Inside, operations on tensors of one type of device run in the precision that suits them.

    A context manager and a decorator. Raises RuntimeError for a device type that it does not know,
    and warns and does nothing for a dtype that is not float16 or bfloat16.
    """

    def __init__(
        self,
        device_type: str,
        dtype: torch.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if cache_enabled is None:
            cache_enabled = is_autocast_cache_enabled()
        self._cache_enabled = cache_enabled
        if enabled and device_type == "cuda" and not torch.cuda.is_available():
            warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in _NARROW:
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. "
                f"Disabling autocast.\n{device_type.upper()} Autocast only supports dtypes of "
                "torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        # One instance may be entered again inside of itself, as a decorator of a recursion is.
        self._previous: list[tuple] = []

    def __enter__(self) -> autocast:
        device = self.device
        self._previous.append(
            (is_autocast_enabled(device), get_autocast_dtype(device), is_autocast_cache_enabled())
        )
        set_autocast_enabled(device, self._enabled)
        set_autocast_dtype(device, self.fast_dtype)
        autocast_increment_nesting()
        set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> bool:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        enabled, dtype, cache_enabled = self._previous.pop()
        set_autocast_enabled(self.device, enabled)
        set_autocast_dtype(self.device, dtype)
        set_autocast_cache_enabled(cache_enabled)
        return False

    def __call__(self, func: Callable) -> Callable:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                "mean to use autocast as a context manager: `with torch.autocast(device_type=...):`"
            )
        return autocast_decorator(self, func)


def _enter_autocast(*vals: Any) -> autocast:
    """Enter an autocast of these arguments; `_exit_autocast` leaves it."""
    mode = autocast(*vals)
    mode.__enter__()
    return mode


def _exit_autocast(mode: autocast) -> None:
    mode.__exit__(None, None, None)


def _cast(value: Any, device_type: str, dtype: torch.dtype) -> Any:
    """Return `value` with the eligible tensors in its containers cast."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if _is_eligible(value, device_type) else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(key, device_type, dtype): _cast(item, device_type, dtype)
            for key, item in value.items()
        }
    if isinstance(value, Iterable):
        items = (_cast(item, device_type, dtype) for item in value)
        return type(value)(items) if isinstance(value, (list, tuple)) else items
    return value


def custom_fwd(
    fwd: Callable | None = None,
    *,
    device_type: str,
    cast_inputs: torch.dtype | None = None,
) -> Callable:
    """Decorate the ``forward`` of an autograd.Function for autocast.

    With `cast_inputs`, inputs are cast to it and the body runs without autocast.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        active = is_autocast_enabled(device_type)
        context._fwd_used_autocast = active and cast_inputs is None
        if cast_inputs is None or not active:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return decorate_fwd


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Decorate the ``backward`` of an autograd.Function: it runs under forward's autocast."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(
            device_type=device_type, enabled=context._fwd_used_autocast, dtype=context._dtype
        ):
            return bwd(*args, **kwargs)

    return decorate_bwd
