"""Rprop: steps that grow while a gradient keeps its sign and shrink when it turns."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_learning_rate,
    check_steps,
    counter,
    gather,
    update,
    zeros_like,
)
from flashlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    _get_value,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["Rprop", "rprop"]


class Rprop(Optimizer):
    """p ← p − sign(g)·s, s times etas[1] where g kept its sign, times etas[0] where it turned.

    Where it turned, the weight rests for one step. Raises ValueError for options out of range.

    Riedmiller and Braun, A direct adaptive method for faster backpropagation learning, 1993.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
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
                lr = _get_value(group["lr"])
                first = complex(lr, lr) if param.dtype.is_complex else lr
                return {
                    "step": counter(0.0, param, group),
                    "prev": zeros_like(param),
                    "step_size": torch.full_like(param.grad, first),
                }

            keys = ("prev", "step_size", "step")
            params, grads, prevs, step_sizes, steps = gather(self, group, keys, new_state)
            etaminus, etaplus = group["etas"]
            step_size_min, step_size_max = group["step_sizes"]
            rprop(
                params,
                grads,
                prevs,
                step_sizes,
                steps,
                step_size_min=step_size_min,
                step_size_max=step_size_max,
                etaminus=etaminus,
                etaplus=etaplus,
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                capturable=group["capturable"],
                has_complex=any(map(torch.is_complex, params)),
            )
        return loss


def rprop(
    params: list[Tensor],
    grads: list[Tensor],
    prevs: list[Tensor],
    step_sizes: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
) -> None:
    """Update `params`, `prevs`, `step_sizes` and `state_steps` in place."""
    check_steps(state_steps)
    if has_complex:
        params, grads = list(params), list(grads)
        prevs, step_sizes = list(prevs), list(step_sizes)
        _view_as_real(params, grads, prevs, step_sizes)
    update(
        _rule,
        _advance,
        params,
        grads,
        [prevs, step_sizes],
        [state_steps],
        hyper={
            "lowest": step_size_min,
            "highest": step_size_max,
            "shrink": etaminus,
            "growth": etaplus,
        },
        options={"maximize": maximize},
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lowest, highest, shrink, growth):
    numbers = {"lowest": lowest, "highest": highest, "shrink": shrink, "growth": growth}
    return (step + 1,), numbers


def _rule(ops, grad, param, prev, step_size, *, lowest, highest, shrink, growth, maximize):
    if maximize:
        grad = ops.neg(grad)
    agreement = ops.mul(grad, prev)
    turned = agreement < 0
    # PyTorch keeps the factors in a tensor of the parameter's dtype.
    growth, shrink = ops.like(growth, step_size), ops.like(shrink, step_size)
    grown = ops.where(agreement > 0, ops.mul(step_size, growth), step_size)
    step_size = ops.where(turned, ops.mul(step_size, shrink), grown)
    step_size = ops.clamp(step_size, lowest, highest)
    grad = ops.zero_where(turned, grad)
    return ops.addcmul(param, ops.neg(ops.sign(grad)), step_size), grad, step_size
