"""Calling a module with other parameters than its own."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import flashlight as torch
from flashlight import Tensor

from ._named_member_accessor import NamedMemberAccessor

__all__ = ["functional_call"]


def _untie_named_tensors_map(module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `given`, with each tensor also under the other names that the module knows it by.

    Raises ValueError if two names of one tensor are given different ones.
    """
    named = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    names_of: dict[Tensor, list[str]] = {}
    for name, tensor in named.items():
        names_of.setdefault(tensor, []).append(name)
    untied = dict(given)
    for names in names_of.values():
        values = [given[name] for name in names if name in given]
        if len(names) == 1 or not values:
            continue
        if any(value is not values[0] for value in values):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                "Consider using tie_weights=False"
            )
        untied.update(dict.fromkeys(names, values[0]))
    return untied


@contextlib.contextmanager
def _reparametrize_module(
    module,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
):
    """Put the given tensors into `module`, and its own back at the end.

    What the forward then put in their places goes into `parameters_and_buffers`.
    """
    given = parameters_and_buffers
    if tie_weights:
        given = _untie_named_tensors_map(module, parameters_and_buffers)
    accessor = NamedMemberAccessor(module)
    if strict:
        _check_keys(module, accessor, given)
    own: dict[str, Tensor] = {}
    try:
        own, _ = accessor.swap_tensors_dict(given, allow_missing=True)
        yield
    finally:
        if stack_weights:
            own = dict(reversed(own.items()))
        now, _ = accessor.swap_tensors_dict(own, allow_missing=True)
        for name in parameters_and_buffers:
            if name in now:
                parameters_and_buffers[name] = now[name]


def _check_keys(module, accessor: NamedMemberAccessor, given: dict[str, Tensor]) -> None:
    missing, unexpected = accessor.check_keys(given)
    problems = [
        f"{kind} key(s): {', '.join(map(repr, keys))}."
        for kind, keys in (("Unexpected", unexpected), ("Missing", missing))
        if keys
    ]
    if problems:
        listed = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{listed}")


def functional_call(
    module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    """Call `module` with the given tensors for its parameters and buffers; deprecated.

    ``torch.func.functional_call`` does the same.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be "
        "removed in a future version of PyTorch. Please use `torch.func.functional_call` instead "
        "which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def _functional_call(
    module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
):
    if isinstance(module, torch.nn.DataParallel):
        raise RuntimeError("The stateless API can't be used with nn.DataParallel module")
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
