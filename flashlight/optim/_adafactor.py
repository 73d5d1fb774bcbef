"""Adafactor: second moments of matrices kept as one row and one column."""

from __future__ import annotations

from typing import Any

import flashlight as torch
from flashlight import Tensor
from flashlight.optim._update import check_steps, gather
from flashlight.optim.optimizer import Optimizer, ParamsT, _get_scalar_dtype, _get_value

__all__ = ["Adafactor", "adafactor"]


class Adafactor(Optimizer):
    """p ← p − max(eps2, rms(p))·min(lr, 1/√t)·u, with u = g/√v̂ clipped to an rms of `d`.

    v̂ is the outer product of averaged row and column means of g². Raises ValueError for options
    out of range. Shazeer and Stern, https://arxiv.org/abs/1804.04235
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._complete({"foreach": None})

    @staticmethod
    def _new_state(param: Tensor) -> dict[str, Tensor]:
        grad = param.grad
        state = {"step": torch.tensor(0.0, dtype=_get_scalar_dtype())}
        if grad.dim() > 1:
            state["row_var"] = grad.new_zeros((*grad.shape[:-1], 1))
            state["col_var"] = grad.new_zeros((*grad.shape[:-2], 1, grad.shape[-1]))
        else:
            state["variance"] = torch.zeros_like(grad, memory_format=torch.preserve_format)
        return state

    @torch.no_grad()
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if any(param.grad is not None and torch.is_complex(param) for param in group["params"]):
                raise RuntimeError("Adafactor does not support complex parameters")
            keys = ("row_var", "col_var", "variance", "step")
            params, grads, row_vars, col_vars, variances, steps = gather(
                self, group, keys, self._new_state
            )
            eps1, eps2 = group["eps"]
            adafactor(
                params,
                grads,
                row_vars,
                col_vars,
                variances,
                steps,
                d=group["d"],
                lr=group["lr"],
                beta2_decay=group["beta2_decay"],
                weight_decay=group["weight_decay"],
                eps1=eps1,
                eps2=eps2,
                foreach=group["foreach"],
                maximize=group["maximize"],
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=getattr(self, "found_inf", None),
                has_complex=False,
            )
        return loss


def adafactor(
    params: list[Tensor],
    grads: list[Tensor],
    row_vars: list[Tensor | None],
    col_vars: list[Tensor | None],
    variances: list[Tensor | None],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    has_complex: bool = False,
    *,
    d: float,
    lr: float | Tensor,
    beta2_decay: float,
    weight_decay: float,
    eps1: float,
    eps2: float,
    maximize: bool,
) -> None:
    """Update `params`, the variances and `state_steps` in place."""
    check_steps(state_steps)
    if grad_scale is not None or found_inf is not None:
        raise AssertionError("Grad scaling should occur outside of optimizer.step()")
    lr = _get_value(lr)
    for index, (param, grad, step) in enumerate(zip(params, grads, state_steps, strict=True)):
        if maximize:
            grad = -grad
        if eps1 is None:
            eps1 = torch.finfo(param.dtype).eps
        step += 1
        count = step.item()
        intake = count**beta2_decay
        # The two norms stay on the device: reading them would wait for the whole backward pass.
        precise = torch.promote_types(param.dtype, torch.float32)
        rms = param.norm(2).to(precise) / param.numel() ** 0.5
        rate = rms.clamp(min=eps2) * min(lr, 1 / count**0.5)
        if weight_decay != 0:
            param.mul_(1 - lr * weight_decay)
        if grad.dim() > 1:
            estimate = _factored(grad, row_vars[index], col_vars[index], intake, eps1)
        else:
            estimate = variances[index].lerp_(grad * grad, intake)
        update = estimate.clamp(min=eps1 * eps1).rsqrt_().mul_(grad)
        excess = (update.norm(2).to(precise) / (update.numel() ** 0.5 * d)).clamp(min=1.0)
        param.sub_(update.to(precise) * (rate / excess))


def _factored(grad: Tensor, row_var: Tensor, col_var: Tensor, intake: float, eps1: float) -> Tensor:
    """Average g² into the row and the column, and return the matrix that they stand for."""
    for variance, dim in ((row_var, -1), (col_var, -2)):
        mean = torch.norm(grad, dim=dim, keepdim=True).square_().div_(grad.size(dim))
        variance.lerp_(mean, intake)
    return (row_var @ col_var).div_(row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1))
