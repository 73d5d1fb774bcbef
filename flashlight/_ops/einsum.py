"""`einsum`: products of several tensors, summed over named dimensions."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from .._core.tensor import Tensor
from .arithmetic import mul
from .kinds import composite
from .matmul import bmm, mm
from .overrides import is_override
from .shape import diagonal, permute, reshape, squeeze, unsqueeze

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MUST_SPECIFY = (
    "einsum(): must specify the equation string and at least one operand, or at least one operand "
    "and its subscripts list"
)


class Equation(NamedTuple):
    """The labels of each operand's dimensions and of the result's.

    A letter is a string; the dimensions of an ellipsis are ints, counted from the last.
    """

    operands: tuple[tuple, ...]
    output: tuple


def einsum(*args):
    """Sum products of the operands as an equation such as ``"bij,bjk->bik"`` says.

    Takes ``einsum(equation, *operands)``, ``einsum(equation, [operands])`` or
    ``einsum(operand, subscripts, ..., [subscripts of the result])``. Operands are contracted from
    left to right. Raises RuntimeError for equations that do not fit the operands, ValueError
    without operands. https://docs.pytorch.org/docs/stable/generated/torch.einsum.html
    """
    if len(args) < 2:
        raise ValueError(_MUST_SPECIFY)
    if isinstance(args[0], Tensor) or is_override(args[0]):
        return einsum(*_from_sublists(args))
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        return einsum(equation, *operands[0])
    if not isinstance(equation, str):
        raise TypeError(
            "einsum(): argument 'equation' (position 1) must be str, not "
            f"{type(equation).__name__}"
        )
    for position, operand in enumerate(operands):
        if not isinstance(operand, Tensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 1, but got "
                f"{type(operand).__name__}"
            )
    parsed = _parse(equation, tuple([operand.ndim for operand in operands]))
    return _evaluate(parsed, operands)


einsum = composite(einsum)


def _from_sublists(args):
    """Return the equation and the operands of the form with lists of numbers."""
    operands, lists = args[0::2], list(args[1::2])
    result = ""
    if len(args) % 2:
        operands = operands[:-1]
        result = "->" + _subscripts(args[-1])
    return ",".join(map(_subscripts, lists)) + result, *operands


def _subscripts(numbers):
    letters = []
    for number in numbers:
        if number is Ellipsis:
            letters.append("...")
        elif 0 <= number < len(_LETTERS):
            letters.append(_LETTERS[number])
        else:
            raise ValueError(
                "einsum(): subscript in subscript list is not within the valid range [0, 52)"
            )
    return "".join(letters)


# ----- reading the equation -----


@functools.lru_cache(maxsize=1024)
def _parse(equation: str, ranks: tuple[int, ...]) -> Equation:
    """Read an equation for operands of these ranks. Raises RuntimeError if it does not fit them."""
    arrow = equation.find("->")
    inputs = equation if arrow < 0 else equation[:arrow]
    terms = inputs.split(",")
    # Subscripts are read before operands are counted, so that a bad one is what is told.
    read = [_read_term(term, equation, position) for position, term in _offsets(terms)]
    if len(terms) != len(ranks):
        which = "fewer" if len(terms) > len(ranks) else "more"
        raise RuntimeError(
            f"einsum(): {which} operands were provided than specified in the equation"
        )
    operands = []
    for operand, (labels, rank) in enumerate(zip(read, ranks)):
        count = len(labels) - ("..." in labels)
        if "..." in labels and count > rank:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({count}) is more than the "
                f"number of dimensions ({rank}) for operand {operand}"
            )
        if "..." not in labels and count != rank:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({count}) does not match the "
                f"number of dimensions ({rank}) for operand {operand} and no ellipsis was given"
            )
        operands.append(_expand(labels, rank - count))
    widest = max([sum(type(label) is int for label in labels) for labels in operands], default=0)
    if arrow < 0:
        return Equation(tuple(operands), _implied(operands, widest))
    output = _expand(_read_output(equation, arrow + 2), widest)
    _check_output(output, operands)
    return Equation(tuple(operands), output)


def _offsets(terms):
    at = 0
    for term in terms:
        yield at, term
        at += len(term) + 1


def _read_term(term, equation, start):
    operand = equation[:start].count(",")
    return _read(term, start, f"found '.' for operand {operand} that is not part of any ellipsis",
                 f"found '.' for operand {operand} for which an ellipsis was already found")


def _read_output(equation, start):
    return _read(equation[start:], start,
                 "found '.' for output that is not part of any ellipsis (...)",
                 "found '.' for output but an ellipsis (...) was already found")


def _read(text, start, lone_dot, second_ellipsis):
    """Return the labels in `text`, with "..." for an ellipsis."""
    labels: list = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == " ":
            at += 1
            continue
        if letter == ".":
            if "..." in labels:
                raise RuntimeError(f"einsum(): {second_ellipsis}")
            if text[at:at + 3] != "...":
                raise RuntimeError(f"einsum(): {lone_dot}")
            labels.append("...")
            at += 3
            continue
        if letter not in _LETTERS:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + at} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
        labels.append(letter)
        at += 1
    return labels


def _expand(labels, count):
    """Replace the ellipsis by the labels of its dimensions, counted from the last."""
    if "..." not in labels:
        return tuple(labels)
    at = labels.index("...")
    return (*labels[:at], *range(-count, 0), *labels[at + 1:])


def _implied(operands, widest):
    """The ellipsis, then the letters that occur once, in order."""
    letters = [label for labels in operands for label in labels if type(label) is str]
    return (*range(-widest, 0), *sorted(x for x in set(letters) if letters.count(x) == 1))


def _check_output(output, operands):
    known = {label for labels in operands for label in labels}
    for position, label in enumerate(output):
        if label in output[:position]:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the "
                               "output")
        if label not in known:
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the "
                               "equation for any input operand")


# ----- contracting -----


def _evaluate(equation: Equation, operands) -> Tensor:
    """Contract the operands from left to right, then bring the result's dimensions in order."""
    terms = [_on_diagonals(operand, list(labels), position)
             for position, (operand, labels) in enumerate(zip(operands, equation.operands))]
    sizes = _sizes(terms)
    terms = [_narrowed(operand, labels, sizes) for operand, labels in terms]
    ranks = {label: rank for rank, label in enumerate((*sizes, *equation.output))}
    (made, labels), *rest = terms
    for position, (operand, other_labels) in enumerate(rest, 2):
        needed = {*equation.output}.union(*[later for _, later in terms[position:]])
        made, labels = _contract(made, labels, operand, other_labels, needed, ranks)
    made, labels = _sum_out(made, labels, equation.output)
    order = [labels.index(label) for label in equation.output]
    if order == list(range(len(order))) and made is not operands[0]:
        return made
    return permute(made, order)


