"""Parameters as one long vector."""

from __future__ import annotations

from collections.abc import Iterable

import flashlight as torch
from flashlight import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Concatenate the parameters, flattened; differentiable.

    Raises TypeError if they are on different devices.
    """
    parameters = list(parameters)
    _check_devices(parameters)
    return torch.cat([param.view(-1) for param in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters views of `vec`, one after the other.

    Raises TypeError if they are on different devices or `vec` is no tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {torch.typename(vec)}")
    parameters = list(parameters)
    _check_devices(parameters)
    start = 0
    for param in parameters:
        end = start + param.numel()
        param.data = vec[start:end].view_as(param).data
        start = end


def _check_devices(parameters: list[Tensor]) -> None:
    if len({param.get_device() for param in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
