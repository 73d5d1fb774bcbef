"""The Dirichlet distribution."""

from __future__ import annotations

import flashlight as torch
from flashlight.distributions import constraints
from flashlight.distributions.exp_family import ExponentialFamily

__all__ = ["Dirichlet"]


class _Dirichlet(torch.autograd.Function):
    """A draw differentiable in its concentration, once."""

    @staticmethod
    def forward(ctx, concentration):
        draw = torch._sample_dirichlet(concentration)
        ctx.save_for_backward(draw, concentration)
        return draw

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        return _Dirichlet_backward(*ctx.saved_tensors, grad_output)


def _Dirichlet_backward(x, concentration, grad_output):
    total = concentration.sum(-1, True).expand_as(concentration)
    along = torch._dirichlet_grad(x, concentration, total)
    # A share that grows takes from all in proportion, itself included.
    return along * (grad_output - (x * grad_output).sum(-1, True))


class Dirichlet(ExponentialFamily):
    """Shares that sum to 1, with density proportional to prod x^(concentration - 1).

    `concentration` is `(*, K)`, as is a draw. Raises ValueError for a scalar.
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _batched = ("concentration",)

    def __init__(self, concentration, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self):
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self):
        excess = (self.concentration - 1).clamp(min=0)
        inner = excess / excess.sum(-1, True)
        # With all concentrations below 1 the density has a pole at each vertex: `inner` is nan
        # throughout, so this is the first vertex.
        vertex = torch.nn.functional.one_hot(inner.argmax(-1), inner.shape[-1]).to(inner)
        return torch.where((self.concentration < 1).all(-1, True), vertex, inner)

    @property
    def variance(self):
        total = self.concentration.sum(-1, True)
        share = self.concentration / total
        return share * (1 - share) / (total + 1)

    def rsample(self, sample_shape=()):
        return _Dirichlet.apply(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return torch.xlogy(self.concentration - 1.0, value).sum(-1) - self._log_beta()

    def entropy(self):
        total = self.concentration.sum(-1)
        surplus = total - self.concentration.size(-1)
        expected = ((self.concentration - 1) * torch.digamma(self.concentration)).sum(-1)
        return self._log_beta() + surplus * torch.digamma(total) - expected

    def _log_beta(self):
        return self._log_normalizer(self.concentration)

    @property
    def _natural_params(self):
        return (self.concentration,)

    def _log_normalizer(self, x):
        return torch.lgamma(x).sum(-1) - torch.lgamma(x.sum(-1))
