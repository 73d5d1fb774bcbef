"""Folding batch normalisation, in evaluation mode an affine map, into the layer before it."""

from __future__ import annotations

import copy

import flashlight as torch
from flashlight import Tensor

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def fuse_conv_bn_eval(conv, bn, transpose: bool = False):
    """Return a convolution equal to `conv` followed by `bn`; `transpose` if it is a transposed one.

    Raises AssertionError in training mode or without running statistics.
    """
    _check_fusable(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """Return weight and bias of a convolution with the normalisation folded in."""
    bn_w = torch.ones_like(bn_rm) if bn_w is None else bn_w
    bn_b = torch.zeros_like(bn_rm) if bn_b is None else bn_b
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    rescale = torch.rsqrt(bn_rv + bn_eps)
    weight = conv_w * (bn_w * rescale).reshape(shape)
    bias = ((0 if conv_b is None else conv_b) - bn_rm) * rescale * bn_w + bn_b
    return _parameters(weight, bias, conv_w, conv_b)


def fuse_linear_bn_eval(linear, bn):
    """Return a Linear equal to `linear` followed by `bn`.

    Raises AssertionError in training mode, without running statistics, or if features differ.
    """
    _check_fusable(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """Return weight and bias of a Linear with the normalisation folded in."""
    scale = bn_w * torch.rsqrt(bn_rv + bn_eps)
    weight = linear_w * scale.unsqueeze(-1).to(dtype=linear_w.dtype)
    bias = ((0 if linear_b is None else linear_b) - bn_rm) * scale + bn_b
    return _parameters(weight, bias, linear_w, linear_b)


def _check_fusable(layer, bn) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def _parameters(weight, bias, old_weight, old_bias):
    old = old_weight if old_bias is None else old_bias
    # A bias that was not there before takes no gradient.
    trained = old_bias is not None and old_bias.requires_grad
    return (
        torch.nn.Parameter(weight.to(dtype=old_weight.dtype), old_weight.requires_grad),
        torch.nn.Parameter(bias.to(dtype=old.dtype), trained),
    )
