"""Transforms, constraints and the registries between them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.distributions import constraints as their_constraints

import flashlight
import flashlight.distributions as ours
from flashlight.distributions import constraints
from tests.distributions.cases import assert_same, to_flashlight

POINT = [[-0.5, 0.2, 0.9], [0.1, 0.4, -0.3]]
SQUARE = [[0.5, 0.1], [-0.3, 1.2]]

# A transform and a point of its domain.
TRANSFORMS = {
    "Abs": lambda d, t: (d.AbsTransform(), t(POINT)),
    "Affine": lambda d, t: (d.AffineTransform(t(0.5), t([2.0, -1.0, 0.5])), t(POINT)),
    "Affine-numbers": lambda d, t: (d.AffineTransform(1, -2.0), t(POINT)),
    "Affine-event": lambda d, t: (d.AffineTransform(0.5, t([2.0, -1.0, 0.5]), 1), t(POINT)),
    "Cat": lambda d, t: (
        d.CatTransform([d.ExpTransform(), d.TanhTransform()], -1, [1, 2]),
        t(POINT),
    ),
    "Cat-vectors": lambda d, t: (
        d.CatTransform([d.StickBreakingTransform(), d.StickBreakingTransform()], 0, [1, 1]),
        t(POINT),
    ),
    "Compose": lambda d, t: (
        d.ComposeTransform([d.AffineTransform(t(0.5), t(-2.0)), d.SigmoidTransform()]),
        t(POINT),
    ),
    "Compose-twice": lambda d, t: (d.ComposeTransform([d.TanhTransform()] * 2), t(POINT)),
    "Compose-deep": lambda d, t: (
        d.ComposeTransform([d.ExpTransform(), d.ReshapeTransform((3,), (3, 1))]),
        t(POINT),
    ),
    "Compose-empty": lambda d, t: (d.identity_transform, t(POINT)),
    "CorrCholesky": lambda d, t: (d.CorrCholeskyTransform(), t(POINT)),
    "CumulativeDistribution": lambda d, t: (
        d.CumulativeDistributionTransform(d.Normal(t(0.1), t(2.0))),
        t(POINT),
    ),
    "Exp": lambda d, t: (d.ExpTransform(), t(POINT)),
    "Exp-inverse": lambda d, t: (d.ExpTransform().inv, t(POINT).abs()),
    "Independent": lambda d, t: (d.IndependentTransform(d.ExpTransform(), 1), t(POINT)),
    "LowerCholesky": lambda d, t: (d.LowerCholeskyTransform(), t(SQUARE)),
    "PositiveDefinite": lambda d, t: (d.PositiveDefiniteTransform(), t(SQUARE)),
    "Power": lambda d, t: (d.PowerTransform(t([1.5, -1.0, 2.0])), t(POINT).abs()),
    "Reshape": lambda d, t: (d.ReshapeTransform((2, 3), (6,)), t(POINT)),
    "Sigmoid": lambda d, t: (d.SigmoidTransform(), t(POINT)),
    "Sigmoid-far": lambda d, t: (d.SigmoidTransform(), t([-800.0, 800.0])),
    "Softmax": lambda d, t: (d.SoftmaxTransform(), t(POINT)),
    "Softplus": lambda d, t: (d.SoftplusTransform(), t([-30.0, 0.5, 30.0])),
    "Stack": lambda d, t: (d.StackTransform([d.ExpTransform(), d.TanhTransform()]), t(POINT)),
    "StickBreaking": lambda d, t: (d.StickBreakingTransform(), t(POINT)),
    "Tanh": lambda d, t: (d.TanhTransform(), t([-9.0, 0.3, 9.0])),
}


def make(module, name):
    def tensor(values):
        return module.tensor(values, dtype=module.float64)

    return TRANSFORMS[name](module.distributions, tensor)


def attempt(call):
    try:
        return call()
    except (NotImplementedError, ValueError, AttributeError) as error:
        return type(error)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_values_shapes_and_descriptions(name):
    (theirs, their_point), (mine, point) = (make(module, name) for module in (torch, flashlight))
    image, their_image = mine(point), theirs(their_point)
    assert_same(image, their_image)
    assert_same(mine.inv(image), theirs.inv(their_image), 1e-6, 1e-9)
    assert repr(mine) == repr(theirs)
    assert repr(mine.inv) == repr(theirs.inv)
    assert mine.bijective == theirs.bijective
    for end in ("domain", "codomain"):
        assert repr(getattr(mine, end)) == repr(getattr(theirs, end))
        assert getattr(mine, end).event_dim == getattr(theirs, end).event_dim
    assert attempt(lambda: mine.event_dim) == attempt(lambda: theirs.event_dim)
    sign, their_sign = attempt(lambda: mine.sign), attempt(lambda: theirs.sign)
    if isinstance(their_sign, torch.Tensor):
        assert_same(sign, their_sign)
    else:
        assert sign == their_sign
    assert tuple(mine.forward_shape(point.shape)) == tuple(theirs.forward_shape(their_point.shape))
    assert tuple(mine.inverse_shape(image.shape)) == tuple(theirs.inverse_shape(their_image.shape))
    if theirs.bijective:
        for one, other, ours_at, theirs_at in (
            (mine, theirs, (point, image), (their_point, their_image)),
            (mine.inv, theirs.inv, (image, point), (their_image, their_point)),
        ):
            assert_same(one.log_abs_det_jacobian(*ours_at), other.log_abs_det_jacobian(*theirs_at))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_equality_and_copies(name):
    mine, point = make(flashlight, name)
    again, _ = make(flashlight, name)
    theirs, _ = make(torch, name)
    their_again, _ = make(torch, name)
    assert (mine == again) == (theirs == their_again)
    assert (mine.inv == again.inv) == (theirs.inv == their_again.inv)
    assert mine.inv.inv is mine
    assert mine != object()
    for duplicate in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert duplicate(point).tolist() == mine(point).tolist()
    image = mine(point)
    inverse = pickle.loads(pickle.dumps(mine.inv))
    assert inverse(image).tolist() == mine.inv(image).tolist()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_caches(name):
    mine, point = make(flashlight, name)
    cached = mine.with_cache()
    assert cached._cache_size == 1
    assert cached.with_cache() is cached
    assert mine.with_cache(0) is mine
    image = cached(point)
    assert_same(image, torch.tensor(mine(point).tolist(), dtype=torch.float64))
    if cached.parts if name.startswith("Compose") else True:
        assert cached(point) is image or name.startswith("Compose")
        assert cached.inv(image) is point or name.startswith(("Compose-deep", "Exp-inverse"))


def test_cache_sizes():
    for module in (torch, flashlight):
        with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
            module.distributions.ExpTransform(cache_size=2)


def test_two_inverses_of_a_cached_transform_share_it():
    transform = ours.ExpTransform(cache_size=1)
    point = flashlight.tensor([0.5], requires_grad=True)
    image = transform(point)
    assert transform.inv(image) is point
    transform.log_abs_det_jacobian(point, image).sum().backward()
    assert point.grad.tolist() == [1.0]


class Cubed(ours.Transform):
    """A transform as users write them."""

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = 1

    def _call(self, x):
        return x**3

    def _inverse(self, y):
        return y.sign() * y.abs() ** (1 / 3)

    def log_abs_det_jacobian(self, x, y):
        return (3 * x**2).log()


class Scaled(Cubed):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale


def test_transforms_of_users():
    assert Cubed().with_cache()._cache_size == 1
    with pytest.raises(NotImplementedError, match="with_cache is not implemented"):
        Scaled(2.0).with_cache()
    made = ours.TransformedDistribution(ours.Normal(0.0, 1.0), [Cubed(), Cubed()])
    value = flashlight.tensor(0.7)
    root = value ** (1 / 9)
    wanted = ours.Normal(0.0, 1.0).log_prob(root) - (9 * root**8).log()
    assert abs(made.log_prob(value) - wanted) < 1e-5
    assert made.cdf(value).item() > 0.5


@pytest.mark.parametrize(
    ("make_transform", "shape"),
    [
        (lambda d: d.ReshapeTransform((2,), (3,)), None),
        (lambda d: d.ReshapeTransform((2, 3), (6,)), (3,)),
        (lambda d: d.ReshapeTransform((2, 3), (6,)), (3, 2)),
        (lambda d: d.SoftmaxTransform(), ()),
        (lambda d: d.StickBreakingTransform(), ()),
        (lambda d: d.CorrCholeskyTransform(), (4,)),
        (lambda d: d.CorrCholeskyTransform(), ()),
        (lambda d: d.CatTransform([1]), None),
        (lambda d: d.CatTransform([d.ExpTransform()], lengths=[1, 2]), None),
        (lambda d: d.StackTransform([1]), None),
    ],
)
def test_errors(make_transform, shape):
    kinds = []
    for module in (torch, flashlight):
        with pytest.raises((ValueError, AssertionError)) as caught:
            made = make_transform(module.distributions)
            made.forward_shape(module.Size(shape))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


# Constraints


@pytest.mark.parametrize("name", their_constraints.__all__)
def test_constraints_of_the_module(name):
    theirs, mine = getattr(their_constraints, name), getattr(constraints, name)
    if not isinstance(theirs, their_constraints.Constraint):
        assert type(mine) is type(theirs)
        return
    assert repr(mine) == repr(theirs)
    assert attempt(lambda: mine.is_discrete) == attempt(lambda: theirs.is_discrete)
    assert attempt(lambda: mine.event_dim) == attempt(lambda: theirs.event_dim)
    for values in (
        [[0.5, 0.0], [0.25, 0.75]],
        [[2.0, -1.0], [-1.0, 2.0]],
        [[1.0, 0.0], [0.0, 1.0]],
        [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, -0.8]]],
        [[float("nan"), 1.0], [0.0, 3.0]],
        [[1.0, 2.0], [2.0, 4.0]],
    ):
        wanted = attempt(lambda values=values: theirs.check(torch.tensor(values)))
        got = attempt(lambda values=values: mine.check(flashlight.tensor(values)))
        if isinstance(wanted, torch.Tensor):
            assert_same(got, wanted)
        else:
            assert got == wanted


PARAMETRIC = {
    "interval": lambda c: c.interval(-1.0, 2.0),
    "half_open": lambda c: c.half_open_interval(-1.0, 2.0),
    "less_than": lambda c: c.less_than(0.3),
    "greater_than": lambda c: c.greater_than(0.3),
    "greater_than_eq": lambda c: c.greater_than_eq(0.5),
    "integer_interval": lambda c: c.integer_interval(0, 1),
    "multinomial": lambda c: c.multinomial(2),
    "independent": lambda c: c.independent(c.positive, 1),
    "independent-2": lambda c: c.independent(c.positive, 2),
    "cat": lambda c: c.cat([c.positive, c.real], -1, [1, 2]),
    "stack": lambda c: c.stack([c.positive, c.unit_interval], 0),
    "stack-vectors": lambda c: c.stack([c.simplex, c.real_vector], 0),
    "mixture": lambda c: c.MixtureSameFamilyConstraint(c.positive),
    "mixture-vectors": lambda c: c.MixtureSameFamilyConstraint(c.simplex),
}


@pytest.mark.parametrize("name", PARAMETRIC)
def test_constraints_with_parameters(name):
    theirs, mine = PARAMETRIC[name](their_constraints), PARAMETRIC[name](constraints)
    assert (
        repr(mine).partition(" object at")[0].rpartition(".")[2]
        == repr(theirs).partition(" object at")[0].rpartition(".")[2]
    )
    assert mine.event_dim == theirs.event_dim
    assert mine.is_discrete == theirs.is_discrete
    for values in (POINT, [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]):
        assert_same(mine.check(flashlight.tensor(values)), theirs.check(torch.tensor(values)))
    assert pickle.loads(pickle.dumps(mine)).event_dim == theirs.event_dim


def test_dependent_constraints():
    made = constraints.dependent(is_discrete=True)
    assert made.is_discrete
    assert made(event_dim=1).event_dim == 1
    assert constraints.is_dependent(made(event_dim=1))
    with pytest.raises(NotImplementedError, match="event_dim"):
        _ = made.event_dim
    with pytest.raises(ValueError, match="dependent constraint"):
        made.check(flashlight.zeros(1))
    assert constraints.is_dependent(ours.Uniform.support)
    assert ours.Uniform.support.event_dim == 0
    assert not constraints.is_dependent(ours.Normal.support)
    for arguments in ((1, 1), (constraints.real, 1.5), (constraints.real, -1)):
        with pytest.raises(AssertionError):
            constraints.independent(*arguments)
    with pytest.raises(ValueError, match=r"Expected value\.dim"):
        constraints.independent(constraints.real, 2).check(flashlight.zeros(3))


# Registries


UNREGISTERED = {"integer_interval", "multinomial", "mixture", "mixture-vectors"}


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("name", [name for name in PARAMETRIC if name not in UNREGISTERED])
def test_registered_constraints(registry, name):
    theirs = getattr(torch.distributions, registry)(PARAMETRIC[name](their_constraints))
    mine = getattr(ours, registry)(PARAMETRIC[name](constraints))
    assert repr(mine) == repr(theirs)
    point = torch.tensor(POINT, dtype=torch.float64)
    try:
        wanted = theirs(point)
    except (AssertionError, RuntimeError) as error:
        with pytest.raises(type(error)):
            mine(to_flashlight(point))
    else:
        assert_same(mine(to_flashlight(point)), wanted)


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("name", their_constraints.__all__)
def test_registered_singletons(registry, name):
    constraint = getattr(their_constraints, name)
    if not isinstance(constraint, their_constraints.Constraint):
        return
    wanted = attempt(lambda: repr(getattr(torch.distributions, registry)(constraint)))
    assert attempt(lambda: repr(getattr(ours, registry)(getattr(constraints, name)))) == wanted


class Odd(constraints.Constraint):
    def check(self, value):
        return value % 2 == 1


def test_registering():
    registry = ours.constraint_registry.ConstraintRegistry()
    with pytest.raises(NotImplementedError, match="Cannot transform Odd constraints"):
        registry(Odd())
    registry.register(Odd(), lambda constraint: ours.ExpTransform())
    assert registry(Odd()) == ours.ExpTransform()

    @registry.register(type(constraints.real))
    def to_real(constraint):
        return ours.identity_transform

    assert registry(constraints.real) is ours.identity_transform
    with pytest.raises(TypeError, match="Constraint subclass"):
        registry.register(int, to_real)
