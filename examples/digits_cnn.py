"""A LeNet-style network on scikit-learn's handwritten digits: a plain PyTorch program.

    python -m flashlight examples/digits_cnn.py      on MLX
    python examples/digits_cnn.py                    on PyTorch
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm


class LeNet(nn.Module):
    """Two convolutions with pooling, then two linear layers: (N, 1, 8, 8) -> (N, 10)."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(64 * 2 * 2, 128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.conv1(images)))
        x = self.pool(F.relu(self.conv2(x)))
        x = self.dropout(torch.flatten(x, start_dim=1))
        return self.fc2(F.relu(self.fc1(x)))


def load_data(seed: int) -> tuple[TensorDataset, TensorDataset]:
    """The 1,797 digits of 8x8 pixels, a fifth of them for testing."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div(16).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(
        range(len(labels)), test_size=0.2, random_state=seed, stratify=digits.target
    )
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy."""
    model.eval()
    loss, correct, count = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return loss / count, correct / count


def shift(images: torch.Tensor) -> torch.Tensor:
    """The images of a batch moved by at most one pixel, all the same way."""
    row, column = torch.randint(0, 3, (2,)).tolist()
    return F.pad(images, (1, 1, 1, 1))[:, :, row : row + 8, column : column + 8]


def train_epoch(model, loader, optimizer, progress: tqdm) -> float:
    """One pass over the data; the mean loss."""
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(shift(images)), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        progress.set_postfix(loss=f"{loss.item():.3f}")
        progress.update()
    return total / len(loader.dataset)


def plot(history: dict[str, list[float]], path: Path) -> None:
    """Write the loss and accuracy curves as a PNG."""
    epochs = range(1, len(history["train_loss"]) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    left.plot(epochs, history["train_loss"], label="training")
    left.plot(epochs, history["test_loss"], label="test")
    left.set(xlabel="epoch", ylabel="cross entropy", yscale="log")
    left.legend()
    right.plot(epochs, history["test_accuracy"], color="tab:green")
    right.set(xlabel="epoch", ylabel="test accuracy")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/digits_cnn"))
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    train_set, test_set = load_data(args.seed)
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=256)
    model = LeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(train_set)} training and {len(test_set)} test digits, {parameters} parameters")

    history: dict[str, list[float]] = {"train_loss": [], "test_loss": [], "test_accuracy": []}
    steps = args.epochs * len(train_loader)
    with tqdm(total=steps, unit="step", disable=args.quiet) as progress:
        for epoch in range(args.epochs):
            progress.set_description(f"epoch {epoch + 1}/{args.epochs}")
            train_loss = train_epoch(model, train_loader, optimizer, progress)
            test_loss, accuracy = evaluate(model, test_loader)
            history["train_loss"].append(train_loss)
            history["test_loss"].append(test_loss)
            history["test_accuracy"].append(accuracy)
            if args.quiet:
                print(f"epoch {epoch + 1}: training loss {train_loss:.6f}, test {test_loss:.6f}")

    checkpoint = args.out / "checkpoint.pt"
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history},
        checkpoint,
    )
    restored = LeNet()
    restored.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    _, accuracy = evaluate(restored, test_loader)
    if accuracy != history["test_accuracy"][-1]:
        raise RuntimeError("the reloaded checkpoint does not give the accuracy it was saved with")
    plot(history, args.out / "curves.png")
    print(f"saved {checkpoint} and {args.out / 'curves.png'}")
    print(f"test accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
