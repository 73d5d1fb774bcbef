"""`Variable`, PyTorch's former name of tensors with history."""

from __future__ import annotations

from .._core.tensor import Tensor


class _IsTensor(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, Tensor)


class Variable(metaclass=_IsTensor):
    """`Variable(tensor, requires_grad)` returns a tensor; `isinstance` asks for a tensor."""

    def __new__(cls, data, requires_grad=False, volatile=None):
        return data.detach().requires_grad_(requires_grad) if requires_grad else data
