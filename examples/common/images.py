"""MNIST and CIFAR-10 in their original formats, or scikit-learn's digits in their shapes."""

from __future__ import annotations

import gzip
import math
import pickle
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset


def mnist(folder: Path | None) -> tuple[TensorDataset, TensorDataset]:
    """Training and test set: images (N, 1, 28, 28) from 0 to 1, labels (N,).

    `folder` holds the four IDX files, gzipped or not; without it the images are digits, resized.
    """
    if folder is None:
        return digits(channels=1, size=28)
    return tuple(
        _dataset(
            read_idx(folder / f"{part}-images-idx3-ubyte")[:, None],
            read_idx(folder / f"{part}-labels-idx1-ubyte"),
        )
        for part in ("train", "t10k")
    )


def cifar10(folder: Path | None) -> tuple[TensorDataset, TensorDataset]:
    """Training and test set: images (N, 3, 32, 32) from 0 to 1, labels (N,).

    `folder` holds the python batches; without it the images are grey digits, resized.
    """
    if folder is None:
        return digits(channels=3, size=32)
    train = [folder / f"data_batch_{number}" for number in range(1, 6)]
    return _cifar_batches(train), _cifar_batches([folder / "test_batch"])


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an IDX file, looked for with the ending .gz as well.

    The format is described at the end of http://yann.lecun.com/exdb/mnist.
    """
    zipped = path.with_name(path.name + ".gz")
    content = gzip.decompress(zipped.read_bytes()) if zipped.exists() else path.read_bytes()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _cifar_batches(paths: list[Path]) -> TensorDataset:
    # Pickles can run code: these are the files of https://www.cs.toronto.edu/~kriz/cifar.html.
    batches = [pickle.loads(path.read_bytes(), encoding="bytes") for path in paths]
    images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return _dataset(images, np.concatenate([batch[b"labels"] for batch in batches]))


def digits(channels: int, size: int) -> tuple[TensorDataset, TensorDataset]:
    """The 1,797 digits of 8x8 pixels, resized; every fifth of them for testing."""
    images, labels = load_digits(return_X_y=True)
    # Resized in whole numbers, so that every framework starts from the same pixels.
    small = np.uint8(images.reshape(-1, 8, 8) * (255 / 16))
    large = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in small
    ]
    pixels = np.repeat(np.stack(large)[:, None], channels, axis=1)
    test = np.arange(len(labels)) % 5 == 0
    return _dataset(pixels[~test], labels[~test]), _dataset(pixels[test], labels[test])


def _dataset(pixels: np.ndarray, labels: np.ndarray) -> TensorDataset:
    images = torch.from_numpy(pixels.copy()).to(torch.get_default_dtype()).div(255)
    return TensorDataset(images, torch.from_numpy(labels.astype(np.int64)))


def save_grid(images: torch.Tensor, path: Path) -> None:
    """Write grey images (N, 1, H, W) from 0 to 1 as one PNG, as near to a square as they go."""
    count, _, height, width = images.shape
    columns = math.isqrt(count)
    rows = count // columns
    grid = images[: rows * columns].reshape(rows, columns, height, width).transpose(1, 2)
    pixels = grid.reshape(rows * height, columns * width).clamp(0, 1).mul(255).to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(path)
