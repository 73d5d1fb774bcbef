"""Loss functions."""

from __future__ import annotations

import math
import warnings

import mlx.core as mx

from .._core.dtype import FLOATING, SCALAR_TYPE_NAME, int64, uint8
from .._core.errors import broadcast_shapes
from .._core.evaluation import is_traced
from .._core.tensor import Tensor
from .._kernels import reduction as kernels
from . import loss_of_difference as differences
from .activation import _log_softmax, logsigmoid
from .arithmetic import clamp
from .conversion import as_dtype
from .kinds import composite, primitive
from .pointwise import exp, log, log1p, where
from .reduction import mean, sum, vector_norm
from .shape import broadcast_tensors

REDUCTIONS = ("none", "mean", "sum")


def reduction_of(reduction, size_average=None, reduce=None) -> str:
    """Return the reduction meant by the present and the two deprecated arguments.

    Raises ValueError for unknown names.
    """
    if size_average is not None or reduce is not None:
        average = True if size_average is None else size_average
        whole = True if reduce is None else reduce
        reduction = "none" if not whole else "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' "
            "instead.",
            stacklevel=4,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def finish(loss, reduction):
    """Return the loss of each element, their mean or their sum."""
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def _warn_sizes(name, input, target):
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,
        )


def _weighted(loss, weight, reduction):
    """Apply elementwise weights; the mean divides by the number of elements."""
    if weight is not None:
        if weight.shape != loss.shape:
            raise ValueError("Inputs and weights must have the same size.")
        loss = loss * weight
        if reduction == "mean":
            return sum(loss) / sum(weight)
    return finish(loss, reduction)


@composite
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The squared difference."""
    reduction = reduction_of(reduction, size_average, reduce)
    _warn_sizes("mse_loss", input, target)
    input, target = broadcast_tensors(input, target)
    if weight is None:
        return differences.mse_loss(input, target, reduction)
    return _weighted(differences.mse_loss(input, target, "none"), weight, reduction)


@composite
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The absolute difference."""
    reduction = reduction_of(reduction, size_average, reduce)
    _warn_sizes("l1_loss", input, target)
    input, target = broadcast_tensors(input, target)
    return _weighted((input - target).abs(), weight, reduction)


