"""Options and errors of `backward` and `grad`, versions, what the graph shows."""

from __future__ import annotations

import importlib

import pytest

from tests.autograd.agree import check, flashlight, leaf, own_words, programs_of, torch


def names(l):
    x = leaf(l)
    out = []
    for n, e in [
        ("x[0]", x[0]),
        ("x[0:1]", x[0:1]),
        ("x[...,1]", x[..., 1]),
        ("x[:,None]", x[:, None]),
        ("x[0,1]", x[0, 1]),
        ("x[[0,1]]", x[[0, 1]]),
        ("x.t()", x.t()),
        ("x.T", x.T),
        ("x.mT", x.mT),
        ("view", x.view(6)),
        ("reshape", x.reshape(3, 2)),
        ("resh t", x.t().reshape(6)),
        ("exp", x.unsqueeze(0).expand(2, 2, 3)),
        ("squeeze", x.unsqueeze(0).squeeze()),
        ("sq0", x.unsqueeze(0).squeeze(0)),
        ("perm", x.permute(1, 0)),
        ("diag", x.diagonal()),
        ("nar", x.narrow(0, 0, 1)),
        ("sel", x.select(0, 0)),
        ("split", x.split(1)[0]),
        ("chunk", x.chunk(2)[0]),
        ("unb", x.unbind(0)[0]),
        ("unf", x.unfold(1, 2, 1)),
        ("flat", x.flatten()),
        ("as", x.as_strided((2,), (1,))),
        ("mov", x.movedim(0, 1)),
        ("swap", x.swapaxes(0, 1)),
        ("clone", x.clone()),
        ("contig", x.t().contiguous()),
        ("to", x.to(l.float64)),
        ("fl", x.double()),
        ("exp", x.exp()),
        ("mean", x.mean()),
        ("mean1", x.mean(1)),
        ("sum", x.sum()),
        ("sum1", x.sum(1)),
        ("max", x.max()),
        ("max1", x.max(1)[0]),
        ("mm", x @ x.t()),
        ("mv", x @ x[0]),
        ("dot", x[0] @ x[0]),
        ("bmm", x.unsqueeze(0) @ x.t().unsqueeze(0)),
        ("div", x / 2),
        ("rdiv", 2 / x),
        ("sub", x - 1),
        ("rsub", 1 - x),
        ("neg", -x),
        ("pow", x**2),
        ("rpow", 2**x),
        ("powt", x**x),
        ("abs", abs(x)),
        ("mul", x * x),
        ("addmm", l.addmm(x, x @ x.t(), x)),
        ("cat", l.cat([x, x])),
        ("stack", l.stack([x, x])),
        ("where", l.where(x > 1, x, x)),
        ("relu", l.relu(x)),
        ("sigm", x.sigmoid()),
        ("softmax", x.softmax(0)),
        ("lsm", x.log_softmax(0)),
        ("std", x.std()),
        ("var", x.var(0)),
        ("norm", x.norm()),
        ("cl", x.clamp(0, 1)),
        ("clmin", x.clamp_min(0)),
        ("sort", x.sort()[0]),
        ("topk", x.topk(1)[0]),
        ("gather", x.gather(0, l.zeros(1, 1, dtype=l.int64))),
        ("isel", x.index_select(0, l.tensor([0]))),
        ("mfill", x.masked_fill(x > 1, 0)),
        ("msel", x.masked_select(x > 1)),
        ("cumsum", x.cumsum(0)),
        ("prod", x.prod()),
        ("sq", x.square()),
        ("sqrt", x.sqrt()),
        ("rep", x.repeat(2, 1)),
        ("tril", x.tril()),
        ("flip", x.flip(0)),
        ("roll", x.roll(1)),
        ("lse", x.logsumexp(0)),
        ("lin", l.nn.functional.linear(x, x)),
        ("linb", l.nn.functional.linear(x, x, x[:, 0])),
        ("ce", l.nn.functional.cross_entropy(x, l.tensor([0, 1]))),
        ("mse", l.nn.functional.mse_loss(x, x)),
        ("gelu", l.nn.functional.gelu(x)),
        ("ln", l.nn.functional.layer_norm(x, (3,))),
        ("emb", l.nn.functional.embedding(l.tensor([0]), x)),
        ("conv", l.nn.functional.conv1d(x[None], x[None])),
        ("mp", l.nn.functional.max_pool1d(x[None], 2)),
        ("drop", l.nn.functional.dropout(x, 0.5)),
        ("ein", l.einsum("ij,kj->ik", x, x)),
        ("outer", l.outer(x[0], x[0])),
        ("real", x),
        ("vr", l.view_as_complex(x[:, :2])),
        ("bn", l.nn.functional.batch_norm(x, None, None, training=True)),
        ("interp", l.nn.functional.interpolate(x[None], size=6)),
        ("pad", l.nn.functional.pad(x, (1, 1))),
        (
            "sdpa",
            l.nn.functional.scaled_dot_product_attention(
                x[None, None], x[None, None], x[None, None]
            ),
        ),
        ("fma", l.addcmul(x, x, x)),
        ("lerp", l.lerp(x, x, 0.5)),
        ("atan2", l.atan2(x, x)),
        ("bce", l.nn.functional.binary_cross_entropy_with_logits(x, x)),
        ("sil", l.nn.functional.silu(x)),
        ("elu", l.nn.functional.elu(x)),
        ("lrelu", l.nn.functional.leaky_relu(x)),
        ("inv", l.linalg.inv(x @ x.t() + l.eye(2))),
        ("det", l.det(x @ x.t())),
        ("svd", l.linalg.svd(x)[1]),
        ("chol", l.linalg.cholesky(x @ x.t() + l.eye(2))),
    ]:
        out.append((n, e.grad_fn.name() if e.grad_fn else None))
    return out


