"""How an optimizer's rule is applied to its parameters.

An optimizer states two things. ``advance(ops, *counters, **hyper)`` turns the counters in the
state (the step, above all) into their next values and into the numbers of this step.
``rule(ops, grad, param, *state, **numbers)`` computes the next parameter and state from the
present ones. Both name their arithmetic through `ops`, so the same lines run on Python floats
and whole lists of arrays (the usual case: one fused kernel for each parameter), or on tensors
where the step is differentiated, traced, or keeps its counters on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import flashlight as torch
from flashlight._ops import optimizer_steps
from flashlight.optim.optimizer import _get_scalar_dtype


class HostMath:
    """The arithmetic of counters as Python floats."""

    minimum = staticmethod(min)
    maximum = staticmethod(max)
    sqrt = staticmethod(math.sqrt)

    @staticmethod
    def rounded(x: float) -> float:
        """`x` in the precision of a counter."""
        return x if torch.get_default_dtype() == torch.float64 else float(np.float32(x))

    @staticmethod
    def where(condition: bool, x: Any, y: Any) -> Any:
        return x if condition else y

    @staticmethod
    def complement_of_power(base: float, exponent: float) -> float:
        """1 - base**exponent."""
        return 1 - base**exponent


class TensorMath:
    """The arithmetic of rules and of counters on tensors."""

    neg = staticmethod(torch.neg)
    abs = staticmethod(torch.abs)
    sqrt = staticmethod(torch.sqrt)
    square = staticmethod(torch.square)
    sign = staticmethod(torch.sign)
    mul = staticmethod(torch.mul)
    div = staticmethod(torch.div)
    detach = staticmethod(torch.Tensor.detach)

    @staticmethod
    def rounded(x: torch.Tensor) -> torch.Tensor:
        return x

    @staticmethod
    def maximum(x: Any, y: Any) -> torch.Tensor:
        return torch.maximum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, min=y)

    @staticmethod
    def minimum(x: Any, y: Any) -> torch.Tensor:
        if not isinstance(x, torch.Tensor):
            x, y = y, x
        return torch.minimum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, max=y)

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        if isinstance(condition, bool):
            return x if condition else y
        return torch.where(condition, x, y)

    @staticmethod
    def like(number: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(number, dtype=x.dtype, device=x.device)

    @staticmethod
    def zero_where(condition: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(condition, 0)

    @staticmethod
    def clamp(x: torch.Tensor, lowest: Any, highest: Any) -> torch.Tensor:
        return torch.clamp(x, lowest, highest)

    @staticmethod
    def add(x: torch.Tensor, y: Any, alpha: Any = None) -> torch.Tensor:
        if alpha is None:
            return torch.add(x, y)
        return x + alpha * y if isinstance(alpha, torch.Tensor) else torch.add(x, y, alpha=alpha)

    @staticmethod
    def lerp(x: torch.Tensor, end: torch.Tensor, weight: Any) -> torch.Tensor:
        if isinstance(weight, torch.Tensor):
            weight = weight.to(x.dtype)
        return torch.lerp(x, end, weight)

    @staticmethod
    def addcmul(x, y, z, value: Any = None) -> torch.Tensor:
        if value is None:
            return torch.addcmul(x, y, z)
        if isinstance(value, torch.Tensor):
            return x + value * y * z
        return torch.addcmul(x, y, z, value=value)

    @staticmethod
    def addcdiv(x, y, z, value: Any = None) -> torch.Tensor:
        if value is None:
            return torch.addcdiv(x, y, z)
        if isinstance(value, torch.Tensor):
            return x + value * y / z
        return torch.addcdiv(x, y, z, value=value)

    @staticmethod
    def complement_of_power(base: Any, exponent: torch.Tensor) -> torch.Tensor:
        """1 - base**exponent; with a fixed base, without the cancellation in float32."""
        if isinstance(base, torch.Tensor) or base <= 0:
            return 1 - base**exponent
        return -torch.expm1(exponent * math.log(base))


def update(
    rule: Callable,
    advance: Callable,
    params: list[torch.Tensor],
    grads: list[torch.Tensor],
    state: Sequence[list[torch.Tensor | None]],
    counters: Sequence[list[torch.Tensor]] = (),
    *,
    hyper: dict[str, Any],
    options: dict[str, bool],
    capturable: bool = False,
    differentiable: bool = False,
) -> None:
    """Replace parameters, state and counters by their next values.

    `state` has a list for each kind of state; an empty list means that it is not kept, None in
    a list that the rule makes it. `hyper` are the numbers that `advance` takes, `options` the
    switches of `rule`.
    """
    if not params:
        return
    absent = [None] * len(params)
    state = [column or absent for column in state]
    hyper = {name: _number(value) for name, value in hyper.items()}
    on_tensors = (
        differentiable
        or capturable
        or any(isinstance(value, torch.Tensor) for value in hyper.values())
    )
    counts = None if on_tensors else optimizer_steps.read_counters(counters, len(params))
    if counts is None:
        _update_tensors(
            rule, advance, params, grads, state, counters, hyper, options, differentiable
        )
        return
    alike: dict[tuple, list[int]] = {}
    for index, values in enumerate(counts):
        alike.setdefault(values, []).append(index)
    for values, indices in alike.items():
        values, numbers = advance(HostMath, *values, **hyper)
        optimizer_steps.write_counters(counters, indices, values)
        switches = {name: value for name, value in numbers.items() if isinstance(value, bool)}
        numbers = {name: value for name, value in numbers.items() if name not in switches}
        optimizer_steps.run(
            rule, indices, grads, [params, *state], numbers, {**options, **switches}
        )


def _number(value: Any) -> Any:
    """Return the number in a tensor, unless that is traced or differentiated."""
    if not isinstance(value, torch.Tensor):
        return value
    number = None if value.requires_grad else optimizer_steps.host_number(value)
    if number is not None:
        return number
    return value.squeeze() if value.dim() else value


def _update_tensors(
    rule, advance, params, grads, state, counters, hyper, options, differentiable
) -> None:
    for index, grad in enumerate(grads):
        values = [column[index] for column in counters]
        values, numbers = advance(TensorMath, *values, **hyper)
        for column, value in zip(counters, values, strict=True):
            column[index].copy_(value)
        old = [column[index] for column in (params, *state)]
        if differentiable:
            # Autograd saves what it reads, and the originals are about to be written.
            old = [value if value is None else value.clone() for value in old]
        new = rule(TensorMath, grad, *old, **numbers, **options)
        for column, value in zip((params, *state), new, strict=True):
            if value is None:
                continue
            if column[index] is None:
                column[index] = value.detach().clone()
            else:
                column[index].copy_(value)


def gather(
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    keys: Sequence[str],
    new_state: Callable[[torch.Tensor], dict[str, Any]],
    sparse_error: str | None = None,
) -> tuple[list, ...]:
    """Return the group's parameters with gradients, these, and a list for each key of the state.

    A parameter's state is made by `new_state` when it is first met.
    """
    sparse_error = sparse_error or f"{type(optimizer).__name__} does not support sparse gradients"
    params: list[torch.Tensor] = []
    grads: list[torch.Tensor] = []
    columns: list[list] = [[] for _ in keys]
    for param in group["params"]:
        grad = param.grad
        if grad is None:
            continue
        if grad.is_sparse:
            raise RuntimeError(sparse_error)
        params.append(param)
        grads.append(grad)
        state = optimizer.state[param]
        if not state:
            state.update(new_state(param))
        for column, key in zip(columns, keys, strict=True):
            column.append(state.get(key))
    return params, grads, *columns


def zeros_like(param: torch.Tensor) -> torch.Tensor:
    """Return zeros of the parameter's shape and strides."""
    return torch.zeros_like(param, memory_format=torch.preserve_format)


