"""A file of images of one size, in the order of the source, from which the cache is written.

Image files are decoded in shards by several processes, each shard into a file of its own. The shards put together
equal what a single process writes.
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
SHARD = 1 << 10  # least number of image files of a shard
MOST_SHARDS = 64  # the directory of a zip is read again for each shard
TOLD = 16  # images between two reports of progress

Shard = tuple[str, int, int]  # a split, and the numbers of the shard's first image and of the one after its last


class Spool:
    """Images of one size in a file. If `channels` is 0, they are grey until the first coloured image is added.

    Attributes:
        shape: of an image, (H, W, C); None before the first image.
        labels: of the images added so far.
        starts: the number of images before the first one of each split.
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
        """Add all images of a source. Many image files are decoded by several processes.

        folder: for the processes' temporary files.

        Raises:
            DataError: the source cannot be used, holds no image, or holds images of several sizes while `size` is 0.
        """
        total = sum(source.sizes.values())
        with Progress("images", total, " images", progress) as bar:
            if isinstance(source, PictureSource) and total > SHARD and processors() > 1:
                self.add_shards(source, folder, bar.advance)
            else:
                for split in source.sizes:
                    self.starts[split] = len(self.labels)
                    for images, labels in source.blocks(split):
                        self.add(images, labels, source.description)
                        bar.advance(len(labels))
        if not self.labels:
            raise DataError(f"{source.description} holds no image that can be read: give another {named('data')}")

    def add_shards(self, source: PictureSource, folder: Path, advance: Advance) -> None:
        """Add all images of a source, shard by shard, after several processes have decoded and fitted them."""
        step = max(SHARD, -(-sum(source.sizes.values()) // MOST_SHARDS))
        shards = [
            (split, start, min(start + step, size))
            for split, size in source.sizes.items()
            for start in range(0, size, step)
        ]
        with tempfile.TemporaryDirectory(dir=folder) as place:
            fitting = Fitting(source, self.size, self.channels, self.resize, Path(place))
            do_all(fitting.fit, shards, advance)
            for shard in shards:
                self.starts.setdefault(shard[0], len(self.labels))
                about = json.loads(fitting.file(shard, "json").read_text())
                source.counts["skipped"] += about["skipped"]
                labels = np.array(about["labels"], np.int16)
                if labels.size:
                    shape = (len(labels), *about["shape"])
                    for within, images in chunks(np.memmap(fitting.file(shard, "bin"), np.uint8, "r", shape=shape)):
                        self.add(images, labels[within], source.description)
                fitting.file(shard, "bin").unlink()

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
        """Convert the images added so far from grey to RGB, when the first coloured image is added."""
        size = self.shape[0]
        pixels = self.mapped().reshape(-1)
        self.shape = (size, size, 3)
        # From the end to the start, so that no pixel is overwritten before it is read.
        for stop in range(len(pixels), 0, -CHUNK):
            start = max(0, stop - CHUNK)
            self.file.seek(3 * start)
            self.file.write(pixels[start:stop].repeat(3))
            self.file.flush()
        self.file.seek(0, 2)

    def mapped(self) -> np.ndarray:
        """The images (N, H, W, C), mapped from the file; they remain readable after it is closed or deleted."""
        self.file.flush()
        return np.memmap(self.file, np.uint8, "r", shape=(len(self.labels), *self.shape))


@dataclass(frozen=True)
class Fitting:
    """How a process decodes and fits a shard of a source. It is pickled for the processes.

    folder: where the shards' files are written.
    """

    source: PictureSource
    size: int
    channels: int
    resize: str
    folder: Path

    def file(self, shard: Shard, ending: str) -> Path:
        """The file of a shard: its images with the ending "bin", their shape and labels with the ending "json"."""
        split, start, _ = shard
        return self.folder / f"{split}-{start}.{ending}"

    def fit(self, shard: Shard, advance: Advance) -> None:
        """Decode, fit and write the images of a shard."""
        split, start, stop = shard
        source = copy.copy(self.source)
        source.counts = Counter()
        told = 0
        with self.file(shard, "bin").open("w+b") as file:
            spool = Spool(file, self.size, self.channels, self.resize)
            for images, labels in source.blocks(split, start, stop):
                spool.add(images, labels, source.description)
                if len(spool.labels) - told >= TOLD:
                    told += TOLD
                    advance(TOLD)
        advance(stop - start - told)
        about = {"shape": spool.shape, "labels": spool.labels.tolist(), "skipped": source.counts["skipped"]}
        self.file(shard, "json").write_text(json.dumps(about))


def is_grey(images: np.ndarray) -> bool:
    """Whether in all images (N, H, W, C) the channels are equal."""
    first = images[..., 0]
    return all(np.array_equal(first, images[..., channel]) for channel in range(1, images.shape[-1]))


def chunks(images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield mapped images (N, H, W, C) in runs of at most CHUNK bytes, each with the slice of its rows."""
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        yield rows, images[rows]
