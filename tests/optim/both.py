"""The same optimization in PyTorch and in flashlight, for comparison."""

from __future__ import annotations

import numpy as np
import torch

import flashlight


def parameters(module, dtype="float32", shapes=((3, 4), (5, 1))):
    """Return leaves with the same values in either library."""
    generator = np.random.RandomState(0)
    made = []
    for shape in shapes:
        values = generator.randn(*shape)
        if dtype == "complex64":
            values = values + 1j * generator.randn(*shape)
        tensor = module.tensor(values.astype("complex64" if dtype == "complex64" else "float64"))
        made.append(tensor.to(getattr(module, dtype)).requires_grad_())
    return made


def set_gradients(params, step=0):
    """Give each parameter the gradient of a fixed bowl, which differs from step to step."""
    for index, param in enumerate(params):
        value = param.detach()
        param.grad = (value - index - 1) * (0.5 + 0.1 * index + 0.01 * step)


def to_numpy(tensor):
    """Return a tensor of either library as an array (bfloat16 as float32)."""
    tensor = tensor.detach()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return np.array(tensor.numpy())


def descend(module, optimizer, params, steps=6):
    """Step `steps` times; return the parameters after each."""
    history = []
    for step in range(steps):
        set_gradients(params, step)
        optimizer.step()
        history.append([to_numpy(param) for param in params])
    return history


def trained(name, options, dtype="float32", steps=6):
    """Return PyTorch's and flashlight's histories with the same options."""
    results = []
    for module in (torch, flashlight):
        params = parameters(module, dtype)
        optimizer = getattr(module.optim, name)(params, **options)
        results.append(descend(module, optimizer, params, steps))
    return results


def assert_histories_match(expected, actual, rtol, atol=1e-7):
    for step, (left, right) in enumerate(zip(expected, actual, strict=True)):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=atol, err_msg=f"step {step}")
