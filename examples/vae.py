"""A variational autoencoder on MNIST: a plain PyTorch program.

    python -m flashlight examples/vae.py      on MLX
    python examples/vae.py                    on PyTorch
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import images, training
from torch import nn, optim
from torch.distributions import Normal, kl_divergence
from torch.utils.data import TensorDataset


class VAE(nn.Module):
    """Kingma and Welling 2014: images (N, 1, 28, 28) to a normal of (N, latent) and back."""

    def __init__(self, latent: int = 20, hidden: int = 400):
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(28 * 28, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 28 * 28)
        )

    def encode(self, pixels: torch.Tensor) -> Normal:
        """The distribution over codes that an image stands for."""
        mean, log_variance = self.encoder(pixels).chunk(2, dim=1)
        return Normal(mean, torch.exp(log_variance / 2))

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Logits of the pixels, (N, latent) -> (N, 1, 28, 28)."""
        return self.decoder(code).view(-1, 1, 28, 28)


def negative_elbo(model: VAE, pixels: torch.Tensor) -> torch.Tensor:
    """What a code costs plus what it leaves out, the mean over images."""
    codes = model.encode(pixels)
    logits = model.decode(codes.rsample())
    missed = F.binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    prior = Normal(torch.zeros_like(codes.loc), torch.ones_like(codes.scale))
    return (missed + kl_divergence(codes, prior).sum()) / len(pixels)


@torch.no_grad()
def evaluate(model: VAE, dataset: TensorDataset) -> float:
    """The loss on at most 256 test images."""
    model.eval()
    return negative_elbo(model, dataset.tensors[0][:256]).item()


def main() -> None:
    args = training.start(training.options(__doc__, epochs=30, batch_size=64, lr=1e-3))
    train_set, test_set = images.mnist(args.data)
    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    run = training.Run(args, model=model, optimizer=optimizer)
    loader = run.loader(train_set)

    for _ in run.epochs():
        model.train()
        for batch, _labels in run.batches(loader):
            optimizer.zero_grad()
            loss = negative_elbo(model, batch)
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        run.report(loss=loss.item(), test=evaluate(model, test_set))

    with torch.no_grad():
        drawn = torch.sigmoid(model.decode(torch.randn(64, model.latent)))
    images.save_grid(drawn, args.out / "samples.png")


if __name__ == "__main__":
    main()
