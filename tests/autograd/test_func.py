"""`torch.func`: transforms against PyTorch's, alone and nested."""

from __future__ import annotations

import pytest

from tests.autograd.agree import check, own_words, programs_of


def data(l, *shape):
    count = 1
    for n in shape:
        count *= n
    return (l.arange(count, dtype=l.float32) * 7 % 5 - 1.7).reshape(shape) / 2


# ----- vmap -----


def vmap_of_many_operations(l):
    F = l.nn.functional
    x, m = data(l, 3, 4), data(l, 3, 4, 4)
    image = data(l, 3, 2, 5, 5)
    rows = [
        (lambda a: a * 2 + 1, x),
        (lambda a: a.sum(), x),
        (lambda a: a.softmax(0), x),
        (lambda a: a.max(0), x),
        (lambda a: a.max(0).values, x),
        (lambda a: a.sort().values, x),
        (lambda a: a[1:3], x),
        (lambda a: a[[0, 2]], x),
        (lambda a: a.t() @ a, m),
        (lambda a: a.diagonal(), m),
        (lambda a: a.unfold(0, 2, 1), m),
        (lambda a: a.flip(0).cumsum(1), m),
        (lambda a: l.linalg.inv(a + 9 * l.eye(4)), m),
        (lambda a: l.linalg.svdvals(a), m),
        (lambda a: l.linalg.qr(a + l.eye(4)).R.abs(), m),
        (lambda a: l.cat([a, a * 2]), x),
        (lambda a: l.stack([a, l.ones(4)]), x),
        (lambda a: l.where(a > 0, a, 0 * a), x),
        (lambda a: F.conv2d(a[None], l.ones(1, 2, 3, 3)), image),
        (lambda a: F.max_pool2d(a[None], 2), image),
        (lambda a: F.layer_norm(a, (4,)), x),
        (lambda a: F.unfold(a[None], 2), image),
        (lambda a: F.interpolate(a[None], scale_factor=2), image),
        (lambda a: a.reshape(2, 2).t().reshape(-1), x),
        (lambda a: a.to(l.float64) * 2, x),
        (lambda a: a.argmax(), x),
        (lambda a: a.view(2, 2).mT.contiguous().view(-1), x),
        (lambda a: l.einsum("ij,jk->ki", a, a), m),
        (lambda a: a.masked_fill(a > 0, 5.0), x),
        (lambda a: a.gather(0, l.tensor([1, 0])), x),
        (lambda a: a.index_add(0, l.tensor([1, 0]), l.ones(2)), x),
        (lambda a: a.norm(), m),
        (lambda a: a.expand(2, 4), x),
        (lambda a: F.cross_entropy(a[None], l.tensor([1])), x),
        (lambda a: l.outer(a, a).tril(), x),
        (lambda a: l.fft.rfft(a).abs(), x),
        (lambda a: a.std(), x),
        (lambda a: F.pad(a, (1, 2)), x),
        (lambda a: a.view(l.int32), x),
        (lambda a: l.ones(2), x),
    ]
    return [tuple(l.vmap(f)(given)) if isinstance(l.vmap(f)(given), tuple) else l.vmap(f)(given)
            for f, given in rows]


def vmap_dimensions(l):
    x, y = data(l, 3, 4), data(l, 4, 3)
    return (
        l.vmap(lambda a, b: a * b, in_dims=(0, 1))(x, y),
        l.vmap(lambda a, b: a * b, in_dims=(0, None))(x, y[:, 0]),
        l.vmap(lambda a: a, in_dims=-1, out_dims=-1)(x),
        l.vmap(lambda a: l.stack([a, a]), out_dims=2)(x),
        l.vmap(lambda d: {"sum": d["p"] + d["q"][0], "p": (d["p"], d["q"][1])},
               in_dims=({"p": 0, "q": (1, None)},), out_dims={"sum": 0, "p": (1, None)})(
            {"p": x, "q": (y, x)}),
        l.vmap(lambda a, k: a * k, in_dims=(0, None))(x, 3),
        l.vmap(l.vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))(x[0], x[1]),
        l.vmap(lambda a: a * 2, chunk_size=2)(x),
        l.vmap(lambda a: (a, a.sum()), chunk_size=2, out_dims=(1, 0))(x),
        l.vmap(lambda a: a * 2)(l.ones(0, 3)),
        l.vmap(lambda a, *, scale: a * scale)(x, scale=l.tensor(3.0)),
    )  # fmt: skip


