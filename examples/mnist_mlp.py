"""A multilayer perceptron on MNIST: a plain PyTorch program.

    python -m flashlight examples/mnist_mlp.py      on MLX
    python examples/mnist_mlp.py                    on PyTorch
"""

from __future__ import annotations

import torch.nn.functional as F
from common import images, training
from torch import nn, optim


def build(hidden: int = 256) -> nn.Sequential:
    """Two hidden layers with dropout: (N, 1, 28, 28) -> (N, 10)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, hidden),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(hidden, 10),
    )


def main() -> None:
    args = training.start(training.options(__doc__, epochs=10, batch_size=64, lr=1e-3))
    train_set, test_set = images.mnist(args.data)
    model = build()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    run = training.Run(args, model=model, optimizer=optimizer)
    loader = run.loader(train_set)

    for _ in run.epochs():
        model.train()
        for batch, labels in run.batches(loader):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch), labels)
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        run.report(loss=loss.item(), accuracy=training.accuracy(model, test_set, args))


if __name__ == "__main__":
    main()
