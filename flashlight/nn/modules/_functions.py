"""Autograd functions that modules need and users do not call."""

from __future__ import annotations

from flashlight.autograd.function import Function


class BackwardHookFunction(Function):
    """The identity on several tensors: one node for hooks to see all their gradients at once."""

    @staticmethod
    def forward(ctx, *args):
        ctx.mark_non_differentiable(*[arg for arg in args if not arg.requires_grad])
        return args

    @staticmethod
    def backward(ctx, *args):
        return args
