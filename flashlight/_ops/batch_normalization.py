"""Batch and instance normalization, and their running statistics."""

from __future__ import annotations

import collections

import mlx.core as mx

from .._core.evaluation import local
from .._core.size import Size
from .._core.tensor import Tensor, read
from .._kernels import normalization as kernels
from .kinds import composite, primitive, store
from .normalization import check_parameters, sum_gradients

BatchNormalized = collections.namedtuple("BatchNormalized", ("output", "mean", "variance"))


def _seen_by_channel(parameter):
    return mx.reshape(kernels.widened(parameter), (1, -1, 1, 1))


@primitive(node="native_batch_norm", returns=BatchNormalized, channels_last=("input",))
def _batch_norm(
    input: mx.array, weight: mx.array | None, bias: mx.array | None, eps
) -> BatchNormalized:
    channels = kernels.grouped(input, input.shape[1])
    kept = input.dtype if weight is None else weight.dtype
    mean, variance = kernels.channel_moments(channels, kernels.BATCH, kept)
    # In half precision PyTorch uses the statistics as it keeps them.
    output = kernels.channel_norm(
        channels,
        kernels.rounded(mean, input, weight),
        kernels.rounded(mx.rsqrt(variance + eps), input, weight),
        weight,
        bias,
    )
    return mx.reshape(output, input.shape), mx.reshape(mean, (-1,)), mx.reshape(variance, (-1,))


@primitive(name="native_batch_norm", node="native_batch_norm", channels_last=("input",))
def _batch_norm_with(
    input: mx.array,
    weight: mx.array | None,
    bias: mx.array | None,
    mean: mx.array,
    variance: mx.array,
    eps,
) -> mx.array:
    channels = kernels.grouped(input, input.shape[1])
    rstd = mx.rsqrt(_seen_by_channel(variance) + eps)
    output = kernels.channel_norm(channels, _seen_by_channel(mean), rstd, weight, bias)
    return mx.reshape(output, input.shape)


@primitive(name="native_batch_norm_backward", channels_last=("input",))
def _batch_norm_backward(
    output: mx.array,
    input: mx.array,
    mean: mx.array,
    variance: mx.array,
    weight: mx.array | None,
    eps,
    training,
) -> tuple:
    channels = input.shape[1]
    mean, rstd = _seen_by_channel(mean), mx.rsqrt(_seen_by_channel(variance) + eps)
    if training:
        mean, rstd = kernels.rounded(mean, input, weight), kernels.rounded(rstd, input, weight)
    input_grad, *rest = kernels.channel_norm_gradients(
        kernels.grouped(output, channels),
        kernels.grouped(input, channels),
        mean,
        rstd,
        weight,
        kernels.BATCH if training else None,
    )
    return mx.reshape(input_grad, input.shape), *rest


def _batch_norm_rule(grads, input, mean, variance, weight, eps):
    grad, mean_grad, variance_grad = grads
    gradients = (None, None, None)
    if grad is not None:
        gradients = _batch_norm_backward(grad, input, mean, variance, weight, eps, True)
    shape = (-1, *(1,) * (input.ndim - 2))
    count = max(1, input.numel() // max(1, input.shape[1]))
    more = None
    if mean_grad is not None:
        more = (mean_grad / count).reshape(shape).expand(input.shape)
    if variance_grad is not None:
        factor = (variance_grad * (2 / count)).reshape(shape)
        more = sum_gradients(more, (input - mean.reshape(shape)) * factor)
    return sum_gradients(gradients[0], more), gradients[1], gradients[2]


_batch_norm.joint_gradient(_batch_norm_rule)
_batch_norm_with.joint_gradient(
    lambda grad, input, mean, variance, weight, eps: (
        *_batch_norm_backward(grad, input, mean, variance, weight, eps, False),
        None,
        None,
    )
)


def _check_batch_norm(input, weight, bias, running_mean, running_var, training):
    if input.ndim < 2:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [-{max(1, input.ndim)}, "
            f"{max(0, input.ndim - 1)}], but got 1)"
        )
    channels = input.shape[1]
    given = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, tensor in given.items():
        if tensor is None:
            if name.startswith("running") and not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif tensor.numel() != channels:
            raise RuntimeError(
                f"{name} should contain {channels} elements not {tensor.numel()}"
            )
        elif name.startswith("running") and tensor.requires_grad and local.grad_enabled:
            raise RuntimeError(
                "The function 'native_batch_norm' is not differentiable with respect to argument "
                f"'{name}'. This input cannot have requires_grad True."
            )
    if (running_mean is None) != (running_var is None):
        raise ValueError(
            "running_mean and running_var must either both be None or neither be None"
        )
    check_parameters("batch_norm", input, *given.values())


def _update(running, value, momentum):
    """Move a running statistic towards `value`, without history."""
    kept = kernels.widened(read(running))
    store(running, (kept * (1 - momentum) + momentum * value).astype(running.dtype.mlx))


def _normalize_batch(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """Return the result, and the batch's mean and variance if they were used."""
    if input.numel() == 0 and input.ndim == 1:
        return input.clone(), None, None
    _check_batch_norm(input, weight, bias, running_mean, running_var, training)
    if not training:
        result = _batch_norm_with(input, weight, bias, running_mean, running_var, eps)
        return result, None, None
    result, mean, variance = _batch_norm(input, weight, bias, eps)
    if running_mean is not None and input.numel():
        count = input.numel() // max(1, input.shape[1])
        unbiased = read(variance) * (count / (count - 1) if count > 1 else float("nan"))
        _update(running_mean, read(mean), momentum)
        _update(running_var, unbiased, momentum)
    return result, mean, variance


@composite(out=False, name="batch_norm")
def torch_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled
):
    """`torch.batch_norm`: `batch_norm` with its arguments in another order."""
    return _normalize_batch(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )[0]


@composite
def native_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps
):
    """Return the batch norm of (N, C, ...), the means (C,) and the reciprocal deviations."""
    result, mean, variance = _normalize_batch(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )
    if mean is None:
        return result, input.new_empty(0), input.new_empty(0)
    dtype = input.dtype if weight is None else weight.dtype
    return result, mean.detach().to(dtype), (variance.detach() + eps).rsqrt().to(dtype)