def counter(value: float, param: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """Return a number of the state, on the host unless the group keeps them on the device."""
    fused = group.get("fused")
    device = param.device if group.get("capturable") or fused else "cpu"
    return torch.tensor(value, dtype=_get_scalar_dtype(is_fused=fused), device=device)


def check_learning_rate(lr: float | torch.Tensor) -> None:
    """Raise ValueError unless `lr` is a number that is not negative."""
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    check_not_negative(lr, "learning rate")


def check_not_negative(value: Any, name: str) -> None:
    """Raise ValueError if `value` is negative or NaN."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {name}: {value}")


def check_betas(betas: Sequence) -> None:
    """Raise ValueError unless both betas are in [0, 1)."""
    for index, beta in enumerate(betas[:2]):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raise RuntimeError for switches that exclude each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_fused_params(params: list[torch.Tensor]) -> None:
    """Raise RuntimeError unless all parameters are floating-point."""
    for param in params:
        if not torch.is_floating_point(param):
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors, but one is "
                f"{param.dtype} on {param.device.type}"
            )


def check_steps(state_steps: Sequence) -> None:
    """Raise RuntimeError unless the step counts are tensors."""
    if not all(isinstance(step, torch.Tensor) for step in state_steps):
        raise RuntimeError(
            "API has changed, `state_steps` argument must contain a list of singleton tensors"
        )


def unscale_for_fused(
    grads: list[torch.Tensor],
    grad_scale: torch.Tensor | None,
    found_inf: torch.Tensor | None,
) -> bool:
    """Divide `grads` by a GradScaler's scale; return False if the step is to be skipped."""
    if found_inf is not None and found_inf.item():
        return False
    if grad_scale is not None:
        for grad in grads:
            grad.div_(grad_scale.to(grad.device))
    return True
