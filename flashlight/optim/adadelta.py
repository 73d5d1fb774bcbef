"""Adadelta: rates from the ratio of past updates to past gradients."""

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

__all__ = ["Adadelta", "adadelta"]


class Adadelta(Optimizer):
    """v ← avg(g²);  d = √(u + eps)/√(v + eps)·g;  u ← avg(d²);  p ← p − lr·d.

    Raises ValueError for options out of range. Zeiler, https://arxiv.org/abs/1212.5701
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps, "epsilon value")
        check_not_negative(weight_decay, "weight_decay value")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
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
                    "square_avg": zeros_like(param),
                    "acc_delta": zeros_like(param),
                }

            keys = ("square_avg", "acc_delta", "step")
            params, grads, square_avgs, acc_deltas, steps = gather(self, group, keys, new_state)
            adadelta(
                params,
                grads,
                square_avgs,
                acc_deltas,
                steps,
                lr=group["lr"],
                rho=group["rho"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                capturable=group["capturable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def adadelta(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    acc_deltas: list[Tensor],
    state_steps: list[Tensor],
    capturable: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Update `params`, the averages and `state_steps` in place."""
    check_steps(state_steps)
    if has_complex:
        params, grads = list(params), list(grads)
        square_avgs, acc_deltas = list(square_avgs), list(acc_deltas)
        _view_as_real(params, grads, square_avgs, acc_deltas)
    update(
        _rule,
        _advance,
        params,
        grads,
        [square_avgs, acc_deltas],
        [state_steps],
        hyper={"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay},
        options={"decays": weight_decay != 0, "maximize": maximize},
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, rho, eps, weight_decay):
    numbers = {"rate": -lr, "rho": rho, "intake": 1 - rho, "eps": eps, "weight_decay": weight_decay}
    return (step + 1,), numbers


def _rule(
    ops, grad, param, square_avg, acc_delta, *,
    rate, rho, intake, eps, weight_decay, decays, maximize,
):  # fmt: skip
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    square_avg = ops.addcmul(ops.mul(square_avg, rho), grad, grad, intake)
    deviation = ops.sqrt(ops.add(square_avg, eps))
    delta = ops.mul(ops.div(ops.sqrt(ops.add(acc_delta, eps)), deviation), grad)
    acc_delta = ops.addcmul(ops.mul(acc_delta, rho), delta, delta, intake)
    return ops.add(param, delta, rate), square_avg, acc_delta