@composite(out=False)
def batch_norm_update_stats(input, running_mean, running_var, momentum):
    """Return the mean and biased variance of (N, C, ...), having moved the running ones."""
    _, mean, variance = _normalize_batch(
        input, None, None, running_mean, running_var, True, momentum, 0.0
    )
    return mean, variance


def _number(function, name, position, value):
    if isinstance(value, bool) or not isinstance(value, (int, float, Tensor)):
        raise TypeError(
            f"{function}(): argument '{name}' (position {position}) must be float, not "
            f"{type(value).__name__}"
        )
    return float(value)


@composite(out=False)
def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """(N, C, *) -> the same, normalized within each channel; moves the running statistics.

    Ioffe & Szegedy, Batch Normalization, 2015. Raises ValueError for one value per channel in
    training.
    """
    eps = _number("batch_norm", "eps", 8, eps)
    if training:
        check_batch_size(input.shape)
    if eps < 0 or (training and eps == 0):
        wanted = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {wanted}, but got {eps}")
    return _normalize_batch(
        input,
        weight,
        bias,
        running_mean,
        running_var,
        training,
        _number("batch_norm", "momentum", 7, momentum),
        eps,
    )[0]


def check_batch_size(size) -> None:
    """Raise ValueError if a channel of (N, C, ...) has one value: it has no variance."""
    count = size[0]
    for n in size[2:]:
        count *= n
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {Size(size)}"
        )


@composite(out=False)
def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """(N, C, *) -> the same, normalized within each sample and channel.

    Ulyanov, Vedaldi & Lempitsky, Instance Normalization, 2016. Raises ValueError for a single
    element per channel.
    """
    if use_input_stats:
        count = 1
        for n in input.shape[2:]:
            count *= n
        if count == 1:
            raise ValueError(
                "Expected more than 1 spatial element when training, got input size "
                f"{Size(input.shape)}"
            )
    elif running_mean is None or running_var is None:
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    batch, channels, *size = input.shape
    repeated = [
        None if t is None else t.repeat(batch) for t in (weight, bias, running_mean, running_var)
    ]
    flat = input.contiguous().reshape(1, batch * channels, *size)
    result = _normalize_batch(flat, *repeated, use_input_stats, momentum, eps)[0]
    for own, moved in ((running_mean, repeated[2]), (running_var, repeated[3])):
        if own is not None and use_input_stats:
            mean = mx.mean(mx.reshape(read(moved), (batch, channels)), axis=0)
            store(own, mean.astype(own.dtype.mlx))
    return result.view(input.shape)


@composite(out=False, name="instance_norm")
def torch_instance_norm(
    input,
    weight,
    bias,
    running_mean,
    running_var,
    use_input_stats,
    momentum,
    eps,
    cudnn_enabled,
):
    """`torch.instance_norm`: `instance_norm` with its arguments in another order."""
    return instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


FUNCTIONS = {
    "batch_norm": torch_batch_norm,
    "batch_norm_update_stats": batch_norm_update_stats,
    "instance_norm": torch_instance_norm,
    "native_batch_norm": native_batch_norm,
}
METHODS = {}
INPLACE = ()