def backward_nonscalar(l):
    leaf(l).exp().backward()


def backward_nograd(l):
    l.ones(1).backward()


def twice(l):
    x = leaf(l)
    y = x.exp().sum()
    y.backward()
    y.backward()


def twice_linear(l):
    x = leaf(l)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


def retain(l):
    x = leaf(l)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


def unused(l):
    x = leaf(l)
    z = leaf(l)
    return l.autograd.grad(x.sum(), [x, z])


def unused_ok(l):
    x = leaf(l)
    z = leaf(l)
    return l.autograd.grad(x.sum(), [x, z], allow_unused=True), l.autograd.grad(
        x.sum(), [x, z], materialize_grads=True
    )


def third(l):
    x = leaf(l)
    g = (x**4).sum()
    for _ in range(3):
        (g,) = l.autograd.grad(g.sum(), x, create_graph=True)
    return g


@own_words
def version(l):
    x = leaf(l)
    y = x.exp()
    z = y * y
    y.add_(1)
    z.sum().backward()


def version2(l):
    x = leaf(l)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


@own_words
def version3(l):
    x = leaf(l)
    w = x * 1
    y = w.sin()
    w.mul_(2)
    y.sum().backward()


def detach_ip(l):
    x = leaf(l).clone()
    y = x.exp()
    d = y.detach()
    d.add_(1)
    y.sum().backward()


def chg_nonleaf(l):
    y = leaf(l) * 1
    y.requires_grad = False


def int_grad(l):
    l.ones(2, dtype=l.int64).requires_grad_()


@own_words
def int_grad2(l):
    l.tensor([1], requires_grad=True)


def nonleaf_grad(l):
    return (leaf(l) * 2).grad


def set_grad_bad(l):
    x = leaf(l)
    x.grad = l.ones(5)


def set_grad_bad2(l):
    x = leaf(l)
    x.grad = 1


@own_words
def set_grad_bad3(l):
    x = leaf(l)
    x.grad = l.ones(2, 3, dtype=l.float64)


def saved_attr(l):
    x = leaf(l)
    y = x.exp()
    z = x**2
    return y.grad_fn._saved_result, z.grad_fn._saved_self


