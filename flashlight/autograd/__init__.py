"""Automatic differentiation, as `torch.autograd`."""

from __future__ import annotations

from .._autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from . import forward_ad, functional, grad_mode, graph
from ._backward import backward, grad
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, NestedIOFunction
from .grad_mode import enforce_grad_layout_policy, set_multithreading_enabled
from .gradcheck import gradcheck, gradgradcheck
from .profiler_util import DeviceType, ProfilerActivity
from .variable import Variable

__all__ = [
    "DeviceType", "Function", "NestedIOFunction", "ProfilerActivity", "Variable", "backward", "detect_anomaly", "enable_grad",
    "enforce_grad_layout_policy",
    "forward_ad", "functional", "grad", "grad_mode", "gradcheck", "gradgradcheck", "graph",
    "inference_mode", "no_grad", "is_grad_enabled", "profiler", "set_detect_anomaly",
    "set_grad_enabled", "set_multithreading_enabled",
]  # fmt: skip
