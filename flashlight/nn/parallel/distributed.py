"""DistributedDataParallel in a group of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flashlight as torch
from flashlight.nn.modules import Module

from .scatter_gather import gather

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Wraps `module` under the name ``module``, as checkpoints expect, and calls it.

    Raises ValueError before ``torch.distributed.init_process_group``, RuntimeError in a group
    of several processes, whose gradients would have to be averaged, or for a module without
    parameters to train. The settings of that averaging are taken and not used.
    """

    def __init__(
        self,
        module: Module,
        device_ids=None,
        output_device=None,
        dim=0,
        broadcast_buffers=None,
        init_sync=True,
        process_group=None,
        bucket_cap_mb=None,
        find_unused_parameters=False,
        check_reduction=False,
        gradient_as_bucket_view=False,
        static_graph=False,
        delay_all_reduce_named_params=None,
        param_to_hook_all_reduce=None,
        mixed_precision=None,
        device_mesh=None,
        skip_all_reduce_unused_params=False,
        bucket_cap_mb_list: list[int] | None = None,
        batched_grad_copy=False,
        forward_sync_buffers: bool | None = None,
    ) -> None:
        super().__init__()
        _check_group(process_group)
        if not any(param.requires_grad for param in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any "
                "parameters that require a gradient."
            )
        self.module = module
        self.device_ids = None
        self.output_device = output_device
        self.dim = dim
        self.process_group = process_group
        self.broadcast_buffers = broadcast_buffers is not False
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Don't average gradients inside; alone, there is nothing to average."""
        previous = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = previous

    @contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Iterator[DistributedDataParallel]:
        """Allow processes to have different numbers of batches; alone, they are equal."""
        yield self

    def will_sync_module_buffers(self) -> bool:
        """Tell whether buffers are sent to other processes."""
        return False

    def register_comm_hook(self, state: object, hook) -> None:
        """Refuse: alone, there is no communication to replace."""
        raise RuntimeError(
            "register_comm_hook: a group of one process does not communicate; process the "
            "gradients with Tensor.register_post_accumulate_grad_hook instead"
        )

    def scatter(self, inputs, kwargs, device_ids):
        """Return the arguments for the one device, in tuples of length one."""
        return (inputs,), (kwargs,)

    to_kwargs = scatter

    def gather(self, outputs, output_device):
        """Put the parts of outputs together along `dim`."""
        return gather(outputs, output_device, dim=self.dim)


def _check_group(process_group: Any) -> None:
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    size = distributed.get_world_size(process_group)
    if size > 1:
        raise RuntimeError(
            f"DistributedDataParallel runs in a group of one process, not of {size}: average "
            "the gradients with torch.distributed.all_reduce after backward() instead"
        )
