"""Derivatives checked against differences, as `torch.autograd.gradcheck`.

https://docs.pytorch.org/docs/2.13/generated/torch.autograd.gradcheck.gradcheck.html
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flashlight as torch
from flashlight import Tensor

__all__ = [
    "gradcheck",
    "gradgradcheck",
    "GradcheckError",
    "get_numerical_jacobian",
    "get_analytical_jacobian",
    "get_numerical_jacobian_wrt_specific_input",
]


class GradcheckError(RuntimeError):
    """A derivative differs from the differences of the function's values."""


@dataclass
class _Tolerance:
    eps: float
    atol: float
    rtol: float
    nondet: float


def gradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of `func` at `inputs` with central differences.

    Inputs should be float64: the differences of single precision, which is all that complex
    inputs have here, need a larger `eps` and tolerances. Complex outputs are checked by their
    real and imaginary parts. `fast_mode` compares one random projection of each Jacobian.
    Raises GradcheckError, or returns False without `raise_exception`.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    _check_inputs(arguments)
    tolerance = _Tolerance(eps, atol, rtol, nondet_tol)
    try:
        outputs = _differentiable(func(*arguments))
        if not outputs:
            _check_constant(func, arguments, tolerance)
            return True
        if check_backward_ad:
            _check_backward(func, arguments, tolerance, fast_mode, check_grad_dtypes)
        if check_forward_ad:
            _check_forward(func, arguments, tolerance, fast_mode)
        if check_batched_forward_grad:
            _check_batched_forward(func, arguments)
        if check_backward_ad:
            if check_batched_grad:
                _check_batched(func, arguments)
            _check_zero(func, arguments)
            if check_undefined_grad:
                _check_undefined(func, arguments)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare the gradients of the gradients of `func` with central differences.

    Differentiates with respect to `inputs` and to `grad_outputs`, which are random unless given.
    Raises GradcheckError, or returns False without `raise_exception`.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        made = _differentiable(func(*arguments))
        given = tuple(_random_like(t, gen_non_contig_grad_outputs) for t in made)
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    count = len(given)

    def gradients(*values):
        own, cotangents = values[: len(values) - count], values[len(values) - count :]
        outputs = _differentiable(func(*own))
        wanted = [t for t in own if isinstance(t, Tensor) and t.requires_grad]
        found = torch.autograd.grad(
            outputs, wanted, cotangents, create_graph=True, allow_unused=True
        )
        return tuple(grad for grad in found if grad is not None)

    return gradcheck(
        gradients, (*arguments, *given), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


# ----- arguments and results -----


def _check_inputs(arguments: tuple) -> None:
    if not any(isinstance(t, Tensor) and t.requires_grad for t in arguments):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    for position, tensor in _wanted(arguments):
        if tensor.dtype is not torch.float64:
            warnings.warn(
                f"Input #{position} requires gradient and is not a double precision floating "
                "point or complex. This check will likely fail if all the inputs are not of "
                "double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(step == 0 and n > 1 for n, step in zip(tensor.shape, tensor.stride())):
            raise RuntimeError(
                f"The {position}th input has a dimension with stride 0. gradcheck only supports "
                "inputs that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to "
                "gradcheck."
            )


def _wanted(arguments: tuple) -> list[tuple[int, Tensor]]:
    """Return the position and value of each input that needs a gradient."""
    return [
        (position, value)
        for position, value in enumerate(arguments)
        if isinstance(value, Tensor) and value.requires_grad
    ]


def _several(outputs: Any) -> tuple:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def _differentiable(outputs: Any) -> tuple[Tensor, ...]:
    if not isinstance(outputs, (Tensor, Sequence)):
        raise AttributeError(f"'{type(outputs).__name__}' object has no attribute 'requires_grad'")
    return tuple(o for o in _several(outputs) if isinstance(o, Tensor) and o.requires_grad)


def _random_like(tensor: Tensor, strided: bool) -> Tensor:
    made = torch.rand_like(tensor) if tensor.dtype.is_complex else torch.rand(
        tensor.shape, dtype=tensor.dtype, device=tensor.device) + 0.5
    if strided and tensor.ndim:
        made = torch.stack([made, made], -1).select(-1, 0).detach()
    return made.requires_grad_()


def _real_functions(outputs: tuple) -> list[tuple[int, str, Callable]]:
    """Return, for each output, its position, what to say of it, and how to make it real."""
    parts = []
    for position, output in enumerate(outputs):
        if output.dtype.is_complex:
            parts.append((position, "real", torch.real))
            parts.append((position, "imaginary", torch.imag))
        else:
            parts.append((position, "", lambda x: x))
    return parts


# ----- Jacobians: a row for each element of the input, a column for each of the output -----


def _places(tensor: Tensor):
    return itertools.product(*map(range, tensor.shape))


def _perturbed(call: Callable, tensor: Tensor, place: tuple, step: float | complex) -> Tensor:
    """Return the difference quotient of `call()` along one element of `tensor`."""
    data = tensor.data
    before = data[place].clone()
    data[place] = before + step
    above = call().detach().clone()
    data[place] = before - step
    below = call().detach().clone()
    data[place] = before
    return (above - below) / (2 * abs(step))


def _numerical(call: Callable, tensor: Tensor, eps: float) -> Tensor:
    """Return the Jacobian of the real `call()` with respect to `tensor`, by central differences."""
    rows = []
    for place in _places(tensor):
        row = _perturbed(call, tensor, place, eps).reshape(-1)
        if tensor.dtype.is_complex:
            row = torch.complex(row, _perturbed(call, tensor, place, 1j * eps).reshape(-1))
        rows.append(row)
    if not rows:
        return torch.zeros(0, call().numel(), dtype=tensor.dtype)
    return torch.stack(rows)


def _analytical(output: Tensor, wanted: list[Tensor], check_dtypes: bool) -> list[Tensor]:
    """Return the Jacobians of a real output, by one backward for each of its elements."""
    columns: list[list[Tensor]] = [[] for _ in wanted]
    for place in _places(output):
        cotangent = torch.zeros_like(output)
        cotangent[place] = 1
        found = torch.autograd.grad(
            output, wanted, cotangent, retain_graph=True, allow_unused=True
        )
        for column, tensor, grad in zip(columns, wanted, found):
            if grad is None:
                grad = torch.zeros_like(tensor)
            if check_dtypes and grad.dtype is not tensor.dtype:
                raise GradcheckError("Backward returned a gradient of another dtype than its input")
            if grad.shape != tensor.shape:
                raise GradcheckError("Analytical gradient has incorrect size")
            column.append(grad.detach().reshape(-1))
    return [
        torch.stack(column, 1) if column else torch.zeros(t.numel(), 0, dtype=t.dtype)
        for column, t in zip(columns, wanted)
    ]


_NOT_REENTRANT = (
    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
    "times gives different values, although analytical gradient matches numerical gradient."
    "The tolerance for nondeterminism was {}."
)


def _mismatch(numerical, analytical, output, input, part, mode=""):
    prefix = ""
    if part:
        prefix = f"While considering the {part} part of complex outputs only, "
    return (
        f"{prefix}Jacobian {mode}mismatch for output {output} with respect to input {input},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _close(a: Tensor, b: Tensor, tolerance: _Tolerance) -> bool:
    common = torch.promote_types(a.dtype, b.dtype)
    return torch.allclose(a.to(common), b.to(common), tolerance.rtol, tolerance.atol)


# ----- the checks -----


def _check_constant(func, arguments, tolerance):
    count = len(_several(func(*arguments)))
    for position in range(count):

        def call(position=position):
            output = _several(func(*arguments))[position]
            return output.real if output.dtype.is_complex else output.to(torch.float64)

        for _, tensor in _wanted(arguments):
            if not isinstance(_several(func(*arguments))[position], Tensor):
                continue
            found = _numerical(call, tensor, tolerance.eps)
            if bool((found.abs() > tolerance.atol).any()):
                raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_backward(func, arguments, tolerance, fast, check_dtypes):
    wanted = _wanted(arguments)
    tensors = [tensor for _, tensor in wanted]
    outputs = _differentiable(func(*arguments))
    for position, part, real in _real_functions(outputs):
        output = real(outputs[position])

        def call(position=position, real=real):
            return real(_differentiable(func(*arguments))[position])

        if fast:
            _check_fast(call, output, wanted, tolerance, position, part, check_dtypes)
            continue
        found = _analytical(output, tensors, check_dtypes)
        again = _analytical(output, tensors, check_dtypes)
        for first, second in zip(found, again):
            if first.numel() and float((first - second).abs().max()) > tolerance.nondet:
                raise GradcheckError(_NOT_REENTRANT.format(tolerance.nondet))
        for (number, tensor), analytical in zip(wanted, found):
            numerical = _numerical(call, tensor, tolerance.eps)
            if not _close(analytical, numerical, tolerance):
                raise GradcheckError(_mismatch(numerical, analytical, position, number, part))


def _unit(tensor: Tensor) -> Tensor:
    """Return a random direction of length 1, drawn apart from the program's random numbers."""
    generator = torch.Generator().manual_seed(0)
    real = torch.float32 if tensor.dtype.is_complex else tensor.dtype
    made = torch.randn(tensor.shape, generator=generator, dtype=real)
    if tensor.dtype.is_complex:
        made = torch.complex(made, torch.randn(tensor.shape, generator=generator, dtype=real))
    return made / made.abs().square().sum().sqrt().clamp_min(1e-12)


def _check_fast(call, output, wanted, tolerance, position, part, check_dtypes):
    cotangent = _unit(output)
    tensors = [tensor for _, tensor in wanted]
    both = [
        torch.autograd.grad(output, tensors, cotangent, retain_graph=True, allow_unused=True)
        for _ in range(2)
    ]
    for (number, tensor), grad, again in zip(wanted, *both):
        direction = _unit(tensor)
        if grad is None:
            grad = again = torch.zeros_like(tensor)
        if check_dtypes and grad.dtype is not tensor.dtype:
            raise GradcheckError("Backward returned a gradient of another dtype than its input")
        if grad.numel() and float((grad - again).abs().max()) > tolerance.nondet:
            raise GradcheckError(_NOT_REENTRANT.format(tolerance.nondet))
        # The derivative of a real function along d: Re <grad, d> with PyTorch's complex gradients.
        product = grad.detach() * direction.conj()
        analytical = (product.real if product.dtype.is_complex else product).sum()
        slope = _along(call, tensor, direction, tolerance.eps)
        numerical = (slope.reshape(-1) * cotangent.reshape(-1)).sum()
        if not _close(analytical, numerical, tolerance):
            slow = _analytical(output, [tensor], False)[0]
            raise GradcheckError(
                _mismatch(numerical, analytical, position, number, part)
                + "\nThese are projections on random directions (fast mode). In full:\n\nNumerical:"
                f"\n {_numerical(call, tensor, tolerance.eps)}\nAnalytical:\n{slow}\n"
            )


def _along(call, tensor, direction, eps):
    data = tensor.data
    before = data.clone()
    data.copy_(before + eps * direction)
    above = call().detach().clone()
    data.copy_(before - eps * direction)
    below = call().detach().clone()
    data.copy_(before)
    return (above - below) / (2 * eps)


def _tangents_of(func, arguments, number, tangent) -> tuple:
    """Return the tangents of the differentiable outputs for one tangent of one input."""
    from . import forward_ad

    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(value.detach(), tangent if position == number
                                 else torch.zeros_like(value))
            if isinstance(value, Tensor) and value.requires_grad else value
            for position, value in enumerate(arguments)
        ]
        return tuple(
            torch.zeros_like(primal) if found is None else found
            for primal, found in (
                forward_ad.unpack_dual(output)
                for output in _several(func(*duals))
                if isinstance(output, Tensor) and output.dtype.is_floating_point
                or output.dtype.is_complex
            )
        )


def _check_forward(func, arguments, tolerance, fast):
    outputs = _differentiable(func(*arguments))
    for number, tensor in _wanted(arguments):
        steps = [1, 1j] if tensor.dtype.is_complex else [1]
        columns: dict = {}
        for step in steps:
            for place in _places(tensor):
                tangent = torch.zeros_like(tensor).detach()
                tangent[place] = step
                for position, found in enumerate(_tangents_of(func, arguments, number, tangent)):
                    columns.setdefault((position, step), []).append(found.detach().reshape(-1))
        for position, part, real in _real_functions(outputs):

            def call(position=position, real=real):
                return real(_differentiable(func(*arguments))[position])

            numerical = _numerical(call, tensor, tolerance.eps)
            analytical = real(torch.stack(columns[position, 1]))
            if len(steps) == 2:
                analytical = torch.complex(analytical, real(torch.stack(columns[position, 1j])))
            if not _close(analytical, numerical, tolerance):
                raise GradcheckError(
                    _mismatch(numerical, analytical, position, number, part,
                              "computed with forward mode ")
                )


def _check_batched(func, arguments):
    tensors = [tensor for _, tensor in _wanted(arguments)]
    for output in _differentiable(func(*arguments)):
        cotangents = torch.stack([_unit(output), 2 * _unit(output)])
        together = torch.autograd.grad(
            output, tensors, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=True
        )
        for lane, cotangent in enumerate(cotangents):
            alone = torch.autograd.grad(
                output, tensors, cotangent, retain_graph=True, allow_unused=True
            )
            for one, many in zip(alone, together):
                if one is not None and not torch.allclose(one, many[lane]):
                    raise GradcheckError(
                        "Gradients of several grad_outputs at once differ from those of one at a "
                        f"time:\n{many[lane]}\n{one}"
                    )


def _check_batched_forward(func, arguments):
    for number, tensor in _wanted(arguments):
        tangents = torch.stack([_unit(tensor), 2 * _unit(tensor)])

        def tangents_for(tangent, number=number):
            return _tangents_of(func, arguments, number, tangent)

        together = torch.vmap(tangents_for)(tangents)
        for lane, tangent in enumerate(tangents):
            for one, many in zip(tangents_for(tangent), together):
                if not torch.allclose(one, many[lane]):
                    raise GradcheckError(
                        "Forward-mode derivatives of several tangents at once differ from those of "
                        f"one at a time:\n{many[lane]}\n{one}"
                    )


def _check_zero(func, arguments):
    """A gradient of zero must come back as zero."""
    tensors = [tensor for _, tensor in _wanted(arguments)]
    outputs = _differentiable(func(*arguments))
    found = torch.autograd.grad(
        outputs, tensors, [torch.zeros_like(o) for o in outputs], allow_unused=True
    )
    for grad in found:
        if grad is not None and bool((grad != 0).any()):
            raise GradcheckError("backward not multiplied by grad_output")


def _check_undefined(func, arguments):
    """An output that was not used must count as a gradient of zero."""
    tensors = [tensor for _, tensor in _wanted(arguments)]
    outputs = _differentiable(func(*arguments))
    if len(outputs) < 2:
        return
    for position, output in enumerate(outputs):
        zeros = [torch.zeros_like(o) for o in outputs]
        zeros[position] = cotangent = torch.ones_like(output)
        alone = torch.autograd.grad(
            output, tensors, cotangent, retain_graph=True, allow_unused=True
        )
        padded = torch.autograd.grad(
            outputs, tensors, zeros, retain_graph=True, allow_unused=True
        )
        for one, other in zip(alone, padded):
            if one is not None and other is not None and not torch.allclose(one, other):
                raise GradcheckError(
                    "Expected backward function to handle undefined output grads. Please look at "
                    "the documentation of set_materialize_grads"
                )


# ----- PyTorch's older entry points -----


def get_numerical_jacobian(fn, inputs, target=None, eps=1e-3, grad_out=1.0):
    """Return the Jacobians of a real `fn(inputs)`'s outputs for each input, as nested tuples."""
    if grad_out != 1.0:
        raise ValueError("Expected grad_out to be 1.0. get_numerical_jacobian no longer supports "
                         "values of grad_out != 1.0.")
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    count = len(_several(fn(arguments)))
    return tuple(
        tuple(
            _numerical(lambda output=output: _several(fn(arguments))[output], tensor, eps)
            for output in range(count)
        )
        for _, tensor in _wanted(arguments)
    )


def get_numerical_jacobian_wrt_specific_input(
    fn, input_idx, inputs, outputs, eps, input=None, is_forward_ad=False
) -> tuple[Tensor, ...]:
    """Return the Jacobian of each output of `fn(inputs)` with respect to one input."""
    tensor = inputs[input_idx] if input is None else input
    return tuple(
        _numerical(lambda output=output: _several(fn(inputs))[output], tensor, eps)
        for output in range(len(outputs))
    )


def get_analytical_jacobian(inputs, output, nondet_tol=0.0, grad_out=1.0):
    """Return (Jacobians, reentrant, sizes right, dtypes right) of `output` for the inputs."""
    if grad_out != 1.0:
        raise ValueError("Expected grad_out to be 1.0. get_analytical_jacobian no longer supports "
                         "values of grad_out != 1.0.")
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    tensors = [tensor for _, tensor in _wanted(arguments)]
    found, again = (_analytical(output, tensors, False) for _ in range(2))
    reentrant = all(
        not a.numel() or float((a - b).abs().max()) <= nondet_tol for a, b in zip(found, again)
    )
    same = all(a.dtype is t.dtype for a, t in zip(found, tensors))
    return tuple(found), reentrant, True, same
