"""Numbers drawn according to the values of a tensor: `bernoulli` to `multinomial`."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._core import samplers, sequential
from .._core.arrangement import preserved_stride
from .._core.device import META
from .._core.dtype import FLOATING, SCALAR_TYPE_NAME, float32, float64, int64
from .._core.errors import broadcast_shapes, not_implemented_for
from .._core.evaluation import local
from .._core.layout import layout as layout_of
from .._core.tensor import Tensor, read, wrap
from .._kernels import random as kernels
from .._kernels import random_gradients
from .creation import filled
from .drawing import (
    BERNOULLI,
    FOLLOW,
    check_generator,
    draw,
    key_for,
    lay_out,
    source_of,
    stream_for,
    to_host,
    to_mlx,
)
from .kinds import composite, primitive
from .random_inplace import (
    check_bernoulli_dtype,
    check_out,
    check_probability,
    draw_by_probability,
    fades,
    fades_for_two,
    integer,
    number,
)


def _checked(name: str, value, argument: str, position: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, "
            f"not {type(value).__name__}"
        )
    return value


_bernoulli_history = fades("BernoulliBackward0")
_bernoulli_p_history = fades("NotImplemented")


def _no_derivative(name: str):
    def rule(grad):
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return rule


_bernoulli_p_history.gradients(input=_no_derivative("bernoulli"))


@composite
def bernoulli(input, p=None, *, generator=None, out=None):
    """Return ones with the probabilities in `input` (or with probability `p`), else zeros."""
    _checked("bernoulli", input, "input", 1)
    check_generator("bernoulli", generator)
    if p is not None:
        if out is not None or isinstance(p, Tensor):
            raise TypeError(
                "bernoulli() received an invalid combination of arguments: p is a number, and goes "
                "without out="
            )
        return _bernoulli_alike(input, number("bernoulli", "p", 2, p), generator)
    if out is not None:
        check_out("bernoulli", input, out)
        out = out if out.shape == input.shape else out.resize_(input.shape)
        return out.bernoulli_(input, generator=generator)
    if input.dtype not in FLOATING:
        which = "self" if input.is_complex() else "p"
        raise not_implemented_for(f"bernoulli_tensor_cpu_{which}_", input.dtype)
    layout = input._layout.compact()
    if layout.device is META or not layout.numel:
        made = filled(tuple(layout.size), 0, layout.dtype, layout.device)
    else:
        source = source_of(generator or FOLLOW, layout.device)
        made = wrap(draw_by_probability(input, layout, source), layout.device)
    return _with_history(_bernoulli_history, input, made)


def _bernoulli_alike(input, p, generator):
    check_probability(p)
    check_bernoulli_dtype(input.dtype)
    layout = input._layout.compact()
    if layout.device is META or not layout.numel:
        made = filled(tuple(layout.size), 0, layout.dtype, layout.device)
    else:
        source = source_of(generator or FOLLOW, layout.device)
        made = wrap(draw(BERNOULLI, source, layout, p), layout.device)
    return _with_history(_bernoulli_p_history, input, made)


def _with_history(history, input: Tensor, made: Tensor) -> Tensor:
    if input._node is not None and local.grad_enabled:
        return history(input, read(made))
    return made


_poisson_history = fades("PoissonBackward0")


@composite(out=False)
def poisson(input, generator=None):
    """Return Poisson numbers of the rates in `input`, in its dtype.

    Raises RuntimeError for negative rates.
    """
    _checked("poisson", input, "input", 1)
    check_generator("poisson", generator)
    if input.dtype not in FLOATING:
        raise not_implemented_for("poisson_cpu", input.dtype)
    made = _drawn(input, generator, _host_poisson, kernels.poisson)
    return _with_history(_poisson_history, input, made)


def _host_poisson(source, rates):
    if not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return sequential.poisson(source, rates.astype(np.float64).reshape(-1))


def _drawn(input, generator, host, graph, *others):
    """Return numbers drawn for the values of tensors of one shape, in index order, contiguous."""
    layout = input._layout.compact()
    if layout.device is META or not layout.numel:
        return filled(tuple(layout.size), 0, layout.dtype, layout.device)
    source = source_of(generator or FOLLOW, layout.device)
    arrays = [read(input), *map(read, others)]
    key = key_for(source, *arrays)
    if key is not None:
        with stream_for(layout):
            working = mx.float64 if layout.dtype is float64 else mx.float32
            made = graph(key, *[array.astype(working) for array in arrays]).astype(layout.dtype.mlx)
        return wrap(made, layout.device)
    values = host(source, *[to_host(t, "a random draw") for t in (input, *others)])
    return wrap(to_mlx(values.reshape(layout.size), layout.dtype), layout.device)


_binomial_history = fades_for_two("NotImplemented")
_binomial_history.gradients(input=_no_derivative("binomial"), other=_no_derivative("binomial"))


@composite(out=False)
def binomial(count, prob, generator=None):
    """Return binomial numbers for counts and probabilities that broadcast, float32 or float64."""
    _checked("binomial", count, "count", 1)
    _checked("binomial", prob, "prob", 2)
    check_generator("binomial", generator)
    for name, value in (("count", count), ("prob", prob)):
        if value.dtype not in FLOATING:
            found = SCALAR_TYPE_NAME[value.dtype]
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: {found}"
            )
    _check_wide("binomial_cpu", count)
    _check_same_dtype(count, prob)
    size = broadcast_shapes(tuple(count.shape), tuple(prob.shape))
    wide = [t.detach().expand(size) for t in (count, prob)]
    made = _drawn(wide[0], generator, _host_binomial, kernels.binomial, wide[1])
    if local.grad_enabled and (count._node is not None or prob._node is not None):
        return _binomial_history(count, prob, read(made))
    return made


def _host_binomial(source, counts, probabilities):
    return sequential.binomial(source, counts.reshape(-1), probabilities.reshape(-1))


def _check_wide(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in (float32, float64):
        raise not_implemented_for(name, tensor.dtype)


def _check_same_dtype(first: Tensor, *others: Tensor) -> None:
    for other in others:
        if other.dtype is not first.dtype:
            raise RuntimeError(
                f"Found dtype {SCALAR_TYPE_NAME[other.dtype]} but expected "
                f"{SCALAR_TYPE_NAME[first.dtype]}"
            )


@primitive(name="_standard_gamma", node="standard_gamma")
def _gamma_drawn(input: mx.array, values: object) -> mx.array:
    """Return gamma numbers that were drawn for the shapes `input`."""
    return values


_gamma_drawn.gradients(input=lambda grad, input, result: grad * _standard_gamma_grad(input, result))


@composite(out=False)
def _standard_gamma(input, generator=None):
    """Return gamma numbers of scale 1 with the shapes in `input`, with implicit gradients."""
    _checked("_standard_gamma", input, "input", 1)
    check_generator("_standard_gamma", generator)
    _check_wide("gamma_cpu", input)
    made = _drawn(input.detach(), generator, _host_gamma, kernels.standard_gamma)
    return _with_history(_gamma_drawn, input, made)


def _host_gamma(source, alpha):
    return sequential.standard_gamma(source, alpha.reshape(-1))


@primitive(on_cpu=True, differentiable=False, name="_standard_gamma_grad")
def _gamma_grad(input: mx.array, output: mx.array) -> mx.array:
    return random_gradients.standard_gamma_grad(input, output)


@composite(out=False)
def _standard_gamma_grad(input, output):
    """Return the derivative of gamma numbers `output` with respect to their shapes `input`."""
    broadcast_shapes(tuple(input.shape), tuple(output.shape))
    _check_same_dtype(input, output)
    return _gamma_grad(input, output)


@primitive(name="_sample_dirichlet", node="sample_dirichlet")
def _dirichlet_drawn(input: mx.array, values: object) -> mx.array:
    """Return Dirichlet vectors that were drawn for the concentrations `input`."""
    return values


def _dirichlet_backward(grad, input, result):
    total = input.sum(-1, keepdim=True).expand(input.shape)
    derivative = _dirichlet_grad(result, input, total)
    return derivative * (grad - (result * grad).sum(-1, keepdim=True))


_dirichlet_drawn.gradients(input=_dirichlet_backward)


@composite(out=False)
def _sample_dirichlet(input, generator=None):
    """Return Dirichlet vectors along the last dimension, with implicit gradients."""
    _checked("_sample_dirichlet", input, "input", 1)
    check_generator("_sample_dirichlet", generator)
    _check_wide("dirichlet", input)
    if input.ndim == 0:
        return _sample_dirichlet(input.reshape(1), generator).reshape(())
    made = _drawn(input.detach(), generator, sequential.dirichlet, kernels.dirichlet)
    return _with_history(_dirichlet_drawn, input, made)


@primitive(on_cpu=True, differentiable=False, name="_dirichlet_grad")
def _dirichlet_derivative(x: mx.array, alpha: mx.array, total: mx.array) -> mx.array:
    return random_gradients.dirichlet_grad(x, alpha, total)


@composite(out=False)
def _dirichlet_grad(x, alpha, total):
    """Return the derivative of Beta(alpha, total - alpha) numbers `x` by alpha, over 1 - x."""
    broadcast_shapes(tuple(x.shape), tuple(alpha.shape), tuple(total.shape))
    _check_same_dtype(x, alpha, total)
    return _dirichlet_derivative(x, alpha, total)


# ----- categories -----


@composite
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Draw category numbers by weight: (C,) -> (num_samples,) or (N, C) -> (N, num_samples).

    Weights need not add up to 1. Raises RuntimeError for negative or infinite weights, and for
    more samples than categories without replacement.
    """
    _checked("multinomial", input, "input", 1)
    check_generator("multinomial", generator)
    count = integer("multinomial", "num_samples", 2, num_samples)
    if out is not None and out.dtype is not int64:
        found = SCALAR_TYPE_NAME[out.dtype]
        raise RuntimeError(f"multinomial expects Long tensor out, got: {found}")
    if not 1 <= input.ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input.dtype not in FLOATING:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{SCALAR_TYPE_NAME[input.dtype]}"
        )
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and count > input.shape[-1] and input.device is not META:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    size = (*input.shape[:-1], count)
    if input.device is META or 0 in size:
        made = filled(size, 0, int64, input.device)
    else:
        found = _categories(input.detach(), count, replacement, generator)
        made = wrap(found.reshape(size), input.device)
    if out is None:
        return made
    return (out if out.shape == made.shape else out.resize_(size)).copy_(made)