def vmap_views_and_writes(l):
    def f(a):
        b = a.clone()
        b[1:3] *= 2
        b.view(2, 2)[0].add_(a[3])
        b.t().neg_()
        c = a.new_zeros(4) + a * 0
        c[0] = a[1]
        c.index_add_(0, l.tensor([1, 1]), a[:2])

        return b, c, b.view(2, 2)[:, 1]
    x = data(l, 3, 4)
    return l.vmap(f)(x), x


def vmap_writes_into_what_is_mapped_over(l):
    x = data(l, 3, 4)
    l.vmap(lambda a: a.mul_(2))(x.clone())
    return l.vmap(lambda a: a.clone().copy_(l.ones(4)))(x)


@own_words
def vmap_writes_into_what_lanes_share(l):
    def f(a):
        b = l.zeros(4)
        return b.add_(a)
    return l.vmap(f)(data(l, 3, 4))


@own_words
def vmap_item(l):
    return l.vmap(lambda a: a.sum().item())(data(l, 3, 4))


@own_words
def vmap_control_flow(l):
    return l.vmap(lambda a: a if a.sum() > 0 else -a)(data(l, 3, 4))


@own_words
def vmap_shape_by_data(l):
    return l.vmap(lambda a: a[a > 0])(data(l, 3, 4))


@own_words
def vmap_numpy(l):
    return l.vmap(lambda a: a.numpy())(data(l, 3, 4))


@own_words
def vmap_requires_grad(l):
    return l.vmap(lambda a: a.requires_grad_())(data(l, 3, 4))


@own_words
def vmap_backward(l):
    w = l.ones(4, requires_grad=True)
    return l.vmap(lambda a: (a * w).sum().backward())(data(l, 3, 4))


def vmap_random_is_an_error(l):
    return l.vmap(lambda a: a + l.rand(4))(data(l, 3, 4))


def vmap_of_a_number(l):
    return l.vmap(lambda a: a)(3)


def vmap_without_inputs(l):
    return l.vmap(lambda: 1)()


def vmap_in_dims_of_another_structure(l):
    return l.vmap(lambda a: a, in_dims=[0])(data(l, 3))


def vmap_in_dim_out_of_range(l):
    return l.vmap(lambda a: a, in_dims=3)(data(l, 3))


def vmap_sizes_differ(l):
    return l.vmap(lambda a, b: a)(data(l, 3), data(l, 2))


def vmap_returns_a_number(l):
    return l.vmap(lambda a: 3)(data(l, 3))


def vmap_unknown_randomness(l):
    return l.vmap(lambda a: a, randomness="some")(data(l, 3))


def vmap_out_dim_out_of_range(l):
    return l.vmap(lambda a: a, out_dims=5)(data(l, 3, 2))


# ----- gradients through vmap, and vmap of gradients -----


def backward_through_vmap(l):
    w = data(l, 4, 4).requires_grad_()
    b = l.ones(4, requires_grad=True)
    x = data(l, 3, 4).requires_grad_()
    shared = w.exp()

    def f(a):
        return ((shared @ a) * a.sin() + b).pow(2), shared.sum(), b

    first, second, third = l.vmap(f)(x)
    loss = first.sum() + (second * l.arange(3)).sum() + (third * third).sum()
    grads = l.autograd.grad(loss, (w, b, x), create_graph=True)
    total = sum((g * g).sum() for g in grads)
    return grads, l.autograd.grad(total, (w, b, x))


