"""The base of every optimizer: parameter groups, state, hooks and the state dict.

https://docs.pytorch.org/docs/2.13/optim.html#base-class
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

import flashlight as torch
from flashlight.utils._foreach_utils import _group_tensors_by_device_and_dtype
from flashlight.utils.hooks import RemovableHandle

__all__ = [
    "Optimizer",
    "register_optimizer_step_pre_hook",
    "register_optimizer_step_post_hook",
]

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
ParamsT: TypeAlias = (
    "Iterable[torch.Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, torch.Tensor]]"
)
GlobalOptimizerPreHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], "tuple | None"]
GlobalOptimizerPostHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], None]

_global_optimizer_pre_hooks: dict[int, GlobalOptimizerPreHook] = OrderedDict()
_global_optimizer_post_hooks: dict[int, GlobalOptimizerPostHook] = OrderedDict()

#: The registries of an instance, which neither pickles nor copies keep.
_HOOK_REGISTRIES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _RequiredParameter:
    """The default of an option that each group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def register_optimizer_step_pre_hook(hook: GlobalOptimizerPreHook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return _register(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: GlobalOptimizerPostHook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return _register(_global_optimizer_post_hooks, hook)


def _register(registry: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(registry)
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


def _use_grad_for_differentiable(step: Callable) -> Callable:
    """Run `step` with gradients on if the optimizer is differentiable, else off."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return run


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """Return the types of devices on which PyTorch lets a step be captured."""
    return ["cuda", "xpu", "hpu", "privateuseone", *["xla"] * supports_xla]


class Optimizer:
    """Parameters in groups with their options, and the state kept for each of them.

    Subclasses call this with the options' defaults, and implement ``step``.
    """

    OptimizerPreHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], "tuple | None"]
    OptimizerPostHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], None]
    _group_tensors_by_device_and_dtype = staticmethod(_group_tensors_by_device_and_dtype)

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._restore_registries()
        self._patch_step_function()
        if isinstance(params, torch.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {torch.typename(params)}"
            )
        self.state: defaultdict[torch.Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _restore_registries(self) -> None:
        for name in _HOOK_REGISTRIES:
            self.__dict__.setdefault(name, OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._restore_registries()
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    def _complete(self, options: dict[str, Any], counters: tuple[str, ...] = ("step",)) -> None:
        """Bring groups and state of an older checkpoint up to date.

        Groups get the options that did not exist yet, and counters that were numbers become
        tensors.
        """
        for group in self.param_groups:
            for name, value in options.items():
                group.setdefault(name, value)
            on_device = group.get("capturable") or group.get("fused")
            for param in group["params"]:
                state = self.state.get(param, {})
                for name in counters:
                    if name in state and not isinstance(state[name], torch.Tensor):
                        state[name] = torch.tensor(
                            float(state[name]),
                            dtype=_get_scalar_dtype(is_fused=group.get("fused")),
                            device=param.device if on_device else "cpu",
                        )

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for index, group in enumerate(self.param_groups):
            text += f"\nParameter Group {index}\n"
            text += "".join(
                f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"
            )
        return text + ")"

    def _accelerator_graph_capture_health_check(self) -> None:
        """Accept the call of subclasses written for CUDA graphs, which MLX does not have."""

    _cuda_graph_capture_health_check = _accelerator_graph_capture_health_check

    def _optimizer_step_code(self) -> None:
        """Mark the end of a step for tools that look for this name."""

    @staticmethod
    def profile_hook_step(func: Callable) -> Callable:
        """Surround a class's `step` with the hooks and with its profiler range."""

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            with torch.profiler.record_function(f"Optimizer.step#{type(self).__name__}.step"):
                for hook in chain(
                    _global_optimizer_pre_hooks.values(), self._optimizer_step_pre_hooks.values()
                ):
                    result = hook(self, args, kwargs)
                    if result is None:
                        continue
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{func} must return None or a tuple of (new_args, new_kwargs), "
                            f"but got {result}."
                        )
                    args, kwargs = result
                out = func(*args, **kwargs)
                self._optimizer_step_code()
                for hook in chain(
                    self._optimizer_step_post_hooks.values(), _global_optimizer_post_hooks.values()
                ):
                    hook(self, args, kwargs)
                return out

        return wrapper

    def _patch_step_function(self) -> None:
        self._zero_grad_profile_name = f"Optimizer.zero_grad#{type(self).__name__}.zero_grad"
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)
            cls.step.hooked = True

    def register_step_pre_hook(self, hook: OptimizerPreHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before a step; it may return both anew."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: OptimizerPostHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after a step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self,
        hook: Callable[[Optimizer, StateDict], StateDict | None],
        prepend: bool = False,
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on the result, which it may replace."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self,
        hook: Callable[[Optimizer, StateDict], StateDict | None],
        prepend: bool = False,
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; it may replace the dict."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> StateDict:
        """Return {"state", "param_groups"}, with each parameter replaced by its position."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        positions: dict[int, int] = {}
        groups = []
        seen = 0
        for group in self.param_groups:
            for position, param in enumerate(group["params"], seen):
                positions.setdefault(id(param), position)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [positions[id(param)] for param in group["params"]]
            groups.append(packed)
            seen += len(group["params"])
        state = {
            positions[id(key)] if isinstance(key, torch.Tensor) else key: value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            if replaced is not None:
                result = replaced
        return result

    @staticmethod
    def _process_value_according_to_param_policy(
        param: torch.Tensor,
        value: torch.Tensor,
        param_id: int,
        param_groups: list[dict[Any, Any]],
        key: Hashable = None,
    ) -> torch.Tensor:
        """Return a loaded state tensor in the dtype and on the device that `param` asks for."""
        group = next((group for group in param_groups if param_id in group["params"]), {})
        if key == "step":
            # A step count in bfloat16 would stop at 256: it keeps its own dtype.
            if group.get("capturable", False) or group.get("fused", False):
                return value.to(dtype=torch.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over state and options; parameters are matched by their order.

        Raises ValueError if the groups differ in number or length.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(group["params"]) != len(saved["params"])
            for group, saved in zip(groups, saved_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group "
                "that doesn't match the size of optimizer's group"
            )
        parameters = dict(
            zip(
                chain.from_iterable(saved["params"] for saved in saved_groups),
                chain.from_iterable(group["params"] for group in groups),
                strict=True,
            )
        )
        state: defaultdict[Any, dict] = defaultdict(dict)
        for position, value in state_dict["state"].items():
            if position in parameters:
                param = parameters[position]
                state[param] = self._adapt(param, value, position, state_dict["param_groups"])
            else:
                state[position] = value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _adapt(
        self, param: torch.Tensor, value: Any, position: int, groups: list, key: Hashable = None
    ) -> Any:
        """Return a copy of a loaded value with the tensors in it adapted to `param`."""
        if isinstance(value, torch.Tensor):
            return self._process_value_according_to_param_policy(
                param, value, position, groups, key
            )
        if isinstance(value, dict):
            return {
                name: self._adapt(param, item, position, groups, name)
                for name, item in value.items()
            }
        if isinstance(value, Iterable):
            return type(value)(self._adapt(param, item, position, groups) for item in value)
        return value

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zero."""
        if not hasattr(self, "_zero_grad_profile_name"):
            self._patch_step_function()
        with torch.profiler.record_function(self._zero_grad_profile_name):
            for group in self.param_groups:
                for param in group["params"]:
                    grad = param.grad
                    if grad is None:
                        continue
                    if set_to_none:
                        param.grad = None
                        continue
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.zero_()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the parameters from their gradients; `closure` recomputes and returns the loss."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, for example those of layers just unfrozen.

        Raises TypeError for what is no tensor or has no order, ValueError for tensors that
        have a history, are already there, or are named while others are not.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        self._normalize_params(param_group)
        for param in param_group["params"]:
            if not isinstance(param, torch.Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{torch.typename(param)}"
                )
            if not self.defaults.get("differentiable") and not (
                param.is_leaf or param.retains_grad
            ):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization "
                    f"parameter {name}"
                )
            param_group.setdefault(name, default)
        added = set(param_group["params"])
        if len(added) != len(param_group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        named = "param_names" in param_group
        if any(named != ("param_names" in group) for group in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param "
                f"group {'with' if named else 'without'} names to the optimizer"
            )
        if any(not added.isdisjoint(group["params"]) for group in self.param_groups):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    @staticmethod
    def _normalize_params(param_group: dict[str, Any]) -> None:
        """Make ``params`` a list of tensors, and ``param_names`` the names given with them."""
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, torch.Tensor) else list(params)
        names = [param[0] for param in params if isinstance(param, tuple)]
        param_group["params"] = [
            param[1] if isinstance(param, tuple) else param for param in params
        ]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. "
                    "Some param names are missing"
                )
            param_group["param_names"] = names


