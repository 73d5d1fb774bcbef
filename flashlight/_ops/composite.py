"""`composite`: operations written with tensors."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .._core.evaluation import local
from .._core.tensor import TENSORS, Tensor
from .interception import intercepted, interceptors
from .operation import write_out
from .overrides import call_overrides, overriding_in

_PLAIN = (int, float, bool, str, type(None))


def composite(body=None, *, name=None, out=True) -> Any:
    """Declare an operation written with tensors: overrides see it whole, and it takes `out=`."""
    if body is None:
        return functools.partial(composite, name=name, out=out)
    takes_out = "out" in inspect.signature(body).parameters

    def proceed(args, kwargs):
        for value in args:
            kind = type(value)
            if kind not in TENSORS and kind not in _PLAIN:
                overriding = overriding_in((*args, *kwargs.values()))
                if overriding:
                    return call_overrides(call, overriding, args, kwargs)
                break
        if kwargs:
            overriding = overriding_in(kwargs.values())
            if overriding:
                return call_overrides(call, overriding, args, kwargs)
            if not takes_out and kwargs.get("out") is not None:
                target = kwargs.pop("out")
                if not out:
                    raise TypeError(f"{call.__name__}() got an unexpected keyword argument 'out'")
                return _composite_out(call.__name__, body(*args, **kwargs), target)
            if not takes_out:
                kwargs.pop("out", None)
        try:
            return body(*args, **kwargs)
        except AttributeError as error:
            raise _not_a_tensor(call, args, kwargs, error) from None

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


def _not_a_tensor(call, args, kwargs, error):
    """Return what to raise: TypeError if an argument lacks the attribute since it is no tensor."""
    names = list(call.__signature__.parameters)
    named = [(names[min(i, len(names) - 1)], value) for i, value in enumerate(args)]
    for position, (name, value) in enumerate([*named, *kwargs.items()]):
        several = isinstance(value, (list, tuple)) and any(item is error.obj for item in value)
        if several or value is error.obj:
            kind = type(error.obj).__name__
            if kind in _NO_TENSORS:
                wanted = "tuple of Tensors" if several else "Tensor"
                return TypeError(f"{call.__name__}(): argument '{name}' (position {position + 1}) "
                                 f"must be {wanted}, not {type(value).__name__}")
    return error


_NO_TENSORS = ("int", "float", "bool", "complex", "str", "list", "tuple", "NoneType", "ndarray")


def _composite_out(name, result, out):
    pairs = zip(out, result) if isinstance(result, tuple) else [(out, result)]
    for target, value in pairs:
        if not isinstance(target, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(target).__name__}")
        if local.grad_enabled and (value._node is not None or target._node is not None):
            raise RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )
        write_out(target, value)
    return out
