"""Distributions: densities, moments, samples, divergences, transforms and constraints."""

from __future__ import annotations

import torch
from torch import distributions as td

from .adapter import Conversion
from .core import backward, gradients, paired, raising

GROUPS = ("kl_divergence", "transforms", "constraints")
MOMENTS = ("mean", "variance", "stddev", "mode")
#: What to ask of a distribution and of values drawn from it, by tier.
QUESTIONS = {
    "forward": lambda made, value: made.log_prob(value),
    "entropy": lambda made, value: made.entropy(),
    "cdf": lambda made, value: made.cdf(value),
    "icdf": lambda made, value: [made.icdf(value * 0 + level) for level in (0.05, 0.5, 0.9)],
    "sample": lambda made, value: made.sample((3, 2)),
    "expand": lambda made, value: made.expand((4, *made.batch_shape)).log_prob(value),
    "enumerate_support": lambda made, value: [
        made.enumerate_support(expand) for expand in (True, False)
    ],
    "support": lambda made, value: made.support.check(value),
    "shapes": lambda made, value: (
        made.batch_shape,
        made.event_shape,
        made.has_rsample,
        made.has_enumerate_support,
        sorted(made.arg_constraints),
    ),
}


def items(options):
    """Name the distribution classes and the groups of other things."""
    yield from dict.fromkeys(type(case).__name__ for case in distribution_cases())
    yield from GROUPS


def checks(item, options):
    """Plan all checks of one distribution class or group."""
    if item in GROUPS:
        yield from {
            "kl_divergence": _divergences,
            "transforms": _transforms,
            "constraints": _constraints,
        }[item]()
        return
    cases = [case for case in distribution_cases() if type(case).__name__ == item]
    for index, case in enumerate(cases):
        label = f"case {index}"
        probes = _Probes(case)
        for tier, question in QUESTIONS.items():
            yield from paired(tier, item, label, probes.asking(question), graded=tier == "forward")
        for name in MOMENTS:
            probe = probes.asking(lambda made, value, name=name: getattr(made, name))
            yield from paired("moments", item, f"{label} {name}", probe)
        yield from paired("grad", item, label, probes.grad, graded=True)
        yield from paired("rsample", item, label, probes.rsample)
        yield from raising("error", item, label, probes.invalid)


class _Probes:
    """The things to do with one distribution and values drawn from it."""

    def __init__(self, case):
        self.case = case
        self.value = case.sample((4,))

    def asking(self, question):
        def probe(adapter):
            made, value, _ = self._build(adapter)
            return adapter.to_torch(question(made, value))

        return probe

    def grad(self, adapter):
        made, value, convert = self._build(adapter)
        backward(adapter, made.log_prob(value))
        return gradients(adapter, convert.leaves)

    def rsample(self, adapter):
        made, _, convert = self._build(adapter)
        drawn = made.rsample((50,))
        backward(adapter, drawn)
        return adapter.to_torch(drawn), gradients(adapter, convert.leaves)

    def invalid(self, adapter):
        made, _, convert = self._build(adapter)
        made.log_prob(convert(torch.full_like(self.value, torch.nan)))

    def _build(self, adapter):
        convert = Conversion(adapter)
        return convert(self.case), convert(self.value), convert


def _divergences():
    firsts = list({type(case): case for case in reversed(distribution_cases())}.values())
    for one in firsts:
        for other in firsts:

            def probe(adapter, one=one, other=other):
                convert = Conversion(adapter, detach=True)
                divergence = adapter.lookup("distributions.kl_divergence")
                return adapter.to_torch(divergence(convert(one), convert(other)))

            unit = f"{type(one).__name__}-{type(other).__name__}"
            yield from paired("kl_divergence", unit, unit, probe, graded=True)


def _transforms():
    for transform, value in transform_cases():

        def probe(adapter, transform=transform, value=value):
            convert = Conversion(adapter, detach=True)
            made, point = convert(transform), convert(value)
            image = made(point)
            results = [image, made.inv(image)]
            if transform.bijective:
                results.append(made.log_abs_det_jacobian(point, image))
            return adapter.to_torch(results), transform.bijective

        name = type(transform).__name__
        yield from paired("transforms", name, name, probe)


def _constraints():
    values = [
        torch.tensor([[0.5, 0.0], [0.25, 0.75]]),
        torch.tensor([[2.0, -1.0], [-1.0, 2.0]]),
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    ]
    for name in td.constraints.__all__:
        if not isinstance(getattr(td.constraints, name), td.constraints.Constraint):
            continue

        def probe(adapter, name=name):
            constraint = adapter.lookup(f"distributions.constraints.{name}")
            convert = Conversion(adapter)
            return [adapter.to_torch(constraint.check(convert(value))) for value in values]

        def transformed(adapter, name=name):
            constraint = adapter.lookup(f"distributions.constraints.{name}")
            transform = adapter.lookup("distributions.transform_to")(constraint)
            return adapter.to_torch(transform(Conversion(adapter)(values[1])))

        yield from paired("constraints", name, "check", probe)
        yield from paired("constraints", name, "transform_to", transformed)


