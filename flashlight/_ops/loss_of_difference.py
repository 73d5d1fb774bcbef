"""Losses of the difference between input and target: one node each, whatever the reduction."""

from __future__ import annotations

import math

import mlx.core as mx

from .._core.dtype import FLOATING, bfloat16, float16, float32
from .._kernels import reduction as kernels
from .arithmetic import clamp
from .conversion import as_dtype
from .kinds import SAME, primitive


def _of_difference(name, element, slope, scale=1, single=(), single_gradient=False):
    """A loss of (input, target, reduction, bound), from that of a difference and its slope.

    In half precision PyTorch's kernels round after each step, but for the losses of dtypes in
    `single` and the gradients with `single_gradient`.
    """

    def body(input: mx.array, target: mx.array, reduction, bound=None) -> mx.array:
        """Reduce the losses of the differences."""
        dtype = input.dtype
        if dtype in single:
            input, target = input.astype(mx.float32), target.astype(mx.float32)
        losses = element(input - target, bound).astype(dtype)
        if reduction == "none":
            return losses
        reduce = kernels.mean if reduction == "mean" else kernels.sum
        return reduce(losses, tuple(range(losses.ndim)))

    def gradient(grad, input, target, reduction, bound, scale):
        factor = scale / (input.numel() or math.nan) if reduction == "mean" else scale
        if grad.dtype in (float16, bfloat16):
            if single_gradient:
                input, target, grad = (as_dtype(x, float32) for x in (input, target, grad))
            else:
                factor = grad.new_full((), factor)
        return factor * slope(input - target, bound) * grad

    def toward_input(grad, input, target, reduction, bound):
        return gradient(grad, input, target, reduction, bound, scale)

    def toward_target(grad, input, target, reduction, bound):
        return gradient(grad, input, target, reduction, bound, -scale)

    kernel = name.removesuffix("_loss") + "_cpu"
    loss = primitive(body, name=name, promote=SAME, dtypes=FLOATING, kernel=kernel)
    loss.gradients(input=toward_input, target=toward_target)
    return loss


def _smooth_l1_element(difference, beta):
    size = mx.abs(difference)
    return mx.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def _huber_element(difference, delta):
    size = mx.abs(difference)
    return mx.where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta))


mse_loss = _of_difference("mse_loss", lambda x, _: x * x, lambda x, _: x, scale=2)
smooth_l1_loss = _of_difference(
    "smooth_l1_loss",
    _smooth_l1_element,
    lambda x, beta: clamp(x, -beta, beta) / beta,
    single=(mx.bfloat16,),
    single_gradient=True,
)
huber_loss = _of_difference(
    "huber_loss",
    _huber_element,
    lambda x, delta: clamp(x, -delta, delta),
    single=(mx.float16,),
)
