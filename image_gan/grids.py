"""Pictures for people: grids of images, with names of their rows, and a run's grids as an animation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_core.storage.sealed import replacing
from gan_core.text import plain

GAP = 2  # pixels between the images of a grid
LEGIBLE = 56  # pixels a side; smaller images are enlarged by a whole factor, up to this size
NAME = 14  # characters of a row's name at most
LETTERS = (13, 24)  # least and greatest size of the letters in pixels; between them, a quarter of the row's height
MARGIN = 8  # pixels left and right of the names
UNKNOWN = "no label"
FRAME = 200  # milliseconds that a frame of an animation is shown; the last frame is shown ten times as long


def grid(images: np.ndarray, columns: int | None = None, names: Sequence[str] = ()) -> Image.Image:
    """A picture of images (N, H, W, C) uint8, row by row on white.

    columns: images a row; None: as many as make the grid nearly square. names: of the rows, written on their left.
    """
    num, height, width, channels = images.shape
    columns = columns or max(1, round(num**0.5))
    rows = -(-num // columns)
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        page[top : top + height, left : left + width] = image
    factor = max(1, LEGIBLE // max(height, width))
    picture = as_image(page.repeat(factor, axis=0).repeat(factor, axis=1))
    return named(picture, names, factor * height, factor * (height + GAP)) if names else picture


def grid_by_label(images: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Image.Image:
    """A picture of images (N, H, W, C) uint8 with one row per label, in the order of the labels.

    The label's name is on the left of the row, and a short row ends in white. If there is one label only, its images
    are arranged in a nearly square grid.

    Args:
        labels: (N,), -1 if unknown.
        names: of the labels 0, 1, ...
    """
    shown, counts = np.unique(labels, return_counts=True)
    titles = [names[label] if label >= 0 else UNKNOWN for label in shown]
    if len(shown) == 1:
        return grid(images, names=titles)
    columns = counts.max()
    cells = np.full((len(shown) * columns, *images.shape[1:]), 255, np.uint8)
    for row, label in enumerate(shown):
        cells[row * columns : row * columns + counts[row]] = images[labels == label]
    return grid(cells, columns, titles)


def named(picture: Image.Image, names: Sequence[str], height: int, pitch: int) -> Image.Image:
    """The picture with the names of its rows on the left.

    height: of a row, in pixels. pitch: pixels from the top of one row to the top of the next.
    """
    smallest, largest = LETTERS
    font = ImageFont.load_default(min(max(smallest, height // 4), largest))
    short = [shortened(plain(name)) for name in names]
    left = 2 * MARGIN + max(round(font.getlength(name)) for name in short)
    page = Image.new(picture.mode, (left + picture.width, picture.height), "white")
    page.paste(picture, (left, 0))
    draw = ImageDraw.Draw(page)
    for row, name in enumerate(short):
        draw.text((left - MARGIN, row * pitch + height / 2), name, "black", font, anchor="rm")
    return page


def shortened(name: str) -> str:
    """The name, cut to NAME characters with an ellipsis if it is longer."""
    return name if len(name) <= NAME else name[: NAME - 1].rstrip() + "…"


def as_image(array: np.ndarray) -> Image.Image:
    """The Pillow image of an array (H, W, C) uint8."""
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)


def animate(frames: list[Path], path: Path) -> None:
    """Write picture files, in the given order, as the frames of an animated GIF."""
    images = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    durations = [FRAME] * (len(images) - 1) + [10 * FRAME]
    with replacing(path) as temporary:
        images[0].save(temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
