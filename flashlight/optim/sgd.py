"""Stochastic gradient descent, optionally with momentum."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_fused,
    check_fused_params,
    check_learning_rate,
    unscale_for_fused,
    update,
)
from flashlight.optim.optimizer import Optimizer, ParamsT, _use_grad_for_differentiable

__all__ = ["SGD", "sgd"]


class SGD(Optimizer):
    """v ← momentum·v + (1 − dampening)·g;  p ← p − lr·v, or p − lr·(g + momentum·v).

    v starts as the first gradient. Raises ValueError for options out of range.

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_learning_rate(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {
                "nesterov": False,
                "maximize": False,
                "foreach": None,
                "differentiable": False,
                "fused": False,
            },
            counters=(),
        )

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            grads = [param.grad for param in params]
            buffers: list[Tensor | None] = []
            if group["momentum"] != 0:
                buffers = [self.state[param].get("momentum_buffer") for param in params]
            if group["fused"]:
                check_fused_params(params)
            sgd(
                params,
                grads,
                buffers,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                has_sparse_grad=any(grad.layout is not torch.strided for grad in grads),
                foreach=group["foreach"],
                fused=group["fused"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
            )
            for param, buffer in zip(params, buffers):
                self.state[param]["momentum_buffer"] = buffer
        return loss


def sgd(
    params: list[Tensor],
    d_p_list: list[Tensor],
    momentum_buffer_list: list[Tensor | None],
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    *,
    weight_decay: float,
    momentum: float,
    lr: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Update `params` and `momentum_buffer_list` in place; None in the latter is filled in."""
    if fused and has_sparse_grad:
        raise RuntimeError("`_fused_sgd` does not support sparse gradients")
    if not unscale_for_fused(d_p_list, grad_scale, found_inf):
        return
    hyper = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
    }
    options = {
        "decays": _is_nonzero(weight_decay),
        "has_momentum": momentum != 0,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    if has_sparse_grad:
        _sparse_sgd(params, d_p_list, momentum_buffer_list, **hyper, **options)
        return
    update(
        _rule,
        _advance,
        params,
        d_p_list,
        [momentum_buffer_list],
        hyper=hyper,
        options=options,
        differentiable=torch.is_grad_enabled(),
    )


def _is_nonzero(value: float | Tensor) -> bool:
    return isinstance(value, Tensor) or value != 0


def _advance(ops, *, lr, momentum, dampening, weight_decay):
    numbers = {
        "rate": -lr,
        "momentum": momentum,
        "intake": 1 - dampening,
        "weight_decay": weight_decay,
    }
    return (), numbers


def _rule(
    ops, grad, param, buffer, *,
    rate, momentum, intake, weight_decay, decays, has_momentum, nesterov, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    if has_momentum:
        if buffer is None:
            buffer = ops.detach(grad)
        else:
            buffer = ops.add(ops.mul(buffer, momentum), grad, intake)
        grad = ops.add(grad, buffer, momentum) if nesterov else buffer
    return ops.add(param, grad, rate), buffer


def _sparse_sgd(
    params, grads, buffers, *,
    lr, momentum, dampening, weight_decay, decays, has_momentum, nesterov, maximize,
):  # fmt: skip
    for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
        grad = -grad if maximize else grad
        if decays:
            grad = grad.add(param, alpha=weight_decay)
        if has_momentum:
            if buffers[index] is None:
                buffers[index] = grad.detach().clone()
            else:
                buffers[index].mul_(momentum).add_(grad, alpha=1 - dampening)
            grad = grad.add(buffers[index], alpha=momentum) if nesterov else buffers[index]
        param.add_(grad, alpha=-lr)
