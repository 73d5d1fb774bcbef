"""`autograd.Function`, both styles."""

from __future__ import annotations

import pytest

from tests.autograd.agree import check, leaf, own_words, programs_of


def basic(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x)
            ctx.k = k
            return x**k

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.k * x ** (ctx.k - 1), None

    x = leaf(l)
    y = A.apply(x, 3)
    (g,) = l.autograd.grad(y.sum(), x, create_graph=True)
    (g2,) = l.autograd.grad(g.sum(), x)
    return y.grad_fn.name(), type(y.grad_fn).__name__, g2, repr(y.grad_fn)[:20], y


def setup(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(x, k=2):
            return x**k, x + 1

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, k = inputs
            ctx.save_for_backward(x)
            ctx.k = k

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * ctx.k * x ** (ctx.k - 1) + h, None

    x = leaf(l)
    y, z = A.apply(x, 3)
    (y.sum() + z.sum()).backward()
    return x.grad, y.grad_fn is z.grad_fn, y.output_nr, z.output_nr


def setup_default(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(x, k=2):
            return x**k

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, k = inputs
            ctx.save_for_backward(x)
            ctx.k = k

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.k * x ** (ctx.k - 1), None

    x = leaf(l)
    A.apply(x).sum().backward()
    return x.grad


def dirty(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(l)
    y = x * 1
    z = A.apply(y)
    z.sum().backward()
    return z is y, y.grad_fn.name(), x.grad, y._version


@own_words
def dirty_leaf(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    A.apply(l.ones(2, requires_grad=True))


def dirty_view(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = l.ones(2, 3, requires_grad=True)
    y = x * 1
    v = y[0]
    A.apply(v)
    y.sum().backward()
    return x.grad, y.grad_fn.name()


def nondiff(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            i = x.argmax()
            s = x * 2
            ctx.mark_non_differentiable(s)
            return x * 3, s, i

        @staticmethod
        def backward(ctx, g, h, i):
            return g * 3 + (0 if h is None else h.sum()) + (100 if i is None else 0)

    x = leaf(l)
    a, b, c = A.apply(x)
    a.sum().backward()
    return a.requires_grad, b.requires_grad, c.requires_grad, x.grad


def materialize(l):
    out = []

    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 3, x * 2

        @staticmethod
        def backward(ctx, g, h):
            out.append((g is None, h is None))
            return g * 3

    class B(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3, x * 2

        @staticmethod
        def backward(ctx, g, h):
            out.append((g is None, h is None, h.shape))
            return g * 3

    x = leaf(l)
    A.apply(x)[0].sum().backward()
    B.apply(x)[0].sum().backward()
    return out


def once(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @l.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x = leaf(l)
    (g,) = l.autograd.grad(A.apply(x).sum(), x, create_graph=True)
    out = [g.requires_grad, g]
    l.autograd.grad((g * 1).sum(), x)
    return out


def nested(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            with l.enable_grad():
                xd = x.detach().requires_grad_()
                y = (xd**3).sum()
            ctx.save_for_backward(xd, y)
            return y.detach()

        @staticmethod
        def backward(ctx, g):
            xd, y = ctx.saved_tensors
            with l.enable_grad():
                (r,) = l.autograd.grad(y, xd)
            return g * r

    x = leaf(l)
    A.apply(x).backward()
    return x.grad


def wrong_count(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    x = leaf(l)
    A.apply(x, x).sum().backward()


def wrong_shape(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return l.ones(5)

    x = leaf(l)
    A.apply(x).sum().backward()


def wrong_type(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return 3

    x = leaf(l)
    A.apply(x).sum().backward()


@own_words
def no_backward(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    x = leaf(l)
    A.apply(x).sum().backward()


def return_input(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(l)
    y = A.apply(x)
    y.sum().backward()
    return y is x, x.grad, y.data_ptr() == x.data_ptr(), y._is_view()


def return_view(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2, 3) * 5

    x = leaf(l)
    y = A.apply(x)
    y.sum().backward()
    r = [x.grad, y._is_view()]
    y2 = A.apply(x * 1)
    y2.add_(1)
    return r


def needs(l):
    out = []

    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x, k, y):
            out.append(ctx.needs_input_grad)
            return x * y

        @staticmethod
        def backward(ctx, g):
            out.append(ctx.needs_input_grad)
            return g, None, None

    A.apply(leaf(l), 2, l.ones(2, 3)).sum().backward()
    return out


def no_grad_needed(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

    y = A.apply(l.ones(2))
    with l.no_grad():
        z = A.apply(leaf(l))
    return y.requires_grad, z.requires_grad, y.grad_fn


def save_int_output(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            v, i = x.max(0)
            ctx.save_for_backward(i, v)
            return v, i

        @staticmethod
        def backward(ctx, g, gi):
            i, _ = ctx.saved_tensors
            return l.zeros(2, 3).scatter_(0, i[None], g[None])

    x = leaf(l)
    v, i = A.apply(x)
    v.sum().backward()
    return x.grad, i.requires_grad


@own_words
def saved_modified(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = leaf(l) * 1
    y = A.apply(x)
    x.add_(1)
    y.sum().backward()


def twice(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = leaf(l)
    y = A.apply(x).sum()
    y.backward()
    y.backward()


def old(l):
    class A(l.autograd.Function):
        def forward(self, x):
            return x

    A()(l.ones(2))


def save_nontensor(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 2

    A.apply(leaf(l))


def tuple_list_out(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return [x * 2]

        @staticmethod
        def backward(ctx, g):
            return g

    return A.apply(leaf(l))


def nontensor_out(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, 5, None

        @staticmethod
        def backward(ctx, g, a, b):
            return g * (1 if a is None else 3)

    x = leaf(l)
    y, n, m = A.apply(x)
    y.sum().backward()
    return n, m, x.grad


def kw(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x, k=2):
            return x * k

        @staticmethod
        def backward(ctx, g):
            return g, None

    return A.apply(leaf(l), k=3)


def retain_grad_ctx(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(l)
    y = A.apply(x)
    (g,) = l.autograd.grad(y.sum(), x, create_graph=True)
    return l.autograd.grad(g.sum(), x)


def saved_in_attr(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.x = x
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.x

    x = leaf(l)
    y = A.apply(x).sum()
    y.backward()
    y.backward()
    return x.grad


def reg_hook(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    out = []
    x = leaf(l)
    y = A.apply(x)
    y.grad_fn.register_hook(lambda gi, go: out.append((len(gi), len(go))))
    y.sum().backward()
    return out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)
