"""Handles that remove a hook, and the hooks behind ``Module.register_full_backward_hook``."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import flashlight as torch
from flashlight import Tensor

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks", "BackwardHook"]


class RemovableHandle:
    """The key of one hook in a dict of hooks: ``remove()`` deletes it, as does leaving a `with`.

    `extra_dict` is a dict, or a list of dicts, whose entry under the same key goes too.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(each) for each in extra if each is not None)

    def remove(self) -> None:
        """Delete the hook; again, or after its owner is gone, nothing happens."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            registry = reference()
            if registry is not None:
                registry.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state) -> None:
        hooks, self.id = state[:2]
        # Without an owner the reference dies at once, which is what a handle of nothing means.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        extra = state[2] if len(state) > 2 else None
        self.extra_dict_ref = tuple(
            weakref.ref(OrderedDict() if each is None else each) for each in extra or ()
        )
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        self.remove()


def unserializable_hook(f: Callable) -> Callable:
    """Mark a tensor hook as one that saving may drop without a warning."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor: Tensor) -> None:
    """Warn of each hook that will not be saved with `tensor`."""
    for hook in (tensor._backward_hooks or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
                "you can decorate the function with @torch.utils.hooks.unserializable_hook to "
                "suppress this warning",
                stacklevel=2,
            )


class BackwardHook:
    """The full backward hooks of one call of a module.

    Inputs and outputs each pass through one identity node. The output node's hook sees the
    gradients that enter the module, the input node's those that leave it.
    """

    def __init__(self, module, user_hooks: list[Callable], user_pre_hooks: list[Callable]) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: tuple | None = None
        self.n_inputs = self.n_outputs = -1
        self.input_tensors_index: list[int] | None = None
        self.output_tensors_index: list[int] | None = None

    def setup_input_hook(self, args: tuple) -> tuple:
        """Return the module's arguments with the tensors among them behind the input node."""
        self.n_inputs = len(args)
        args, self.input_tensors_index = _behind_one_node(self._leave_backward, args)
        return args

    def setup_output_hook(self, args: Any) -> Any:
        """Return the module's result with the tensors in it behind the output node."""
        results = args if isinstance(args, tuple) else (args,)
        self.n_outputs = len(results)
        results, self.output_tensors_index = _behind_one_node(self._enter_backward, results)
        return results if isinstance(args, tuple) else results[0]

    def _enter_backward(self, _, grad_output: tuple) -> tuple | None:
        self.grad_outputs = _spread(self.output_tensors_index, grad_output, self.n_outputs)
        for hook in self.user_pre_hooks:
            returned = hook(self.module, self.grad_outputs)
            if returned is None:
                continue
            if len(returned) != len(self.grad_outputs):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, got "
                    f"{len(returned)}, but expected {len(self.grad_outputs)}"
                )
            self.grad_outputs = returned
        grad_outputs = self.grad_outputs
        if self.input_tensors_index is None:
            self._run_without_input_gradients()
        return tuple(grad_outputs[index] for index in self.output_tensors_index)

    def _run_without_input_gradients(self) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        grad_inputs = (None,) * self.n_inputs
        for hook in self.user_hooks:
            returned = hook(self.module, grad_inputs, self.grad_outputs)
            if returned is not None and not (
                isinstance(returned, tuple) and all(each is None for each in returned)
            ):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _leave_backward(self, grad_input: tuple, _) -> tuple | None:
        if self.grad_outputs is None:
            # A backward that starts inside the module never entered it.
            return None
        gradients = _spread(self.input_tensors_index, grad_input, self.n_inputs)
        for hook in self.user_hooks:
            returned = hook(self.module, gradients, self.grad_outputs)
            if returned is None:
                continue
            if len(returned) != len(gradients):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, got "
                    f"{len(returned)}, but expected {len(gradients)}"
                )
            gradients = returned
        self.grad_outputs = None
        return tuple(gradients[index] for index in self.input_tensors_index)


def _spread(indices: list[int], values: tuple, size: int) -> tuple:
    """Return `size` values, None except at `indices`."""
    spread = [None] * size
    for index, value in zip(indices, values, strict=True):
        spread[index] = value
    return tuple(spread)


def _behind_one_node(hook: Callable, args: tuple) -> tuple[tuple, list[int] | None]:
    """Send the tensors in `args` through one node with `hook`; None if there is no gradient."""
    # nn is imported after utils; its function needs autograd.Function to exist.
    from flashlight.nn.modules._functions import BackwardHookFunction

    indices = [index for index, arg in enumerate(args) if isinstance(arg, Tensor)]
    tensors = [args[index] for index in indices]
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return args, None
    replaced = BackwardHookFunction.apply(*tensors)
    node = next(tensor.grad_fn for tensor in replaced if tensor.grad_fn is not None)
    node.register_hook(hook)
    arguments = list(args)
    for index, tensor in zip(indices, replaced, strict=True):
        arguments[index] = tensor
    return (tuple(arguments) if type(args) is tuple else type(args)(*arguments)), indices
