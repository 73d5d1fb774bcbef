"""LeNet-5 on CIFAR-10: a plain PyTorch program.

    python -m flashlight examples/lenet_cifar10.py      on MLX
    python examples/lenet_cifar10.py                    on PyTorch
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import images, training
from torch import nn, optim


class LeNet(nn.Module):
    """LeCun et al. 1998, with ReLU, max pooling and colours: (N, 3, 32, 32) -> (N, 10)."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(pixels - 0.5)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(start_dim=1)))
        return self.fc3(F.relu(self.fc2(x)))


def main() -> None:
    args = training.start(training.options(__doc__, epochs=20, batch_size=64, lr=1e-2))
    train_set, test_set = images.cifar10(args.data)
    model = LeNet()
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    run = training.Run(args, model=model, optimizer=optimizer, scheduler=scheduler)
    loader = run.loader(train_set)

    for _ in run.epochs():
        model.train()
        for batch, labels in run.batches(loader):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch), labels)
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        scheduler.step()
        run.report(loss=loss.item(), accuracy=training.accuracy(model, test_set, args))


if __name__ == "__main__":
    main()
