"""The vocabulary shared by all suites: options, checks and how to make them.

A *probe* is a function of one :class:`~tests.conformance.adapter.Adapter` which does
some work through that adapter's module and returns the result as a tree of real
PyTorch values. Running the probe on PyTorch gives the expectation, running it
on the target gives what is judged. What PyTorch itself refuses is recorded as
such and does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .adapter import Adapter, Mismatch, Missing
from .compare import compare, compare_random, equal

REFERENCE = Adapter(torch)
PRECISE = Adapter(torch, double=True)
RANDOM_DRAWS = 8


class Refused(Exception):
    """PyTorch itself refuses what a probe does."""


@dataclass(frozen=True)
class Options:
    """What to score and how."""

    target: str
    dtypes: tuple[str, ...] = ("float32",)
    seed: int = 0
    limit: int = 8
    timeout: float = 10.0
    jobs: int = 1
    pattern: str = ""
    internal: bool = False


@dataclass
class Check:
    """One comparison: ``run(target)`` raises on failure, or Refused if there is nothing to compare.

    ``unit`` is what a tier counts (an op, a module, a name): it passes the tier
    if all its checks there do. A ``graded`` check also feeds ``<tier>_strict``,
    through the truth of what ``run`` returns.
    """

    tier: str
    unit: str
    label: str
    run: Callable[[Adapter], bool | None]
    graded: bool = False


def paired(tier, unit, label, probe, *, values=True, graded=False) -> Iterator[Check]:
    """Yield the check that ``probe`` gives on the target what it gives on PyTorch.

    Where PyTorch's result depends on its random generator, or ``values`` is
    false, only structure, shape, dtype and support are compared.
    """
    state = torch.get_rng_state()
    try:
        expected = probe(REFERENCE)
        draws = [expected]
        if not torch.equal(state, torch.get_rng_state()):
            draws += [probe(REFERENCE) for _ in range(RANDOM_DRAWS - 1)]
    except Exception as error:
        yield _refusal(tier, unit, label, error)
        return
    if values and all(equal(draw, expected) for draw in draws):

        def judge(actual):
            return compare(actual, expected, lambda: probe(PRECISE))
    else:

        def judge(actual):
            return compare_random(actual, draws, values)

    yield Check(tier, unit, label, lambda target: judge(probe(target)), graded)


def raising(tier, unit, label, probe) -> Iterator[Check]:
    """Yield the check that ``probe`` raises on the target the class it raises on PyTorch."""
    try:
        probe(REFERENCE)
        return
    except (Missing, Mismatch) as error:
        yield _refusal(tier, unit, label, error)
        return
    except Exception as error:
        expected = type(error)

    def run(target):
        try:
            probe(target)
        except (Missing, Mismatch):
            raise
        except Exception as error:
            names = {cls.__name__ for cls in type(error).__mro__}
            unsupported = isinstance(error, NotImplementedError) and not issubclass(
                expected, NotImplementedError
            )
            if expected.__name__ not in names or unsupported:
                raise Mismatch(f"raises {type(error).__name__}, not {expected.__name__}") from error
        else:
            raise Mismatch(f"does not raise {expected.__name__}")

    yield Check(tier, unit, label, run)


def _refusal(tier, unit, label, error):
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"

    def run(target):
        raise Refused(reason)

    return Check(tier, unit, label, run)


def backward(adapter, outputs, symmetric=False):
    """Backpropagate a fixed weighted sum of all differentiable tensors in ``outputs``.

    If ``symmetric``, backpropagate a sum that does not depend on the order of elements.
    """
    loss = None
    for index, output in enumerate(_flatten(outputs)):
        if not adapter.is_tensor(output) or not output.requires_grad:
            continue
        dtype = getattr(torch, adapter.dtype_name(output))
        kind = torch.complex64 if dtype.is_complex else torch.float32
        weight = torch.randn(
            tuple(output.shape), dtype=kind, generator=torch.Generator().manual_seed(index)
        ).to(dtype)
        term = (output * (output if symmetric else adapter.tensor(weight))).sum()
        term = term.real if dtype.is_complex else term
        loss = term if loss is None else loss + term
    if loss is None:
        raise Mismatch("no output requires grad")
    loss.backward()


def gradients(adapter, leaves):
    """Return the gradients of ``leaves`` (pairs of original and converted tensor); none is zero."""
    return [
        torch.zeros_like(original) if made.grad is None else adapter.to_torch(made.grad)
        for original, made in leaves
    ]


def spread(candidates, limit):
    """Choose at most ``limit`` of ``candidates``, evenly spaced."""
    step = max(1.0, len(candidates) / limit)
    return [candidates[int(i * step)] for i in range(min(limit, len(candidates)))]


def _flatten(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [leaf for branch in tree for leaf in _flatten(branch)]
    return [tree]
