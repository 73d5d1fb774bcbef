"""The CTC loss. Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core.dtype import SCALAR_TYPE_NAME, float32, float64, int32, int64
from .._core.evaluation import is_traced
from .._core.tensor import Tensor, from_host, read
from .._kernels import ctc as kernels
from .._kernels.precision import on_accelerator
from .host import from_numpy
from .kinds import composite, primitive

_REDUCTIONS = ("none", "mean", "sum")


def _compute(kernel, arrays: tuple, *options):
    """Run a kernel with NumPy, or in traces, where there are no values, and on accelerators in MLX.
    """
    if on_accelerator() or is_traced(*arrays):
        return kernel(mx, *arrays, *options)
    with np.errstate(all="ignore"):
        made = kernel(np, *map(np.asarray, arrays), *options)
    return [from_numpy(each) for each in made] if isinstance(made, list) else from_numpy(made)


@primitive(name="_ctc_loss", node="CtcLoss", promoted=("log_probs",), many=True)
def _ctc(
    log_probs: mx.array,
    labels: mx.array,
    input_lengths: mx.array,
    target_lengths: mx.array,
    blank: int,
    zero_infinity: bool,
) -> list:
    given = log_probs, labels, input_lengths, target_lengths
    return _compute(kernels.forward, given, blank)


@primitive(name="_ctc_loss_backward", promoted=("grad",), differentiable=False)
def _ctc_backward(
    grad: mx.array,
    log_probs: mx.array,
    labels: mx.array,
    input_lengths: mx.array,
    target_lengths: mx.array,
    loss: mx.array,
    alphas: mx.array,
    blank: int,
    zero_infinity: bool,
) -> mx.array:
    given = grad, log_probs, labels, input_lengths, target_lengths, loss, alphas
    return _compute(kernels.gradient, given, blank, zero_infinity)


def _ctc_gradient(
    grads, log_probs, labels, input_lengths, target_lengths, results, blank, zero_infinity
):
    lengths = (input_lengths, target_lengths)
    return _ctc_backward(grads[0], log_probs, labels, *lengths, *results, blank, zero_infinity)


_ctc.gradients(log_probs=_ctc_gradient)


def _as_lengths(name: str, value, batch: int) -> list[int]:
    if isinstance(value, Tensor):
        if value.dtype.category != 1:
            raise RuntimeError(f"{name} must be integral")
        value = value.reshape(-1).tolist()
    value = [int(each) for each in value]
    if len(value) != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return value


def _check_length(name: str, lengths: list[int], most: int | None = None) -> None:
    for length in lengths:
        if length < 0 or (most is not None and length > most):
            bound = "at least 0" if length < 0 else f"at most {most}"
            raise RuntimeError(
                f"Expected {name} to have value {bound}, but got value {length} (while checking "
                "arguments for ctc_loss_allocate_outputs)"
            )


def _padded_labels(targets: Tensor, lengths: list[int], batch: int) -> Tensor:
    """Return the labels as (N, S), whether they came so or one after the other."""
    longest = max(lengths, default=0)
    checking = "for argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)"
    if targets.ndim == 1:
        if targets.shape[0] != sum(lengths):
            raise RuntimeError(
                f"Expected tensor to have size {sum(lengths)} at dimension 0, but got size "
                f"{targets.shape[0]} {checking}"
            )
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        # Beyond the end of a sequence any label will do.
        rows = np.minimum(starts[:, None] + np.arange(longest), max(targets.shape[0] - 1, 0))
        if longest == 0:
            return targets.new_zeros((batch, 0))
        return targets.index_select(0, from_host(rows.reshape(-1))).reshape(batch, longest)
    if targets.ndim != 2:
        raise RuntimeError(
            f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor {checking}"
        )
    if targets.shape[0] != batch:
        raise RuntimeError(
            f"Expected tensor to have size {batch} at dimension 0, but got size "
            f"{targets.shape[0]} {checking}"
        )
    if targets.shape[1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{targets.shape[1]} {checking}"
        )
    return targets.narrow(1, 0, longest)


def _check_labels(labels: Tensor, lengths: list[int], classes: int) -> None:
    """Raise RuntimeError for labels that are not there: MLX would read any memory."""
    array = read(labels)
    if array.size == 0 or is_traced(array):
        return
    used = np.arange(labels.shape[1]) < np.array(lengths)[:, None]
    values = np.array(labels.tolist())
    if ((values < 0) | (values >= classes))[used].any():
        raise RuntimeError(f"ctc_loss: targets must be labels from 0 to {classes - 1}")


@composite(out=False)
def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """Minus the log likelihood of labels (N, S), or all in one row, under log_probs (T, N, C).

    N may be missing. Raises RuntimeError for lengths and labels that don't fit.
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if log_probs.dtype not in (float32, float64):
        kind = SCALAR_TYPE_NAME[log_probs.dtype]
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{kind}'")
    if targets.dtype not in (int64, int32):
        raise RuntimeError(
            "Expected tensor for argument #2 'targets' to have one of the following scalar types: "
            f"Long, Int; but got {SCALAR_TYPE_NAME[targets.dtype]} instead"
        )
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    inputs = _as_lengths("input_lengths", input_lengths, batch)
    wanted = _as_lengths("target_lengths", target_lengths, batch)
    _check_length("target_lengths", wanted)
    _check_length("input_lengths", inputs, steps)
    labels = _padded_labels(targets, wanted, batch)
    _check_labels(labels, wanted, classes)
    # Labels beyond the end may be anything: they are looked up, but no alignment uses them.
    labels = labels.to(int64).clamp(0, classes - 1)
    device = log_probs.device
    lengths = [
        from_host(np.array(each, np.int64).reshape(batch)).to(device) for each in (inputs, wanted)
    ]
    loss = _ctc(log_probs, labels, *lengths, blank, zero_infinity)[0]
    if zero_infinity:
        loss = loss.masked_fill(loss.detach() == float("inf"), 0)
    if reduction == "mean":
        return (loss / lengths[1].clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss


@composite(out=False, name="ctc_loss")
def _torch_ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction=1,
    zero_infinity=False,
):
    """`torch.ctc_loss`, whose reduction is a number."""
    lengths = (input_lengths, target_lengths)
    return ctc_loss(log_probs, targets, *lengths, blank, _REDUCTIONS[reduction], zero_infinity)


functional = {"ctc_loss": ctc_loss}
FUNCTIONS = {"ctc_loss": _torch_ctc_loss}
METHODS: dict = {}
INPLACE = ()
