"""A deep convolutional GAN on MNIST: a plain PyTorch program.

    python -m flashlight examples/dcgan.py      on MLX
    python examples/dcgan.py                    on PyTorch
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import images, training
from torch import nn, optim


def generator(latent: int, width: int) -> nn.Sequential:
    """Radford et al. 2015: (N, latent, 1, 1) -> (N, 1, 28, 28), from -1 to 1."""
    return nn.Sequential(
        nn.ConvTranspose2d(latent, 2 * width, kernel_size=7, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(width, 1, kernel_size=4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    )


def discriminator(width: int) -> nn.Sequential:
    """(N, 1, 28, 28) -> (N,), the logit of being real."""
    return nn.Sequential(
        nn.Conv2d(1, width, kernel_size=4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * width, 1, kernel_size=7, bias=False),
        nn.Flatten(start_dim=0),
    )


def initialize(module: nn.Module) -> None:
    """The initial weights of the paper."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def score(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """The loss of a discriminator that should call all of these real, or none."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def main() -> None:
    parser = training.options(__doc__, epochs=20, batch_size=64, lr=2e-4)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--width", type=int, default=32, help="channels of the outer layers")
    args = training.start(parser)
    train_set, _ = images.mnist(args.data)
    fake_maker = generator(args.latent, args.width).apply(initialize)
    judge = discriminator(args.width).apply(initialize)
    makers_optimizer = optim.Adam(fake_maker.parameters(), lr=args.lr, betas=(0.5, 0.999))
    judges_optimizer = optim.Adam(judge.parameters(), lr=args.lr, betas=(0.5, 0.999))
    run = training.Run(
        args,
        generator=fake_maker,
        discriminator=judge,
        generator_optimizer=makers_optimizer,
        discriminator_optimizer=judges_optimizer,
    )
    loader = run.loader(train_set)

    for _ in run.epochs():
        for batch, _labels in run.batches(loader):
            fakes = fake_maker(torch.randn(len(batch), args.latent, 1, 1))

            judges_optimizer.zero_grad()
            judges_loss = score(judge(batch * 2 - 1), True) + score(judge(fakes.detach()), False)
            judges_loss.backward()
            judges_optimizer.step()

            makers_optimizer.zero_grad()
            makers_loss = score(judge(fakes), True)
            makers_loss.backward()
            makers_optimizer.step()
            run.log(discriminator=judges_loss, generator=makers_loss)
        run.report(discriminator=judges_loss.item(), generator=makers_loss.item())

    fake_maker.eval()
    with torch.no_grad():
        drawn = fake_maker(torch.randn(64, args.latent, 1, 1))
    images.save_grid((drawn + 1) / 2, args.out / "samples.png")


if __name__ == "__main__":
    main()
