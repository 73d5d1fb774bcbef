"""`composite`: operations written with tensors."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .._core.evaluation import local
from .._core.tensor import TENSORS, Tensor
from .explained import RAW, explain
from .interception import intercepted, interceptors
from .operation import ALIASES, write_out
from .overrides import call_overrides, overriding_in

_PLAIN = (int, float, bool, str, type(None))


def composite(body=None, *, name=None, out=True) -> Any:
    """Declare an operation written with tensors: overrides see it whole, and it takes `out=`."""
    if body is None:
        return functools.partial(composite, name=name, out=out)
    parameters = inspect.signature(body).parameters
    takes_out = "out" in parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def proceed(args, kwargs):
        target = None
        for value in args:
            kind = type(value)
            if kind not in TENSORS and kind not in _PLAIN:
                overriding = overriding_in((*args, *kwargs.values()))
                if overriding:
                    return call_overrides(call, overriding, args, kwargs)
                break
        if kwargs:
            if not takes_any:
                kwargs = _renamed(kwargs, parameters)
            overriding = overriding_in(kwargs.values())
            if overriding:
                return call_overrides(call, overriding, args, kwargs)
            if not takes_out and kwargs.get("out") is not None:
                target = kwargs.pop("out")
                if not out:
                    raise TypeError(f"{call.__name__}() got an unexpected keyword argument 'out'")
            elif not takes_out:
                kwargs.pop("out", None)
        try:
            result = body(*args, **kwargs)
        except RAW as error:
            explain(call.__name__, list(call.__signature__.parameters), error, args, kwargs)
            raise
        return result if target is None else _composite_out(call.__name__, result, target)

    @functools.wraps(body)
    def call(*args, **kwargs):
        if interceptors:
            return intercepted(call, proceed, args, kwargs)
        return proceed(args, kwargs)
    call.__signature__ = inspect.signature(body)
    call.is_watched = True
    if name:
        call.__name__ = call.__qualname__ = name
    return call


def _renamed(kwargs, parameters):
    """Return the arguments with NumPy's names (`axis`, `keepdims`, ...) replaced by PyTorch's."""
    for key in kwargs:
        name = ALIASES.get(key)
        if key not in parameters and name in parameters and name not in kwargs:
            rest = {other: value for other, value in kwargs.items() if other != key}
            return _renamed({**rest, name: kwargs[key]}, parameters)
    return kwargs


def as_method(function, name=None) -> Any:
    """Return a composite operation as a method: another object, which calls its tensor `self`.

    PyTorch's `Tensor.stft`, too, is another function than `torch.stft`.
    """
    made = composite(function.__wrapped__, name=name, out=False)
    first, *others = made.__signature__.parameters.values()
    made.__signature__ = made.__signature__.replace(
        parameters=[first.replace(name="self"), *others]
    )
    return made


def _composite_out(name, result, out):
    pairs = zip(out, result) if isinstance(result, tuple) else [(out, result)]
    for target, value in pairs:
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}() got an unexpected keyword argument 'out'")
        if not isinstance(target, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(target).__name__}")
        if local.grad_enabled and (value._node is not None or target._node is not None):
            raise RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )
        write_out(target, value)
    return out
