"""RAdam: Adam that begins as momentum, until the variance of its rates is known."""

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

__all__ = ["RAdam", "radam"]


class RAdam(Optimizer):
    """Adam's step times a rectification; plain bias-corrected momentum while that is undefined.

    Raises ValueError for options out of range. Liu et al., https://arxiv.org/abs/1908.03265
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {
                "foreach": None,
                "maximize": False,
                "differentiable": False,
                "decoupled_weight_decay": False,
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
                return {
                    "step": counter(0.0, param, group),
                    "exp_avg": zeros_like(param),
                    "exp_avg_sq": zeros_like(param),
                }

            keys = ("exp_avg", "exp_avg_sq", "step")
            params, grads, exp_avgs, exp_avg_sqs, steps = gather(self, group, keys, new_state)
            beta1, beta2 = group["betas"]
            radam(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                steps,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
                foreach=group["foreach"],
                capturable=group["capturable"],
                differentiable=group["differentiable"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def radam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    eps: float,
) -> None:
    """Update `params`, the averages and `state_steps` in place."""
    check_steps(state_steps)
    decays = weight_decay != 0
    if has_complex:
        params, grads = list(params), list(grads)
        exp_avgs, exp_avg_sqs = list(exp_avgs), list(exp_avg_sqs)
        _view_as_real(params, grads, exp_avgs, exp_avg_sqs)
    update(
        _rule,
        _advance,
        params,
        grads,
        [exp_avgs, exp_avg_sqs],
        [state_steps],
        hyper={
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
        },
        options={
            "decays": decays,
            "decoupled": decoupled_weight_decay,
            "maximize": maximize,
        },
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, beta1, beta2, eps, weight_decay):
    step = step + 1
    correction2 = ops.complement_of_power(beta2, step)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / correction2
    rectified = length > 5.0
    # Below 5 the square root has no value and is not used; 5 keeps it finite.
    length = ops.where(rectified, length, length * 0 + 5.0)
    rectification = (
        (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    ) ** 0.5
    numbers = {
        "weight_decay": weight_decay,
        "kept": 1 - lr * weight_decay,
        "intake1": 1 - beta1,
        "beta2": beta2,
        "intake2": 1 - beta2,
        "correction1": ops.complement_of_power(beta1, step),
        "root_correction2": correction2**0.5,
        "rectified": rectified,
        "rectification": rectification,
        "eps": eps,
        "lr": lr,
    }
    return (step,), numbers


def _rule(
    ops, grad, param, exp_avg, exp_avg_sq, *,
    weight_decay, kept, intake1, beta2, intake2, correction1, root_correction2,
    rectified, rectification, eps, lr, decays, decoupled, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays and decoupled:
        param = ops.mul(param, kept)
    elif decays:
        grad = ops.add(grad, param, weight_decay)
    exp_avg = ops.lerp(exp_avg, grad, intake1)
    exp_avg_sq = ops.addcmul(ops.mul(exp_avg_sq, beta2), grad, grad, intake2)
    momentum = ops.mul(ops.div(exp_avg, correction1), lr)
    scale = ops.add(ops.sqrt(exp_avg_sq), eps)
    adaptive = ops.mul(ops.mul(ops.div(momentum, scale), root_correction2), rectification)
    update = ops.where(rectified, adaptive, momentum)
    return ops.add(param, ops.neg(update)), exp_avg, exp_avg_sq
