"""Images for people to look at: grids, with the names of their rows, and the grids of a run as an animation."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_core.text import plain

GAP = 2  # pixels between the images of a grid
LEGIBLE = 56  # pixels a side below which images are enlarged by a whole factor
NAME = 14  # characters of a row's name
LETTERS = (13, 24)  # pixels, the size of its letters: a quarter of the row's, within these
MARGIN = 8  # pixels on both sides of the names
UNKNOWN = "no label"


def grid(images: np.ndarray, columns: int | None = None, names: Sequence[str] = ()) -> Image.Image:
    """Images (N, H, W, C) uint8 row by row, on white; near square where the number of columns is not given.

    names: of the rows, from the first on, written at their left.
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
    """Images (N, H, W, C) uint8, a row a label in their order, named at its left and white where it is shorter.

    Images of one label alone stand in a near square.

    Args:
        labels: (N,), -1 where unknown.
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
    """A picture of rows `height` pixels high, `pitch` from one to the next, with their names at the left."""
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
    """A name in at most NAME characters."""
    return name if len(name) <= NAME else name[: NAME - 1].rstrip() + "…"


def as_image(array: np.ndarray) -> Image.Image:
    """One image (H, W, C) uint8."""
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)
