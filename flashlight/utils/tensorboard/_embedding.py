"""Files of TensorBoard's projector."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo

from flashlight.utils.tensorboard._convert_np import make_np
from flashlight.utils.tensorboard._images import make_grid


def write_vectors(folder: Path, vectors: np.ndarray) -> None:
    """Write tensors.tsv, a vector a line."""
    lines = ["\t".join(str(value.item()) for value in vector) for vector in vectors]
    (folder / "tensors.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_labels(folder: Path, metadata: list, header: list[str] | None) -> None:
    """Write metadata.tsv, a label (or a row of them, under a header) a line."""
    if header:
        if len(header) != len(metadata[0]):
            raise AssertionError("len of header must be equal to the number of columns in metadata")
        lines = ["\t".join(map(str, row)) for row in [header, *metadata]]
    else:
        lines = list(map(str, metadata))
    (folder / "metadata.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_sprite(folder: Path, images: Any) -> None:
    """Write sprite.png: all images, (N, C, H, W), in a square."""
    from PIL import Image

    images = make_np(images)
    grid = make_grid(images, ncols=math.ceil(len(images) ** 0.5)).transpose(1, 2, 0)
    square = np.zeros((grid.shape[1], grid.shape[1], 3))
    square[: grid.shape[0]] = grid
    pixels = np.uint8((square * 255).clip(0, 255))
    Image.fromarray(pixels).save(folder / "sprite.png")


def describe(tag: str, step: int, folder: str, has_labels: bool, images: Any) -> EmbeddingInfo:
    """Return the entry of an embedding in the projector's configuration."""
    info = EmbeddingInfo()
    info.tensor_name = f"{tag}:{str(step).zfill(5)}"
    info.tensor_path = f"{folder}/tensors.tsv"
    if has_labels:
        info.metadata_path = f"{folder}/metadata.tsv"
    if images is not None:
        info.sprite.image_path = f"{folder}/sprite.png"
        info.sprite.single_image_dim.extend([images.shape[3], images.shape[2]])
    return info
