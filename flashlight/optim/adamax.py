"""Adamax: Adam with the largest gradient in place of the second moment."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_betas,
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

__all__ = ["Adamax", "adamax"]


class Adamax(Optimizer):
    """m ← avg(g);  u ← max(beta2·u, |g| + eps);  p ← p − lr/(1 − beta1ᵗ)·m/u.

    Raises ValueError for options out of range. Kingma and Ba, https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(eps, "epsilon value")
        check_betas(betas)
        check_not_negative(weight_decay, "weight_decay value")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
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
                return {
                    "step": counter(0.0, param, group),
                    "exp_avg": zeros_like(param),
                    "exp_inf": zeros_like(param),
                }

            keys = ("exp_avg", "exp_inf", "step")
            params, grads, exp_avgs, exp_infs, steps = gather(self, group, keys, new_state)
            beta1, beta2 = group["betas"]
            adamax(
                params,
                grads,
                exp_avgs,
                exp_infs,
                steps,
                eps=group["eps"],
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                capturable=group["capturable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def adamax(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_infs: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
) -> None:
    """Update `params`, averages, maxima and `state_steps` in place."""
    check_steps(state_steps)
    decays = weight_decay != 0
    if has_complex:
        params, grads = list(params), list(grads)
        exp_avgs, exp_infs = list(exp_avgs), list(exp_infs)
        _view_as_real(params, grads, exp_avgs, exp_infs)
    update(
        _rule,
        _advance,
        params,
        grads,
        [exp_avgs, exp_infs],
        [state_steps],
        hyper={
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
        },
        options={"decays": decays, "maximize": maximize},
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, beta1, beta2, eps, weight_decay):
    step = step + 1
    numbers = {
        "rate": -(lr / ops.complement_of_power(beta1, step)),
        "intake": 1 - beta1,
        "beta2": beta2,
        "eps": eps,
        "weight_decay": weight_decay,
    }
    return (step,), numbers


def _rule(
    ops, grad, param, exp_avg, exp_inf, *,
    rate, intake, beta2, eps, weight_decay, decays, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    exp_avg = ops.lerp(exp_avg, grad, intake)
    exp_inf = ops.maximum(ops.mul(exp_inf, beta2), ops.add(ops.abs(grad), eps))
    return ops.addcdiv(param, exp_avg, exp_inf, rate), exp_avg, exp_inf
