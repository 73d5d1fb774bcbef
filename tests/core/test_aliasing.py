"""Random chains of views and in-place writes, in PyTorch and here: every alias must agree."""

from __future__ import annotations

import random

import numpy
import torch
from hypothesis import given, settings, strategies

import flashlight

PROGRAMS = 2000
VIEWS = (
    "select", "slice", "transpose", "t", "reshape", "unsqueeze", "squeeze", "expand", "diagonal",
    "unfold", "narrow", "permute", "as_strided", "split", "chunk", "unbind", "detach", "movedim",
    "flatten", "view_as",
)  # fmt: skip
WRITES = (
    "add_", "mul_", "fill_", "copy_", "zero_", "setitem", "setitem_mask", "index_put_",
    "sub_tensor", "sin_", "clamp_", "masked_fill_",
)  # fmt: skip


class Pair:
    """A tensor of PyTorch and its counterpart."""

    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours


def choose_view(rng, shape):
    """Return (name, arguments) of a view that a tensor of `shape` allows, or None."""
    ndim = len(shape)
    name = rng.choice(VIEWS)
    dim = rng.randrange(ndim) if ndim else 0
    if name in ("select", "slice", "narrow", "unfold", "split", "chunk", "unbind") and (
        not ndim or not shape[dim]
    ):
        return None
    if name == "select":
        return name, (dim, rng.randrange(-shape[dim], shape[dim]))
    if name == "slice":
        start = rng.randrange(shape[dim])
        return name, (dim, start, rng.randint(start, shape[dim]), rng.randint(1, 2))
    if name == "narrow":
        start = rng.randrange(shape[dim])
        return name, (dim, start, rng.randint(1, shape[dim] - start))
    if name == "transpose":
        return (name, (dim, rng.randrange(ndim))) if ndim else None
    if name == "t":
        return (name, ()) if ndim <= 2 else None
    if name == "permute":
        return name, (rng.sample(range(ndim), ndim),)
    if name == "movedim":
        return (name, (dim, rng.randrange(ndim))) if ndim else None
    if name == "reshape":
        count = int(numpy.prod(shape))
        return name, (rng.choice([(-1,), (count, 1), (1, -1)]) if count else (0,),)
    if name == "flatten":
        return name, ()
    if name == "unsqueeze":
        return name, (rng.randint(0, ndim),)
    if name == "squeeze":
        return name, ()
    if name == "expand":
        return name, ([2, *shape],)
    if name == "diagonal":
        return (name, (rng.randint(-1, 1), 0, 1)) if ndim >= 2 else None
    if name == "unfold":
        size = rng.randint(1, shape[dim])
        return name, (dim, size, rng.randint(1, 2))
    if name == "as_strided":
        return None
    if name == "split":
        return name, (rng.randint(1, shape[dim]), dim)
    if name == "chunk":
        return name, (2, dim)
    if name == "unbind":
        return name, (dim,)
    return name, ()


def take_view(tensor, name, arguments, pick):
    """Return the view; the `pick`-th of several."""
    if name == "slice":
        dim, start, stop, step = arguments
        return tensor[(slice(None),) * dim + (slice(start, stop, step),)]
    if name == "view_as":
        return tensor.view(tensor.shape)
    made = getattr(tensor, name)(*arguments)
    return made[int(pick * len(made))] if isinstance(made, (tuple, list)) else made


def write(library, tensor, other, name, numbers, gradient):
    """Write into `tensor` in place."""
    value, mask_seed, at = numbers
    if name == "add_":
        tensor.add_(value)
    elif name == "mul_":
        tensor.mul_(value)
    elif name == "fill_":
        tensor.fill_(value)
    elif name == "zero_":
        tensor.zero_()
    elif name == "sin_":
        tensor.sin_()
    elif name == "clamp_":
        tensor.clamp_(-1.0, value)
    elif name == "copy_":
        tensor.copy_(library.full(tuple(tensor.shape), value))
    elif name == "sub_tensor":
        tensor.sub_(other.sum() if gradient else other.detach().sum(), alpha=0.25)
    elif name == "setitem":
        tensor[..., :1] = value
    elif name in ("setitem_mask", "masked_fill_"):
        host = numpy.random.RandomState(mask_seed).rand(*tensor.shape) > 0.5
        mask = library.tensor(numpy.asarray(host))
        if name == "setitem_mask":
            tensor[mask] = value
        else:
            tensor.masked_fill_(mask, value)
    else:
        index = library.tensor([int(at * tensor.shape[0])])
        tensor.index_put_((index,), library.tensor(value), accumulate=True)