def next_fns(l):
    x = leaf(l)
    y = (x * 2 + x).sum()
    f = y.grad_fn

    def walk(f):
        return (f.name(), [walk(g) for g, _ in f.next_functions if g is not None])

    return walk(f), repr(f.next_functions[0][0])[:15]


def var(l):
    x = leaf(l)
    return (x * 2).grad_fn.next_functions[0][0].variable is x


def grad_batched(l):
    x = leaf(l)
    return l.autograd.grad(x.exp(), x, l.eye(6).reshape(6, 2, 3), is_grads_batched=True)


def grad_edge(l):
    x = leaf(l)
    y = x.exp()
    e = l.autograd.graph.get_gradient_edge(y)
    return (
        l.autograd.grad((y * 2).sum(), e),
        type(e).__name__,
        e._fields if hasattr(e, "_fields") else 0,
    )


def backward_inputs(l):
    x = leaf(l)
    z = leaf(l)
    (x * z).sum().backward(inputs=[x])
    return x.grad, z.grad


def backward_inputs_nonleaf(l):
    x = leaf(l)
    y = x * 2
    (y * 3).sum().backward(inputs=[y])
    return y.grad


def backward_inputs_empty(l):
    leaf(l).sum().backward(inputs=[])


def mismatch(l):
    leaf(l).backward(l.ones(3))


def complex_root(l):
    x = l.ones(2, dtype=l.complex64, requires_grad=True)
    (x * 2).sum().backward()


def complex_abs(l):
    x = l.tensor([1 + 2j, 3j], requires_grad=True)
    x.abs().sum().backward()
    return x.grad


def real_of_complex(l):
    x = leaf(l)
    y = x * (1 + 2j)
    y.abs().sum().backward()
    return x.grad


def grad_accum_layout(l):
    x = leaf(l)
    x.grad = l.zeros(3, 2).t()
    (x * 2).sum().backward()
    return x.grad.stride(), x.grad


def grad_identity(l):
    x = leaf(l)
    x.sum().backward()
    g = x.grad
    x.sum().backward()
    return x.grad is g, g


def grad_inplace_safe(l):
    x = leaf(l)
    y = leaf(l)
    z = x + y
    z.sum().backward()
    x.grad.add_(1)
    return y.grad


def grad_requires(l):
    x = leaf(l)
    (x**2).sum().backward(create_graph=True)
    return x.grad.requires_grad, x.grad.grad_fn is not None


def set_requires_false(l):
    x = leaf(l)
    y = x * 2
    x.requires_grad_(False)
    y.sum().backward()
    return x.grad


def reentrant(l):
    x = leaf(l)
    out = []

    def h(g):
        with l.enable_grad():
            z = leaf(l)
            (z**2).sum().backward()
            out.append(z.grad.sum().item())

    y = x * 2
    y.register_hook(h)
    y.sum().backward()
    return out, x.grad


def checkpoint(l):
    checkpoint = importlib.import_module(f"{l.__name__}.utils.checkpoint").checkpoint
    x = leaf(l)
    n = [0]

    def f(x):
        n[0] += 1
        return l.nn.functional.dropout(x.exp(), 0.5)

    r = []
    for re in (True, False):
        l.manual_seed(0)
        x.grad = None
        checkpoint(f, x, use_reentrant=re).sum().backward()
        r.append((n[0], x.grad))
    return r


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)


@pytest.mark.parametrize("enforced", [True, False])
def test_new_gradients_have_the_strides_of_dense_leaves(enforced):
    strides = []
    for l in (flashlight, torch):
        found = []
        for make in (
            lambda l: l.ones(2, 3, 2, 2).contiguous(memory_format=l.channels_last),
            lambda l: l.ones(3, 2).t(),
            lambda l: l.ones(4, 3)[::2],
        ):
            leaf = make(l).requires_grad_()
            with l.autograd.enforce_grad_layout_policy(enforced):
                (leaf * l.ones(leaf.shape)).sum().backward()
            found.append(leaf.grad.stride() if enforced else leaf.grad.shape)
        strides.append(found)
    assert strides[0] == strides[1]
