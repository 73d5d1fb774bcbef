"""Operations as modules, as models have them that are to be quantised elsewhere."""

from __future__ import annotations

import flashlight as torch
from flashlight import Tensor
from flashlight.nn.modules import Identity, Module

__all__ = ["FloatFunctional", "FXFloatFunctional"]


class FXFloatFunctional(Module):
    """Operations to call in place of those of torch; RuntimeError if called itself."""

    def forward(self, x):
        raise RuntimeError(
            "FloatFunctional is not intended to use the 'forward'. Please use the underlying "
            "operation"
        )

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y"""
        return torch.add(x, y)

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """x + y for a number y"""
        return torch.add(x, y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x · y"""
        return torch.mul(x, y)

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """x · y for a number y"""
        return torch.mul(x, y)

    def cat(self, x: list[Tensor], dim: int = 0) -> Tensor:
        """The tensors one after the other along `dim`"""
        return torch.cat(x, dim=dim)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """relu(x + y)"""
        return torch.nn.functional.relu(torch.add(x, y))

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """The matrix product"""
        return torch.matmul(x, y)


class FloatFunctional(FXFloatFunctional):
    """The same with a child, `activation_post_process`, that sees the results of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.activation_post_process = Identity()

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y"""
        return self.activation_post_process(super().add(x, y))

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x · y"""
        return self.activation_post_process(super().mul(x, y))

    def cat(self, x: list[Tensor], dim: int = 0) -> Tensor:
        """The tensors one after the other along `dim`"""
        return self.activation_post_process(super().cat(x, dim))

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """relu(x + y)"""
        return self.activation_post_process(super().add_relu(x, y))

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """The matrix product"""
        return self.activation_post_process(super().matmul(x, y))
