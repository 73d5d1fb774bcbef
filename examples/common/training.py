"""Options, progress, losses and checkpoints: everything around a training loop but the loop."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm


def options(description: str, *, epochs: int, batch_size: int, lr: float):
    """A parser with the options that every example has; a program adds its own."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the original data set")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--steps", type=int, help="at most so many batches an epoch")
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--double", action="store_true", help="compute in float64")
    parser.add_argument("--out", type=Path, default=Path("runs") / Path(parser.prog).stem)
    parser.add_argument("--losses", type=Path, help="write every training loss to this JSON file")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--pause-after", type=int, metavar="EPOCH", help="stop there, to resume")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def start(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed options, with the seed and the precision that they ask for in effect."""
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch.float64 if args.double else torch.float32)
    return args


class Run:
    """One training run, which ends each epoch with a checkpoint and can go on from it.

    `parts` are the modules, optimizers and schedulers to save, by name. The checkpoint holds their
    states, the random states and all losses, so that a resumed run equals one in a single go.
    """

    def __init__(self, args: argparse.Namespace, **parts):
        self.args = args
        self.parts = parts
        self.generator = torch.Generator().manual_seed(args.seed)
        self.finished = 0
        self.losses: list[float] = []
        self.checkpoint = args.out / "checkpoint.pt"
        if args.resume:
            self._load()

    def loader(self, dataset: Dataset) -> DataLoader:
        """Shuffled batches of the training set, in an order that checkpoints keep."""
        return DataLoader(
            dataset,
            batch_size=self.args.batch_size,
            shuffle=True,
            drop_last=True,
            generator=self.generator,
        )

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs still to run; saves after each."""
        last = min(self.args.epochs, self.args.pause_after or self.args.epochs)
        for epoch in range(self.finished + 1, last + 1):
            yield epoch
            self.finished = epoch
            self._save()
        if self.args.losses:
            self.args.losses.write_text(json.dumps(self.losses))

    def batches(self, loader: Collection) -> Iterator:
        """The batches of one epoch under a progress bar, at most `--steps` of them."""
        total = steps(loader, self.args)
        with tqdm(islice(loader, total), total=total, disable=self.args.quiet) as self.progress:
            self.progress.set_description(f"epoch {self.finished + 1}/{self.args.epochs}")
            yield from self.progress

    def log(self, **losses: torch.Tensor) -> None:
        """Note the losses of a step and show them in the progress bar."""
        values = {name: loss.item() for name, loss in losses.items()}
        self.losses += values.values()
        self.progress.set_postfix({name: f"{value:.3f}" for name, value in values.items()})

    def report(self, **numbers: float) -> None:
        """Print what an epoch has come to."""
        shown = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        print(f"epoch {self.finished + 1}: {shown}", flush=True)

    def _save(self) -> None:
        content = {name: part.state_dict() for name, part in self.parts.items()}
        content["random"] = torch.get_rng_state()
        content["order"] = self.generator.get_state()
        content["finished"] = self.finished
        content["losses"] = self.losses
        # A run killed while it writes leaves the checkpoint before this one in place.
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(content, unfinished)
        os.replace(unfinished, self.checkpoint)

    def _load(self) -> None:
        content = torch.load(self.checkpoint, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        torch.set_rng_state(content["random"])
        self.generator.set_state(content["order"])
        self.finished = content["finished"]
        self.losses = content["losses"]


def steps(loader: Collection, args: argparse.Namespace) -> int:
    """The number of batches in an epoch."""
    return min(len(loader), args.steps or len(loader))


@torch.no_grad()
def accuracy(model: torch.nn.Module, dataset: Dataset, args: argparse.Namespace) -> float:
    """The fraction of a test set that a classifier gets right."""
    model.eval()
    correct = count = 0
    loader = DataLoader(dataset, batch_size=args.batch_size)
    for images, labels in islice(loader, steps(loader, args)):
        correct += (model(images).argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return correct / count
