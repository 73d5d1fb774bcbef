"""Characters for language models: the sources of Python's standard library."""

from __future__ import annotations

import string
import sysconfig
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import TensorDataset

ALPHABET = "\n" + string.printable[:95]


def encode(text: str) -> torch.Tensor:
    """The numbers of the characters; those outside the alphabet are left out."""
    numbers = np.full(256, -1)
    numbers[list(ALPHABET.encode())] = range(len(ALPHABET))
    tokens = numbers[np.frombuffer(text.encode("ascii", "ignore"), np.uint8)]
    return torch.from_numpy(tokens[tokens >= 0])


def decode(tokens: torch.Tensor) -> str:
    """The characters of the numbers."""
    return "".join(ALPHABET[index] for index in tokens.tolist())


def windows(
    folder: Path | None, length: int, characters: int = 500_000
) -> tuple[TensorDataset, TensorDataset]:
    """Training and test set of inputs and targets (N, length), the targets one character on.

    `folder` holds text files (.txt or .py); without it, Python's standard library is read.
    """
    folder = folder or Path(sysconfig.get_path("stdlib"))
    text = ""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".py", ".txt") and len(text) < characters:
            text += path.read_text(encoding="utf-8", errors="ignore")
    tokens = encode(text[:characters])
    count = (len(tokens) - 1) // length
    inputs = tokens[: count * length].view(count, length)
    targets = tokens[1 : count * length + 1].view(count, length)
    train = count * 9 // 10
    return (
        TensorDataset(inputs[:train], targets[:train]),
        TensorDataset(inputs[train:], targets[train:]),
    )


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean over all characters, in nats: logits (N, T, C), targets (N, T)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def draw(logits: torch.Tensor, temperature: float = 0.8) -> torch.Tensor:
    """One character from the logits (C,) of what comes next, as a tensor (1,)."""
    return torch.multinomial(F.softmax(logits / temperature, dim=0), 1)
