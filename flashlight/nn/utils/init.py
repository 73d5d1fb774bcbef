"""Making modules without spending time on initial values."""

from __future__ import annotations

import inspect

import flashlight as torch


def skip_init(module_cls, *args, **kwargs):
    """Make a module whose parameters are uninitialised: made on `meta`, then given memory.

    Raises RuntimeError unless `module_cls` is a Module class that takes `device`.
    """
    if not issubclass(module_cls, torch.nn.Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
