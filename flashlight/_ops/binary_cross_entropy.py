"""Cross entropies of probabilities, or of their logits, with targets in [0, 1].

Weights and the reduction belong to the operations: half types are rounded in PyTorch's order, which
weighs a gradient before it divides it by the number of elements.
"""

from __future__ import annotations

import mlx.core as mx

from .._core.dtype import FLOATING, SCALAR_TYPE_NAME
from .._core.errors import broadcast_shapes
from .._core.evaluation import is_traced, local
from .._kernels import reduction as reductions
from .activation import log_sigmoid_of, logsigmoid
from .arithmetic import clamp
from .kinds import composite, primitive
from .loss import reduction_of
from .pointwise import sigmoid
from .special import logit


def _reduced(loss: mx.array, weight, reduction) -> mx.array:
    loss = loss if weight is None else loss * weight
    if reduction == "none":
        return loss
    axes = tuple(range(loss.ndim))
    return reductions.mean(loss, axes) if reduction == "mean" else reductions.sum(loss, axes)


def _weighed(slope, weight, reduction):
    slope = slope if weight is None else slope * weight
    return slope / slope.numel() if reduction == "mean" else slope


def _check_constants(name, **constants):
    """Raise RuntimeError if one of these tensors needs a gradient: there are none for them."""
    for argument, tensor in constants.items():
        if tensor is not None and tensor.requires_grad and local.grad_enabled:
            raise RuntimeError(
                f"The function '{name}' is not differentiable with respect to argument "
                f"'{argument}'. This input cannot have requires_grad True."
            )


@primitive(name="binary_cross_entropy", dtypes=FLOATING, elementwise=True)
def _bce(
    input: mx.array, target: mx.array, weight: mx.array | None, reduction
) -> mx.array:
    """-(target·log(input) + (1 - target)·log(1 - input)), logarithms at least -100."""
    if not is_traced(input) and input.size and not bool(mx.all((input >= 0) & (input <= 1)).item()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    floor = mx.array(-100.0, input.dtype)
    made = (target - 1) * mx.maximum(mx.log1p(-input), floor) - target * mx.maximum(
        mx.log(input), floor
    )
    return _reduced(made, weight, reduction)


_bce.gradients(
    input=lambda grad, input, target, weight, reduction: _weighed(
        grad * (input - target) / clamp((1 - input) * input, min=1e-12), weight, reduction),
    target=lambda grad, input, weight, reduction: _weighed(
        grad * -logit(input), weight, reduction),
)


@composite
def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The cross entropy of probabilities with targets in [0, 1]. Raises ValueError if sizes differ.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype is not input.dtype:
        raise RuntimeError(
            f"Found dtype {SCALAR_TYPE_NAME[target.dtype]} but expected "
            f"{SCALAR_TYPE_NAME[input.dtype]}"
        )
    if weight is not None:
        broadcast_shapes(tuple(target.shape), tuple(weight.shape))
        _check_constants("binary_cross_entropy", weight=weight)
    return _bce(input, target, weight, reduction)


@primitive(name="binary_cross_entropy_with_logits", elementwise=True)
def _bce_of_logits(
    input: mx.array,
    target: mx.array,
    weight: mx.array | None,
    pos_weight: mx.array | None,
    reduction,
) -> mx.array:
    """-(target·log(sigmoid(input)) + (1 - target)·log(sigmoid(-input)))."""
    likelihood = log_sigmoid_of(input)
    if pos_weight is not None:
        likelihood = likelihood * ((pos_weight - 1) * target + 1)
    return _reduced((1 - target) * input - likelihood, weight, reduction)


def _logits_rule(grad, input, target, weight, pos_weight, reduction):
    if pos_weight is None:
        slope = (sigmoid(input) - target) * grad
    else:
        positive = pos_weight * target
        slope = ((positive + 1 - target) * sigmoid(input) - positive) * grad
    return _weighed(slope, weight, reduction)


def _targets_rule(grad, input, weight, pos_weight, reduction):
    slope = -input
    if pos_weight is not None:
        slope = logsigmoid(slope) - pos_weight * logsigmoid(input)
    return _weighed(slope * grad, weight, reduction)


_bce_of_logits.gradients(input=_logits_rule, target=_targets_rule)


@composite
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """The cross entropy of sigmoid(input) with targets, without overflow. Raises ValueError if
    sizes differ.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    _check_constants("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    return _bce_of_logits(input, target, weight, pos_weight, reduction)


functional = {
    f.__name__: f for f in (binary_cross_entropy, binary_cross_entropy_with_logits)
}
