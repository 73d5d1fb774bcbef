"""Adam for sparse gradients: only the rows that appear in a gradient move."""

from __future__ import annotations

import flashlight as torch
from flashlight import Tensor
from flashlight.optim import _functional
from flashlight.optim._update import check_betas
from flashlight.optim.optimizer import Optimizer, ParamsT, _get_value

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam's step for the entries present in sparse gradients of dense parameters.

    Raises ValueError for sparse or complex parameters and for options out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [
            ([row, column], param)
            for row, group in enumerate(self.param_groups)
            for column, param in enumerate(group["params"])
        ]
        sparse = [place for place, param in places if param.is_sparse]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )
        complex_ = [place for place, param in places if param.is_complex()]
        if complex_:
            raise ValueError(
                f"Complex params at indices {complex_}: SparseAdam does not support complex "
                "parameters"
            )

    @torch.no_grad()
    def step(self, closure=None):
        """Update the parameters; return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if not param.grad.is_sparse:
                    raise RuntimeError(
                        "SparseAdam does not support dense gradients, please consider Adam instead"
                    )
                state = self.state[param]
                if not state:
                    state["step"] = 0
                    for key in ("exp_avg", "exp_avg_sq"):
                        state[key] = torch.zeros_like(param, memory_format=torch.preserve_format)
                state["step"] += 1
            beta1, beta2 = group["betas"]
            _functional.sparse_adam(
                params,
                [param.grad for param in params],
                [self.state[param]["exp_avg"] for param in params],
                [self.state[param]["exp_avg_sq"] for param in params],
                [self.state[param]["step"] for param in params],
                eps=group["eps"],
                beta1=beta1,
                beta2=beta2,
                lr=_get_value(group["lr"]),
                maximize=group.get("maximize", False),
            )
        return loss
