"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_learning_rate,
    check_not_negative,
    check_steps,
    gather,
    update,
    zeros_like,
)
from flashlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    _get_scalar_dtype,
    _get_value,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["ASGD", "asgd"]


class ASGD(Optimizer):
    """p ← p·(1 − lambd·eta) − eta·g, with eta = lr/(1 + lambd·lr·t)^alpha; averages p in ``ax``.

    Averaging starts at step `t0`. Raises ValueError for options out of range.

    Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(weight_decay, "weight_decay value")
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            {"foreach": None, "maximize": False, "differentiable": False, "capturable": False},
            counters=("step", "eta", "mu"),
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
                def number(value: float) -> Tensor:
                    return torch.tensor(value, device=param.device, dtype=_get_scalar_dtype())

                return {
                    "step": number(0.0),
                    "eta": number(_get_value(group["lr"])),
                    "mu": number(1.0),
                    "ax": zeros_like(param),
                }

            keys = ("ax", "mu", "eta", "step")
            params, grads, axs, mus, etas, steps = gather(self, group, keys, new_state)
            asgd(
                params,
                grads,
                axs,
                mus,
                etas,
                steps,
                lambd=group["lambd"],
                lr=group["lr"],
                t0=group["t0"],
                alpha=group["alpha"],
                weight_decay=group["weight_decay"],
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                capturable=group["capturable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def asgd(
    params: list[Tensor],
    grads: list[Tensor],
    axs: list[Tensor],
    mus: list[Tensor],
    etas: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lambd: float,
    lr: float,
    t0: float,
    alpha: float,
    weight_decay: float,
) -> None:
    """Update `params`, averages, rates and `state_steps` in place."""
    check_steps(state_steps)
    decays = weight_decay != 0
    if has_complex:
        params, grads, axs = list(params), list(grads), list(axs)
        _view_as_real(params, grads, axs)
    update(
        _rule,
        _advance,
        params,
        grads,
        [axs],
        [state_steps, mus, etas],
        hyper={"lambd": lambd, "lr": lr, "t0": t0, "alpha": alpha, "weight_decay": weight_decay},
        options={"decays": decays, "maximize": maximize},
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, mu, eta, *, lambd, lr, t0, alpha, weight_decay):
    step = step + 1
    numbers = {
        "averages": mu != 1,
        "mu": mu * 1,
        "rate": -eta,
        "kept": 1 - lambd * eta,
        "weight_decay": weight_decay,
    }
    next_eta = lr / (1 + lambd * lr * step) ** alpha
    next_mu = 1 / ops.maximum(step - t0, 1)
    return (step, next_mu, next_eta), numbers


def _rule(ops, grad, param, ax, *, averages, mu, rate, kept, weight_decay, decays, maximize):
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    param = ops.add(ops.mul(param, kept), grad, rate)
    moved = ops.add(ax, ops.mul(ops.add(param, ops.neg(ax)), mu))
    return param, ops.where(averages, moved, param)
