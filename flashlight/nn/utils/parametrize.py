"""Computing a module's tensors from others, on every access.

`register_parametrization(module, "weight", p)` moves the tensor to
``module.parametrizations.weight.original`` and makes ``module.weight`` mean ``p(original)``.
Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

import flashlight as torch
from flashlight import Tensor, __future__
from flashlight.nn.modules.container import Module, ModuleDict, ModuleList
from flashlight.nn.parameter import Parameter

__all__ = [
    "cached",
    "ParametrizationList",
    "register_parametrization",
    "is_parametrized",
    "remove_parametrizations",
    "type_before_parametrizations",
    "transfer_parametrizations_and_params",
]

_cache_enabled = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached():
    """Compute each parametrised tensor only once inside the outermost of these contexts."""
    global _cache_enabled
    _cache_enabled += 1
    try:
        yield
    finally:
        _cache_enabled -= 1
        if not _cache_enabled:
            _cache.clear()


def _register_parameter_or_buffer(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _maybe_set(dest: Tensor, src: Tensor) -> None:
    """Give the tensor `dest` the data of `src`, so that optimizers keep track of it."""
    if not __future__.get_swap_module_params_on_conversion():
        dest.set_(src)
        return
    if isinstance(dest, Parameter) and not isinstance(src, Parameter):
        src = Parameter(src, requires_grad=dest.requires_grad)
    torch.utils.swap_tensors(dest, src)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, applied in order to `original`.

    If the last of their `right_inverse` gives several tensors, they are `original0`, `original1`,
    …. Raises ValueError if dtype, device or, without `unsafe`, shape would change.
    """

    original: Tensor
    unsafe: bool

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        _check(len(modules) > 0, "ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        value = self._inverse_of_initial(original)
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if self.is_tensor else len(value)
        if self.is_tensor:
            for name in ("dtype", "device"):
                before, after = getattr(original, name), getattr(value, name)
                _check(
                    before == after,
                    f"When `right_inverse` outputs one tensor, it may not change the {name}.\n"
                    f"original.{name}: {before}\nright_inverse(original).{name}: {after}",
                )
            with torch.no_grad():
                _maybe_set(original, value)
            _register_parameter_or_buffer(self, "original", original)
        else:
            for index, each in enumerate(value):
                self._register_original(index, each, original)
        if not self.unsafe:
            _check_unchanged(self(), shape, dtype)

    def _inverse_of_initial(self, value: Tensor) -> Any:
        with torch.no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        value = module.right_inverse(value)
        _check(
            isinstance(value, (Tensor, Sequence)),
            "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
            f"{type(value).__name__}",
        )
        return value

    def _register_original(self, index: int, value: Any, original: Tensor) -> None:
        _check(
            isinstance(value, Tensor),
            "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
            f"element {index} of the sequence with type {type(value).__name__}.",
        )
        if isinstance(original, Parameter):
            value = Parameter(value, original.requires_grad)
        value.requires_grad_(original.requires_grad)
        _register_parameter_or_buffer(self, f"original{index}", value)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{index}") for index in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the original tensors so that the parametrised one becomes `value`.

        Raises RuntimeError if a parametrisation has no `right_inverse`, ValueError if one
        returns something that does not fit.
        """
        with torch.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                _check(
                    isinstance(value, Tensor),
                    f"`right_inverse` should return a tensor. Got {type(value).__name__}",
                )
                _check(
                    value.dtype == self.original.dtype,
                    f"The tensor returned by `right_inverse` has dtype {value.dtype} while "
                    f"`original` has dtype {self.original.dtype}",
                )
                _maybe_set(self.original, value)
                return
            _check(
                isinstance(value, Sequence),
                f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.",
            )
            _check(
                len(value) == self.ntensors,
                "'right_inverse' must return a sequence of tensors of length "
                f"{self.ntensors}. Got a sequence of length {len(value)}.",
            )
            for index, (original, each) in enumerate(zip(self._originals(), value)):
                _check(
                    isinstance(each, Tensor),
                    f"`right_inverse` must return a sequence of tensors. Got element {index} of "
                    f"type {type(each).__name__}",
                )
                _check(
                    original.dtype == each.dtype,
                    f"Tensor {index} returned by `right_inverse` has dtype {each.dtype} while "
                    f"`original{index}` has dtype {original.dtype}",
                )
                _maybe_set(original, each)

    def forward(self) -> Tensor:
        """Return the parametrised tensor."""
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value


def _check_unchanged(value: Any, shape, dtype) -> None:
    _check(
        isinstance(value, Tensor),
        f"A parametrization must return a tensor. Got {type(value).__name__}.",
    )
    for name, before in (("dtype", dtype), ("shape", shape)):
        after = getattr(value, name)
        _check(
            before == after,
            f"Registering a parametrization may not change the {name} of the tensor, unless "
            f"`unsafe` flag is enabled.\nunparametrized {name}: {before}\n"
            f"parametrized {name}: {after}",
        )


def _inject_new_class(module: Module) -> None:
    """Give `module` a class of its own, to which properties can be added."""
    cls = type(module)

    def default_deepcopy(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        replica = self.__new__(type(self))
        memo[id(self)] = replica
        replica.__dict__ = deepcopy(self.__dict__, memo)
        for slot in copyreg._slotnames(type(self)):
            if hasattr(self, slot):
                setattr(replica, slot, deepcopy(getattr(self, slot), memo))
        return replica

    def getstate(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    members = {"__getstate__": getstate}
    # Copying goes through __getstate__ otherwise.
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = default_deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _inject_property(module: Module, tensor_name: str) -> None:
    """Make attribute `tensor_name` of the module's own class compute the parametrisation."""

    def get_parametrized(self) -> Tensor:
        parametrization = self.parametrizations[tensor_name]
        if not _cache_enabled:
            return parametrization()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def set_original(self, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get_parametrized, set_original))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute parameter or buffer `tensor_name` by `parametrization` from now on.

    Several add up. With a `right_inverse` the attribute can be assigned. Raises ValueError if
    there is no such tensor or, without `unsafe`, if shape or dtype would change.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        existing = module.parametrizations[tensor_name]
        existing.append(parametrization)
        existing.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        # Made first: if this raises, the module is as before.
        parametrizations = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = parametrizations
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def _check_further(module: Module, tensor_name: str, parametrization: Module) -> None:
    """Check that one more parametrisation, and its inverse, keep shape and dtype."""
    before = getattr(module, tensor_name)
    after = parametrization(before)
    _check(
        isinstance(after, Tensor),
        f"A parametrization must return a tensor. Got {type(after).__name__}.",
    )
    for name in ("dtype", "shape"):
        old, new = getattr(before, name), getattr(after, name)
        _check(
            old == new,
            f"Registering a parametrization may not change the {name} of the tensor, unless the "
            f"`unsafe` flag is enabled.\nmodule.{tensor_name}.{name}: {old}\n"
            f"parametrization(module.{tensor_name}).{name}: {new}",
        )
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        back = parametrization.right_inverse(after)
    except NotImplementedError:
        return
    _check(
        isinstance(back, Tensor),
        f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}",
    )
    for name in ("dtype", "shape"):
        old, new = getattr(before, name), getattr(back, name)
        _check(
            old == new,
            f"The tensor returned by parametrization.right_inverse must have the same {name} as "
            f"module.{tensor_name}, unless the `unsafe` flag is enabled.\n"
            f"module.{tensor_name}.{name}: {old}\nreturned {name}: {new}",
        )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Tell whether `module`, or its tensor `tensor_name`, has a parametrisation."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make `tensor_name` an ordinary tensor again: with its present value, or the original one.

    Raises ValueError if it has no parametrisation, or has several originals to go back to.
    """
    _check(
        is_parametrized(module, tensor_name),
        f"Module {module} does not have a parametrization on {tensor_name}",
    )
    parametrizations = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with torch.no_grad():
                _maybe_set(original, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register_parameter_or_buffer(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """Return the class that `module` had before its first parametrisation."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrisations and originals of `from_module`; return it."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        if source.is_tensor:
            target.original = source.original
        else:
            for index, original in enumerate(source._originals()):
                setattr(target, f"original{index}", original)
    return to_module
