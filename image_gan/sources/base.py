"""What a source of images is."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, named
from gan_core.labels import MAX_CLASSES
from image_gan.sources.decode import BadImageError, decode, reading

SPLITS = ("train", "test")
Block = tuple[np.ndarray, np.ndarray]  # images (N, H, W, C) uint8, C = 1 or 3; labels (N,) int16
Picture = tuple[str, int, Callable[[], bytes]]  # name for messages, label, what reads the image file


def give_images() -> str:
    """The remedy for data that names no images."""
    return (
        "give a folder or a zip of images, MNIST's or CIFAR-10's official files, a .npz file, hf:ID, "
        f"or the built-in {named('data', 'fashion-mnist')}"
    )


class Source(ABC):
    """Images that can be read as often as needed.

    Attributes:
        description: for people.
        classes: the names of the labels 0, 1, ...; () where nothing is labelled.
        sizes: how many images there are of "train", and of "test" where the data has a test set of its own.
        counts: of what was met so far: images "skipped" because they cannot be decoded.
        paths: of the files that settle the fingerprint; () where others do.
    """

    paths: Sequence[str | Path] = ()

    def __init__(self, description: str, classes: tuple[str, ...], sizes: dict[str, int]):
        self.description = description
        self.classes = classes
        self.sizes = {split: sizes[split] for split in SPLITS if sizes.get(split)}
        self.counts: Counter[str] = Counter()
        if "train" not in self.sizes:
            raise DataError(f"{description} holds no images: {give_images()}")
        if len(classes) > MAX_CLASSES:
            raise DataError(f"{description} has {len(classes)} classes, more than {MAX_CLASSES:,}: put them into fewer")

    @abstractmethod
    def blocks(self, split: str) -> Iterator[Block]:
        """Yield the images of a split of `sizes`, in order, in blocks of one size each.

        Raises:
            DataError: the data is damaged or unreadable.
        """

    @abstractmethod
    def fingerprint(self, progress: bool = False) -> str:
        """SHA-256 of the content, labels and class names in hexadecimal: the same on every machine.

        progress: whether to show how far it is, where that takes long.
        """


class PictureSource(Source):
    """Image files, decoded one by one."""

    def __init__(
        self, description: str, classes: tuple[str, ...], sizes: dict[str, int], max_pixels: int, bad_images: str
    ):
        super().__init__(description, classes, sizes)
        self.max_pixels = max_pixels
        self.bad_images = bad_images

    @abstractmethod
    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        """Yield each image file of a split, from the one with number `start` to before `stop`."""

    def blocks(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        for name, label, read in self.pictures(split, start, stop):
            try:
                with reading(name):
                    image = decode(read(), name, self.max_pixels)
            except BadImageError:
                if self.bad_images == "error":
                    raise
                self.counts["skipped"] += 1
            else:
                yield image[None], np.array([label], np.int16)


def counted(sizes: dict[str, int]) -> str:
    """How many images, in words."""
    return ", ".join(f"{sizes[split]:,} {split}" for split in SPLITS if split in sizes) + " images"
