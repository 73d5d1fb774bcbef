"""`autograd.functional`, `autograd.forward_ad`, `gradcheck`, and random numbers inside vmap."""

from __future__ import annotations

import pytest

from flashlight.autograd.gradcheck import GradcheckError
from tests.autograd.agree import check, flashlight, own_words, programs_of


def point(l, *shape):
    count = 1
    for n in shape:
        count *= n
    return ((l.arange(count, dtype=l.float64) * 7 % 5 - 1.7) / 2).reshape(shape)


# ----- autograd.functional -----


def products(l):
    functional = l.autograd.functional
    x, y = point(l, 3), point(l, 3) + 2

    def f(a, b):
        return (a * b).sin(), a.sum() * b

    def number(a, b):
        return (a**3 * b).sum()

    return (
        functional.vjp(f, (x, y), (y, x)),
        functional.jvp(f, (x, y), (y, x)),
        functional.vjp(lambda a: a.sum(), x),
        functional.jvp(lambda a: a * y, x[0]),
        functional.vhp(number, (x, y), (y, x)),
        functional.hvp(number, (x, y), (y, x)),
        functional.vhp(lambda a: (a**3).sum(), x, y),
        functional.hvp(lambda a: (a**3).sum(), x, y),
    )


def products_that_are_recorded(l):
    functional = l.autograd.functional
    x = point(l, 3).requires_grad_()
    results = []
    for name in ("vjp", "jvp", "vhp", "hvp"):
        number = (lambda a: (a**3).sum()) if name[1] == "h" or name == "hvp" else (lambda a: a**3)
        value, product = getattr(functional, name)(number, x, point(l, 3), create_graph=True)
        results += [value.requires_grad, product.requires_grad,
                    l.autograd.grad(product.sum(), x)[0]]
        results.append(getattr(functional, name)(number, x, point(l, 3))[1].requires_grad)
    return results


def tuples(value):
    """Return `value` with tuples for lists, of which PyTorch returns some."""
    return tuple(map(tuples, value)) if isinstance(value, (list, tuple)) else value


def matrices(l):
    functional = l.autograd.functional
    x, y = point(l, 3), point(l, 2)

    def f(a, b):
        return l.outer(a, b).sin(), a.sum()

    def number(a, b):
        return (a**3).sum() * b[0] + b[1] ** 2

    found = []
    for options in ({}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}):
        found.append(functional.jacobian(f, (x, y), **options))
        found.append(functional.jacobian(lambda a: a.exp(), x, **options))
    for options in ({}, {"vectorize": True},
                    {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}):
        found.append(functional.hessian(number, (x, y), **options))
        found.append(functional.hessian(lambda a: (a**4).sum(), x, **options))
    z = x.clone().requires_grad_()
    jacobian = functional.jacobian(lambda a: a.exp(), z, create_graph=True)
    return tuples(found), jacobian.requires_grad, l.autograd.grad(jacobian.sum(), z)


@own_words
def vjp_without_vector(l):
    l.autograd.functional.vjp(lambda a: a * 2, point(l, 3))


@own_words
def vjp_of_another_size(l):
    l.autograd.functional.vjp(lambda a: a * 2, point(l, 3), point(l, 2))


@own_words
def strict_finds_what_is_independent(l):
    l.autograd.functional.jacobian(lambda a, b: a * 2, (point(l, 3), point(l, 2)), strict=True)


@own_words
def strict_finds_what_is_detached(l):
    l.autograd.functional.vjp(lambda a: a.detach(), point(l, 3), point(l, 3), strict=True)


@own_words
def hessian_of_a_vector(l):
    l.autograd.functional.hessian(lambda a: a * 2, point(l, 3))


@own_words
def functional_of_numbers(l):
    l.autograd.functional.jacobian(lambda a: a * 2, 3.0)


# ----- forward mode -----


def dual_tensors(l):
    forward_ad = l.autograd.forward_ad
    x, t = point(l, 3), point(l, 3).flip(0)
    with forward_ad.dual_level() as level:
        dual = forward_ad.make_dual(x, t)
        y = (dual.sin() * dual)[1:]
        y = y.clone()
        y[0] *= dual[2]
        unpacked = forward_ad.unpack_dual(y)
        w = point(l, 3).requires_grad_()
        primal, tangent = forward_ad.unpack_dual(forward_ad.make_dual(w, t) * w)
        (grad,) = l.autograd.grad(tangent.sum(), w)
        plain = forward_ad.unpack_dual(x)
        same = forward_ad.unpack_dual(dual)
        constant = forward_ad.unpack_dual(x * 2).tangent
    after = forward_ad.unpack_dual(y).tangent
    return (level, unpacked.primal, unpacked.tangent, primal, tangent, grad, plain.tangent,
            same.tangent is t, constant, after, unpacked.primal.requires_grad)