def per_sample_gradients(l):
    model = l.nn.Sequential(l.nn.Linear(4, 3), l.nn.Tanh(), l.nn.Linear(3, 2))
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    x, y = data(l, 5, 4), l.tensor([0, 1, 1, 0, 1])

    def loss(parameters, a, target):
        out = l.func.functional_call(model, parameters, (a[None],))
        return l.nn.functional.cross_entropy(out, target[None])

    many = l.func.vmap(l.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    chunked = l.func.vmap(l.func.grad(loss), (None, 0, 0), chunk_size=2)(parameters, x, y)
    one = l.func.grad(loss)(parameters, x[3], y[3])
    return (many, chunked, one, [l.allclose(many[k][3], one[k], atol=1e-6) for k in one])


def per_sample_gradients_of_a_convolution(l):
    model = l.nn.Sequential(l.nn.Conv2d(1, 2, 3), l.nn.ReLU(), l.nn.MaxPool2d(2), l.nn.Flatten(),
                            l.nn.GroupNorm(1, 2), l.nn.Linear(2, 2))
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    x = data(l, 3, 1, 4, 4)

    def loss(parameters, a):
        return l.func.functional_call(model, parameters, (a[None],)).square().sum()

    return l.func.vmap(l.func.grad(loss), in_dims=(None, 0))(parameters, x)


def ensembles(l):
    models = [l.nn.Linear(3, 2) for _ in range(3)]
    parameters, buffers = l.func.stack_module_state(models)

    def call(p, b, x):
        return l.func.functional_call(models[0], (p, b), (x,))

    x = data(l, 5, 3)
    out = l.vmap(call, in_dims=(0, 0, None))(parameters, buffers, x)
    out.sum().backward()
    return out, parameters["weight"].grad


def nested_vmap_and_grad(l):
    x = data(l, 3, 4)

    def f(a, b):
        return (a * b.sin()).sum() ** 2

    inner = l.func.grad(f)
    both = l.vmap(l.vmap(inner, (None, 0)), (0, None))(x, x)
    outer = l.func.grad(lambda a: l.vmap(lambda b: f(a, b))(x).sum())(x[0])
    second = l.vmap(l.func.grad(lambda a: l.func.grad(f)(a, a).sum()))(x)
    mixed = l.func.grad(lambda a: l.vmap(l.func.grad(f), (None, 0))(a, x).square().sum())(x[1])
    return both, outer, second, mixed


def custom_functions_under_vmap(l):
    class Cube(l.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x * x

    x = data(l, 3, 2)
    w = l.tensor([1.0, 2.0], requires_grad=True)
    y = l.vmap(lambda a: Cube.apply(a * w))(x)
    (g,) = l.autograd.grad(y.sum(), w)
    return y, g, l.vmap(l.func.grad(lambda a: Cube.apply(a).sum()))(x)


def custom_functions_with_their_own_vmap(l):
    seen = []

    class Scale(l.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor, None

        @staticmethod
        def vmap(info, in_dims, x, factor):
            seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
            return Scale.apply(x, factor), 0  # own_vmap

    x = data(l, 3, 2).requires_grad_()
    y = l.vmap(lambda a: Scale.apply(a, 3.0))(x)
    return y, l.autograd.grad(y.sum(), x), seen


# ----- grad, vjp, jvp and matrices -----


def grad_options(l):
    x, y = data(l, 3), data(l, 3) + 1
    func = l.func
    return (
        func.grad(lambda a: (a**3).sum())(x),
        func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, y),
        func.grad(lambda a, b: (a * b).sum(), argnums=-1)(x, y),
        func.grad(lambda d: d["p"].sum())({"p": x, "q": y}),
        func.grad(lambda a: (a.sum(), {"k": a * 2}), has_aux=True)(x),
        func.grad_and_value(lambda a: (a.sum(), a), has_aux=True)(x),
        func.grad_and_value(lambda a: a.sin().sum())(x),
        func.grad(lambda a: l.ones(()))(x),
        func.grad(func.grad(lambda a: a**4))(x[0]),
        func.grad(lambda a: func.grad(lambda b: a * b * b)(a))(x[2]),
    )


def grad_of_what_is_recorded_outside(l):
    w = data(l, 3).requires_grad_()
    x = data(l, 3)
    g = l.func.grad(lambda a: (a * a * w).sum())(x)
    h = l.func.grad(lambda a: (a * a).sum())(x)
    with l.no_grad():
        n = l.func.grad(lambda a: (a * a * w).sum())(x)
    v = l.func.grad(lambda a: (a**3).sum())(w)
    return (g.requires_grad, h.requires_grad, n.requires_grad, v.requires_grad,
            l.autograd.grad((g * g).sum(), w)[0], l.autograd.grad(v.sum(), w)[0])


def grad_with_no_grad_inside(l):
    def f(a):
        with l.no_grad():
            c = a * 2
        return (a * c).sum()
    return l.func.grad(f)(data(l, 3))


def vjp_and_jvp(l):
    x = data(l, 3)
    out, pull = l.func.vjp(lambda a, b: (a * b, {"s": a.sum()}), x, x + 1)
    tensors = pull((l.ones(3), {"s": l.tensor(2.0)}))
    linear, derivative = l.func.linearize(l.sin, x)
    return (
        out, tensors,
        l.func.vjp(lambda a: (a * 2, a), x, has_aux=True)[2],
        l.func.jvp(lambda a: a.sin(), (x,), (l.ones(3),)),
        l.func.jvp(lambda a, b: (a * b, b.sum()), (x, x + 1), (x, l.ones(3))),
        l.func.jvp(lambda a: l.ones(2), (x,), (x,)),
        l.func.jvp(lambda a: (a * 2, {"aux": a}), (x,), (x,), has_aux=True),
        linear, derivative(x), derivative(l.ones(3)),
        l.func.jvp(lambda a: l.func.jvp(lambda b: b**3, (a,), (l.ones(3),))[1], (x,), (x,)),
        l.func.grad(lambda a: l.func.jvp(lambda b: b**3, (a,), (a,))[1].sum())(x),
        l.vmap(lambda a: l.func.jvp(l.sin, (a,), (a,))[1])(data(l, 2, 3)),
    )  # fmt: skip


def jacobians(l):
    x = data(l, 3)
    func = l.func

    def f(a, b):
        return {"s": a.sum() * b[0], "v": l.outer(a, b)}

    def g(a):
        return (a**3).sum() * a[0]

    return (
        func.jacrev(lambda a: a**2)(x),
        func.jacfwd(lambda a: a**2)(x),
        func.jacrev(f)(x, x), func.jacfwd(f)(x, x),
        func.jacrev(f, argnums=(0, 1))(x, x), func.jacfwd(f, argnums=(1, 0))(x, x),
        func.jacrev(lambda d: d["a"] * 2)({"a": x}),
        func.jacrev(lambda a: (a * 2, a), has_aux=True)(x),
        func.jacfwd(lambda a: (a * 2, a), has_aux=True)(x),
        func.jacrev(lambda a: a**2, chunk_size=2)(x),
        func.hessian(g)(x), func.jacrev(func.jacrev(g))(x), func.jacfwd(func.jacfwd(g))(x),
        func.jacrev(func.jacfwd(g))(x),
        func.hessian(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(x, x),
        l.vmap(func.hessian(g))(data(l, 2, 3)),
    )  # fmt: skip


def complex_derivatives(l):
    z = l.complex(data(l, 3), data(l, 3) + 1)
    return (
        l.func.grad(lambda a: a.abs().sum())(z),
        l.func.jvp(lambda a: a * a, (z,), (z.conj(),)),
        l.func.vjp(lambda a: a * a.conj(), z)[1](z),
    )


@own_words
def grad_of_a_vector(l):
    return l.func.grad(lambda a: a)(data(l, 3))


@own_words
def grad_of_integers(l):
    return l.func.grad(lambda a: a.sum())(l.ones(2, dtype=l.int64))


@own_words
def grad_of_an_argument_that_is_not_there(l):
    return l.func.grad(lambda a: a.sum(), argnums=2)(data(l, 3))


@own_words
def vjp_of_another_structure(l):
    return l.func.vjp(lambda a: (a, a), data(l, 3))[1](data(l, 3))


@own_words
def jvp_of_another_shape(l):
    return l.func.jvp(l.sin, (data(l, 3),), (l.ones(2),))


@own_words
def jvp_strict(l):
    return l.func.jvp(lambda a: l.ones(2), (data(l, 3),), (data(l, 3),), strict=True)


@own_words
def functional_call_with_a_name_twice(l):
    m = l.nn.Linear(2, 2)
    p = dict(m.named_parameters())
    return l.func.functional_call(m, (p, p), l.ones(2))


def rearrange(l):
    x = data(l, 2, 3, 4)
    return [
        l.func.rearrange(x, pattern, **lengths)
        for pattern, lengths in [
            ("a b c -> c a b", {}), ("a b c -> (a b) c", {}), ("a b (c d) -> a c (b d)", {"c": 2}),
            ("a ... -> ... a", {}), ("a b c -> a 1 b c", {}), ("a b c -> (a b c)", {}),
        ]
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)
