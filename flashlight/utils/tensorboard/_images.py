"""Images, films and figures as arrays, and arrays as encoded images."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary


def make_grid(images: np.ndarray, ncols: int = 8) -> np.ndarray:
    """(N, 1 or 3, H, W) -> (3, rows·H, columns·W)."""
    if not isinstance(images, np.ndarray):
        raise AssertionError("plugin error, should pass numpy array here")
    if images.shape[1] == 1:
        images = np.concatenate([images] * 3, 1)
    if images.ndim != 4 or images.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, channels, height, width = images.shape
    ncols = min(count, ncols)
    nrows = math.ceil(count / ncols)
    grid = np.zeros((nrows * ncols, channels, height, width), images.dtype)
    grid[:count] = images
    grid = grid.reshape(nrows, ncols, channels, height, width)
    return grid.transpose(2, 0, 3, 1, 4).reshape(channels, nrows * height, ncols * width)


def convert_to_HWC(tensor: np.ndarray, input_format: str) -> np.ndarray:
    """Return an image, or a grid of images, as (H, W, 3). Raises AssertionError for bad formats."""
    input_format = input_format.upper()
    if len(set(input_format)) != len(input_format):
        raise AssertionError(
            f"You can not use the same dimension shorthand twice. input_format: {input_format}"
        )
    if tensor.ndim != len(input_format):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {tensor.shape}, input_format: {input_format}"
        )
    order = {4: "NCHW", 3: "HWC", 2: "HW"}[tensor.ndim]
    tensor = tensor.transpose([input_format.find(dim) for dim in order])
    if tensor.ndim == 4:
        return make_grid(tensor).transpose(1, 2, 0)
    if tensor.ndim == 2:
        tensor = tensor[..., None]
    return np.concatenate([tensor] * 3, 2) if tensor.shape[2] == 1 else tensor


def to_bytes(tensor: np.ndarray) -> np.ndarray:
    """Return pixels as uint8; floats are taken as parts of 1."""
    scale = 1 if tensor.dtype == np.uint8 else 255
    return (tensor.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def make_image(
    pixels: np.ndarray,
    rescale: float = 1,
    rois: np.ndarray | None = None,
    labels: list[str] | None = None,
) -> Summary.Image:
    """Encode (H, W, C) pixels, with boxes drawn on them, as PNG."""
    from PIL import Image

    height, width, channels = pixels.shape
    image = Image.fromarray(pixels)
    for index, box in enumerate([] if rois is None else rois):
        _draw_box(image, box, None if labels is None else labels[index])
    size = (int(width * rescale), int(height * rescale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=buffer.getvalue(),
    )


def _draw_box(image: Any, box: np.ndarray, label: str | None) -> None:
    from PIL import ImageDraw, ImageFont

    left, top, right, bottom = map(float, box[:4])
    draw = ImageDraw.Draw(image)
    corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
    draw.line(corners, width=2, fill="Red")
    if label:
        font = ImageFont.load_default()
        x0, y0, x1, y1 = font.getbbox(label)
        margin = math.ceil(0.05 * (y1 - y0))
        height = y1 - y0 + 2 * margin
        draw.rectangle([(left, bottom - height), (left + x1 - x0, bottom)], fill="Red")
        draw.text((left + margin, bottom - height + margin), label, fill="black", font=font)


def arrange_films(films: np.ndarray) -> np.ndarray:
    """(N, T, C, H, W) -> (T, rows·H, columns·W, C), with a power of two of films."""
    if films.dtype == np.uint8:
        films = films.astype(np.float32) / 255
    count, frames, channels, height, width = films.shape
    total = 1 << (count - 1).bit_length()
    films = np.concatenate([films, np.zeros((total - count, *films.shape[1:]), films.dtype)])
    rows = 2 ** ((count.bit_length() - 1) // 2)
    films = films.reshape(rows, total // rows, frames, channels, height, width)
    films = films.transpose(2, 0, 4, 1, 5, 3)
    return films.reshape(frames, rows * height, total // rows * width, channels)


def make_video(pixels: np.ndarray, fps: float) -> Summary.Image:
    """Encode (T, H, W, C) pixels as an animated GIF."""
    from PIL import Image

    _, height, width, channels = pixels.shape
    frames = [Image.fromarray(frame if channels > 1 else frame[..., 0]) for frame in pixels]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=1000 / fps,
        loop=0,
    )
    return Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
    )


def figure_to_image(figures: Any, close: bool = True) -> np.ndarray:
    """Return matplotlib figures as pixels, (3, H, W) or (N, 3, H, W)."""
    import matplotlib.backends.backend_agg as backend
    import matplotlib.pyplot as pyplot

    if isinstance(figures, list):
        return np.stack([figure_to_image(figure, close) for figure in figures])
    canvas = backend.FigureCanvasAgg(figures)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    if close:
        pyplot.close(figures)
    return np.moveaxis(pixels, 2, 0)
