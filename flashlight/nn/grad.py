"""The gradients of convolutions as functions of their own."""

from __future__ import annotations

import flashlight as torch
from flashlight import Tensor

from . import functional as F


def _input_gradient(convolve, input_size, weight, grad_output, settings) -> Tensor:
    input = grad_output.new_zeros(input_size).requires_grad_()
    with torch.enable_grad():
        output = convolve(input, weight, None, *settings)
    return torch.autograd.grad(output, input, grad_output, create_graph=torch.is_grad_enabled())[0]


def _weight_gradient(convolve, input, weight_size, grad_output, settings) -> Tensor:
    weight = grad_output.new_zeros(weight_size).requires_grad_()
    with torch.enable_grad():
        output = convolve(input, weight, None, *settings)
    return torch.autograd.grad(output, weight, grad_output, create_graph=torch.is_grad_enabled())[0]


def conv1d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv1d` with respect to its input, of shape `input_size`."""
    settings = (stride, padding, dilation, groups)
    return _input_gradient(F.conv1d, input_size, weight, grad_output, settings)


def conv1d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv1d` with respect to its weight, of shape `weight_size`."""
    settings = (stride, padding, dilation, groups)
    return _weight_gradient(F.conv1d, input, weight_size, grad_output, settings)


def conv2d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv2d` with respect to its input, of shape `input_size`."""
    settings = (stride, padding, dilation, groups)
    return _input_gradient(F.conv2d, input_size, weight, grad_output, settings)


def conv2d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv2d` with respect to its weight, of shape `weight_size`."""
    settings = (stride, padding, dilation, groups)
    return _weight_gradient(F.conv2d, input, weight_size, grad_output, settings)


def conv3d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv3d` with respect to its input, of shape `input_size`."""
    settings = (stride, padding, dilation, groups)
    return _input_gradient(F.conv3d, input_size, weight, grad_output, settings)


def conv3d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """Return the gradient of `conv3d` with respect to its weight, of shape `weight_size`."""
    settings = (stride, padding, dilation, groups)
    return _weight_gradient(F.conv3d, input, weight_size, grad_output, settings)
