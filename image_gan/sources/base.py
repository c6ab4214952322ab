"""What a source of images is, and the registry of what opens them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, named
from gan_core.labels import MAX_CLASSES
from gan_core.storage.inputs import check_file, naming, path_of
from gan_core.text import printable
from image_gan.sources.decode import BadImageError, decode, reading

SPLITS = ("train", "test")
Block = tuple[np.ndarray, np.ndarray]  # images (N, H, W, C) uint8, C = 1 or 3; labels (N,) int16
Picture = tuple[str, int, Callable[[], bytes]]  # name for messages, label, function that reads the image file


@dataclass(frozen=True)
class Asked:
    """The value of the option `data`, and how images are to be read.

    Attributes:
        spec: the value of the option `data`.
        max_pixels: larger images must be refused before they are decoded.
        bad_images: "error" or "skip", for an image file that cannot be decoded.
    """

    spec: str
    max_pixels: int
    bad_images: str

    @cached_property
    def path(self) -> Path:
        """The file or folder that `spec` names.

        Raises:
            DataError: it does not exist or may not be read.
        """
        path = path_of(self.spec, give_images())
        name = printable(path)
        with naming(name, give_images()):
            if not path.is_dir():
                check_file(name, path, give_images())
        return path

    def is_file(self, *endings: str) -> bool:
        """Whether `path` is a file whose name has one of these endings, in lower or upper case."""
        return self.path.suffix.lower() in endings and not self.path.is_dir()


@dataclass(frozen=True)
class Opener:
    """A kind of source.

    Attributes:
        name: of the kind.
        order: openers are asked in rising order; the first one that returns a source wins.
        open: returns the source, or None if what was asked for is of another kind. Raises DataError if it is of this
            kind and cannot be used.
    """

    name: str
    order: int
    open: Callable[[Asked], "Source | None"]


OPENERS: dict[str, Opener] = {}


def opener(name: str, *, order: int) -> Callable[[Callable[[Asked], "Source | None"]], Callable]:
    """A decorator that registers a function as the `Opener` of that name.

    Openers that know their data by `spec` alone have an order below 30, since `Asked.path` raises an error for a
    `spec` that is no file.

    Raises:
        ValueError: the name or the order is taken.
    """
    for other in OPENERS.values():
        if name == other.name or order == other.order:
            raise ValueError(f"opener {name!r}, order {order}: {other.name!r} has order {other.order}; take others")

    def register(function: Callable[[Asked], "Source | None"]) -> Callable:
        OPENERS[name] = Opener(name, order, function)
        return function

    return register


def give_images() -> str:
    """The remedy for data that names no images."""
    return (
        "give a folder or a zip of images, MNIST's or CIFAR-10's official files, a .npz file, hf:ID, "
        f"or the built-in {named('data', 'fashion-mnist')}"
    )


class Source(ABC):
    """Images that can be read any number of times.

    Attributes:
        description: what people are told of the source.
        classes: the names of the labels 0, 1, ...; () if no image is labelled.
        sizes: the number of "train" images, and of "test" images if the data has its own test set.
        counts: what was met while reading: "skipped" counts images that cannot be decoded.
        paths: files whose identity, size and time stand for the content, so that `fingerprint` need not be computed
            again; () if there are no such files.
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
        """Yield the images of a split of `sizes` in order, in blocks of images of one size.

        Raises:
            DataError: the data is damaged or unreadable.
        """

    @abstractmethod
    def fingerprint(self, progress: bool = False) -> str:
        """The SHA-256 of the content, the labels and the class names in hexadecimal, the same on every machine.

        progress: show a progress bar if it takes long.
        """


class PictureSource(Source):
    """Image files that are decoded one by one."""

    def __init__(
        self, description: str, classes: tuple[str, ...], sizes: dict[str, int], max_pixels: int, bad_images: str
    ):
        super().__init__(description, classes, sizes)
        self.max_pixels = max_pixels
        self.bad_images = bad_images

    @abstractmethod
    def pictures(self, split: str, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        """Yield the image files of a split with numbers from `start` up to, but not including, `stop`."""

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
    """The number of images in each split, in words."""
    return ", ".join(f"{sizes[split]:,} {split}" for split in SPLITS if split in sizes) + " images"
