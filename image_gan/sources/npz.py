"""Arrays in .npz files."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_core.errors import DataError, named
from gan_core.labels import MAX_CLASSES, UNKNOWN
from gan_core.storage.inputs import check_file, naming
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
)
from image_gan.sources.base import Block, Source, counted, give_images

NPZ_ARRAYS = {"train": (("images", "labels"), ("x_train", "y_train")), "test": (("x_test", "y_test"),)}


class NpzSource(Source):
    """The arrays of a .npz file, which are read as zip members and never through pickle."""

    def __init__(self, path: Path, max_pixels: int):
        self.path, self.paths = path, (path,)
        self.name = printable(path)
        check_file(self.name, path, give_images())
        self.members: dict[str, str] = {}
        labels: dict[str, np.ndarray] = {}
        sizes: dict[str, int] = {}
        with self.opened() as archive:
            present = set(archive.namelist())
            for split, candidates in NPZ_ARRAYS.items():
                for images, called in candidates:
                    if f"{images}.npy" not in present or split in sizes:
                        continue
                    self.members[split] = images
                    sizes[split] = self.check_images(*self.header(archive, images), images, max_pixels)
                    if f"{called}.npy" in present:
                        labels[split] = self.read_labels(archive, called, sizes[split])
            if not sizes.get("train"):
                listed = ", ".join(sorted(printable(member.removesuffix(".npy")) for member in present)) or "nothing"
                raise DataError(f"{self.name} holds {listed}: save uint8 images (N, H, W, C) under the name `images`")
        check_splits(labels, sizes, self.name)
        classes = numbered(list(labels.values())) if labels else ()
        self.labels = {split: check_labels(part, MAX_CLASSES, self.name) for split, part in labels.items()}
        super().__init__(f"{self.name} ({counted(sizes)})", classes, sizes)

    @contextmanager
    def opened(self) -> Iterator[zipfile.ZipFile]:
        """The archive, open for reading."""
        with naming(self.name, give_images()):
            try:
                with zipfile.ZipFile(self.path) as archive:
                    yield archive
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
                raise DataError(f"{self.name} is cut short, damaged or no .npz file: save or fetch it again") from error

    def header(self, archive: zipfile.ZipFile, array: str) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and type of an array."""
        with archive.open(f"{array}.npy") as stream:
            shape, fortran, dtype = npy_header(stream)
            begun = stream.tell()
        if dtype.hasobject:
            raise DataError(f"{self.name}: {array} holds Python objects, which are not read: save an array of numbers")
        if fortran and len(shape) > 1:
            raise DataError(f"{self.name}: {array} is in Fortran's order: save np.ascontiguousarray({array})")
        if any(type(size) is not int or size < 0 for size in shape):
            raise DataError(f"{self.name}: {array} has shape {shape}, which no array has: save it again")
        there, promised = archive.getinfo(f"{array}.npy").file_size, begun + math.prod(shape) * dtype.itemsize
        check_promise(max(there, promised), self.path, True, f"{self.name}: {array}")
        return shape, dtype

    def check_images(self, shape: tuple[int, ...], dtype: np.dtype, array: str, max_pixels: int) -> int:
        """The number of images of an array, whose axes are sure to be (N, H, W) or (N, H, W, C).

        Raises:
            DataError: they are not, or the values are not bytes.
        """
        if dtype != np.uint8:
            what = f"({array} * 255).round()" if dtype.kind == "f" else array
            raise DataError(
                f"{self.name}: {array} is of {dtype}: save values from 0 to 255 as uint8, perhaps by "
                f"{what}.astype(np.uint8)"
            )
        if len(shape) == 4 and shape[1] in (1, 3):
            raise DataError(f"{self.name}: {array} {shape} looks channels-first: save {array}.transpose(0, 2, 3, 1)")
        if len(shape) not in (3, 4) or (shape[-1] in (1, 3)) != (len(shape) == 4):
            raise DataError(
                f"{self.name}: {array} has shape {shape}: save it as (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
            )
        if not 0 < shape[1] * shape[2] <= max_pixels:
            raise DataError(
                f"{self.name}: {array} {shape} has images of too many pixels or none: give {named('max_pixels')}"
            )
        return shape[0]

    def read_labels(self, archive: zipfile.ZipFile, array: str, count: int) -> np.ndarray:
        """The labels of `count` images, (N,) or (N, 1) of integers."""
        shape, dtype = self.header(archive, array)
        if shape not in ((count,), (count, 1)) or dtype.kind not in "iu":
            raise DataError(f"{self.name}: {array} is {dtype} {shape}: save one integer for each of the {count} images")
        with archive.open(f"{array}.npy") as stream:
            npy_header(stream)
            content = take(stream, count * dtype.itemsize, f"{self.name}: {array}")
        labels = np.frombuffer(content, dtype)
        if count and not (labels.min() >= UNKNOWN and labels.max() < MAX_CLASSES):
            raise DataError(
                f"{self.name}: {array} must be from 0 to {MAX_CLASSES - 1}, or -1 where unknown: number them so"
            )
        return labels.astype(np.int16)

    def blocks(self, split: str) -> Iterator[Block]:
        array = self.members[split]
        with self.opened() as archive, archive.open(f"{array}.npy") as stream:
            (count, height, width, *channels), *_ = npy_header(stream)
            shape = (height, width, *(channels or [1]))
            step = max(1, BLOCK // math.prod(shape))
            for start in range(0, count, step):
                part = min(step, count - start)
                pixels = take(stream, part * math.prod(shape), f"{self.name}: {array}")
                images = np.frombuffer(pixels, np.uint8).reshape(-1, *shape)
                yield images, labels_at(self.labels.get(split), start, part)
            check_end(stream, f"{self.name}: {array}")

    def fingerprint(self, progress: bool = False) -> str:
        return digest_of({"npz": [self.path]}, self.classes)


def npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether in Fortran's order, and type of the array in a .npy stream.

    Raises:
        ValueError: it is none.
    """
    version = np.lib.format.read_magic(stream)
    try:
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        return np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # it parses Python, and raises what Python's parsers do
        raise ValueError("no header of an array") from error
