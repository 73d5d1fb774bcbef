"""Modules that learn the shape of their parameters from their first input."""

from __future__ import annotations

from itertools import chain

import flashlight as torch
from flashlight.nn.parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Base of lazy modules: a subclass has uninitialised parameters and `initialize_parameters`.

    The first call, or loading a state dict, gives them shapes. The first call also turns the
    module into an instance of `cls_to_become`, if that is set.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.modules.lazy.LazyModuleMixin.html
    """

    cls_to_become: type | None = None

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        for name, value in self._own_state().items():
            keep = keep_vars or is_lazy(value)
            destination[prefix + name] = value if keep else value.detach()

    def _lazy_load_hook(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        """Give parameters the shapes of those in `state_dict`, so that those can be copied."""
        for name, param in chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if param is not None and given is not None and is_lazy(param) and not is_lazy(given):
                with torch.no_grad():
                    param.materialize(given.shape)

    def initialize_parameters(self, *args, **kwargs) -> None:
        """Materialise and initialise the parameters for an input; subclasses override it."""
        name = type(self).__name__
        raise NotImplementedError(f"initialize_parameters is not implemented for {name}")

    def has_uninitialized_params(self) -> bool:
        """Tell whether a parameter or buffer still waits for its shape."""
        return any(map(is_lazy, chain(self._parameters.values(), self._buffers.values())))

    def _infer_parameters(self, module, args, kwargs=None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        for hook in ("_initialize_hook", "_load_hook"):
            getattr(module, hook).remove()
            delattr(module, hook)
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self):
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. Run a "
            "dummy forward pass to correctly initialize the modules"
        )
