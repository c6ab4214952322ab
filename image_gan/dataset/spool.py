"""Images on their way into the cache: fitted to one size, in a file, in their order.

Image files are decoded in parts by several processes, each into a file of its own; put together these are what one
process gives that decodes one after the other.
"""

import copy
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, named
from gan_core.runtime.pool import Advance, do_all, processors
from gan_core.runtime.progress import Progress
from image_gan.sources.base import PictureSource, Source
from image_gan.sources.decode import fit_block

CHUNK = 1 << 24  # bytes of images in memory at a time
PART = 1 << 10  # image files of a part, at least
MOST_PARTS = 64  # for each the directory of a zip is read once more
TOLD = 16  # images between two words on how far it is

Part = tuple[str, int, int]  # a split, where the part begins in it and where it ends


class Spool:
    """Fitted images in a file, one after the other, grey for as long as all of them are (if `channels` is 0).

    Attributes:
        shape: of an image, (H, W, C); None before the first.
        labels: of the images, so far.
        starts: how many images stood before the first one of each split.
    """

    def __init__(self, file, size: int, channels: int, resize: str):
        self.file = file
        self.size = size
        self.channels = channels
        self.resize = resize
        self.shape: tuple[int, int, int] | None = None
        self.labels = array("h")
        self.starts: dict[str, int] = {}

    def add_all(self, source: Source, folder: Path, progress: bool) -> None:
        """Add every image of a source; many image files are decoded by several processes.

        folder: where these put what they have decoded.

        Raises:
            DataError: the source is unusable, holds no image, or several sizes while `size` is 0.
        """
        total = sum(source.sizes.values())
        with Progress("images", total, " images", progress) as bar:
            if isinstance(source, PictureSource) and total > PART and processors() > 1:
                self.add_parts(source, folder, bar.advance)
            else:
                for split in source.sizes:
                    self.starts[split] = len(self.labels)
                    for images, labels in source.blocks(split):
                        self.add(images, labels, source.description)
                        bar.advance(len(labels))
        if not self.labels:
            raise DataError(f"{source.description} holds no image that can be read: give another {named('data')}")

    def add_parts(self, source: PictureSource, folder: Path, advance: Advance) -> None:
        """Add every image of a source, part by part, after several processes have decoded and fitted them."""
        step = max(PART, -(-sum(source.sizes.values()) // MOST_PARTS))
        parts = [
            (split, start, min(start + step, size))
            for split, size in source.sizes.items()
            for start in range(0, size, step)
        ]
        with tempfile.TemporaryDirectory(dir=folder) as place:
            fitting = Fitting(source, self.size, self.channels, self.resize, Path(place))
            do_all(fitting.fit, parts, advance)
            for part in parts:
                self.starts.setdefault(part[0], len(self.labels))
                about = json.loads(fitting.file(part, "json").read_text())
                source.counts["skipped"] += about["skipped"]
                labels = np.array(about["labels"], np.int16)
                if labels.size:
                    shape = (len(labels), *about["shape"])
                    for within, images in chunks(np.memmap(fitting.file(part, "bin"), np.uint8, "r", shape=shape)):
                        self.add(images, labels[within], source.description)
                fitting.file(part, "bin").unlink()

    def add(self, images: np.ndarray, labels: np.ndarray, description: str) -> None:
        """Add a block of images (N, H, W, C) and their labels (N,)."""
        height, width = images.shape[1:3]
        size = self.size or (self.shape[0] if self.shape else height)
        if not self.size and (height != size or width != size):
            found = f"images of {height} x {width}" + (f" and of {size} x {size}" if self.shape else "") + " pixels"
            raise DataError(
                f"{description} holds {found}: give {named('size', 'N')} to crop them to squares of one size"
            )
        images = fit_block(images, size, self.channels or images.shape[-1], self.resize)
        if not self.channels:
            if self.shape is None or self.shape[-1] == 1:
                if is_grey(images):
                    images = images[..., :1]
                elif self.shape:
                    self.widen()
            if self.shape and self.shape[-1] == 3 and images.shape[-1] == 1:
                images = images.repeat(3, axis=-1)
        self.shape = images.shape[1:]
        self.file.write(np.ascontiguousarray(images))
        self.labels.frombytes(labels.astype(np.int16).tobytes())

    def widen(self) -> None:
        """Turn the images so far from grey into RGB: the first coloured one has come."""
        size = self.shape[0]
        pixels = self.mapped().reshape(-1)
        self.shape = (size, size, 3)
        # From the end, so that nothing is overwritten before it is read.
        for stop in range(len(pixels), 0, -CHUNK):
            start = max(0, stop - CHUNK)
            self.file.seek(3 * start)
            self.file.write(pixels[start:stop].repeat(3))
            self.file.flush()
        self.file.seek(0, 2)

    def mapped(self) -> np.ndarray:
        """The images, (N, H, W, C); they stay when the file is closed or deleted."""
        self.file.flush()
        return np.memmap(self.file, np.uint8, "r", shape=(len(self.labels), *self.shape))


@dataclass(frozen=True)
class Fitting:
    """How the parts of a source are decoded and fitted, and the folder for what they give; it travels to processes."""

    source: PictureSource
    size: int
    channels: int
    resize: str
    folder: Path

    def file(self, part: Part, ending: str) -> Path:
        """What a part gave: its images, "bin", or what is to be known of them, "json"."""
        split, start, _ = part
        return self.folder / f"{split}-{start}.{ending}"

    def fit(self, part: Part, advance: Advance) -> None:
        """Write the images of a part."""
        split, start, stop = part
        source = copy.copy(self.source)
        source.counts = Counter()
        told = 0
        with self.file(part, "bin").open("w+b") as file:
            spool = Spool(file, self.size, self.channels, self.resize)
            for images, labels in source.blocks(split, start, stop):
                spool.add(images, labels, source.description)
                if len(spool.labels) - told >= TOLD:
                    told += TOLD
                    advance(TOLD)
        advance(stop - start - told)
        about = {"shape": spool.shape, "labels": spool.labels.tolist(), "skipped": source.counts["skipped"]}
        self.file(part, "json").write_text(json.dumps(about))


def is_grey(images: np.ndarray) -> bool:
    """Whether the channels of all images (N, H, W, C) are equal."""
    first = images[..., 0]
    return all(np.array_equal(first, images[..., channel]) for channel in range(1, images.shape[-1]))


def chunks(images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield images that are mapped from a file in parts that fit into memory."""
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        yield part, images[part]
