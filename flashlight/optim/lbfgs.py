"""L-BFGS, with an optional line search under the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable

import flashlight as torch
from flashlight import Tensor
from flashlight._ops import optimizer_steps
from flashlight.optim.optimizer import Optimizer, ParamsT, _to_scalar

__all__ = ["LBFGS"]

_STATE = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last `history_size` changes of parameters and gradients.

    A step calls `closure` several times. One parameter group only. Raises ValueError for a
    negative learning rate or several groups. Nocedal and Wright, Numerical Optimization, 7.2;
    the line search follows Schmidt's minFunc.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gather_flat_grad(self) -> Tensor:
        """Return all gradients as one vector, complex ones as pairs, absent ones as zeros."""
        pieces = []
        for param in self._params:
            grad = param.grad
            if grad is None:
                grad = torch.zeros_like(param)
            elif grad.is_sparse:
                grad = grad.to_dense()
            if torch.is_complex(grad):
                grad = torch.view_as_real(grad)
            pieces.append(grad.reshape(-1))
        return torch.cat(pieces, 0)

    def _add_grad(self, step_size: float | Tensor, update: Tensor) -> None:
        """Move the parameters by `step_size` times the vector `update`."""
        offset = 0
        for param in self._params:
            param = torch.view_as_real(param) if torch.is_complex(param) else param
            count = param.numel()
            change = update[offset : offset + count].view_as(param)
            param.add_(change * step_size)
            offset += count

    def _evaluate_at(
        self, closure: Callable, origin: list[Tensor], step_size: float | Tensor, direction: Tensor
    ) -> tuple[float, Tensor]:
        """Return loss and gradient a step away from `origin`, and go back there."""
        self._add_grad(step_size, direction)
        loss = float(closure())
        gradient = self._gather_flat_grad()
        for param, value in zip(self._params, origin, strict=True):
            param.copy_(value)
        return loss, gradient

    @torch.no_grad()
    def step(self, closure):
        """Iterate until a limit or a tolerance is met; return the loss at the start."""
        closure = torch.enable_grad()(closure)
        group = self.param_groups[0]
        lr = _to_scalar(group["lr"])
        max_iter, max_eval = group["max_iter"], group["max_eval"]
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._gather_flat_grad()
        if gradient.abs().max() <= tolerance_grad:
            return first_loss

        values = {key: state.get(key) for key in _STATE}
        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            direction = self._direction(gradient, values, group["history_size"], state)
            previous = values["prev_flat_grad"]
            if previous is None:
                values["prev_flat_grad"] = gradient.clone(memory_format=torch.contiguous_format)
            else:
                previous.copy_(gradient)
            previous_loss = values["prev_loss"] = loss
            values["d"] = direction
            values["t"] = lr
            if state["n_iter"] == 1:
                values["t"] = min(1.0, 1.0 / gradient.abs().sum()) * lr
            slope = gradient.dot(direction)
            if slope > -tolerance_change:
                break

            calls = 0
            converged = False
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                origin = [
                    param.clone(memory_format=torch.contiguous_format) for param in self._params
                ]
                loss, gradient, values["t"], calls = _strong_wolfe(
                    lambda x, t, d: self._evaluate_at(closure, x, t, d),
                    origin,
                    values["t"],
                    direction,
                    loss,
                    gradient,
                    slope,
                    max_ls=max_eval - evaluations,
                )
                self._add_grad(values["t"], direction)
                converged = gradient.abs().max() <= tolerance_grad
            else:
                self._add_grad(values["t"], direction)
                if iteration != max_iter:
                    # After the last step nobody needs the loss.
                    loss = float(closure())
                    gradient = self._gather_flat_grad()
                    converged = gradient.abs().max() <= tolerance_grad
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                evaluations >= max_eval
                or converged
                or direction.mul(values["t"]).abs().max() <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        state.update(values)
        return first_loss

    @staticmethod
    def _direction(gradient: Tensor, values: dict, history_size: int, state: dict) -> Tensor:
        """Return −H·gradient for the inverse Hessian H that the history stands for."""
        if state["n_iter"] == 1:
            values.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return gradient.neg()
        changes, steps, inverses = values["old_dirs"], values["old_stps"], values["ro"]
        change = gradient.sub(values["prev_flat_grad"])
        step = values["d"].mul(values["t"])
        curvature = change.dot(step)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for column in (changes, steps, inverses):
                    column.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            values["H_diag"] = curvature / change.dot(change)
        # Kept in the state because PyTorch keeps it there.
        weights = state.setdefault("al", [None] * history_size)
        on_host = optimizer_steps.two_loops(gradient, changes, steps, inverses, values["H_diag"])
        if on_host is not None:
            direction, weights[: len(changes)] = on_host
            return direction
        # The weights stay tensors: as Python numbers each would have to be waited for.
        direction = gradient.neg()
        for index in reversed(range(len(changes))):
            weights[index] = steps[index].dot(direction) * inverses[index]
            direction = direction - weights[index] * changes[index]
        direction = torch.mul(direction, values["H_diag"])
        for index in range(len(changes)):
            weight = changes[index].dot(direction) * inverses[index]
            direction = direction + (weights[index] - weight) * steps[index]
        return direction


def _strong_wolfe(
    evaluate: Callable,
    x: list[Tensor],
    t: float | Tensor,
    d: Tensor,
    f: float,
    g: Tensor,
    gtd: Tensor,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[float, Tensor, float | Tensor, int]:
    """Return loss, gradient, step length and number of evaluations of a line search.

    First the step grows until it has passed a minimum; then the bracket around that is narrowed.
    A point is (step, loss, gradient, slope).
    """
    largest = d.abs().max()

    def point(step):
        loss, gradient = evaluate(x, step, d)
        return step, loss, gradient, gradient.dot(d)

    previous = (0, f, g.clone(memory_format=torch.contiguous_format), gtd)
    new = point(t)
    evaluations = 1
    done = False
    iteration = 0
    while iteration < max_ls:
        step, loss, _, slope = new
        if loss > f + c1 * step * gtd or (iteration > 1 and loss >= previous[1]):
            bracket = [previous, new]
            break
        if abs(slope) <= -c2 * gtd:
            bracket = [new]
            done = True
            break
        if slope >= 0:
            bracket = [previous, new]
            break
        bounds = (step + 0.01 * (step - previous[0]), step * 10)
        step = _cubic_interpolate(*_curve(previous), *_curve(new), bounds=bounds)
        previous, new = new, point(step)
        evaluations += 1
        iteration += 1
    else:
        bracket = [(0, f, g, gtd), new]

    stalled = False
    low, high = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    while not done and iteration < max_ls:
        if abs(bracket[1][0] - bracket[0][0]) * largest < tolerance_change:
            break
        step = _cubic_interpolate(*_curve(bracket[0]), *_curve(bracket[1]))
        left, right = sorted((bracket[0][0], bracket[1][0]))
        margin = 0.1 * (right - left)
        if min(right - step, step - left) < margin:
            # Too close to an end for the second time, or outside: move inwards.
            if stalled or step >= right or step <= left:
                step = right - margin if abs(step - right) < abs(step - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = point(step)
        evaluations += 1
        iteration += 1
        _, loss, _, slope = new
        if loss > f + c1 * step * gtd or loss >= bracket[low][1]:
            bracket[high] = new
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(slope) <= -c2 * gtd:
                done = True
            elif slope * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    step, loss, gradient, _ = bracket[low]
    return loss, gradient, step, evaluations


def _curve(point: tuple) -> tuple:
    """Return step, loss and slope of a point."""
    step, loss, _, slope = point
    return step, loss, slope


def _cubic_interpolate(x1, f1, g1, x2, f2, g2, bounds=None):
    """Return the minimum within `bounds` of the cubic through two points with their slopes.

    Without a minimum the middle of the bounds.
    """
    lowest, highest = bounds or ((x1, x2) if x1 <= x2 else (x2, x1))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if not square >= 0:
        return (lowest + highest) / 2.0
    d2 = square.sqrt()
    if x1 <= x2:
        position = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        position = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(position, lowest), highest)
