"""The optimizers as functions of parameters, gradients and state."""

from __future__ import annotations

import math

from flashlight import Tensor
from flashlight.optim.adadelta import adadelta
from flashlight.optim.adagrad import _make_sparse, adagrad
from flashlight.optim.adam import adam
from flashlight.optim.adamax import adamax
from flashlight.optim.adamw import adamw
from flashlight.optim.asgd import asgd
from flashlight.optim.nadam import nadam
from flashlight.optim.radam import radam
from flashlight.optim.rmsprop import rmsprop
from flashlight.optim.rprop import rprop
from flashlight.optim.sgd import sgd

__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "nadam", "radam", "rmsprop",
    "rprop", "sgd", "sparse_adam",
]  # fmt: skip


def sparse_adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[int],
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    maximize: bool,
) -> None:
    """Update, in place, the entries of `params` and the averages that occur in `grads`."""
    for param, grad, exp_avg, exp_avg_sq, step in zip(
        params, grads, exp_avgs, exp_avg_sqs, state_steps, strict=True
    ):
        grad = (-grad if maximize else grad).coalesce()
        indices, values = grad._indices(), grad._values()
        if values.numel() == 0:
            continue
        old_avg = exp_avg.sparse_mask(grad)._values()
        avg_change = (values - old_avg).mul_(1 - beta1)
        exp_avg.add_(_make_sparse(grad, indices, avg_change))
        old_avg_sq = exp_avg_sq.sparse_mask(grad)._values()
        avg_sq_change = values.pow(2).sub_(old_avg_sq).mul_(1 - beta2)
        exp_avg_sq.add_(_make_sparse(grad, indices, avg_sq_change))
        denominator = (avg_sq_change + old_avg_sq).sqrt_().add_(eps)
        rate = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        change = (avg_change + old_avg).div_(denominator).mul_(-rate)
        param.add_(_make_sparse(grad, indices, change))
