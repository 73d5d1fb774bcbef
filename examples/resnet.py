"""A residual network for CIFAR-10: a plain PyTorch program.

    python -m flashlight examples/resnet.py      on MLX
    python examples/resnet.py                    on PyTorch
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import images, training
from torch import nn, optim


class Block(nn.Module):
    """Two convolutions beside a shortcut: (N, inputs, H, W) -> (N, outputs, H/stride, W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """He et al. 2015, section 4.2: 6 * blocks + 2 layers, (N, 3, 32, 32) -> (N, classes)."""

    def __init__(self, blocks: int, width: int, classes: int = 10):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stages = nn.Sequential()
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            for block in range(blocks):
                self.stages.append(Block(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
                inputs = outputs
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv((pixels - 0.5) / 0.25)))
        x = F.adaptive_avg_pool2d(self.stages(x), 1)
        return self.head(x.flatten(start_dim=1))


def augment(batch: torch.Tensor, mirror: bool) -> torch.Tensor:
    """The images moved by up to 4 pixels, all the same way, and each mirrored or not."""
    row, column = torch.randint(0, 9, (2,)).tolist()
    moved = F.pad(batch, (4, 4, 4, 4))[:, :, row : row + 32, column : column + 32]
    if not mirror:
        return moved
    return torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, moved.flip(3), moved)


def main() -> None:
    parser = training.options(__doc__, epochs=30, batch_size=128, lr=0.1)
    parser.add_argument("--blocks", type=int, default=3, help="in each of the three stages")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    args = training.start(parser)
    train_set, test_set = images.cifar10(args.data)
    model = ResNet(args.blocks, args.width)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    run = training.Run(args, model=model, optimizer=optimizer, scheduler=scheduler)
    loader = run.loader(train_set)

    for _ in run.epochs():
        model.train()
        for batch, labels in run.batches(loader):
            optimizer.zero_grad()
            # A mirrored digit is none; the photographs of CIFAR-10 stay what they are.
            logits = model(augment(batch, mirror=args.data is not None))
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        scheduler.step()
        run.report(loss=loss.item(), accuracy=training.accuracy(model, test_set, args))


if __name__ == "__main__":
    main()