@composite
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """The squared difference over 2·beta where it is below beta, the absolute one minus beta / 2
    elsewhere.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _warn_sizes("smooth_l1_loss", input, target)
    input, target = broadcast_tensors(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return finish((input - target).abs(), reduction)
    return differences.smooth_l1_loss(input, target, reduction, beta)


@composite
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Half the squared difference where it is below delta, delta·(|difference| - delta / 2)
    elsewhere.
    """
    reduction_of(reduction)
    _warn_sizes("huber_loss", input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    input, target = broadcast_tensors(input, target)
    if weight is None:
        return differences.huber_loss(input, target, reduction, delta)
    return _weighted(differences.huber_loss(input, target, "none", delta), weight, reduction)


@composite
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The Kullback-Leibler divergence of `input` (logarithms) from `target`, element by element."""
    if reduction == "batchmean" and size_average is None and reduce is None:
        kind = "batchmean"
    else:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size.'batchmean' divides only by the batch size, and aligns with the KL div "
                "math definition.'mean' will be changed to behave the same as 'batchmean' in the "
                "next major release.",
                stacklevel=3,
            )
        kind = reduction_of(reduction, size_average, reduce)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        from .special import xlogy
        product = target * input  # first, as in PyTorch: gradients add up in the opposite order
        loss = xlogy(target, target) - product
    if kind == "batchmean":
        return sum(loss) / input.shape[0] if input.ndim else sum(loss)
    return finish(loss, kind)


# ----- classes -----


@primitive(name="nll_loss", node="NllLoss", dtypes=None)
def _nll(
    input: mx.array, target: mx.array, weight: mx.array | None, reduction, ignore_index
) -> mx.array:
    """Minus the entry of `input`, (N, C, …), that `target`, (N, …), names, weighted by class."""
    chosen, factor = _pick(input, target, weight, ignore_index)
    loss = -(chosen * factor)
    if reduction == "none":
        return loss
    total = _accurate_sum(loss)
    if reduction == "sum":
        return total
    return total / _accurate_sum(factor)


def _accurate_sum(array):
    return kernels.sum(array, tuple(range(array.ndim)))


def _pick(input, target, weight, ignore_index):
    valid = target != ignore_index
    safe = mx.where(valid, target, mx.zeros_like(target))
    chosen = mx.take_along_axis(input, mx.expand_dims(safe, 1), axis=1).squeeze(1)
    factor = valid.astype(input.dtype)
    if weight is not None:
        factor = factor * mx.take(weight, safe).astype(input.dtype)
    return mx.where(valid, chosen, mx.zeros_like(chosen)), factor


@primitive(name="nll_loss_backward")
def _nll_backward(
    input: mx.array, target: mx.array, weight: mx.array | None, shape, reduction, ignore_index
) -> mx.array:
    """Spread the gradient `input` of a loss over the entries that targets name."""
    classes = mx.arange(shape[1]).reshape([-1 if d == 1 else 1 for d in range(len(shape))])
    valid = target != ignore_index
    factor = valid.astype(input.dtype)
    if weight is not None:
        factor = factor * mx.take(weight, mx.where(valid, target, mx.zeros_like(target))).astype(
            input.dtype
        )
    scaled = input * factor
    if reduction == "mean":
        scaled = scaled / _accurate_sum(factor)
    hit = mx.expand_dims(target, 1) == classes
    return mx.where(hit, mx.expand_dims(-scaled, 1), mx.zeros((), input.dtype))


_nll.gradients(
    input=lambda grad, input_shape, target, weight, reduction, ignore_index: _nll_backward(
        grad, target, weight, tuple(input_shape), reduction, ignore_index
    )
)


def _check_classes(target, classes, ignore_index):
    """Raise IndexError for a class that is not there: MLX would read any memory."""
    from .._core.tensor import read
    array = read(target)
    if array.size == 0 or is_traced(array):
        return
    bad = ((array < 0) | (array >= classes)) & (array != ignore_index)
    if bool(mx.any(bad).item()):
        wrong = next(
            v for v in array.reshape(-1).tolist() if not 0 <= v < classes and v != ignore_index
        )
        raise IndexError(f"Target {wrong} is out of bounds.")


def _class_target(target, name):
    if target.dtype is not int64 and target.dtype is not uint8:
        raise RuntimeError("expected target dtype to be Long or Byte, but got "
                           f"{SCALAR_TYPE_NAME[target.dtype]}")
    return as_dtype(target, int64)


@composite
def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):
    """The negative log likelihood: minus the entry of `input`, (C), (N, C) or (N, C, …), that
    `target` names.

    Raises IndexError for classes that are not there (unless `ignore_index`).
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.dtype not in FLOATING:
        from .._core.errors import not_implemented_for
        raise not_implemented_for("nll_loss_out_frame", input.dtype)
    single = input.ndim == 1
    if single:
        if target.ndim > 1:
            raise RuntimeError("1D target tensor expected, multi-target not supported")
        input, target = input.unsqueeze(0), target.reshape(1)
    if (
        target.ndim != input.ndim - 1
        or input.shape[0] != target.shape[0]
        or input.shape[2:] != target.shape[1:]
    ):
        if input.shape[0] != (target.shape[0] if target.ndim else 0):
            raise ValueError(
                f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                f"({target.shape[0] if target.ndim else 0})."
            )
        if input.ndim == 2:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        raise RuntimeError(
            f"only batches of spatial targets supported ({input.ndim - 1}D tensors) but got "
            f"targets of size: : {list(target.shape)}; expected size "
            f"{list(input.shape[:1] + input.shape[2:])}"
        )
    target = _class_target(target, "nll_loss")
    if weight is not None and (weight.ndim != 1 or weight.numel() != input.shape[1]):
        raise RuntimeError(
            f"weight tensor should be defined either for all {input.shape[1]} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"expected scalar type {SCALAR_TYPE_NAME[input.dtype]} but found "
                           f"{SCALAR_TYPE_NAME[weight.dtype]}")
    _check_classes(target, input.shape[1], ignore_index)
    loss = _nll(input, target, weight, reduction, ignore_index)
    return loss.reshape(()) if single and reduction == "none" else loss


@composite
def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """The cross entropy of logits, (C), (N, C) or (N, C, …), with class indices or class
    probabilities.

    Raises IndexError for classes that are not there (unless `ignore_index`).
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.ndim == 0:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    axis = 0 if input.ndim == 1 else 1
    if input.shape == target.shape and target.dtype.category >= 2:
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _soft_targets(input, target, weight, reduction, label_smoothing, axis)
    if input.shape == target.shape:
        raise RuntimeError("Expected floating point type for target with class probabilities, got "
                           f"{SCALAR_TYPE_NAME[target.dtype]}")
    scores = _log_softmax(input, axis)
    loss = nll_loss(scores, target, weight, None, ignore_index, None, reduction)
    if label_smoothing == 0:
        return loss
    return loss * (1 - label_smoothing) + _smooth(
        scores, target, weight, reduction, ignore_index, axis
    ) * (label_smoothing / input.shape[axis])


def _smooth(scores, target, weight, reduction, ignore_index, axis):
    """The loss against the uniform distribution."""
    shaped = scores
    if weight is not None:
        shaped = scores * weight.reshape([-1 if d == axis else 1 for d in range(scores.ndim)])
    smooth = -sum(shaped, axis)
    ignored = target == ignore_index
    smooth = smooth.masked_fill(ignored, 0)
    if reduction == "none":
        return smooth
    if reduction == "sum":
        return sum(smooth)
    if weight is not None:
        safe = target.masked_fill(ignored, 0)
        return sum(smooth) / sum(
            weight.index_select(0, safe.reshape(-1)).masked_fill(ignored.reshape(-1), 0)
        )
    return sum(smooth) / sum(ignored.logical_not()).to(smooth.dtype)


def _soft_targets(input, target, weight, reduction, label_smoothing, axis):
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    scores = _log_softmax(input, axis)
    if weight is not None:
        scores = scores * weight.reshape([-1 if d == axis else 1 for d in range(scores.ndim)])
    loss = -(scores * target)
    if reduction == "none":
        return sum(loss, axis)
    total = sum(loss)
    if reduction == "sum":
        return total
    return total / (input.numel() // input.shape[axis]) if input.ndim > 1 else total


# ----- probabilities -----


@composite
def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """The negative log likelihood of a Poisson distribution; `full` adds Stirling's term."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        root = 0.5 * log(2 * math.pi * target)  # first, as in PyTorch: see `kl_div`
        loss = loss + (target * log(target) - target + root).masked_fill(target <= 1, 0)
    return finish(loss, reduction)


@composite
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """The negative log likelihood of normal distributions with variance `var` (at least eps)."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * input.new_ones(input.shape)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1) and not _broadcasts(
            var, input
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not valid")
    from .._core.tensor import read
    if not is_traced(read(var)) and bool((var < 0).any().item()):
        raise ValueError("var has negative entry/entries")
    limited = var + (clamp(var.detach(), min=eps) - var.detach())
    loss = 0.5 * (log(limited) + (input - target) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return finish(loss, reduction)


def _broadcasts(var, input):
    try:
        return broadcast_shapes(tuple(var.shape), tuple(input.shape)) == tuple(input.shape)
    except RuntimeError:
        return False


# ----- margins -----


@composite
def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """input where target is 1, max(0, margin - input) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    negative = clamp(margin - input, min=0)
    loss = where(target != 1, negative, 0.0) + where(target != -1, input, 0.0)
    return finish(loss.to(input.dtype), reduction)


@composite
def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """max(0, -target·(input1 - input2) + margin)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return finish(clamp(-target * (input1 - input2) + margin, min=0), reduction)


@composite
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target·input))."""
    reduction = reduction_of(reduction, size_average, reduce)
    broadcast_shapes(tuple(input.shape), tuple(target.shape))
    return finish(log1p(exp(-target * input)), reduction)


@composite
def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    dims = target.ndim
    if dims not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != dims + 1 or input2.ndim != dims + 1:
        raise RuntimeError(
            f"{dims}D target tensor expects {dims + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    axis = dims
    product = sum(input1 * input2, axis)
    eps = 1e-12
    size1, size2 = sum(input1 * input1, axis) + eps, sum(input2 * input2, axis) + eps
    cosine = product / (size1 * size2).sqrt()
    loss = where(target == 1, 1 - cosine, 0.0) + where(
        target == -1, clamp(cosine - margin, min=0), 0.0
    )
    return finish(loss, reduction)


def _margin_targets(name, input, target):
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    labels = target.reshape(1, -1) if input.ndim < 2 else target
    if input.ndim > 2 or input.ndim == 2 and 0 in input.shape[1:]:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    return rows, labels


@composite
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The hinge between every listed class and every other; `target` lists classes up to the first
    -1.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rows, labels = _margin_targets("multilabel_margin_loss", input, target)
    if labels.shape != rows.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if labels.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {SCALAR_TYPE_NAME[labels.dtype]}")
    n = rows.shape[1]
    _check_classes(labels, n, -1)
    listed = (labels == -1).cumsum(1) == 0
    safe = labels.masked_fill(listed.logical_not(), 0)
    is_target = rows.new_zeros(rows.shape).scatter_add(1, safe, listed.to(rows.dtype)) > 0
    at = rows.gather(1, safe)
    gap = clamp(1 - (at.unsqueeze(2) - rows.unsqueeze(1)), min=0)
    keep = listed.unsqueeze(2) & is_target.logical_not().unsqueeze(1)
    loss = sum(gap.masked_fill(keep.logical_not(), 0), (1, 2)) / n
    loss = loss.reshape(()) if input.ndim < 2 else loss
    return finish(loss, reduction)


@composite
def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The mean over classes of the cross entropy of sigmoid(input) with 0-1 targets."""
    reduction = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return finish(mean(loss, -1), reduction)


@composite
def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The hinge (to the power p) between the target class and every other, over the number of
    classes.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    if input.ndim > 2 or 0 in input.shape[1:]:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    labels = target.reshape(-1)
    if labels.numel() != rows.shape[0]:
        raise RuntimeError(
            f"inconsistent target size, expected {rows.shape[0]} but got {list(target.shape)}"
        )
    n = rows.shape[1]
    if weight is not None and weight.numel() != n:
        raise RuntimeError(f"inconsistent weight size, expected {n} but got {list(weight.shape)}")
    labels = _class_target(labels, "multi_margin_loss")
    _check_classes(labels, n, 1 << 62)
    at = rows.gather(1, labels.unsqueeze(1))
    gap = clamp(margin - at + rows, min=0)
    gap = gap * gap if p == 2 else gap
    if weight is not None:
        gap = gap * weight.index_select(0, labels).unsqueeze(1)
    own = rows.new_zeros(rows.shape).scatter(1, labels.unsqueeze(1), 1.0) > 0
    loss = sum(gap.masked_fill(own, 0), 1) / n
    if input.ndim < 2 and target.ndim == 0:
        loss = loss.reshape(())
    return finish(loss, reduction)


@composite
def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """max(0, |anchor - positive| - |anchor - negative| + margin), in the p-norm of the last
    dimension.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )

    def distance(a, b):
        return vector_norm(a - b + eps, float(p), (-1,))
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return finish(clamp(margin + near - far, min=0), reduction)


@composite
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """`triplet_margin_loss` with any distance."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )
    if distance_function is None:
        from .distance import pairwise_distance as distance_function
    near, far = distance_function(anchor, positive), distance_function(anchor, negative)
    if swap:
        far = far.minimum(distance_function(positive, negative))
    return finish(clamp(margin + near - far, min=0), reduction)


functional = {
    f.__name__: f
    for f in (
        mse_loss, l1_loss, smooth_l1_loss, huber_loss, kl_div, nll_loss, cross_entropy,
        poisson_nll_loss, gaussian_nll_loss, hinge_embedding_loss, margin_ranking_loss, soft_margin_loss,
        cosine_embedding_loss, multilabel_margin_loss, multilabel_soft_margin_loss,
        multi_margin_loss, triplet_margin_loss, triplet_margin_with_distance_loss,
    )
}

FUNCTIONS = {}
METHODS = {}
INPLACE = ()
