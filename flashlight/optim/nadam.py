"""NAdam: Adam with Nesterov momentum."""

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

__all__ = ["NAdam", "nadam"]


class NAdam(Optimizer):
    """Adam's step with the momentum of the next step applied ahead of time.

    The momentum is beta1·(1 − 0.96^(t·momentum_decay)/2). Raises ValueError for options out of
    range. Dozat, Incorporating Nesterov Momentum into Adam, 2016.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(momentum_decay, "momentum_decay value")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {
                "maximize": False,
                "foreach": None,
                "capturable": False,
                "differentiable": False,
                "decoupled_weight_decay": False,
            },
            counters=("step", "mu_product"),
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
                    "mu_product": counter(1.0, param, group),
                    "exp_avg": zeros_like(param),
                    "exp_avg_sq": zeros_like(param),
                }

            keys = ("exp_avg", "exp_avg_sq", "mu_product", "step")
            params, grads, exp_avgs, exp_avg_sqs, mu_products, steps = gather(
                self, group, keys, new_state
            )
            beta1, beta2 = group["betas"]
            nadam(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                mu_products,
                steps,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                momentum_decay=group["momentum_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                foreach=group["foreach"],
                capturable=group["capturable"],
                differentiable=group["differentiable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def nadam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    mu_products: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    momentum_decay: float,
    eps: float,
) -> None:
    """Update `params`, the averages, `mu_products` and `state_steps` in place."""
    check_steps(state_steps)
    if not all(isinstance(product, Tensor) for product in mu_products):
        raise RuntimeError(
            "API has changed, `mu_products` argument must contain a list of singleton tensors"
        )
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
        [state_steps, mu_products],
        hyper={
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
        },
        options={
            "decays": decays,
            "decoupled": decoupled_weight_decay,
            "maximize": maximize,
        },
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, mu_product, *, lr, beta1, beta2, eps, weight_decay, momentum_decay):
    step = step + 1
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    mu_product = ops.rounded(mu_product * ops.rounded(mu))
    numbers = {
        "weight_decay": weight_decay,
        "kept": 1 - lr * weight_decay,
        "intake1": 1 - beta1,
        "beta2": beta2,
        "intake2": 1 - beta2,
        "correction": ops.complement_of_power(beta2, step),
        "eps": eps,
        "grad_rate": -lr * (1.0 - mu) / (1.0 - mu_product),
        "average_rate": -lr * mu_next / (1.0 - mu_product * mu_next),
    }
    return (step, mu_product), numbers


def _rule(
    ops, grad, param, exp_avg, exp_avg_sq, *,
    weight_decay, kept, intake1, beta2, intake2, correction, eps, grad_rate, average_rate,
    decays, decoupled, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays and decoupled:
        param = ops.mul(param, kept)
    elif decays:
        grad = ops.add(grad, param, weight_decay)
    exp_avg = ops.lerp(exp_avg, grad, intake1)
    exp_avg_sq = ops.addcmul(ops.mul(exp_avg_sq, beta2), grad, grad, intake2)
    denominator = ops.add(ops.sqrt(ops.div(exp_avg_sq, correction)), eps)
    param = ops.addcdiv(param, grad, denominator, grad_rate)
    param = ops.addcdiv(param, exp_avg, denominator, average_rate)
    return param, exp_avg, exp_avg_sq
