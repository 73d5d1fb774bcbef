"""`__torch_function__`: how subclasses and look-alikes take part in operations."""

from __future__ import annotations

from .._core.evaluation import local
from .._core.tensor import TENSORS, Tensor

#: Tensor classes whose data are not one array, and what runs operations on them.
DISPATCHERS: dict = {}


def is_override(value) -> bool:
    """Tell whether an operation must not take `value` as a plain tensor or number."""
    kind = type(value)
    if kind in TENSORS:
        return False
    return kind in DISPATCHERS or has_hook(value)


def has_hook(value) -> bool:
    """Tell whether the class of `value` wants to see the call by its `__torch_function__`."""
    kind = type(value)
    if kind in TENSORS or kind in DISPATCHERS:
        return False
    hook = getattr(kind, "__torch_function__", None)
    if hook is None or hook is _disabled or getattr(hook, "__func__", None) is _disabled.__func__:
        return False
    return not (local.__dict__.get("no_subclasses") and isinstance(value, Tensor))


def overriding_in(values) -> list:
    """Return the values, also inside lists and tuples, that override; subclasses before bases."""
    found: list = []
    for value in values:
        if type(value) in (list, tuple):
            candidates = [item for item in value if is_override(item)]
        elif is_override(value):
            candidates = [value]
        else:
            continue
        for item in candidates:
            if type(item) in [type(other) for other in found]:
                continue
            at = next(
                (i for i, other in enumerate(found) if issubclass(type(item), type(other))),
                len(found),
            )
            found.insert(at, item)
    return found


def hooks_in(values) -> list:
    """Return the values, also inside lists, whose classes have a `__torch_function__` to ask."""
    return [value for value in overriding_in(values) if type(value) not in DISPATCHERS]


def call_overrides(function, overriding: list, args: tuple, kwargs: dict):
    """Return what the first willing `__torch_function__` gives, or a dispatcher if there is none.

    Raises TypeError if all decline.
    """
    hooked = [value for value in overriding if type(value) not in DISPATCHERS]
    if not hooked:
        return DISPATCHERS[type(overriding[0])](function, args, kwargs)
    overriding = hooked
    types = tuple(type(value) for value in overriding)
    for value in overriding:
        hook = type(value).__torch_function__
        result = hook(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"no implementation found for '{function.__module__}.{function.__name__}' on types "
        f"that implement __torch_function__: {[kind.__name__ for kind in types]}"
    )


class DisableTorchFunctionSubclass:
    """Inside, operations treat instances of subclasses as plain tensors."""

    def __enter__(self):
        self._previous = local.__dict__.get("no_subclasses", False)
        local.no_subclasses = True
        return self

    def __exit__(self, *exception):
        local.no_subclasses = self._previous


@classmethod
def torch_function(cls, func, types, args=(), kwargs=None):
    """Run `func` on the plain tensors and return its tensors as `cls`; subclasses may override
    this.
    """
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    return result if func in PLAIN_RESULTS else _convert(result, cls)


#: functions whose results stay as they are (properties' getters, in PyTorch)
PLAIN_RESULTS: set = set()


@classmethod
def _disabled(cls, func, types, args=(), kwargs=None):
    """What classes set as `__torch_function__` to be treated as plain tensors."""
    return NotImplemented


def disabled_torch_function_impl():
    """Return the `__torch_function__` that switches overriding off for a class."""
    return _disabled


def _convert(result, cls):
    if cls is Tensor:
        return result
    if isinstance(result, Tensor) and not isinstance(result, cls):
        return result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        items = [_convert(item, cls) for item in result]
        return type(result)(items) if type(result) in (tuple, list) else type(result)(*items)
    return result


Tensor.__torch_function__ = torch_function
