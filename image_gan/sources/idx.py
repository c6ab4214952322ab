"""MNIST's idx files."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, named
from gan_core.storage.inputs import Unpacking
from gan_core.text import printable
from image_gan.sources.arrays import (
    BLOCK,
    check_end,
    check_labels,
    check_promise,
    check_splits,
    digest_of,
    labels_at,
    numbered,
    take,
    unpacked,
)
from image_gan.sources.base import Block, Source, counted

IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # magic numbers: bytes, on three axes and on one
IDX_NAME = re.compile(r"(train|t10k)-images[-.]idx3-ubyte(\.gz)?")
IDX_SPLITS = {"train": "train", "t10k": "test"}


def idx_files(paths: list[Path]) -> dict[str, Path]:
    """The files of images in the idx format by split, as MNIST's are called; one alone is "train"."""
    found = {}
    for path in paths:
        match = IDX_NAME.fullmatch(path.name)
        if match:
            found.setdefault(IDX_SPLITS[match[1]], path)  # sorted: what is unpacked comes before its .gz
    return found if "train" in found else dict(zip(["train"], found.values(), strict=False))


class IdxSource(Source):
    """Files of images in the idx format, each with its labels in a file beside it if there is one.

    The format: big-endian 32-bit numbers, a magic one and the size of each axis, then a byte a pixel.
    """

    def __init__(self, images: dict[str, Path], description: str, max_pixels: int, classes: tuple[str, ...]):
        self.images = images
        self.shapes = {split: self.shape(path, max_pixels) for split, path in images.items()}
        beside = {split: labels_beside(path) for split, path in images.items()}
        self.label_files = {split: path for split, path in beside.items() if path}
        labels = {split: self.read_labels(path, self.shapes[split][0]) for split, path in self.label_files.items()}
        if labels and not classes:
            classes = numbered(list(labels.values()))
        self.labels = {
            split: check_labels(part, len(classes), printable(self.label_files[split]))
            for split, part in labels.items()
        }
        sizes = {split: shape[0] for split, shape in self.shapes.items()}
        check_splits(labels, sizes, description)
        super().__init__(f"{description} ({counted(sizes)})", classes if labels else (), sizes)

    def shape(self, path: Path, max_pixels: int) -> tuple[int, int, int]:
        """The number of images, their height and width, from the header."""
        name = printable(path)
        with unpacked(path) as stream:
            magic, count, height, width = struct.unpack(">4I", take(stream, 16, name))
            packed = isinstance(stream, Unpacking)
        if magic != IDX_IMAGES:
            raise DataError(f"{name} is no idx file of images: its magic number is {magic:#x}, not {IDX_IMAGES:#x}")
        if not 0 < height * width <= max_pixels:
            raise DataError(
                f"{name} says its images have {height} x {width} pixels: give {named('max_pixels')} if that is true"
            )
        check_promise(16 + count * height * width, path, packed, name)
        return count, height, width

    def read_labels(self, path: Path, count: int) -> np.ndarray:
        """The labels of `count` images."""
        name = printable(path)
        with unpacked(path) as stream:
            magic, length = struct.unpack(">2I", take(stream, 8, name))
            if magic != IDX_LABELS:
                raise DataError(f"{name} is no idx file of labels: its magic number is {magic:#x}, not {IDX_LABELS:#x}")
            if length != count:
                raise DataError(f"{name} has {length} labels for {count} images: give the files that belong together")
            check_promise(8 + count, path, isinstance(stream, Unpacking), name)
            labels = np.frombuffer(take(stream, count, name), np.uint8)
            check_end(stream, name)
        return labels.astype(np.int16)

    def blocks(self, split: str) -> Iterator[Block]:
        path = self.images[split]
        name = printable(path)
        count, height, width = self.shapes[split]
        step = max(1, BLOCK // (height * width))
        with unpacked(path) as stream:
            take(stream, 16, name)
            for start in range(0, count, step):
                part = min(step, count - start)
                pixels = take(stream, part * height * width, name)
                images = np.frombuffer(pixels, np.uint8).reshape(-1, height, width, 1)
                yield images, labels_at(self.labels.get(split), start, part)
            check_end(stream, name)

    def fingerprint(self, progress: bool = False) -> str:
        files = {split: [path] for split, path in self.images.items()}
        for split, path in self.label_files.items():
            files[split].append(path)
        return digest_of(files, self.classes)


def labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images, packed or not; None where there is none."""
    if "images" not in images.name:
        return None
    called = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for name in (called, f"{called}.gz"):
        if images.with_name(name).exists():
            return images.with_name(name)
    return None