@own_words
def dual_outside_of_a_level(l):
    l.autograd.forward_ad.make_dual(point(l, 3), point(l, 3))


@own_words
def dual_of_another_size(l):
    with l.autograd.forward_ad.dual_level():
        l.autograd.forward_ad.make_dual(point(l, 3), point(l, 2))


@own_words
def dual_of_integers(l):
    with l.autograd.forward_ad.dual_level():
        l.autograd.forward_ad.make_dual(l.ones(3, dtype=l.int64), l.ones(3))


@own_words
def nested_levels(l):
    with l.autograd.forward_ad.dual_level(), l.autograd.forward_ad.dual_level():
        pass


# ----- gradcheck -----


def wrong(l):
    class Wrong(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, grad):
            return grad * 3 * ctx.saved_tensors[0]

    return Wrong.apply


def right_gradients_pass(l):
    x, y = point(l, 2, 3).requires_grad_(), (point(l, 3) + 3).requires_grad_()
    checks = l.autograd.gradcheck, l.autograd.gradgradcheck

    def f(a, b):
        return (a @ b).sin(), a.sum(0) / b

    return [
        gradcheck(f, (x, y), **options)
        for gradcheck in checks
        for options in ({}, {"fast_mode": True}, {"check_batched_grad": True})
    ] + [
        checks[0](f, (x, y), check_forward_ad=True),
        checks[0](lambda a: a.sin(), x, check_backward_ad=False, check_forward_ad=True),
        checks[1](lambda a: a * 2, x),
        checks[0](lambda a: a.detach() * 0, x),
    ]


def wrong_gradients_are_found(l):
    x = point(l, 3).requires_grad_()
    check = l.autograd.gradcheck
    return (
        check(wrong(l), x, raise_exception=False),
        check(wrong(l), x, raise_exception=False, fast_mode=True),
        check(lambda a: a.detach(), x, raise_exception=False),
    )


@own_words
def wrong_gradients_raise(l):
    l.autograd.gradcheck(wrong(l), point(l, 3).requires_grad_())


@own_words
def gradgradcheck_finds_once_differentiable(l):
    class Cube(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            return grad * 3 * ctx.saved_tensors[0].detach() ** 2

    l.autograd.gradgradcheck(Cube.apply, (point(l, 3) + 3).requires_grad_())


@own_words
def gradcheck_without_gradients(l):
    l.autograd.gradcheck(l.sin, point(l, 3))


@own_words
def gradcheck_of_a_stride_of_zero(l):
    l.autograd.gradcheck(l.sin, point(l, 1).expand(3).requires_grad_())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)


def test_gradcheck_finds_gradients_that_change():
    class Unsteady(flashlight.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad * (1 + 1e-6 * flashlight.rand(1, dtype=grad.dtype))

    x = point(flashlight, 3).requires_grad_()
    with pytest.raises(GradcheckError, match="reentr"):
        flashlight.autograd.gradcheck(Unsteady.apply, x)
    assert flashlight.autograd.gradcheck(Unsteady.apply, x, nondet_tol=1e-5)


def test_gradcheck_of_complex_numbers():
    z = flashlight.tensor([1 + 2j, 0.5 - 1j], requires_grad=True)
    loose = {"eps": 1e-2, "atol": 1e-2, "rtol": 1e-2}
    with pytest.warns(UserWarning, match="not a double precision"):
        assert flashlight.autograd.gradcheck(lambda a: (a * a.conj() * a, a.abs()), z, **loose)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="part of complex"):
        flashlight.autograd.gradcheck(wrong(flashlight), z, **loose)


def test_random_numbers_inside_vmap():
    x = flashlight.zeros(4, 3)
    different = flashlight.vmap(lambda a: a + flashlight.rand(3), randomness="different")(x)
    assert len({tuple(row) for row in different.tolist()}) == 4
    same = flashlight.vmap(lambda a: a + flashlight.rand(3), randomness="same")(x)
    assert len({tuple(row) for row in same.tolist()}) == 1
    dropped = flashlight.vmap(
        lambda a: flashlight.nn.functional.dropout(a, 0.5), randomness="different"
    )(flashlight.ones(6, 20))
    assert len({tuple(row) for row in dropped.tolist()}) > 1
    assert set(dropped.reshape(-1).tolist()) == {0.0, 2.0}
    filled = flashlight.vmap(lambda a: a.clone().normal_(), randomness="different")(x)
    assert len(set(filled.reshape(-1).tolist())) == 12


def test_random_numbers_by_values_inside_vmap_say_what_to_do():
    with pytest.raises(RuntimeError, match="outside of vmap"):
        flashlight.vmap(lambda a: flashlight.multinomial(a, 1), randomness="different")(
            flashlight.ones(2, 3)
        )
