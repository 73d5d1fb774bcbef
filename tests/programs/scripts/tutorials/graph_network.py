"""Nodes of a graph classified by convolution and attention; k-means and neighbours."""

import torch
import torch.nn.functional as F
from torch import nn

NODES, EDGES = 20, 60
edges = torch.randint(0, NODES, (2, EDGES))
features, labels = torch.randn(NODES, 5), torch.randint(0, 3, (NODES,))
known = torch.rand(NODES) < 0.6


class Convolution(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        source, target = torch.cat([edges, torch.arange(NODES).repeat(2, 1)], 1)
        degree = torch.zeros(NODES).scatter_add_(0, target, torch.ones(len(target)))
        scale = degree.pow(-0.5)
        scale[scale == float("inf")] = 0
        h = self.linear(x)
        messages = (scale[source] * scale[target])[:, None] * h[source]
        return torch.zeros_like(h).index_add_(0, target, messages) + self.bias


class Attention(nn.Module):
    def __init__(self, inputs, outputs, heads):
        super().__init__()
        self.heads = heads
        self.weight = nn.Parameter(torch.empty(inputs, heads * outputs))
        self.scores = nn.Parameter(torch.empty(1, heads, 2 * outputs))
        nn.init.xavier_uniform_(self.weight, gain=1.414)
        nn.init.xavier_normal_(self.scores)

    def forward(self, x):
        h = (x @ self.weight).view(NODES, self.heads, -1)
        source, target = edges
        score = (torch.cat([h[source], h[target]], -1) * self.scores).sum(-1)
        score = F.leaky_relu(score, 0.2)
        index = target[:, None].expand_as(score)
        largest = torch.full((NODES, self.heads), -1e30)
        largest = largest.scatter_reduce(0, index, score, "amax", include_self=False)
        weight = (score - largest[target]).exp()
        total = torch.zeros(NODES, self.heads).index_add(0, target, weight) + 1e-16
        messages = (weight / total[target])[..., None] * h[source]
        return torch.zeros_like(h).index_add(0, target, messages).mean(1)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Convolution(5, 8), Convolution(8, 3)
        self.attention = Attention(8, 3, 2)

    def forward(self, x):
        h = F.dropout(F.relu(self.first(x)), 0.3, self.training)
        return F.log_softmax(self.second(h) + self.attention(h), 1)


model = Network()
groups = [
    {"params": model.first.parameters(), "weight_decay": 5e-3},
    {"params": [*model.second.parameters(), *model.attention.parameters()]},
]
optimizer = torch.optim.Adam(groups, lr=0.02)
for _ in range(8):
    optimizer.zero_grad()
    loss = F.nll_loss(model(features)[known], labels[known])
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.9f}")

adjacency = torch.sparse_coo_tensor(
    edges, torch.ones(EDGES), (NODES, NODES), check_invariants=True
).coalesce()
weight = torch.randn(5, 2, requires_grad=True)
torch.sparse.mm(adjacency, features @ weight).sum().backward()
print(weight.grad, adjacency.to_dense().matrix_power(3).trace())

points = torch.cat([torch.randn(30, 2) * 0.3 + c for c in torch.tensor([[0.0, 0], [3, 0], [0, 3]])])
centers = points[torch.randperm(90)[:3]]
for _ in range(5):
    distances = torch.cdist(points, centers)
    nearest = distances.argmin(1)
    centers = torch.stack([points[nearest == k].mean(0) for k in range(3)])
    inertia = distances.gather(1, nearest[:, None]).pow(2).sum()
    print(f"{inertia:.9f}", torch.bincount(nearest).tolist())
neighbours = torch.cdist(points[1::2], points[::2], p=1).topk(5, largest=False).indices
votes = F.one_hot(nearest[::2][neighbours], 3).sum(1).argmax(1)
print((votes == nearest[1::2]).sum().item(), torch.linalg.svdvals(points - points.mean(0)))
