"""An optimizer that works on other parameters and another state for a while."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from flashlight import Tensor
from flashlight.optim.optimizer import Optimizer

_NAME = "swap_in_optimizer_params_and_state"


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Tensor],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """Let `optimizer` work on the given parameters and ``state_dict`` inside a `with`.

    The tensors given are changed in place; what else the optimizer would store is dropped.
    Raises RuntimeError if the two do not have the optimizer's structure.
    """
    state, groups = _checked(optimizer, swapin_optim_state)
    parameters = list(swapin_parameters.values())
    positions: list[int] = [position for group in groups for position in group["params"]]
    if len(parameters) < len(positions):
        raise RuntimeError(
            f"{_NAME} requires the explicit parameter state to match optimizer.param_groups "
            "ordering."
        )
    surplus = [key for key in state if key not in positions]
    if surplus:
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be keyed only by packed parameter "
            f"ids from param_groups[*]['params']; got extra keys {surplus!r}."
        )
    saved_state = optimizer.state
    saved_groups = [dict(group) for group in optimizer.param_groups]
    swapped: defaultdict[Any, dict] = defaultdict(dict)
    for position, parameter in zip(positions, parameters):
        swapped[parameter] = dict(state.get(position, {}))
    try:
        optimizer.state = swapped
        remaining = iter(parameters)
        for live, group in zip(optimizer.param_groups, groups, strict=True):
            live.update(group)
            live["params"] = [next(remaining) for _ in group["params"]]
        yield
    finally:
        optimizer.state = saved_state
        for live, saved in zip(optimizer.param_groups, saved_groups, strict=True):
            live.clear()
            live.update(saved)


def _checked(optimizer: Optimizer, state_dict: Any) -> tuple[dict[Any, Any], list[dict]]:
    """Return state and groups of a state dict that has the structure of the optimizer's."""
    if not optimizer.state:
        raise RuntimeError(f"{_NAME} requires initialized optimizer state.")
    if not isinstance(state_dict, dict):
        raise RuntimeError(f"{_NAME} requires a DCP-style optimizer state_dict.")
    state, groups = state_dict.get("state"), state_dict.get("param_groups")
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be a dict mapping packed parameter "
            f"ids to per-param state dicts, got {type(state).__name__}."
        )
    if any(isinstance(key, Tensor) for key in state):
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style state keyed by packed parameter ids."
        )
    if any(isinstance(key, int) and not isinstance(value, dict) for key, value in state.items()):
        raise RuntimeError(
            f"{_NAME} requires per-parameter optimizer state entries to be dictionaries."
        )
    if not isinstance(groups, list):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['param_groups'] to be a list of param-group "
            f"dicts, got {type(groups).__name__}."
        )
    if len(groups) != len(optimizer.param_groups):
        raise RuntimeError(
            "swapin_optim_state has a different number of parameter groups than the live optimizer."
        )
    for index, (live, group) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check_group(index, live, group)
    return state, groups


def _check_group(index: int, live: dict[str, Any], group: Any) -> None:
    if not isinstance(group, dict):
        raise RuntimeError(f"{_NAME} requires each optimizer param group to be a dictionary.")
    positions = group.get("params")
    if not isinstance(positions, list) or not all(isinstance(each, int) for each in positions):
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param_groups[*]['params'] entries "
            "keyed by packed parameter ids."
        )
    if len(live["params"]) != len(positions):
        raise RuntimeError(
            f"swapin_optim_state param group {index} has a different number of params than the "
            "live optimizer param group."
        )
    if group.keys() != live.keys():
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param group keys to exactly match the "
            f"live optimizer group keys for group {index}. "
            f"Keys only in swap-in: {[key for key in group if key not in live]}. "
            f"Keys only in live: {[key for key in live if key not in group]}."
        )