def _get_value(x: Any) -> Any:
    """Return the number in a one-element tensor, and anything else as it is."""
    return x.item() if isinstance(x, torch.Tensor) else x


def _to_scalar(x: float | torch.Tensor) -> float | torch.Tensor:
    """Return a one-element tensor without its dimensions, and a number as it is."""
    return x.squeeze() if isinstance(x, torch.Tensor) and x.dim() != 0 else x


def _get_scalar_dtype(is_fused: bool | None = None) -> torch.dtype:
    """Return the dtype of counters in the state."""
    if not is_fused and torch.get_default_dtype() == torch.float64:
        return torch.float64
    return torch.float32


def _view_as_real(params: list, *state_and_grads: list) -> None:
    """Replace complex parameters, and what belongs to them, by real views."""
    for index, param in enumerate(params):
        if torch.is_complex(param):
            for column in (params, *state_and_grads):
                column[index] = torch.view_as_real(column[index])


def _default_to_fused_or_foreach(
    params: list[torch.Tensor], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Return (False, False): every step here is a fused one already, by default."""
    return False, False


def _stack_if_compiling(x: Any) -> Any:
    return x


def _disable_dynamo_if_unsupported(single_tensor_fn: Callable | None = None) -> Callable:
    """Return a decorator that changes nothing, for optimizers written against PyTorch."""
    return lambda function: function


_params_doc = "params (iterable): parameters, named parameters, or dicts that define groups"
_foreach_doc = "foreach (bool, optional): accepted; the update is fused in any case"
_fused_doc = "fused (bool, optional): accepted; with it a GradScaler leaves unscaling to the step"
_capturable_doc = "capturable (bool, optional): keep counters on the device"
_differentiable_doc = "differentiable (bool, optional): record the step for autograd"
_maximize_doc = "maximize (bool, optional): ascend instead of descending"