def _categories(input: Tensor, count: int, replacement: bool, generator) -> mx.array:
    layout = input._layout
    source = source_of(generator or FOLLOW, layout.device)
    weights = read(input)
    key = key_for(source, weights)
    repeated = replacement and count > 1
    if key is not None:
        working = mx.float64 if layout.dtype is float64 else mx.float32
        with stream_for(layout):
            rows = weights.astype(working).reshape(-1, layout.size[-1])
            if repeated:
                return kernels.multinomial_with_replacement(key, rows, count)
            return kernels.multinomial_without_replacement(key, rows, count)
    values = to_host(input, "multinomial()")
    _check_weights(values, repeated)
    rows = values.reshape(-1, layout.size[-1])
    if repeated:
        return mx.array(sequential.multinomial_with_replacement(source, rows, count))
    # One exponential number for each weight, in the memory order that `empty_like` would have.
    like = layout_of(layout.size, preserved_stride(layout), 0, layout.dtype, layout.device)
    race = lay_out(samplers.exponential(source, layout.numel, layout.dtype.name), like)
    return mx.array(
        sequential.multinomial_without_replacement(
            rows, race.reshape(rows.shape), count, layout.dtype.name
        )
    )


def _check_weights(values: np.ndarray, repeated: bool) -> None:
    if repeated:
        if not (values >= 0).all():
            raise RuntimeError(
                "invalid multinomial distribution (encountering probability entry < 0)"
            )
        if np.isinf(values).any():
            raise RuntimeError(
                "invalid multinomial distribution (encountering probability entry = infinity or "
                "NaN)"
            )
    elif not ((values >= 0) & (values < np.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not (values.sum(-1) > 0).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


_PUBLIC = (
    bernoulli,
    poisson,
    binomial,
    multinomial,
    _standard_gamma,
    _standard_gamma_grad,
    _sample_dirichlet,
    _dirichlet_grad,
)
FUNCTIONS = {f.__name__: f for f in _PUBLIC}
METHODS = {"bernoulli": bernoulli, "multinomial": multinomial}
