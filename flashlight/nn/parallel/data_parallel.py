"""DataParallel: with a single device, the module itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flashlight as torch
from flashlight.nn.modules import Module

from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Wraps `module` under the name ``module``, as checkpoints expect, and calls it.

    PyTorch does the same where it finds no device, or only Metal; `device_ids` and the rest
    are taken and not used.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[int | torch.device] | None = None,
        output_device: int | torch.device | None = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids: list[int] = []
        self.output_device = output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    def replicate(self, module: Module, device_ids: Sequence[int | torch.device]) -> list[Module]:
        """Return a copy of `module` for each device, sharing its parameters."""
        return replicate(module, device_ids, not torch.is_grad_enabled())

    def scatter(
        self,
        inputs: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        device_ids: Sequence[int | torch.device],
    ) -> Any:
        """Split the tensors in arguments along `dim`, one part a device."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def parallel_apply(self, replicas: Sequence[Module], inputs: Sequence[Any], kwargs: Any):
        """Call each replica with its arguments."""
        return parallel_apply(replicas, inputs, kwargs)

    def gather(self, outputs: Any, output_device: int | torch.device) -> Any:
        """Put the parts of outputs together along `dim`."""
        return gather(outputs, output_device, dim=self.dim)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[int | torch.device] | None = None,
    output_device: int | torch.device | None = None,
    dim: int = 0,
    module_kwargs: Any | None = None,
) -> Any:
    """Call `module` with `inputs`, a tuple or a single value."""
    if not isinstance(inputs, tuple):
        inputs = () if inputs is None else (inputs,)
    return module(*inputs, **(module_kwargs or {}))