def _on_diagonals(operand, labels, position):
    """Take the diagonal of the dimensions of each repeated label."""
    at = 0
    while at < len(labels):
        label = labels[at]
        if label not in labels[:at]:
            at += 1
            continue
        first = labels.index(label)
        if operand.shape[first] != operand.shape[at]:
            raise RuntimeError(
                f"einsum(): subscript {label} is repeated for operand {position} but the sizes "
                f"don't match, {operand.shape[at]} != {operand.shape[first]}"
            )
        operand = diagonal(operand, 0, first, at)
        del labels[at], labels[first]
        labels.append(label)
        at -= 1
    return operand, labels


def _sizes(terms):
    """Return the size of each label. Raises RuntimeError for sizes that do not broadcast."""
    sizes: dict = {}
    for position, (operand, labels) in enumerate(terms):
        for label, size in zip(labels, operand.shape):
            known = sizes.setdefault(label, size)
            if known not in (1, size) and size != 1:
                name = "..." if type(label) is int else label
                raise RuntimeError(
                    f"einsum(): subscript {name} has size {size} for operand {position} which does "
                    f"not broadcast with previously seen size {known}"
                )
            if size != 1:
                sizes[label] = size
    return sizes


def _narrowed(operand, labels, sizes):
    """Drop the dimensions of size 1 that other operands widen."""
    gone = [at for at, label in enumerate(labels) if operand.shape[at] != sizes[label]]
    if not gone:
        return operand, labels
    return squeeze(operand, gone), [label for at, label in enumerate(labels) if at not in gone]


def _sum_out(operand, labels, needed):
    """Sum over the dimensions whose labels are not needed."""
    gone = [at for at, label in enumerate(labels) if label not in needed]
    if not gone:
        return operand, labels
    return operand.sum(gone), [label for label in labels if label in needed]


def _contract(left, left_labels, right, right_labels, needed, ranks):
    """Multiply two tensors and sum over what both have and nobody needs; return it with labels.

    `ranks` order the labels, so that results come out contiguous if they can.
    """
    left, left_labels = _sum_out(left, left_labels, needed.union(right_labels))
    right, right_labels = _sum_out(right, right_labels, needed.union(left_labels))
    shared = [label for label in left_labels if label in right_labels]
    summed = [label for label in shared if label not in needed]
    batch = sorted([label for label in shared if label in needed], key=ranks.get)
    rows = sorted([label for label in left_labels if label not in shared], key=ranks.get)
    columns = sorted([label for label in right_labels if label not in shared], key=ranks.get)
    if not summed:
        made = sorted([*batch, *rows, *columns], key=ranks.get)
        return mul(_aligned(left, left_labels, made), _aligned(right, right_labels, made)), made
    if rows and columns and ranks[columns[0]] < ranks[rows[0]]:
        left, left_labels, rows, right, right_labels, columns = (
            right, right_labels, columns, left, left_labels, rows)
    made = [*batch, *rows, *columns]
    sizes = dict(zip(right_labels, right.shape)) | dict(zip(left_labels, left.shape))

    def folded(operand, labels, *groups):
        operand = permute(operand, [labels.index(label) for group in groups for label in group])
        shape = [math.prod([sizes[label] for label in group]) for group in groups]
        return operand if list(operand.shape) == shape else reshape(operand, shape)

    if batch:
        product = bmm(folded(left, left_labels, batch, rows, summed),
                      folded(right, right_labels, batch, summed, columns))
    else:
        product = mm(folded(left, left_labels, rows, summed),
                     folded(right, right_labels, summed, columns))
    shape = [sizes[label] for label in made]
    return product if list(product.shape) == shape else reshape(product, shape), made


def _aligned(operand, labels, wanted):
    """Bring the dimensions into the order of `wanted`, with size 1 where there is none."""
    operand = permute(operand, [labels.index(label) for label in wanted if label in labels])
    for at, label in enumerate(wanted):
        if label not in labels:
            operand = unsqueeze(operand, at)
    return operand


FUNCTIONS = {"einsum": einsum}
METHODS: dict = {}
INPLACE = ()
