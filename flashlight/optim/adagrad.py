"""Adagrad: each weight's rate falls with the sum of its squared gradients."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import (
    check_fused,
    check_fused_params,
    check_learning_rate,
    check_not_negative,
    check_steps,
    counter,
    unscale_for_fused,
    update,
)
from flashlight.optim.optimizer import (
    Optimizer,
    ParamsT,
    _get_value,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["Adagrad", "adagrad"]


class Adagrad(Optimizer):
    """s ← s + g²;  p ← p − lr/(1 + (t − 1)·lr_decay) · g/(√s + eps).

    Dense and sparse gradients. Raises ValueError for options out of range.

    Duchi et al., Adaptive Subgradient Methods, 2011.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(lr_decay, "lr_decay value")
        check_not_negative(weight_decay, "weight_decay value")
        check_not_negative(initial_accumulator_value, "initial_accumulator_value value")
        check_not_negative(eps, "epsilon value")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        if fused:
            self._step_supports_amp_scaling = True
        # Unlike the others, it has its state from the start, so that processes may share it.
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param].update(self._new_state(param, group))

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        value = self.defaults["initial_accumulator_value"]
        if torch.is_complex(param):
            value = complex(value, value)
        total = torch.full_like(param, value, memory_format=torch.preserve_format)
        return {"step": counter(0.0, param, group), "sum": total}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete({"foreach": None, "maximize": False, "differentiable": False, "fused": None})

    def share_memory(self) -> None:
        """Move the sums to memory that processes share."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    @_use_grad_for_differentiable
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if group["fused"]:
                check_fused_params(params)
            for param in params:
                if not self.state[param]:
                    self.state[param].update(self._new_state(param, group))
            grads = [param.grad for param in params]
            adagrad(
                params,
                grads,
                [self.state[param]["sum"] for param in params],
                [self.state[param]["step"] for param in params],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                lr_decay=group["lr_decay"],
                eps=group["eps"],
                has_sparse_grad=any(grad.is_sparse for grad in grads),
                foreach=group["foreach"],
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                has_complex=any(map(torch.is_complex, params)),
                fused=group["fused"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
            )
        return loss


def adagrad(
    params: list[Tensor],
    grads: list[Tensor],
    state_sums: list[Tensor],
    state_steps: list[Tensor],
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    weight_decay: float,
    lr_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """Update `params`, `state_sums` and `state_steps` in place."""
    check_steps(state_steps)
    if fused and has_sparse_grad:
        raise RuntimeError("`fused` does not support sparse grad")
    if not unscale_for_fused(grads, grad_scale, found_inf):
        return
    hyper = {"lr": lr, "weight_decay": weight_decay, "lr_decay": lr_decay, "eps": eps}
    if has_sparse_grad:
        if weight_decay != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        _sparse_adagrad(params, grads, state_sums, state_steps, lr, lr_decay, eps, maximize)
        return
    if has_complex:
        params, grads, state_sums = list(params), list(grads), list(state_sums)
        _view_as_real(params, grads, state_sums)
    update(
        _rule,
        _advance,
        params,
        grads,
        [state_sums],
        [state_steps],
        hyper=hyper,
        options={"decays": weight_decay != 0, "maximize": maximize},
        differentiable=differentiable,
    )


def _advance(ops, step, *, lr, weight_decay, lr_decay, eps):
    step = step + 1
    rate = -(lr / (1 + (step - 1) * lr_decay))
    return (step,), {"weight_decay": weight_decay, "eps": eps, "rate": rate}


def _rule(ops, grad, param, total, *, weight_decay, eps, rate, decays, maximize):
    if maximize:
        grad = ops.neg(grad)
    if decays:
        grad = ops.add(grad, param, weight_decay)
    total = ops.addcmul(total, grad, grad)
    return ops.addcdiv(param, grad, ops.add(ops.sqrt(total), eps), rate), total


def _make_sparse(grad: Tensor, grad_indices: Tensor, values: Tensor) -> Tensor:
    """Return a sparse tensor of `grad`'s size."""
    return torch.sparse_coo_tensor(grad_indices, values, grad.size())


def _sparse_adagrad(params, grads, state_sums, state_steps, lr, lr_decay, eps, maximize):
    for param, grad, total, step in zip(params, grads, state_sums, state_steps, strict=True):
        step += 1
        rate = lr / (1 + (_get_value(step) - 1) * lr_decay)
        grad = (-grad if maximize else grad).coalesce()
        indices, values = grad._indices(), grad._values()
        total.add_(_make_sparse(grad, indices, values.pow(2)))
        deviation = total.sparse_mask(grad)._values().sqrt_().add_(eps)
        param.add_(_make_sparse(grad, indices, values / deviation), alpha=-rate)
