"""Learning to learn with torch.func; ensembles, gradients per sample and a neural tangent kernel."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, hessian, jacrev, stack_module_state, vmap


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(1, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


def loss_of(parameters, x, y):
    return F.mse_loss(functional_call(model, parameters, (x,)), y)


def task():
    x = torch.rand(2, 10, 1) * 10 - 5
    return x, (torch.rand(1) * 4 + 0.1) * torch.sin(x + torch.rand(1) * 3.14)


def after_a_step(x, y):
    parameters = dict(model.named_parameters())
    slopes = grad(loss_of)(parameters, x[0], y[0])
    adapted = {name: parameters[name] - 0.02 * slopes[name] for name in parameters}
    return loss_of(adapted, x[1], y[1])


model = Network()
optimizer = torch.optim.Adam(model.parameters(), 5e-3)
for _ in range(4):
    x, y = (torch.stack(parts) for parts in zip(*(task() for _ in range(4))))
    loss = vmap(after_a_step)(x, y).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")

# The same with a graph of gradients
for _ in range(3):
    x, y = task()
    weights = list(model.parameters())
    for _ in range(2):
        hidden = torch.tanh(F.linear(x[0], weights[0], weights[1]))
        inner = F.mse_loss(F.linear(hidden, weights[2], weights[3]), y[0])
        slopes = torch.autograd.grad(inner, weights, create_graph=True)
        weights = [weight - 0.02 * slope for weight, slope in zip(weights, slopes)]
    hidden = torch.tanh(F.linear(x[1], weights[0], weights[1]))
    loss = F.mse_loss(F.linear(hidden, weights[2], weights[3]), y[1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")

x, y = torch.randn(6, 1), torch.randn(6, 1)
parameters = {name: value.detach() for name, value in model.named_parameters()}
each = vmap(grad(lambda p, x, y: loss_of(p, x[None], y[None])), in_dims=(None, 0, 0))
slopes = each(parameters, x, y)
norms = torch.stack([slope.flatten(1).norm(dim=1) for slope in slopes.values()]).norm(dim=0)
print(norms)

networks = [Network() for _ in range(3)]
stacked, buffers = stack_module_state(networks)
base = copy.deepcopy(networks[0]).to("meta")
outputs = vmap(
    lambda p, b, x: functional_call(base, (p, b), (x,)), in_dims=(0, 0, None)
)(stacked, buffers, x)
print(outputs[:, 0, 0], torch.allclose(outputs[1], networks[1](x)))

jacobians = vmap(
    jacrev(lambda p, x: functional_call(model, p, (x[None],))[0]), in_dims=(None, 0)
)(parameters, x)
kernel = sum(
    torch.einsum("naf,mbf->nmab", j.flatten(2), j.flatten(2)) for j in jacobians.values()
)
print(kernel[0, :, 0, 0], hessian(lambda v: (v.sin() * v.roll(1)).sum())(torch.arange(3.0)))
