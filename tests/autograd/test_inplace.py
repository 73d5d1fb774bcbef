"""Writes: histories of bases and views, and what must not be written."""

from __future__ import annotations

import pytest

from tests.autograd.agree import check, leaf, own_words, programs_of


def ip_names(l):
    x = leaf(l).clone()
    x.add_(1)
    a = x.grad_fn.name()
    x[0] = 1
    b = x.grad_fn.name()
    y = x[1]
    y.mul_(2)
    c = y.grad_fn.name()
    d = x.grad_fn.name()
    x.zero_()
    return a, b, c, d, x.grad_fn.name()


def leaf_inplace(l):
    leaf(l).add_(1)


def leaf_view_inplace(l):
    leaf(l)[0].add_(1)


def leaf_setitem(l):
    x = leaf(l)
    x[0] = 1


def multi_view_ip(l):
    x = leaf(l).clone()
    a, _ = x.unbind(0)
    a.add_(1)


def nograd_view(l):
    x = leaf(l).clone()
    with l.no_grad():
        v = x[0]
    v.add_(1)


def nograd_view_leaf(l):
    x = leaf(l)
    with l.no_grad():
        v = x[0]
    return v.requires_grad, v._is_view(), v._base is x


def detach_(l):
    x = leaf(l)
    y = x * 1
    y.detach_()
    return y.requires_grad, y.grad_fn, y.is_leaf


@own_words
def detach_view(l):
    x = leaf(l) * 1
    x[0].detach_()


def accumulate_views(l):
    x = l.zeros(3, 4, requires_grad=True)
    y = x * 1
    a = y.t()
    b = a[1:3]
    b.reshape(-1)
    b.mul_(3)
    y[0].add_(b.sum())
    y.sum().backward()
    return x.grad, y, b, a.grad_fn.name(), b.grad_fn.name()


def base_then_view(l):
    x = l.ones(4, requires_grad=True)
    y = x * 1
    v = y[:2]
    y.mul_(2)
    v.mul_(3)
    y.sum().backward()
    return x.grad, v


def view_copy_grad(l):
    b = l.zeros(4)
    w = l.ones(2, requires_grad=True)
    b[:2] = w * 3
    b[2:].copy_(w * 4)
    b.sum().backward()
    return w.grad, b.requires_grad, b.grad_fn.name()


def ip_broadcast(l):
    x = l.ones(2, 3, requires_grad=True)
    w = l.ones(3, requires_grad=True)
    y = x * 1
    y.mul_(w).add_(w, alpha=2).div_(w + 1)
    y.sum().backward()
    return x.grad, w.grad


def expand_ip(l):
    x = l.ones(1).expand(3)
    x.add_(1)


def ip_shape(l):
    l.ones(3).add_(l.ones(2, 3))


def ip_dtype(l):
    l.ones(3, dtype=l.int64).add_(1.5)


def out_grad(l):
    l.add(leaf(l), 1, out=l.empty(2, 3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)
