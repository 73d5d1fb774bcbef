"""Hooks of modules: the registries common to all modules, and calling a module that has any."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flashlight import Tensor
from flashlight.utils.hooks import BackwardHook, RemovableHandle

_global_buffer_registration_hooks: dict[int, Callable] = OrderedDict()
_global_module_registration_hooks: dict[int, Callable] = OrderedDict()
_global_parameter_registration_hooks: dict[int, Callable] = OrderedDict()
_global_backward_pre_hooks: dict[int, Callable] = OrderedDict()
_global_backward_hooks: dict[int, Callable] = OrderedDict()
_global_forward_pre_hooks: dict[int, Callable] = OrderedDict()
_global_forward_hooks: dict[int, Callable] = OrderedDict()
_global_forward_hooks_always_called: dict[int, bool] = OrderedDict()
_global_forward_hooks_with_kwargs: dict[int, bool] = OrderedDict()

#: None until the first global backward hook, then whether those hooks are of the full kind.
_global_is_full_backward_hook: bool | None = None


def register_module_buffer_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` whenever a buffer is registered; it may replace it."""
    return _add(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` whenever a module gets a child; it may replace it."""
    return _add(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, name, param)`` whenever a parameter is registered; it may replace it."""
    return _add(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(module, args)`` before the forward of every module; it may replace `args`."""
    return _add(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., None], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the forward of every module.

    With `with_kwargs` the hook gets ``(module, args, kwargs, output)``; with `always_call` it
    runs even if the forward raises.
    """
    handle = _add(
        _global_forward_hooks,
        hook,
        extra=[_global_forward_hooks_always_called, _global_forward_hooks_with_kwargs],
    )
    if with_kwargs:
        _global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        _global_forward_hooks_always_called[handle.id] = True
    return handle


def register_module_backward_hook(hook: Callable) -> RemovableHandle:
    """Call `hook` in the backward of every module's last operation (deprecated kind)."""
    return _add_global_backward_hook(hook, full=False)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    return _add_global_backward_hook(hook, full=True)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return _add(_global_backward_pre_hooks, hook)


def _add_global_backward_hook(hook: Callable, full: bool) -> RemovableHandle:
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a "
            "global Module hook. Please use only one of them."
        )
    _global_is_full_backward_hook = full
    return _add(_global_backward_hooks, hook)


def _add(
    registry: dict[int, Callable], hook: Callable, *, extra: Any = None, prepend: bool = False
) -> RemovableHandle:
    handle = RemovableHandle(registry, extra_dict=extra)
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


def _replaced(hooks: dict[int, Callable], module, name: str, value):
    """Return `value` as the registration `hooks` want it."""
    for hook in hooks.values():
        output = hook(module, name, value)
        if output is not None:
            value = output
    return value


class _WrappedHook:
    """A hook that is given its module first, without keeping that module alive."""

    def __init__(self, hook: Callable, module=None) -> None:
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if self.with_module:
            self.module = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict:
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state: dict) -> None:
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


class _HookMethods:
    """The part of Module that registers hooks around forward and backward, and runs them."""

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before each forward; it may return other arguments.

        With `with_kwargs` it gets ``(module, args, kwargs)`` and may return ``(args, kwargs)``.
        """
        with_kwargs_ids = self._forward_pre_hooks_with_kwargs
        handle = _add(self._forward_pre_hooks, hook, extra=with_kwargs_ids, prepend=prepend)
        if with_kwargs:
            with_kwargs_ids[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each forward; it may return another output.

        With `with_kwargs` it gets ``(module, args, kwargs, output)``; with `always_call` it
        runs even if the forward raises.
        """
        extra = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
        handle = _add(self._forward_hooks, hook, extra=extra, prepend=prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the module's backward."""
        return _add(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` once the input gradients are known."""
        return self._add_backward_hook(hook, full=True, prepend=prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook` in the backward of the module's last operation (deprecated kind)."""
        return self._add_backward_hook(hook, full=False)

    def _add_backward_hook(self, hook, full: bool, prepend: bool = False) -> RemovableHandle:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self._is_full_backward_hook = full
        return _add(self._backward_hooks, hook, prepend=prepend)

    def _get_backward_hooks(self) -> tuple[list[Callable], list[Callable]]:
        """Return the full and the non-full backward hooks, global ones first."""
        hooks = {True: [], False: [], None: []}
        hooks[_global_is_full_backward_hook] += _global_backward_hooks.values()
        hooks[self._is_full_backward_hook] += self._backward_hooks.values()
        return hooks[True], hooks[False]

    def _get_backward_pre_hooks(self) -> list[Callable]:
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]

    def _call_with_hooks(self, args: tuple, kwargs: dict) -> Any:
        call = _HookedCall(self, args, kwargs)
        try:
            return call.run()
        except Exception:
            call.run_remaining_always_called_hooks()
            raise