def distribution_cases():
    """Return distributions with parameters that require grad, at least one of each class."""

    def p(*values):
        return torch.tensor(values, requires_grad=True)

    table = p([0.2, 0.3, 0.5], [0.6, 0.3, 0.1])
    matrix = p([1.5, 0.2, 0.0], [0.2, 1.0, 0.3], [0.0, 0.3, 2.0])
    triangle = p([1.2, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.4, 0.1, 1.5])
    return [
        td.Bernoulli(p(0.2, 0.7)),
        td.Bernoulli(logits=p(-1.0, 0.5)),
        td.Beta(p(0.5, 2.0), p(1.5, 3.0)),
        td.Binomial(10, p(0.2, 0.7)),
        td.Binomial(torch.tensor([4.0, 7.0]), logits=p(-1.0, 0.5)),
        td.Categorical(table),
        td.Categorical(logits=p([0.1, -1.0, 2.0])),
        td.Cauchy(p(0.5, -1.0), p(1.0, 2.0)),
        td.Chi2(p(1.5, 4.0)),
        td.ContinuousBernoulli(p(0.2, 0.7)),
        td.ContinuousBernoulli(logits=p(-1.0, 1e-4)),
        td.Dirichlet(p(0.5, 1.5, 3.0)),
        td.Exponential(p(0.5, 2.0)),
        td.FisherSnedecor(p(3.0, 5.0), p(4.5, 7.0)),
        td.Gamma(p(0.5, 3.0), p(1.0, 2.0)),
        td.GeneralizedPareto(p(0.0, 1.0), p(1.0, 2.0), p(0.2, -0.3)),
        td.Geometric(p(0.2, 0.7)),
        td.Geometric(logits=p(-1.0, 0.5)),
        td.Gumbel(p(0.5, -1.0), p(1.0, 2.0)),
        td.HalfCauchy(p(0.5, 2.0)),
        td.HalfNormal(p(0.5, 2.0)),
        td.Independent(td.Normal(p(0.5, -1.0), p(1.0, 2.0)), 1),
        td.InverseGamma(p(2.5, 3.0), p(1.0, 2.0)),
        td.Kumaraswamy(p(0.5, 2.0), p(1.5, 3.0)),
        td.LKJCholesky(3, p(0.5, 2.0)),
        td.Laplace(p(0.5, -1.0), p(1.0, 2.0)),
        td.LogNormal(p(0.5, -1.0), p(1.0, 0.3)),
        td.LogisticNormal(p(0.5, -1.0), p(1.0, 2.0)),
        td.LowRankMultivariateNormal(p(0.5, -1.0, 0.0), p([1.0], [0.5], [0.2]), p(1.0, 2.0, 0.5)),
        td.MixtureSameFamily(td.Categorical(p(0.3, 0.7)), td.Normal(p(0.5, -1.0), p(1.0, 2.0))),
        td.Multinomial(10, p(0.2, 0.3, 0.5)),
        td.Multinomial(7, logits=p(0.1, -1.0, 2.0)),
        td.MultivariateNormal(p(0.5, -1.0, 0.0), matrix),
        td.MultivariateNormal(p(0.5, -1.0, 0.0), precision_matrix=matrix),
        td.MultivariateNormal(p(0.5, -1.0, 0.0), scale_tril=triangle),
        td.NegativeBinomial(p(5.0, 2.5), p(0.2, 0.7)),
        td.Normal(p(0.5, -1.0), p(1.0, 2.0)),
        td.Normal(0.0, p(0.1, 30.0)),
        td.OneHotCategorical(table),
        td.OneHotCategorical(logits=p([0.1, -1.0, 2.0])),
        td.OneHotCategoricalStraightThrough(table),
        td.Pareto(p(1.0, 2.0), p(2.5, 3.0)),
        td.Poisson(p(0.5, 6.0)),
        td.RelaxedBernoulli(p(0.7), p(0.2, 0.7)),
        td.RelaxedOneHotCategorical(p(0.7), table),
        td.StudentT(p(3.5, 8.0), p(0.5, -1.0), p(1.0, 2.0)),
        td.TransformedDistribution(
            td.Normal(p(0.5, -1.0), p(1.0, 2.0)),
            [td.AffineTransform(p(0.1, 0.2), p(2.0, 0.5)), td.ExpTransform()],
        ),
        td.Uniform(p(-1.0, 0.0), p(2.0, 0.5)),
        td.VonMises(p(0.5, -1.0), p(0.3, 4.0)),
        td.Weibull(p(0.5, 2.0), p(1.5, 3.0)),
        td.Wishart(p(5.0), matrix),
    ]


def transform_cases():
    """Return transforms with a point each."""
    point = torch.tensor([[-0.5, 0.2, 0.9], [0.1, 0.4, -0.3]])
    square = torch.tensor([[0.5, 0.1], [-0.3, 1.2]])
    affine = td.AffineTransform(torch.tensor(0.5), torch.tensor([2.0, -1.0, 0.5]))
    normal = td.Normal(torch.tensor(0.1), torch.tensor(2.0))
    return [
        (td.AbsTransform(), point),
        (affine, point),
        (td.ExpTransform(), point),
        (td.CatTransform([td.ExpTransform(), td.TanhTransform()], -1, [1, 2]), point),
        (td.ComposeTransform([affine, td.SigmoidTransform()]), point),
        (td.CorrCholeskyTransform(), point),
        (td.CumulativeDistributionTransform(normal), point),
        (td.IndependentTransform(td.ExpTransform(), 1), point),
        (td.LowerCholeskyTransform(), square),
        (td.PositiveDefiniteTransform(), square),
        (td.PowerTransform(torch.tensor(1.5)), point.abs()),
        (td.ReshapeTransform((2, 3), (6,)), point),
        (td.SigmoidTransform(), point),
        (td.SoftmaxTransform(), point),
        (td.SoftplusTransform(), point),
        (td.StackTransform([td.ExpTransform(), td.TanhTransform()]), point),
        (td.StickBreakingTransform(), point),
        (td.TanhTransform(), point),
    ]