def attempt(function, *arguments):
    """Return (result, None) or (None, the exception)."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def shares_elements(tensor):
    """Tell whether two indices reach one element; what a write then does, PyTorch leaves open."""
    extent = tensor.untyped_storage().nbytes() // 4
    places = torch.arange(extent).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    return len(set(places.reshape(-1).tolist())) < tensor.numel()


def sum_of_squares(tensors):
    """Return one number to differentiate."""
    return sum((t * t).sum() for t in tensors)


def agree(pair, what):
    """Compare value, geometry, version and history of one alias."""
    theirs, ours = pair.theirs, pair.ours
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert ours.stride() == theirs.stride(), (what, ours.stride(), theirs.stride())
    assert ours.storage_offset() == theirs.storage_offset(), what
    assert ours.is_contiguous() == theirs.is_contiguous(), what
    assert ours.requires_grad == theirs.requires_grad, what
    assert ours._version == theirs._version, (what, ours._version, theirs._version)
    numpy.testing.assert_allclose(
        ours.data.tolist(), theirs.data.tolist(), rtol=2e-5, atol=1e-5, err_msg=str(what)
    )


def run_program(seed: int) -> None:
    """Run one random program on both sides and compare after every step."""
    rng = random.Random(seed)
    shape = [rng.randint(1, 4) for _ in range(rng.randint(1, 3))]
    start = numpy.random.RandomState(seed).randn(*shape).astype(numpy.float32)
    leaf = Pair(torch.tensor(start), flashlight.tensor(start))
    with_grad = rng.random() < 0.6
    if with_grad:
        leaf.theirs.requires_grad_()
        leaf.ours.requires_grad_()
        aliases = [Pair(leaf.theirs * 1.5, leaf.ours * 1.5)]
    else:
        aliases = [leaf]
    steps = [seed]
    for _ in range(rng.randint(2, 9)):
        pair = rng.choice(aliases)
        if rng.random() < 0.55:
            chosen = choose_view(rng, list(pair.theirs.shape))
            if chosen is None:
                continue
            pick = rng.random()
            steps.append((aliases.index(pair), *chosen))
            theirs, error = attempt(take_view, pair.theirs, *chosen, pick)
            ours, our_error = attempt(take_view, pair.ours, *chosen, pick)
            if "multiple views" in str(error) and any("detach" in step for step in steps[1:]):
                return
            assert type(error).__name__ == type(our_error).__name__, (steps, error, our_error)
            if error is None:
                assert (theirs.data_ptr() == pair.theirs.data_ptr()) == (
                    ours.data_ptr() == pair.ours.data_ptr()
                ) or theirs.numel() == 0, steps
                aliases.append(Pair(theirs, ours))
        else:
            name = rng.choice(WRITES)
            if shares_elements(pair.theirs) and name not in ("zero_", "fill_"):
                continue
            if not pair.theirs.ndim and name in ("setitem", "index_put_"):
                continue
            if name == "index_put_" and not pair.theirs.shape[0]:
                continue
            other = rng.choice(aliases)
            numbers = round(rng.uniform(0.1, 2), 2), rng.randrange(1 << 30), rng.random()
            steps.append((aliases.index(pair), name, numbers))
            _, error = attempt(write, torch, pair.theirs, other.theirs, name, numbers, rng)
            _, our_error = attempt(write, flashlight, pair.ours, other.ours, name, numbers, rng)
            assert type(error).__name__ == type(our_error).__name__, (steps, error, our_error)
        for alias in aliases:
            agree(alias, steps)
    if with_grad:
        sums = [
            [a.theirs for a in aliases if a.theirs.requires_grad],
            [a.ours for a in aliases if a.ours.requires_grad],
        ]
        totals, errors = zip(*[attempt(sum_of_squares, tensors) for tensors in sums])
        if "multiple views" in str(errors[0]) and any("detach" in step for step in steps[1:]):
            return  # a write through a detached alias: see the deviation "views of several outputs"
        assert type(errors[0]).__name__ == type(errors[1]).__name__, (steps, errors)
        if errors[0] is not None or isinstance(totals[0], int):
            return
        _, error = attempt(totals[0].backward)
        _, our_error = attempt(totals[1].backward)
        assert type(error).__name__ == type(our_error).__name__, (steps, error, our_error)
        if error is None and leaf.theirs.grad is not None:
            numpy.testing.assert_allclose(
                leaf.ours.grad.tolist(),
                leaf.theirs.grad.tolist(),
                rtol=1e-4,
                atol=1e-4,
                err_msg=str(steps),
            )


@settings(max_examples=PROGRAMS, deadline=None, derandomize=True, database=None)
@given(strategies.integers(0, 2**32 - 1))
def test_random_programs(seed):
    run_program(seed)