class _HookedCall:
    """One forward of a module with hooks: what they have made so far of arguments and result."""

    def __init__(self, module: _HookMethods, args: tuple, kwargs: dict) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result = None
        self.done: set[int] = set()

    def run(self) -> Any:
        module = self.module
        self._run_forward_pre_hooks()
        full_hooks, last_operation_hooks = module._get_backward_hooks()
        pre_hooks = module._get_backward_pre_hooks()
        backward_hook = None
        if full_hooks or pre_hooks:
            backward_hook = BackwardHook(module, full_hooks, pre_hooks)
            self.args = backward_hook.setup_input_hook(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        self._run_forward_hooks()
        if backward_hook is not None:
            if not isinstance(self.result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a "
                    f"tuple of Tensors but received {type(self.result)}",
                    stacklevel=4,
                )
            self.result = backward_hook.setup_output_hook(self.result)
        if last_operation_hooks:
            self._hook_last_operation(last_operation_hooks)
        return self.result

    def _run_forward_pre_hooks(self) -> None:
        module = self.module
        for key, hook in (*_global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
            if key in module._forward_pre_hooks_with_kwargs:
                returned = hook(module, self.args, self.kwargs)
                if returned is None:
                    continue
                if not (isinstance(returned, tuple) and len(returned) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, "
                        f"new_kwargs), but got {returned}."
                    )
                self.args, self.kwargs = returned
            else:
                returned = hook(module, self.args)
                if returned is not None:
                    self.args = returned if isinstance(returned, tuple) else (returned,)

    def _run_forward_hooks(self) -> None:
        module = self.module
        for key, hook in (*_global_forward_hooks.items(), *module._forward_hooks.items()):
            always = (
                key in module._forward_hooks_always_called
                or key in _global_forward_hooks_always_called
            )
            if always:
                self.done.add(key)
            self._run_forward_hook(key, hook)

    def _run_forward_hook(self, key: int, hook: Callable) -> None:
        module = self.module
        if key in module._forward_hooks_with_kwargs or key in _global_forward_hooks_with_kwargs:
            returned = hook(module, self.args, self.kwargs, self.result)
        else:
            returned = hook(module, self.args, self.result)
        if returned is not None:
            self.result = returned

    def run_remaining_always_called_hooks(self) -> None:
        module = self.module
        for kind, hooks, always_called in (
            ("global module", _global_forward_hooks, _global_forward_hooks_always_called),
            ("module", module._forward_hooks, module._forward_hooks_always_called),
        ):
            for key, hook in hooks.items():
                if key not in always_called or key in self.done:
                    continue
                try:
                    self._run_forward_hook(key, hook)
                except Exception as error:
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )

    def _hook_last_operation(self, hooks: list[Callable]) -> None:
        output = self.result
        while not isinstance(output, Tensor):
            if isinstance(output, dict):
                output = next(value for value in output.values() if isinstance(value, Tensor))
            else:
                output = output[0]
        grad_fn = output.grad_fn
        if grad_fn is None:
            return
        for hook in hooks:
            grad_fn.register_hook(_WrappedHook(hook, self.module))
        lost = _what_a_last_operation_hook_misses(self.args, self.result, grad_fn)
        if lost:
            warnings.warn(
                f"Using {lost}. Please use register_full_backward_hook to get the documented "
                "behavior.",
                FutureWarning,
                stacklevel=4,
            )


def _what_a_last_operation_hook_misses(inputs: Any, result: Any, grad_fn: Any) -> str | None:
    """Say why a hook on one autograd node cannot see all gradients of a module, if it can't."""
    for value, action, gradient in (
        (result, "return", "grad_output"),
        (inputs, "take as input", "grad_input"),
    ):
        values = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(each, Tensor) for each in values):
            return (
                f"non-full backward hooks on a Module that does not {action} a single Tensor or "
                "a tuple of Tensors is deprecated and will be removed in future versions. This "
                f"hook will be missing some of the {gradient}"
            )
    results = result if isinstance(result, tuple) else (result,)
    output_nodes = {each.grad_fn for each in results if each.grad_fn is not None}
    reason, gradient = None, "grad_output"
    if not output_nodes or (len(output_nodes) == 1 and grad_fn not in output_nodes):
        reason = "outputs are nested in python data structure"
    elif len(output_nodes) > 1:
        reason = "outputs are generated by different autograd Nodes"
    else:
        input_nodes = {each.grad_fn for each in inputs if each.grad_fn is not None}
        if input_nodes != {following[0] for following in grad_fn.next_functions}:
            reason, gradient = "the forward contains multiple autograd Nodes", "grad_input"
    if reason is None:
        return None
    return (
        f"a non-full backward hook when {reason} is deprecated and will be removed in future "
        f"versions. This hook will be missing some {gradient}"
    )
