"""Adam, with AMSGrad and with decoupled weight decay."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_betas,
    check_fused,
    check_fused_params,
    check_steps,
    counter,
    gather,
    unscale_for_fused,
    update,
    zeros_like,
)
from flashlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    _to_scalar,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["Adam", "adam"]


class Adam(Optimizer):
    """p ← p − lr·m̂/(√v̂ + eps), m̂ and v̂ the bias-corrected averages of g and g².

    With `amsgrad` v̂ is the largest so far. Raises ValueError for options out of range.

    Kingma and Ba, https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_tensor("lr", lr, foreach, capturable)
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not any(all(isinstance(beta, kind) for beta in betas) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            _check_tensor(f"betas[{index}]", beta, foreach, capturable)
        defaults = {
            "lr": lr,
            "betas": tuple(map(_to_scalar, betas)),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete(
            {
                "amsgrad": False,
                "maximize": False,
                "foreach": None,
                "capturable": False,
                "differentiable": False,
                "decoupled_weight_decay": False,
                "fused": None,
            }
        )

    def _init_group(self, group: dict[str, Any]) -> tuple[list, ...]:
        """Return lists of the parameters, gradients, averages and step counts of a group."""

        def new_state(param: Tensor) -> dict[str, Tensor]:
            if group["fused"]:
                check_fused_params([param])
            state = {
                "step": counter(0.0, param, group),
                "exp_avg": zeros_like(param),
                "exp_avg_sq": zeros_like(param),
            }
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(param)
            return state

        lists = gather(
            self,
            group,
            ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
            new_state,
            "Adam does not support sparse gradients, please consider SparseAdam instead",
        )
        steps = lists[-1]
        if group["differentiable"] and any(step.requires_grad for step in steps):
            raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
        if group["foreach"] and isinstance(group["lr"], Tensor) and not group["capturable"]:
            raise RuntimeError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        return lists

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps = self._init_group(group)
            beta1, beta2 = group["betas"]
            adam(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                max_exp_avg_sqs,
                steps,
                amsgrad=group["amsgrad"],
                has_complex=any(map(torch.is_complex, params)),
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
                foreach=group["foreach"],
                capturable=group["capturable"],
                differentiable=group["differentiable"],
                fused=group["fused"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
                decoupled_weight_decay=group["decoupled_weight_decay"],
            )
        return loss


def _check_tensor(name: str, value: Any, foreach: bool | None, capturable: bool) -> None:
    """Raise ValueError for a tensor option of several elements, or one that `foreach` forbids."""
    if not isinstance(value, Tensor):
        return
    if foreach and not capturable:
        message = f"{name} as a Tensor is not supported for capturable=False and foreach=True"
        raise ValueError(message)
    if value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


def adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    has_complex: bool = False,
    decoupled_weight_decay: bool = False,
    *,
    amsgrad: bool,
    beta1: float | Tensor,
    beta2: float | Tensor,
    lr: float | Tensor,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """Update `params`, the averages and `state_steps` in place."""
    check_steps(state_steps)
    if fused and differentiable:
        raise RuntimeError("Adam with fused=True does not support differentiable=True")
    if not unscale_for_fused(grads, grad_scale, found_inf):
        return
    state = [exp_avgs, exp_avg_sqs, max_exp_avg_sqs if amsgrad else []]
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
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
        },
        options={
            "decays": isinstance(weight_decay, Tensor) or weight_decay != 0,
            "decoupled": decoupled_weight_decay,
            "maximize": maximize,
        },
        capturable=capturable,
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, beta1, beta2, eps, weight_decay):
    step = step + 1
    numbers = {
        "weight_decay": weight_decay,
        "kept": 1 - lr * weight_decay,
        "intake1": 1 - beta1,
        "beta2": beta2,
        "intake2": 1 - beta2,
        "correction": ops.complement_of_power(beta2, step) ** 0.5,
        "eps": eps,
        "rate": -(lr / ops.complement_of_power(beta1, step)),
    }
    return (step,), numbers


def _rule(
    ops, grad, param, exp_avg, exp_avg_sq, max_exp_avg_sq, *,
    weight_decay, kept, intake1, beta2, intake2, correction, eps, rate,
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
    largest = exp_avg_sq
    if max_exp_avg_sq is not None:
        largest = max_exp_avg_sq = ops.maximum(max_exp_avg_sq, exp_avg_sq)
    denominator = ops.add(ops.div(ops.sqrt(largest), correction), eps)
    param = ops.addcdiv(param, exp_avg, denominator, rate)
    return param, exp_avg, exp_avg_sq, max_exp_avg_sq
