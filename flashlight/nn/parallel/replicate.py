"""Copies of a module that compute with its parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import flashlight as torch
from flashlight.nn.modules import Module

__all__ = ["replicate"]


def replicate(
    network: Module, devices: Sequence[int | torch.device], detach: bool = False
) -> list[Module]:
    """Return a copy of `network` for each of `devices`.

    Gradients of a copy's parameters flow into those of `network`, unless `detach`.
    """
    return [_replica(network, detach) for _ in devices]


def _replica(network: Module, detach: bool) -> Module:
    copies: dict[torch.Tensor, torch.Tensor] = {}

    def copy_of(tensor: torch.Tensor) -> torch.Tensor:
        if tensor not in copies:
            copies[tensor] = tensor.detach() if detach else tensor.view_as(tensor)
        return copies[tensor]

    replicas = {module: module._replicate_for_data_parallel() for module in network.modules()}
    for module, replica in replicas.items():
        replica._former_parameters = OrderedDict()
        for name, child in module._modules.items():
            replica._modules[name] = None if child is None else replicas[child]
        for name, param in module._parameters.items():
            if param is None:
                replica._parameters[name] = None
                continue
            # A plain attribute: it is no leaf, and no optimizer may find it.
            setattr(replica, name, copy_of(param))
            replica._former_parameters[name] = copy_of(param)
        for name, buffer in module._buffers.items():
            replica._buffers[name] = None if buffer is None else copy_of(buffer)
    return replicas[network]
