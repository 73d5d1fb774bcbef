"""Modules as functions of their parameters, for the transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flashlight as torch
from flashlight import Tensor, nn
from flashlight.nn.modules.batchnorm import _BatchNorm
from flashlight.nn.utils.stateless import _functional_call


def functional_call(
    module: nn.Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with the tensors given by name in place of its parameters and buffers.

    Several dictionaries must not name the same tensor. Raises ValueError if they do, or for other
    than dictionaries; with `strict` RuntimeError for missing or unknown names.
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        given = {}
        if not all(isinstance(d, dict) for d in parameter_and_buffer_dicts):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        for each in parameter_and_buffer_dicts:
            twice = given.keys() & each.keys()
            if twice:
                raise ValueError(
                    f"{sorted(twice)} appeared in multiple dictionaries; behavior of functional "
                    "call is ambiguous"
                )
            given.update(each)
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(
    models: Sequence[nn.Module] | nn.ModuleList,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the models' parameters and buffers by name, those of all models stacked.

    Raises RuntimeError for no models, or for models of different classes or modes.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = _stacked([dict(m.named_parameters()) for m in models])
    buffers = _stacked([dict(m.named_buffers()) for m in models])
    return parameters, buffers


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    made = {}
    for name in states[0]:
        tensors = [state[name] for state in states]
        needs_grad = [t.requires_grad for t in tensors]
        if any(needs_grad) and not all(needs_grad):
            raise RuntimeError(
                f"Expected {name} from each model to have the same .requires_grad"
            )
        stacked = torch.stack([t.detach() for t in tensors])
        made[name] = stacked.requires_grad_(needs_grad[0])
    return made


def replace_all_batch_norm_modules_(root: nn.Module) -> nn.Module:
    """Let the batch norms in `root` keep no running statistics, in place, and return it."""
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return root


