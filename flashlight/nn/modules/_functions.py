"""Autograd functions that modules need and users do not call."""

from __future__ import annotations

from flashlight.autograd.function import Function
from flashlight.nn import functional as F


class BackwardHookFunction(Function):
    """The identity on several tensors: one node for hooks to see all their gradients at once."""

    @staticmethod
    def forward(ctx, *args):
        ctx.mark_non_differentiable(*[arg for arg in args if not arg.requires_grad])
        return args

    @staticmethod
    def backward(ctx, *args):
        return args


class CrossMapLRN2d(Function):
    """The response normalisation of Lua Torch, with its two oddities, which old weights know.

    From channel ``(size + 1) / 2`` on the sum of squares still holds that of channel 0, and the
    gradient sums over the channels before and at each one, not on both sides of it.
    """

    @staticmethod
    def forward(ctx, input, size, alpha=1e-4, beta=0.75, k=1):
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        channels = input.size(1)
        reach = int((size - 1) / 2)
        square = input * input
        padded = F.pad(square, (0, 0, 0, 0, reach, reach))
        total = sum(padded.narrow(1, start, channels) for start in range(2 * reach + 1))
        if channels > reach + 1:
            total.narrow(1, reach + 1, channels - reach - 1).add_(square.narrow(1, 0, 1))
        scale = total * (alpha / size) + k
        output = input * scale.pow(-beta)
        ctx.save_for_backward(input, output, scale)
        ctx.size, ctx.alpha, ctx.beta = size, alpha, beta
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, output, scale = ctx.saved_tensors
        size, channels = ctx.size, input.size(1)
        before = int(size - (size - 1) / 2)
        ratio = F.pad(grad_output * output / scale, (0, 0, 0, 0, before, size - 1 - before))
        total = sum(ratio.narrow(1, start, channels) for start in range(size))
        factor = 2 * ctx.alpha * ctx.beta / size
        grad_input = grad_output * scale.pow(-ctx.beta) - factor * input * total
        return grad_input, None, None, None, None
