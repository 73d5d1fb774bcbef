"""RMSprop, plain, centered, and with momentum."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_learning_rate,
    check_not_negative,
    check_steps,
    counter,
    gather,
    update,
    zeros_like,
)
from flashlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(Optimizer):
    """v ← avg(g²);  p ← p − lr·g/(√v + eps), optionally through a momentum buffer.

    With `centered` v is the variance: avg(g)² is taken off. Raises ValueError for options out of
    range. Hinton, lecture 6 of the Coursera course on neural networks; Graves,
    https://arxiv.org/abs/1308.0850
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(eps, "epsilon value")
        check_not_negative(momentum, "momentum value")
        check_not_negative(weight_decay, "weight_decay value")
        check_not_negative(alpha, "alpha value")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {
                "momentum": 0,
                "centered": False,
                "foreach": None,
                "maximize": False,
                "differentiable": False,
                "capturable": False,
            }
        )

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:

            def new_state(param: Tensor, group: dict[str, Any] = group) -> dict[str, Tensor]:
                state = {"step": counter(0.0, param, group), "square_avg": zeros_like(param)}
                if group["momentum"] > 0:
                    state["momentum_buffer"] = zeros_like(param)
                if group["centered"]:
                    state["grad_avg"] = zeros_like(param)
                return state

            keys = ("square_avg", "grad_avg", "momentum_buffer", "step")
            params, grads, square_avgs, grad_avgs, buffers, steps = gather(
                self, group, keys, new_state
            )
            rmsprop(
                params,
                grads,
                square_avgs,
                grad_avgs,
                buffers,
                steps,
                lr=group["lr"],
                alpha=group["alpha"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                centered=group["centered"],
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                capturable=group["capturable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def rmsprop(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    grad_avgs: list[Tensor],
    momentum_buffer_list: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    """Update `params`, the averages, buffers and `state_steps` in place."""
    check_steps(state_steps)
    state = [
        square_avgs,
        grad_avgs if centered else [],
        momentum_buffer_list if momentum > 0 else [],
    ]
    decays = weight_decay != 0
    if has_complex:
        params, grads = list(params), list(grads)
        state = [list(column) for column in state]
        _view_as_real(params, grads, *filter(None, state))
    update(
        _rule,
        _advance,
        params,
        grads,
        state,
        [state_steps],
        hyper={
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
        },
        options={"decays": decays, "maximize": maximize},
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, alpha, eps, weight_decay, momentum):
    numbers = {
        "rate": -lr,
        "alpha": alpha,
        "intake": 1 - alpha,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum": momentum,
    }
    return (step + 1,), numbers


def _rule(
    ops, grad, param, square_avg, grad_avg, buffer, *,
    rate, alpha, intake, eps, weight_decay, momentum, decays, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    square_avg = ops.addcmul(ops.mul(square_avg, alpha), grad, grad, intake)
    variance = square_avg
    if grad_avg is not None:
        grad_avg = ops.lerp(grad_avg, grad, intake)
        variance = ops.addcmul(square_avg, ops.neg(grad_avg), grad_avg)
    deviation = ops.add(ops.sqrt(variance), eps)
    if buffer is None:
        param = ops.addcdiv(param, grad, deviation, rate)
    else:
        buffer = ops.addcdiv(ops.mul(buffer, momentum), grad, deviation)
        param = ops.add(param, buffer, rate)
    return param, square_avg, grad_avg, buffer
