"""A Gaussian process, a neural differential equation and one of physics; L-BFGS at the end."""

import math

import torch
from torch import nn

# Hyperparameters by marginal likelihood
x = torch.linspace(0, 4, 15)[:, None]
y = torch.sin(2 * x[:, 0]) + 0.1 * torch.randn(15)
length, variance, noise = (nn.Parameter(torch.tensor(value)) for value in (0.0, 0.0, -2.0))
optimizer = torch.optim.Adam([length, variance, noise], 0.1)


def covariance(a, b):
    return variance.exp() * torch.exp(-0.5 * (a - b.T) ** 2 / length.exp() ** 2)


for _ in range(6):
    root = torch.linalg.cholesky(covariance(x, x) + noise.exp() * torch.eye(15))
    weights = torch.cholesky_solve(y[:, None], root)[:, 0]
    loss = 0.5 * y @ weights + root.diagonal().log().sum() + 7.5 * math.log(2 * math.pi)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")
with torch.no_grad():
    new = torch.linspace(0, 4, 5)[:, None]
    part = torch.linalg.solve_triangular(root, covariance(x, new), upper=False)
    print(covariance(new, x) @ weights, (covariance(new, new) - part.T @ part).diagonal())


def solution(slope, start, times):
    """Runge and Kutta's method of fourth order."""
    states = [start]
    for time, following in zip(times[:-1], times[1:]):
        step, state = following - time, states[-1]
        a = slope(state)
        b = slope(state + step / 2 * a)
        c = slope(state + step / 2 * b)
        d = slope(state + step * c)
        states.append(state + step / 6 * (a + 2 * b + 2 * c + d))
    return torch.stack(states)


start, times = torch.tensor([[2.0, 0.0]]), torch.linspace(0, 2, 8)
true = solution(lambda s: s**3 @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]]), start, times)
field = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.RMSprop(field.parameters(), 1e-2)
for _ in range(4):
    loss = (solution(lambda s: field(s**3), start, times) - true).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")

# u'' = -π² sin πx, with u = 0 at both ends
network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))


def derivative(value, point):
    return torch.autograd.grad(value, point, torch.ones_like(value), create_graph=True)[0]


def physics(points):
    points = points.clone().requires_grad_(True)
    second = derivative(derivative(network(points), points), points)
    inside = (second + math.pi**2 * torch.sin(math.pi * points)).pow(2).mean()
    return inside + 10 * network(torch.tensor([[0.0], [1.0]])).pow(2).sum()


optimizer = torch.optim.Adam(network.parameters(), 5e-3)
for _ in range(4):
    optimizer.zero_grad()
    loss = physics(torch.rand(32, 1))
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")
optimizer = torch.optim.LBFGS(network.parameters(), max_iter=6, line_search_fn="strong_wolfe")
points = torch.rand(32, 1)


def closure():
    optimizer.zero_grad()
    loss = physics(points)
    loss.backward()
    return loss


for _ in range(2):
    print(f"{optimizer.step(closure).item():.6f}")
