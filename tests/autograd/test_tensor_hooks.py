"""Hooks of tensors, of nodes, of several tensors, and of what is saved."""

from __future__ import annotations

import pytest

from tests.autograd.agree import check, leaf, programs_of


def hook_order(l):
    out = []
    x = leaf(l)
    y = x * 2
    x.register_hook(lambda g: out.append(("x", g.sum().item())))
    y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: out.append(("y", g.sum().item())))
    y.retain_grad()
    x.register_post_accumulate_grad_hook(lambda p: out.append(("post", p.grad.sum().item())))
    y.grad_fn.register_hook(lambda gi, go: out.append(("node", len(go), gi[0].sum().item())))
    y.grad_fn.register_prehook(lambda go: out.append(("pre", go[0].sum().item())))
    y.sum().backward()
    return out, y.grad, x.grad


def hook_ret_bad(l):
    x = leaf(l)
    x.register_hook(lambda g: 1)
    x.sum().backward()


def hook_nograd(l):
    l.ones(1).register_hook(lambda g: g)


def hook_shape(l):
    x = leaf(l)
    x.register_hook(lambda g: l.ones(5))
    x.sum().backward()


def post_nonleaf(l):
    (leaf(l) * 1).register_post_accumulate_grad_hook(lambda p: None)


def multi_hook(l):
    out = []
    a, b, c = leaf(l), leaf(l), leaf(l)
    l.autograd.graph.register_multi_grad_hook(
        [a, b, c], lambda gs: out.append([g is None for g in gs])
    )
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    return out


def multi_hook_any(l):
    out = []
    a, b = leaf(l), leaf(l)
    l.autograd.graph.register_multi_grad_hook(
        [a, b], lambda g: out.append(g.sum().item()), mode="any"
    )
    (a * 2 + b * 3).sum().backward()
    (b).sum().backward()
    return out


def saved_hooks(l):
    out = []
    x = leaf(l)
    with l.autograd.graph.saved_tensors_hooks(
        lambda t: (out.append(("p", tuple(t.shape))), t)[1],
        lambda t: (out.append(("u", tuple(t.shape))), t)[1],
    ):
        y = (x * x).exp().sum()
    y.backward()
    return out, x.grad


def retain_ip(l):
    x = l.ones(3, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    return y.grad, x.grad


def hook_ip(l):
    out = []
    x = l.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: out.append(("h1", g[0].item())))
    y.mul_(3)
    y.register_hook(lambda g: out.append(("h2", g[0].item())))
    y.sum().backward()
    return out


def hook_leaf_then_inplace(l):
    x = l.ones(3)
    x.requires_grad_()
    x.register_hook(lambda g: g * 2)
    with l.no_grad():
        x.add_(1)
    (x * x).sum().backward()
    return x.grad


def leaf_hooks_grad(l):
    out = []
    x = leaf(l)
    x.register_hook(lambda g: out.append("x"))
    l.autograd.grad(x.sum(), x)
    x.register_post_accumulate_grad_hook(lambda p: out.append("p"))
    l.autograd.grad(x.sum(), x)
    return out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)
